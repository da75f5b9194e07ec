"""Levels of spoken audio: a limiter that never clips, silence at the edges, soft ends. Samples are float32 [N]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMITER_WINDOW = 0.005  # seconds on either side of a peak in which the gain moves
SILENCE = 10 ** (-50 / 20)  # of the loudest block: what counts as silence at the edges
SILENCE_BLOCK = 0.010  # seconds
KEPT_SILENCE = 0.050  # seconds before the first and after the last sound
FADE = 0.005  # seconds


def limit(samples: NDArray[np.float32], rate: int, ceiling: float) -> NDArray[np.float32]:
    """``samples`` with every peak above ``ceiling`` turned down smoothly; untouched when there is none.

    A look-ahead limiter: the gain that each sample needs, its minimum over a window, and the mean of those minima
    over the same window. Each mean is over minima that saw the sample itself, so no gain exceeds what it needs.
    """
    peaks = np.abs(samples)
    if not len(samples) or float(peaks.max()) <= ceiling:
        return samples
    needed = np.minimum(1.0, ceiling / np.maximum(peaks.astype(np.float64), 1e-12))
    half = max(1, round(LIMITER_WINDOW * rate))
    lowest = _sliding_minimum(needed, half)
    padded = np.pad(lowest, half, mode="edge")
    sums = np.concatenate([[0.0], np.cumsum(padded)])
    gain = (sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1)
    limited: NDArray[np.float32] = (samples * np.minimum(gain, needed)).astype(np.float32)
    np.clip(limited, -ceiling, ceiling, out=limited)  # float32 may have rounded up past the ceiling
    return limited


def trim_silence(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """``samples`` with at most KEPT_SILENCE before the first and after the last sound."""
    block = max(1, round(SILENCE_BLOCK * rate))
    count = len(samples) // block
    if count < 3:
        return samples
    loudness = np.sqrt(np.mean(np.square(samples[: count * block].reshape(count, block), dtype=np.float64), axis=1))
    loud = np.flatnonzero(loudness > SILENCE * loudness.max())
    if not len(loud):
        return samples
    kept = round(KEPT_SILENCE * rate)
    start = max(0, int(loud[0]) * block - kept)
    end = (int(loud[-1]) + 1) * block + kept
    return samples[start:end]  # kept is longer than the part of a block that may be left over


def end_softly(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """``samples`` faded in and out within FADE, so that a cut does not click."""
    length = min(round(FADE * rate), len(samples) // 2)
    if not length:
        return samples
    faded = samples.copy()
    ramp = (np.arange(length, dtype=np.float32) + 0.5) / length
    faded[:length] *= ramp
    faded[-length:] *= ramp[::-1]
    return faded


def _sliding_minimum(values: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """Minimum over [i - half, i + half] for each i: windows of doubled width, as in a sparse table."""
    width = 2 * half + 1
    window, covered = np.pad(values, half, mode="edge"), 1
    while covered < width:
        step = min(covered, width - covered)
        window = np.minimum(window[:-step], window[step:])
        covered += step
    return window
