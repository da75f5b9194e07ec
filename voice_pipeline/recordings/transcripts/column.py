"""The text column of a Parquet table whose rows are clips."""

from __future__ import annotations

from collections import defaultdict
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

from voice_pipeline.recordings.parquet import TableProblem, open_table, row_name
from voice_pipeline.recordings.tables import AudioFile
from voice_pipeline.recordings.transcripts.audiofolder import READING_COLUMNS, TEXT_COLUMNS, text_column
from voice_pipeline.recordings.transcripts.files import TextFolder
from voice_pipeline.recordings.transcripts.model import TranscriptError
from voice_pipeline.recordings.transcripts.rows import Matched, Row, checked_row, match
from voice_pipeline.recordings.transcripts.tables import speakers_note, text_of
from voice_pipeline.store import canonical_json

_ID_COLUMNS = ("utterance_id", "id", "utt_id", "segment_id")
_SPEAKER_COLUMNS = ("speaker_id", "speaker", "speaker_name", "client_id")


def read(folder: TextFolder) -> tuple[Matched, tuple[str, ...]]:
    """The text of every row. Raises VoiceFailure ``transcript_missing`` for a table without a column of text."""
    by_table: dict[str, list[AudioFile]] = defaultdict(list)
    for file in folder.files:
        table, mark, _ = file.name.rpartition("#")
        if mark:
            by_table[table].append(file)
    rows: list[Row] = []
    speakers: set[str] = set()
    for table in by_table:
        try:
            rows.extend(_rows(folder, table, speakers))
        except (TableProblem, TranscriptError) as error:
            raise folder.failure(table, TranscriptError(str(error))) from error
    names = {file.name for file in folder.files}
    return match(rows, lambda key: (key,) if key in names else ()), speakers_note(speakers)


def _rows(folder: TextFolder, name: str, speakers: set[str]) -> list[Row]:
    rows = []
    digest = sha256()
    with open_table(folder.audio_root / name) as table:
        columns = table.columns
        text = text_column(columns)
        if text is None:
            raise TranscriptError(f"has no column of text; one of {', '.join(TEXT_COLUMNS)} is read")
        reading = next((one for one in READING_COLUMNS if one in columns), None)
        identifier = next((one for one in _ID_COLUMNS if one in columns), None)
        speaker = next((one for one in _SPEAKER_COLUMNS if one in columns), None)
        wanted = [one for one in (text, reading, identifier, speaker) if one is not None]
        for number, values in table.rows(wanted):
            digest.update(canonical_json([str(values.get(one)) for one in wanted]))
            said = _said(values.get(speaker)) if speaker else ""
            if said and len(speakers) < 1_000:
                speakers.add(said)
            key = row_name(name, number)
            stem = PurePosixPath(name).with_suffix("").as_posix()
            given = _said(values.get(identifier)) if identifier else ""
            rows.append(
                checked_row(
                    f"{name}#{number}", key, text_of(values.get(text)), text_of(values.get(reading)) if reading else "",
                    given or f"{stem}-{number:06d}",
                )
            )  # fmt: skip
    folder.note(name, digest.hexdigest())
    return rows


def _said(value: Any) -> str:
    return str(value)[:200] if isinstance(value, str | int) else ""
