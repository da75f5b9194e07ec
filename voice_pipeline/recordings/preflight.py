"""audio_preflight: whether a voice's recordings can be used at all, and what they are like.

    record = preflight.run(project, voice, store)
    record.duration_seconds, record.loudness_lufs

The checks of CONTRACTS 4 in their order, the first failure wins: the path exists; nothing is a Git LFS pointer;
it is larger than the voice's minimum; it decodes to the end. Then, in the production lane, the speaker's consent.
"""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.decoding import Audio, DecodeError, open_audio
from voice_pipeline.recordings.levels import Levels
from voice_pipeline.recordings.pictures import Overview, spectrogram_png, waveform_png
from voice_pipeline.recordings.source import Kind, OnProgress, Recordings, content_digest, find_recordings
from voice_pipeline.store import Store, identity, read_json, sha256_file, write_bytes, write_json
from voice_pipeline.voice import Consent, Voice

STAGE = "audio_preflight"
VERSION = "1"


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
    clip_count: int
    bytes: int
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
    """Check and measure the recordings of ``voice``, and write the record and two pictures.

    ``today`` is the day for which the consent must hold. ``progress(current, total)`` counts seconds of audio.
    Files that were measured before are not measured again; the checks of path, size and consent are always made.

    Raises VoiceFailure: ``missing_audio_path``, ``lfs_pointer``, ``audio_too_small``, ``audio_undecodable``,
    ``consent_missing``, ``disk_full``, ``permission_denied``.
    """
    recordings = find_recordings(project, voice)
    digest, _ = content_digest(recordings)
    key = identity(
        stage=STAGE, version=VERSION, voice=voice.voice_profile_id, source=recordings.shown, kind=recordings.kind,
        sha256=digest,
    )  # fmt: skip
    known = read_record(store, voice.voice_profile_id)
    reusable = known is not None and known.identity == key and all(_present(store, p) for p in _pictures(known))
    measured = None if reusable else _measure(recordings, progress)
    if voice.lane == "production":
        check_consent(voice, today or date.today())
    if measured is None:
        assert known is not None
        return known
    levels, overview, rates, channels = measured
    figures = levels.figures()
    record = PreflightRecord(
        stage="audio_preflight",
        identity=key,
        voice_profile_id=voice.voice_profile_id,
        source=recordings.shown,
        kind=recordings.kind,
        clip_count=len(recordings.files),
        bytes=recordings.bytes,
        sha256=digest,
        duration_seconds=figures.seconds,
        sample_rate=min(rates),
        sample_rates=tuple(sorted(rates)),
        channels=channels,
        peak_dbfs=figures.peak_dbfs,
        loudness_lufs=figures.loudness_lufs,
        clipping_share=figures.clipping_share,
        noise_floor_dbfs=figures.noise_floor_dbfs,
        waveform=_write_picture(store, voice, "waveform.png", waveform_png(overview)),
        spectrogram=_write_picture(store, voice, "spectrogram.png", spectrogram_png(overview)),
    )
    write_json(store.record(voice.voice_profile_id, STAGE), record.model_dump(mode="json"))
    return record


def read_record(store: Store, voice: str) -> PreflightRecord | None:
    """The stored record of ``voice``; None where there is none that can be read."""
    try:
        return PreflightRecord.model_validate(read_json(store.record(voice, STAGE)))
    except (OSError, ValueError, ValidationError):
        return None


def check_consent(voice: Voice, today: date) -> None:
    """Raises VoiceFailure ``consent_missing`` unless the speaker's consent covers a shipped voice ``today``."""
    problem = _consent_problem(voice.consent, today)
    if problem:
        raise VoiceFailure("consent_missing", problem, voice=voice.voice_profile_id)


def _consent_problem(consent: Consent, today: date) -> str | None:
    speaker = consent.speaker
    if consent.status == "missing":
        return f"no consent of {speaker} is recorded"
    if consent.status == "revoked":
        return f"{speaker} has revoked the consent"
    if consent.granted_on is not None and consent.granted_on > today:
        return f"the consent of {speaker} begins on {consent.granted_on}, which is not yet"
    if consent.expires_on is not None and consent.expires_on < today:
        return f"the consent of {speaker} expired on {consent.expires_on}"
    if not consent.commercial_use:
        return f"the consent of {speaker} does not cover commercial use, which the production lane needs"
    return None


def _measure(recordings: Recordings, progress: OnProgress | None) -> tuple[Levels, Overview, set[int], int]:
    """Decode everything once, to the end."""
    seconds, done = sum(_declared_seconds(recordings)), 0.0
    total = math.ceil(seconds)
    levels, overview = Levels(), Overview(seconds)
    rates: set[int] = set()
    channels, broken, why = 0, list[str](), ""
    for file in recordings.files:
        try:
            with open_audio(file.path) as audio:
                rates.add(audio.sample_rate)
                channels = max(channels, audio.channels)
                for block in levels.follow(audio):
                    overview.add(block, audio.sample_rate)
                    done += len(block) / audio.sample_rate
                    if progress is not None:
                        progress(min(int(done), total), total)
        except DecodeError as error:
            broken.append(file.name)
            why = why or str(error)
    if broken:
        raise recordings.failure("audio_undecodable", broken, why)
    if progress is not None:
        progress(total, total)
    return levels, overview, rates, channels


def _declared_seconds(recordings: Recordings) -> list[float]:
    """What the headers say. Raises VoiceFailure ``audio_undecodable``, naming every file that cannot be opened."""
    found, broken, why = list[float](), list[str](), ""
    for file in recordings.files:
        try:
            with open_audio(file.path) as audio:
                found.append(_seconds(audio, file.path))
        except DecodeError as error:
            broken.append(file.name)
            why = why or str(error)
    if broken:
        raise recordings.failure("audio_undecodable", broken, why)
    return found


def _seconds(audio: Audio, path: Path) -> float:
    """The declared duration; for a FLAC stream that declares none, counted."""
    if audio.frames is not None:
        return audio.seconds
    return sum(len(block) for block in audio.blocks()) / audio.sample_rate


def _write_picture(store: Store, voice: Voice, name: str, data: bytes) -> Picture:
    path = store.preflight(voice.voice_profile_id) / name
    write_bytes(path, data)
    return Picture(path=store.relative(path), sha256=sha256_file(path))


def _pictures(record: PreflightRecord) -> tuple[Picture, Picture]:
    return record.waveform, record.spectrogram


def _present(store: Store, picture: Picture) -> bool:
    try:
        return sha256_file(store.resolve(picture.path)) == picture.sha256
    except (OSError, ValueError):
        return False
