"""What can be measured of spoken audio without understanding it: silence, clipping, peak, loudness.

figures = measure(path)
figures.silence_share, figures.clipping_share
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.recordings.decoding import open_audio
from voice_pipeline.recordings.levels import Levels

FRAME = 0.020  # seconds
SILENT_BELOW_LOUDEST = -40.0  # dB below the loudest frame
SILENT_DBFS = -60.0  # below this nothing is heard, however quiet the rest is


@dataclass(frozen=True)
class SignalFigures:
    """Of one WAV file. Times are in seconds."""

    seconds: float
    peak_dbfs: float
    loudness_lufs: float | None
    clipping_share: float  # of all samples, 0 to 1
    silence_share: float  # of all frames, 0 to 1
    leading_silence: float
    trailing_silence: float


def measure(path: Path) -> SignalFigures:
    """Measure one recording. Raises DecodeError, a ValueError, for what is no whole WAV or FLAC file."""
    levels = Levels()
    with open_audio(path) as audio:
        rate = audio.sample_rate
        blocks = [block.mean(axis=1) for block in levels.follow(audio)]
    found = levels.figures()
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    silent = silent_frames(samples, rate)
    loud = np.flatnonzero(~silent)
    first, last = (int(loud[0]), int(loud[-1])) if len(loud) else (len(silent), -1)
    return SignalFigures(
        seconds=found.seconds,
        peak_dbfs=found.peak_dbfs,
        loudness_lufs=found.loudness_lufs,
        clipping_share=found.clipping_share,
        silence_share=round(float(silent.mean()), 6) if len(silent) else 1.0,
        leading_silence=round(first * FRAME, 3),
        trailing_silence=round((len(silent) - 1 - last) * FRAME, 3),
    )


def silent_frames(samples: NDArray[np.float32], rate: int) -> NDArray[np.bool_]:
    """Which frames are silent: float32 [N] -> bool [N // frame]."""
    length = max(1, round(FRAME * rate))
    count = len(samples) // length
    frames = samples[: count * length].reshape(count, length).astype(np.float64)
    power = np.square(frames).mean(axis=1)
    loudest = float(power.max()) if count else 0.0
    threshold = max(10 ** (SILENT_DBFS / 10), loudest * 10 ** (SILENT_BELOW_LOUDEST / 10))
    return np.asarray(power < threshold)


def mean_of(figures: Iterable[SignalFigures]) -> dict[str, float]:
    """Shares weighted by time, and the longest silence at an edge: one figure each for many files."""
    all_figures = list(figures)
    seconds = sum(one.seconds for one in all_figures) or 1.0
    return {
        "clipping_share": round(sum(one.clipping_share * one.seconds for one in all_figures) / seconds, 8),
        "silence_share": round(sum(one.silence_share * one.seconds for one in all_figures) / seconds, 6),
        "edge_silence_seconds": max(
            (max(one.leading_silence, one.trailing_silence) for one in all_figures), default=0.0
        ),
    }
