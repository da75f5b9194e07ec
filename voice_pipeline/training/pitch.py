"""Fundamental frequency in numpy: the autocorrelation method with a best path through the candidates.

    pitch = track_pitch(samples, AudioSettings())     # [frames], Hz, 0 where unvoiced

After P. Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a
sampled sound", Proc. Institute of Phonetic Sciences 17 (1993): each frame's windowed autocorrelation is divided by
the window's own, its maxima are the candidates, and dynamic programming picks the path that trades their strength
against octave jumps and changes of voicing. No model, no weights, no compiled code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.training.recipe import AudioSettings

VERSION = "1"
_PERIODS = 3.0  # periods of the lowest pitch in a window
_CANDIDATES = 8  # voiced candidates kept a frame
_VOICING = 0.45  # autocorrelation below which a frame is rather unvoiced
_SILENCE = 0.03  # share of the clip's peak below which a frame is rather unvoiced
_OCTAVE_COST = 0.01  # preference of higher candidates, per octave
_JUMP_COST = 0.35  # per octave between neighbouring frames
_VOICING_COST = 0.14  # for a change between voiced and unvoiced
_COST_PERIOD = 0.01  # seconds a frame, for which the two costs above are given
_BLOCK = 2048  # frames analysed at once

FloatArray = NDArray[np.float32]
Array = NDArray[np.float64]


def track_pitch(samples: FloatArray, audio: AudioSettings) -> FloatArray:
    """``samples``: float32 [N]. Returns float32 [N // hop], one value for each frame of ``mel.log_mel``."""
    frames = len(samples) // audio.hop
    if frames == 0:
        return np.zeros(0, dtype=np.float32)
    frequency, strength = _candidates(np.asarray(samples, dtype=np.float32), frames, audio)
    return _best_path(frequency, strength, audio.hop / audio.sample_rate).astype(np.float32)


def _candidates(samples: FloatArray, frames: int, audio: AudioSettings) -> tuple[Array, Array]:
    """Frequencies in Hz and strengths, both [frames, 1 + _CANDIDATES]; the first is the unvoiced candidate."""
    rate = audio.sample_rate
    length = int(np.ceil(_PERIODS * rate / audio.pitch_fmin)) // 2 * 2
    padded = np.pad(samples, (length // 2, length // 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, length)[:: audio.hop][:frames]
    window = np.hanning(length)
    size = 1 << int(np.ceil(np.log2(1.5 * length)))
    shortest = max(2, int(rate / audio.pitch_fmax))
    longest = int(rate / audio.pitch_fmin) + 1
    own = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2)[: longest + 2]
    own /= own[0]
    peak = float(np.abs(samples).max()) or 1.0

    frequency = np.zeros((frames, 1 + _CANDIDATES))
    strength = np.full((frames, 1 + _CANDIDATES), -np.inf)
    for start in range(0, frames, _BLOCK):
        block = windows[start : start + _BLOCK].astype(np.float64)
        rows = slice(start, start + len(block))
        block = block - block.mean(axis=1, keepdims=True)
        # The local peak is taken within half a longest period, as Boersma does.
        middle = block[:, length // 2 - longest // 2 : length // 2 + longest // 2]
        intensity = np.abs(middle).max(axis=1) / peak
        spectrum = np.fft.rfft(block * window, size, axis=1)
        raw = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, : longest + 2]
        correlation = raw / np.maximum(raw[:, :1], 1e-12) / own
        strength[rows, 0] = _VOICING + np.maximum(0.0, 2.0 - (intensity / _SILENCE) / (1.0 + _VOICING))
        frequency[rows, 1:], strength[rows, 1:] = _maxima(correlation, shortest, longest, rate, audio.pitch_fmin)
    return frequency, strength


def _maxima(correlation: Array, shortest: int, longest: int, rate: int, fmin: float) -> tuple[Array, Array]:
    """The strongest local maxima of each row, refined by a parabola; both results are [rows, _CANDIDATES]."""
    before, here, after = (correlation[:, shortest + offset : longest + offset] for offset in (-1, 0, 1))
    is_maximum = (here > before) & (here >= after) & (here > 0.5 * _VOICING)
    curvature = np.where(is_maximum, before - 2 * here + after, -1.0)
    shift = np.where(is_maximum, 0.5 * (before - after) / curvature, 0.0)
    height = here - 0.25 * (before - after) * shift
    lag = np.arange(shortest, longest)[None, :] + shift
    # A maximum above 1 is an artefact of the short lag; Boersma reflects it.
    height = np.where(height > 1, 1 / np.maximum(height, 1e-9), height)
    score = np.where(is_maximum, height - _OCTAVE_COST * np.log2(fmin * lag / rate), -np.inf)
    best = np.argsort(-score, axis=1, kind="stable")[:, :_CANDIDATES]
    return rate / np.take_along_axis(lag, best, axis=1), np.take_along_axis(score, best, axis=1)


def _best_path(frequency: Array, strength: Array, period: float) -> Array:
    """Viterbi over the candidates; returns the chosen frequency of each frame, [frames]."""
    scale = _COST_PERIOD / period
    frames, count = frequency.shape
    octave = np.log2(np.where(frequency > 0, frequency, 1.0))
    voiced = frequency > 0
    best = strength[0].copy()
    back = np.zeros((frames, count), dtype=np.intp)
    for frame in range(1, frames):
        jump = np.abs(octave[frame - 1][:, None] - octave[frame][None, :]) * _JUMP_COST
        change = voiced[frame - 1][:, None] != voiced[frame][None, :]
        both = voiced[frame - 1][:, None] & voiced[frame][None, :]
        total = best[:, None] - scale * np.where(change, _VOICING_COST, np.where(both, jump, 0.0))
        back[frame] = np.argmax(total, axis=0)
        best = total[back[frame], np.arange(count)] + strength[frame]
    path = np.empty(frames, dtype=np.intp)
    path[-1] = int(np.argmax(best))
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = back[frame, path[frame]]
    return frequency[np.arange(frames), path]
