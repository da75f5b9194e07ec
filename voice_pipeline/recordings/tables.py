"""The tables that the stages between recordings and dataset hand on: JSON Lines of frozen rows, in flat memory.

    count, digest = write_rows(path, (Segment(...) for ...))
    for segment in read_rows(path, Segment):
        ...

Rows of ``segments``, ``texts`` and ``utterances`` stand in the same order, one for each segment, so that the three are
joined by reading them side by side. The same rows are the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from voice_pipeline.atomic import atomic_path

Row = TypeVar("Row")

# Where an utterance's text comes from: written for this clip; a cue with times (subtitle, TextGrid, Kaldi segment);
# a stretch of a whole reading's text, found by alignment; a recogniser; or nowhere.
Origin = Literal["given", "cue", "aligned", "recognised", "none"]


class TableError(ValueError):
    """A table is not what was written; the message names the file and the line."""


@dataclass(frozen=True)
class AudioFile:
    """One piece of audio of the source, as preflight found it. A row of parquet is a piece, named ``file#row``."""

    name: str  # POSIX path relative to the source
    sha256: str  # of its bytes as they were given
    bytes: int
    seconds: float = 0.0
    sample_rate: int = 0  # Hz
    channels: int = 0
    decoded: str | None = None  # store-relative path of what to read instead of the file itself: FLAC or WAV
    problem: str | None = None  # why it is no recording: a reason of the taxonomy, such as audio_undecodable
    detail: str = ""


@dataclass(frozen=True)
class Segment:
    """One utterance-to-be: a stretch of one piece of audio."""

    utterance_id: str
    source: str  # AudioFile.name
    source_sha256: str
    start: float  # seconds in the source
    end: float
    whole: bool  # all of its source: a clip, not a cut
    speech: tuple[tuple[float, float], ...] = ()  # where voice activity was found, seconds in the source


@dataclass(frozen=True)
class UtteranceText:
    """The text of one segment."""

    utterance_id: str
    origin: Origin
    text: str = ""  # as written
    reading: str = ""  # what to normalise: LJ Speech's third column where it is given, else the text
    normalized: str = ""  # as it is spoken
    hypothesis: str | None = None  # what a recogniser heard, as it wrote it; None where none listened
    cer: float | None = None  # character error rate of the hypothesis against the text, both normalised
    problem: str | None = None
    detail: str = ""


@dataclass(frozen=True)
class CleanUtterance:
    """One segment as training would hear it, and what was measured on the way. Figures are of the source's audio."""

    utterance_id: str
    wav: str = ""  # store-relative; mono 16-bit PCM at the recipe's rate
    sha256: str = ""
    bytes: int = 0
    duration: float = 0.0  # seconds of the cleaned WAV
    sample_rate: int = 0  # Hz
    peak_dbfs: float | None = None
    loudness_lufs: float | None = None
    gain_db: float | None = None  # what cleaning applied
    clipping_share: float | None = None
    noise_floor_dbfs: float | None = None
    snr_db: float | None = None
    bandwidth_hz: float | None = None
    speech_seconds: float | None = None
    fingerprint: str = ""  # hex; equal or near for the same sound, see ``fingerprint``
    speaker_similarity: float | None = None  # cosine with the voice's centroid
    problem: str | None = None
    detail: str = ""


@dataclass(frozen=True)
class Unmatched:
    """Something of the source that is no segment: a text without audio, a stretch of text that nobody spoke."""

    source: str  # a file of the source, with a line where there is one
    utterance_id: str
    reason: str
    detail: str


def write_rows(path: Path, rows: Iterable[Any]) -> tuple[int, str]:
    """Write dataclass rows atomically; (how many, sha256 of the file). Raises VoiceFailure when the disk refuses."""
    count, digest = 0, hashlib.sha256()
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        for row in rows:
            line = row_line(row)
            stream.write(line)
            digest.update(line)
            count += 1
    return count, digest.hexdigest()


def row_line(row: Any) -> bytes:
    """One row as it stands in its table."""
    value = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return (json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n").encode()


def read_rows(path: Path, kind: type[Row]) -> Iterator[Row]:
    """The rows of a table, one at a time. Raises OSError, TableError for a line that is no such row."""
    adapter = TypeAdapter(kind)
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                yield adapter.validate_json(line)
            except ValidationError as error:
                raise TableError(f"{path}:{number}: is no {kind.__name__}: {error.errors()[0]['msg']}") from error
