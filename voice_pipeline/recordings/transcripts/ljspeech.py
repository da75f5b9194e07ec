"""LJ Speech's metadata.csv: ``id|text`` or ``id|text|normalised text``, clips in the folder or in wavs/."""

from __future__ import annotations

from functools import partial

from voice_pipeline.recordings.transcripts.files import TextFolder
from voice_pipeline.recordings.transcripts.model import TextProblem
from voice_pipeline.recordings.transcripts.rows import Matched, Row, by_stem, checked_row, match

METADATA = "metadata.csv"


def read(folder: TextFolder) -> Matched:
    """The text of every clip. Raises VoiceFailure for a table that cannot be read at all."""
    name = folder.one.name if folder.one is not None else METADATA
    rows = folder.parsed(name, partial(parse, name))
    return match(rows, by_stem(folder.files))


def parse(name: str, text: str) -> list[Row]:
    """Every line that is not blank, in order."""
    return [_row(f"{name}:{at}", line) for at, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _row(where: str, line: str) -> Row:
    columns = [column.strip() for column in line.split("|")]
    text = columns[1] if len(columns) > 1 else ""
    if len(columns) > 3:
        detail = f"has {len(columns)} columns; id|text or id|text|normalised text is expected"
        return Row(where, columns[0], text, text, problem=TextProblem("malformed_row", detail))
    return checked_row(where, columns[0], text, columns[2] if len(columns) == 3 else "")
