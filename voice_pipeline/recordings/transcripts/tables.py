"""What readers of tables share: which tables there are, JSON lines, and what is said of several speakers."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from voice_pipeline.recordings.detection import kind_of_table
from voice_pipeline.recordings.transcripts.files import TextFolder, one_line
from voice_pipeline.recordings.transcripts.model import TranscriptError

_MAX_LINE = 1 << 20  # characters of one JSON line
_NAMED = 3


def find_tables(folder: TextFolder, kind: str, *suffixes: str, deep: bool = False) -> list[str]:
    """The tables of that kind in the text folder. Raises VoiceFailure ``transcript_missing`` when there is none."""
    if folder.one is not None:
        return [folder.one.name]
    names = folder.names(*suffixes, deep=deep)
    found = [name for name in names if kind_of_table(folder.root / name) == kind]
    if found:
        return found
    metadata = [name for name in names if name in ("metadata.csv", "metadata.jsonl")]
    if metadata:
        return metadata  # its reader says what is wrong with it
    expected = " or ".join(suffixes)
    raise folder.failure(f"*{suffixes[0]}", TranscriptError(f"there is no {expected} table in the form of {kind}"))


def json_lines(text: str) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """(line number, its object) of every line that is not blank; None for a line that is no JSON object."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        value = None
        if len(line) <= _MAX_LINE:
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = None
        yield number, value if isinstance(value, dict) else None


def text_of(value: Any) -> str:
    """A JSON value or a cell as one line of text; empty for what is no text."""
    return one_line(value) if isinstance(value, str) else ""


def speakers_note(speakers: Collection[str]) -> tuple[str, ...]:
    """What is said of a table with several speakers; nothing of one."""
    if len(speakers) < 2:
        return ()
    shown = ", ".join(sorted(speakers)[:_NAMED]) + (", ..." if len(speakers) > _NAMED else "")
    return (f"the text names {len(speakers)} speakers ({shown}); a voice has one",)
