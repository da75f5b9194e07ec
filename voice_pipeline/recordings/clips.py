"""Staging: any clip becomes mono 16-bit PCM WAV at the trainers' sample rate, once for its content.

    staged = stage_clip(store, file.path, source_sha256, sample_rate=22_050)
    staged.wav, staged.figures.seconds

The cache's key is the clip's sha256 and how it is staged: a changed clip recomputes one clip, and a run that was
killed goes on where it stopped. A cached file whose bytes are not those that were written is made again.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from voice_pipeline.recordings.decoding import open_audio
from voice_pipeline.recordings.levels import Figures, Levels
from voice_pipeline.recordings.transcripts.older import RejectionReason
from voice_pipeline.store import Store, identity, read_json, sha256_file, write_bytes, write_json

VERSION = "1"
MIN_SECONDS = 0.3
MAX_SECONDS = 20.0
SILENT_BELOW_DBFS = -60.0  # peak; a clip this quiet holds no speech
_FULL_SCALE = 32_768  # so that a 16-bit clip at the right rate is staged bit for bit


class ClipRejected(ValueError):
    """A clip that decodes and is still no training material."""

    def __init__(self, reason: RejectionReason, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


class _CachedClip(BaseModel):
    """What stands beside the cached WAV."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    bytes: int
    frames: int
    figures: Figures


@dataclass(frozen=True)
class StagedClip:
    """A clip in the cache. ``figures`` are of the source, before it was mixed and resampled."""

    wav: Path
    sha256: str
    bytes: int
    frames: int
    sample_rate: int  # Hz
    figures: Figures
    computed: bool  # False when the cache had it

    @property
    def seconds(self) -> float:
        """Duration of the staged clip."""
        return round(self.frames / self.sample_rate, 6)


def stage_clip(store: Store, path: Path, source_sha256: str, *, sample_rate: int) -> StagedClip:
    """The staged form of the clip at ``path``, whose bytes have ``source_sha256``; ``sample_rate`` in Hz.

    Raises ClipRejected for a clip that is too short, too long or silent, DecodeError for one that does not decode.
    """
    key = identity(kind="staged_clip", version=VERSION, source_sha256=source_sha256, sample_rate=sample_rate)
    wav, beside = store.cache("clips", key, ".wav"), store.cache("clips", key, ".json")
    cached = _read_cached(wav, beside)
    computed = cached is None
    if cached is None:
        pcm, figures = _convert(path, sample_rate)
        write_bytes(wav, wav_bytes(pcm, sample_rate))
        cached = _CachedClip(sha256=sha256_file(wav), bytes=wav.stat().st_size, frames=len(pcm), figures=figures)
        write_json(beside, cached.model_dump(mode="json"))
    return StagedClip(wav, cached.sha256, cached.bytes, cached.frames, sample_rate, cached.figures, computed)


def _convert(path: Path, sample_rate: int) -> tuple[NDArray[np.int16], Figures]:
    """Decode, mix the channels evenly, resample with soxr HQ, and round to 16 bits without dither."""
    import soxr

    levels = Levels()
    blocks = []
    with open_audio(path) as audio:
        _check_duration(audio.seconds if audio.frames is not None else MIN_SECONDS)
        seconds = 0.0
        for block in levels.follow(audio):
            seconds += len(block) / audio.sample_rate
            _check_duration(max(seconds, MIN_SECONDS))  # a stream that declares no length must not fill the memory
            blocks.append(block.mean(axis=1))
        source_rate = audio.sample_rate
    _check_duration(seconds)
    figures = levels.figures()
    if figures.peak_dbfs < SILENT_BELOW_DBFS:
        raise ClipRejected("silent", f"its peak is {figures.peak_dbfs} dBFS")
    mono = np.concatenate(blocks)
    if source_rate != sample_rate:
        mono = soxr.resample(mono, source_rate, sample_rate, quality="HQ")
    return np.clip(np.rint(mono * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16), figures


def _check_duration(seconds: float) -> None:
    if seconds < MIN_SECONDS:
        raise ClipRejected("too_short", f"lasts {seconds:.2f} s; at least {MIN_SECONDS} s are needed")
    if seconds > MAX_SECONDS:
        raise ClipRejected("too_long", f"lasts {seconds:.2f} s; at most {MAX_SECONDS:.0f} s are used")


def wav_bytes(pcm: NDArray[np.int16], sample_rate: int) -> bytes:
    """A mono 16-bit WAV file of int16 [frames].

    In memory first: libsndfile calls a full disk a "System error", where our own writing says what it is.
    """
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, pcm, sample_rate, subtype="PCM_16", format="WAV")
    return stream.getvalue()


def _read_cached(wav: Path, beside: Path) -> _CachedClip | None:
    try:
        cached = _CachedClip.model_validate(read_json(beside))
        return cached if sha256_file(wav) == cached.sha256 else None
    except (OSError, ValueError):
        return None
