"""Piper's table: ``file|text`` or ``file|speaker|text``, clips beside it or in wav/ (or wavs/)."""

from __future__ import annotations

from functools import partial

from voice_pipeline.recordings.transcripts.files import TextFolder, one_line
from voice_pipeline.recordings.transcripts.model import TextProblem
from voice_pipeline.recordings.transcripts.rows import Matched, Resolve, Row, by_path, by_stem, checked_row, match
from voice_pipeline.recordings.transcripts.tables import find_tables, speakers_note


def read(folder: TextFolder) -> tuple[Matched, tuple[str, ...]]:
    """The text of every clip, and what is to be said of it. Raises VoiceFailure without a table."""
    rows: list[Row] = []
    speakers: set[str] = set()
    for name in find_tables(folder, "piper", ".csv"):
        for row, speaker in folder.parsed(name, partial(parse, name)):
            rows.append(row)
            speakers.update({speaker} if speaker else ())
    return match(rows, _resolve(folder)), speakers_note(speakers)


def parse(name: str, text: str) -> list[tuple[Row, str]]:
    """(row, speaker) of every line that is not blank; the speaker is empty where there is no such column."""
    return [_row(f"{name}:{at}", line) for at, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _row(where: str, line: str) -> tuple[Row, str]:
    columns = [column.strip() for column in line.split("|")]
    if not 2 <= len(columns) <= 3:
        detail = f"has {len(columns)} columns; file|text or file|speaker|text is expected"
        return Row(where, columns[0], "", "", problem=TextProblem("malformed_row", detail)), ""
    return checked_row(where, columns[0], columns[-1]), one_line(columns[1]) if len(columns) == 3 else ""


def _resolve(folder: TextFolder) -> Resolve:
    tops = (folder.root, folder.audio_root)
    exact = by_path(folder.files, folder.audio_root, [*tops, *(top / sub for top in tops for sub in ("wav", "wavs"))])
    stems = by_stem(folder.files, ("wav/", "wavs/"))
    return lambda key: exact(key) or stems(key)
