"""An audiofolder of Hugging Face: metadata.jsonl or metadata.csv with ``file_name`` and a column of text."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Final

from voice_pipeline.recordings.transcripts.files import TextFolder
from voice_pipeline.recordings.transcripts.model import TextProblem, TranscriptError
from voice_pipeline.recordings.transcripts.nemo import path_of
from voice_pipeline.recordings.transcripts.rows import Matched, Row, by_path, checked_row, match
from voice_pipeline.recordings.transcripts.tables import find_tables, json_lines, text_of

# Columns of text, the first that a table has; and those of text as it is spoken.
TEXT_COLUMNS: Final = ("text", "sentence", "transcription", "transcript", "raw_text", "normalized_text")
READING_COLUMNS: Final = ("normalized_text", "text_normalized")


def read(folder: TextFolder) -> Matched:
    """The text of every clip; every folder may have its own table. Raises VoiceFailure without any."""
    rows: list[Row] = []
    for name in find_tables(folder, "audiofolder", ".jsonl", ".csv", deep=True):
        parsed = folder.parsed(name, partial(parse, name))
        base = PurePosixPath(name).parent
        rows.extend(row if row.key == "" else _below(base, row) for row in parsed)
    return match(rows, by_path(folder.files, folder.audio_root, [folder.root, folder.audio_root]))


def parse(name: str, text: str) -> list[Row]:
    """Every row. Raises TranscriptError for a table without the columns file_name and text."""
    if name.lower().endswith(".csv"):
        return _parse_csv(name, text)
    rows = []
    for number, value in json_lines(text):
        where = f"{name}:{number}"
        if value is None:
            rows.append(Row(where, "", "", "", problem=TextProblem("malformed_row", "is no JSON object")))
        else:
            rows.append(_row(where, value))
    return rows


def text_column(columns: Any) -> str | None:
    """The column that holds the text, by its name."""
    return next((column for column in TEXT_COLUMNS if column in columns), None)


def _parse_csv(name: str, text: str) -> list[Row]:
    reader = csv.reader(text.split("\n"), strict=False)
    rows = []
    try:
        header = [column.strip() for column in next(reader, [])]
        if "file_name" not in header or text_column(header) is None:
            raise TranscriptError(f"needs the columns file_name and one of {', '.join(TEXT_COLUMNS)}")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{name}:{reader.line_num}"
            if len(cells) != len(header):
                detail = f"has {len(cells)} columns, the header {len(header)}"
                key = cells[header.index("file_name")] if header.index("file_name") < len(cells) else ""
                rows.append(Row(where, key.strip(), "", "", problem=TextProblem("malformed_row", detail)))
            else:
                rows.append(_row(where, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise TranscriptError(f"is no CSV table: line {reader.line_num}: {error}") from error
    return rows


def _row(where: str, value: Mapping[str, Any]) -> Row:
    column = text_column(value)
    reading = next((text_of(value[one]) for one in READING_COLUMNS if one in value), "")
    return checked_row(where, path_of(value.get("file_name")), text_of(value.get(column)) if column else "", reading)


def _below(base: PurePosixPath, row: Row) -> Row:
    return Row(row.where, (base / row.key).as_posix(), row.text, row.reading, row.utterance_id, row.problem)
