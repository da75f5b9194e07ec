"""How far up speech reaches: the bandwidth of what was recorded, whatever rate it is stored at.

    bandwidth_hz(mono, sample_rate, speech)

The long-term spectrum in bands of 125 Hz: a band holds speech when its level in the louder hops (95th percentile of its
hops) stands clearly above its noise (the median of the hops without speech; where there are too few, the tenth
percentile of all of them), and is not too far below the strongest band. The bandwidth is the upper edge of the highest
band for which that also holds for half of the bands of the 500 Hz below it, so that a whistle does not count.

So a telephone recording that was resampled to 44.1 kHz reads about 3.5 kHz, and one over G.722 about 7 kHz: above,
there is the resampler's and the converter's noise, which is the same in speech and in pauses.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_WINDOW_SECONDS = 0.032
_BAND_HZ = 125.0
_MAX_WINDOWS = 600  # evenly spread over the segment: more change nothing
_MIN_QUIET = 8  # windows without speech that make a noise level
_LOUD = 95.0  # percentile: consonants like s fill no more than a twentieth of the time
_FAINT = 10.0  # percentile that stands for noise where there is no pause
# The tenth percentile of noise is so much below its median (measured on white noise in bands of 125 Hz)
_FAINT_TO_MEDIAN_DB = 2.5
_ABOVE_NOISE_DB = 10.0
_BELOW_STRONGEST_DB = 60.0
_NEIGHBOURS = 4  # bands that must agree: 500 Hz


def bandwidth_hz(mono: NDArray[np.float32], sample_rate: int, speech: tuple[tuple[float, float], ...]) -> float:
    """The bandwidth of the speech in float32 [N], in Hz; ``speech`` in seconds of it. 0.0 where none is found."""
    size = 1 << round(math.log2(sample_rate * _WINDOW_SECONDS))
    if len(mono) < size:
        return 0.0
    windows = np.lib.stride_tricks.sliding_window_view(mono, size)[:: size // 2]
    chosen = np.arange(len(windows))
    if len(windows) > _MAX_WINDOWS:
        chosen = np.linspace(0, len(windows) - 1, _MAX_WINDOWS).round().astype(np.int64)
    power = _band_power(windows[chosen], sample_rate)
    starts = chosen * (size // 2) / sample_rate
    quiet = np.ones(len(chosen), np.bool_)
    for start, end in speech:
        quiet &= (starts + size / sample_rate < start) | (starts > end)
    decibels = 10 * np.log10(np.maximum(power, 1e-20))
    loud = np.percentile(decibels, _LOUD, axis=0)
    if np.count_nonzero(quiet) >= _MIN_QUIET:
        noise = np.median(decibels[quiet], axis=0)
    else:
        noise = np.percentile(decibels, _FAINT, axis=0) + _FAINT_TO_MEDIAN_DB
    holds = (loud > noise + _ABOVE_NOISE_DB) & (loud > loud.max() - _BELOW_STRONGEST_DB)
    agreeing = np.convolve(holds, np.ones(_NEIGHBOURS), mode="full")[: len(holds)]
    highest = np.flatnonzero(holds & (agreeing >= _NEIGHBOURS / 2))
    return min(float(highest[-1] + 1) * _BAND_HZ, sample_rate / 2) if len(highest) else 0.0


def _band_power(windows: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """[windows, samples] -> mean power in each band, [windows, bands]."""
    import scipy.fft

    size = windows.shape[1]
    spectrum = scipy.fft.rfft(windows * np.hanning(size).astype(np.float32), axis=1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    borders = np.arange(0.0, sample_rate / 2, _BAND_HZ) * size / sample_rate
    return np.asarray(np.add.reduceat(power, borders.astype(np.int64), axis=1) / size**2, np.float64)
