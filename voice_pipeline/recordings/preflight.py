"""audio_preflight: whether a voice's recordings can be used at all, and what they are like.

    record = preflight.run(project, voice, store)
    record.duration_seconds, record.loudness_lufs
    for file in read_rows(store.audio_files(voice_id), AudioFile): ...

The checks of CONTRACTS 4 in their order, the first failure wins: the path exists; it is not a Git LFS pointer; it is
larger than the voice's minimum; it decodes to the end. Then the speaker's consent, by the rules of ``consent``. A file
of a folder that fails is a row with its problem in the table of files, and the others go on; the stage fails when
none, or too little, is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from voice_pipeline import clock, consent
from voice_pipeline.atomic import read_json, write_bytes, write_json
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.conversion import VERSION as CONVERSION_VERSION
from voice_pipeline.recordings.detection import Kind, declared_seconds
from voice_pipeline.recordings.levels import Levels
from voice_pipeline.recordings.measuring import VERSION as MEASURING_VERSION
from voice_pipeline.recordings.measuring import Measured, Work, measured
from voice_pipeline.recordings.pictures import Overview, spectrogram_png, waveform_png
from voice_pipeline.recordings.pieces import Piece, pieces_of
from voice_pipeline.recordings.source import (
    OnProgress,
    Recordings,
    check_enough,
    content_digest,
    find_recordings,
    read_from,
)
from voice_pipeline.recordings.tables import AudioFile, read_rows, write_rows
from voice_pipeline.store import Store, identity, sha256_file
from voice_pipeline.voice import TextKind, Voice

STAGE = "audio_preflight"
VERSION = "2"


class Picture(BaseModel):
    """A picture in the store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str  # relative to the store
    sha256: str


class PreflightRecord(BaseModel):
    """What preflight found. The same recordings give the same record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal["audio_preflight"]
    identity: str
    voice_profile_id: str
    source: str  # as the voice's config has it
    kind: Kind
    text_kind: TextKind
    clip_count: int  # usable pieces of audio: files, or rows of a table
    file_count: int  # rows of the table of files
    problem_count: int  # rows with a problem
    files: str  # the table, relative to the store
    files_sha256: str
    bytes: int  # of the usable pieces
    sha256: str  # of the recording; of a folder, over the sorted list of [name, sha256]
    duration_seconds: float
    sample_rate: int  # Hz; the lowest, where clips differ
    sample_rates: tuple[int, ...]  # all that occur
    channels: int  # the most that any file has
    peak_dbfs: float
    loudness_lufs: float | None  # ITU-R BS.1770-4; None when nothing is above its gate
    clipping_share: float  # of all samples
    noise_floor_dbfs: float
    waveform: Picture
    spectrogram: Picture


def run(
    project: Path, voice: Voice, store: Store, *, today: date | None = None, progress: OnProgress | None = None
) -> PreflightRecord:
    """Check and measure the recordings of ``voice``, and write the record, the table of files and two pictures.

    ``today`` is the day for which the consent must hold, by default UTC's. ``progress(current, total)`` counts seconds
    of audio. Files that were measured before are not measured again; the checks of path, size and consent always are.

    Raises VoiceFailure: ``missing_audio_path``, ``lfs_pointer``, ``audio_too_small``, ``audio_undecodable``,
    ``config_invalid``, ``consent_missing``, ``disk_full``, ``permission_denied``, ``out_of_memory``.
    """
    recordings = find_recordings(project, voice)
    digest, digests = content_digest(recordings)
    key = identity(
        stage=STAGE, version=VERSION, measuring=MEASURING_VERSION, conversion=CONVERSION_VERSION,
        voice=voice.voice_profile_id, source=recordings.shown, kind=recordings.kind, text=recordings.text,
        channel=voice.source.channel, sha256=digest,
    )  # fmt: skip
    known = read_record(store, voice.voice_profile_id)
    if known is None or known.identity != key or not _complete(store, recordings.root, known):
        record = _judge(recordings, digests, digest, key, voice, store, progress)
    else:
        record = known
    check_consent(project, voice, store, today or clock.today())
    if record is not known:
        write_json(store.record(voice.voice_profile_id, STAGE), record.model_dump(mode="json"))
    return record


def read_record(store: Store, voice: str) -> PreflightRecord | None:
    """The stored record of ``voice``; None where there is none that can be read."""
    try:
        return PreflightRecord.model_validate(read_json(store.record(voice, STAGE)))
    except (OSError, ValueError, ValidationError):
        return None


def check_consent(project: Path, voice: Voice, store: Store, today: date) -> None:
    """Raises VoiceFailure ``consent_missing`` unless the speaker agrees to a shipped voice ``today``.

    The experimental lane ships nothing, and is asked one thing only: that nothing was revoked.
    """
    name = voice.voice_profile_id
    mark = consent.read_revocation(store, name)
    if voice.lane == "production":
        problem = consent.problem(voice, today, project=project, revocation=mark)
    else:
        problem = consent.revoked(voice, today, mark)
    if problem is not None:
        raise VoiceFailure("consent_missing", problem, voice=name)


class _Whole:
    """Everything that is added up over the pieces; memory is 16 bytes for every 100 ms."""

    def __init__(self, total_seconds: float) -> None:
        self.levels, self.overview = Levels(), Overview(total_seconds)

    def add(self, measured: Measured) -> None:
        self.levels.merge(measured.levels)
        if measured.overview is not None:
            self.overview.merge(measured.overview)


def _judge(
    recordings: Recordings,
    digests: dict[str, str],
    digest: str,
    key: str,
    voice: Voice,
    store: Store,
    progress: OnProgress | None,
) -> PreflightRecord:
    """Measure what was not measured before, write the table and the pictures, and make the record."""
    name = voice.voice_profile_id
    pieces = pieces_of(recordings, digests, store)
    work = [piece.work for piece in pieces if piece.work is not None]
    counter = _Counter(progress, work)
    with measured(store, work, progress=counter.add) as found:
        rows = [_row(piece, found.of(piece.work) if piece.work else None, voice) for piece in pieces]
        usable = [row for row in rows if row.problem is None]
        if not usable:
            raise _nothing_usable(recordings, rows)
        check_enough(recordings, rows, voice.source.min_bytes)
        whole = _Whole(sum(row.seconds for row in usable))
        for piece, row in zip(pieces, rows, strict=True):
            if piece.work is not None and row.problem is None:
                whole.add(found.whole(piece.work))
    figures = whole.levels.figures()
    count, files_sha256 = write_rows(store.audio_files(name), rows)
    counter.end()
    return PreflightRecord(
        stage="audio_preflight",
        identity=key,
        voice_profile_id=name,
        source=recordings.shown,
        kind=recordings.kind,
        text_kind=recordings.text,
        clip_count=len(usable),
        file_count=count,
        problem_count=count - len(usable),
        files=store.relative(store.audio_files(name)),
        files_sha256=files_sha256,
        bytes=sum(row.bytes for row in usable),
        sha256=digest,
        duration_seconds=figures.seconds,
        sample_rate=min(row.sample_rate for row in usable),
        sample_rates=tuple(sorted({row.sample_rate for row in usable})),
        channels=max(row.channels for row in usable),
        peak_dbfs=figures.peak_dbfs,
        loudness_lufs=figures.loudness_lufs,
        clipping_share=figures.clipping_share,
        noise_floor_dbfs=figures.noise_floor_dbfs,
        waveform=_write_picture(store, voice, "waveform.png", waveform_png(whole.overview)),
        spectrogram=_write_picture(store, voice, "spectrogram.png", spectrogram_png(whole.overview)),
    )


def _row(piece: Piece, found: Measured | None, voice: Voice) -> AudioFile:
    """The piece as it stands in the table of files."""
    if found is None:
        return AudioFile(piece.name, piece.sha256, piece.bytes, problem=piece.problem, detail=piece.detail)
    if found.problem is not None:
        return AudioFile(piece.name, piece.sha256, piece.bytes, problem="audio_undecodable", detail=found.problem)
    decoded = found.decoded or piece.stored
    row = AudioFile(
        piece.name, piece.sha256, piece.bytes, found.seconds, found.sample_rate, found.channels, decoded=decoded
    )
    channel = voice.source.channel
    if channel != "mix" and channel >= found.channels:
        detail = f"has {found.channels} channel{'s'[: found.channels > 1]}; source.channel is {channel}, counted from 0"
        return replace(row, problem="config_invalid", detail=detail)
    return row


def _nothing_usable(recordings: Recordings, rows: Sequence[AudioFile]) -> VoiceFailure:
    """The first file's problem, with the others that have the same."""
    first = rows[0]
    same = [row.name for row in rows if (row.problem, row.detail) == (first.problem, first.detail)]
    if len(same) < len(rows):
        same = same[:1]
        rest = f"; none of the {len(rows)} files is usable"
    else:
        rest = ""
    return recordings.failure(first.problem or "audio_undecodable", same, first.detail + rest)


class _Counter:
    """Seconds of audio measured, against what there may be; the last call says that all is done."""

    def __init__(self, progress: OnProgress | None, work: Sequence[Work]) -> None:
        self._progress, self._done = progress, 0.0
        self._total = max(1, math.ceil(declared_seconds([one.path for one in work]))) if progress else 1

    def add(self, seconds: float) -> None:
        self._done += seconds
        if self._progress is not None:
            self._progress(min(int(self._done), self._total), self._total)

    def end(self) -> None:
        if self._progress is not None:
            self._progress(self._total, self._total)


def _complete(store: Store, root: Path, record: PreflightRecord) -> bool:
    """Whether everything that the record names is still there, the decoded audio too."""
    try:
        if sha256_file(store.resolve(record.files)) != record.files_sha256:
            return False
        if not all(_present(store, picture) for picture in (record.waveform, record.spectrogram)):
            return False
        rows = read_rows(store.resolve(record.files), AudioFile)
        return all(row.decoded is None or read_from(store, root, row).exists() for row in rows)
    except (OSError, ValueError):
        return False


def _write_picture(store: Store, voice: Voice, name: str, data: bytes) -> Picture:
    path = store.preflight(voice.voice_profile_id) / name
    write_bytes(path, data)
    return Picture(path=store.relative(path), sha256=sha256_file(path))


def _present(store: Store, picture: Picture) -> bool:
    return sha256_file(store.resolve(picture.path)) == picture.sha256
