"""Log-mel spectrograms in numpy, the same numbers as NeMo's FastPitch preprocessor (a test holds it to 1e-3).

    mel = log_mel(samples, AudioSettings())     # [mels, frames]

NeMo's settings: symmetric Hann window, centred frames padded with zeros, magnitude (not power), Slaney's mel scale
with area normalisation, natural logarithm of the value plus ``LOG_FLOOR``, and floor(samples / hop) frames.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.training.recipe import AudioSettings

VERSION = "1"
LOG_FLOOR = 1e-5  # added to the mel magnitude before its logarithm
_BLOCK = 4096  # frames analysed at once, so that memory stays flat for long clips

# Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above.
_LINEAR_HZ = 200.0 / 3  # Hz a mel
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ
_LOG_STEP = np.log(6.4) / 27.0

FloatArray = NDArray[np.float32]


def log_mel(samples: FloatArray, audio: AudioSettings) -> FloatArray:
    """``samples``: float32 [N] in -1..1. Returns float32 [mels, N // hop]."""
    frames = len(samples) // audio.hop
    half = audio.n_fft // 2
    padded = np.pad(np.asarray(samples, dtype=np.float32), (half, half))
    windows = np.lib.stride_tricks.sliding_window_view(padded, audio.n_fft)[:: audio.hop][:frames]
    # numpy's hanning is the symmetric window, as torch.hann_window(periodic=False).
    window = np.hanning(audio.n_fft).astype(np.float32)
    bank = mel_filters(audio)
    mel = np.empty((audio.mels, frames), dtype=np.float32)
    for start in range(0, frames, _BLOCK):
        spectrum = np.abs(np.fft.rfft(windows[start : start + _BLOCK] * window, axis=1)).astype(np.float32)
        mel[:, start : start + len(spectrum)] = np.log(bank @ spectrum.T + LOG_FLOOR)
    return mel


@lru_cache(maxsize=4)
def mel_filters(audio: AudioSettings) -> FloatArray:
    """Triangular filters with unit area, float32 [mels, n_fft // 2 + 1]; as ``librosa.filters.mel``."""
    bins = np.linspace(0, audio.sample_rate / 2, audio.n_fft // 2 + 1)
    edges = _mel_to_hz(np.linspace(_hz_to_mel(audio.mel_fmin), _hz_to_mel(audio.mel_fmax), audio.mels + 2))
    rising = (bins[None, :] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins[None, :]) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def _hz_to_mel(hz: float) -> float:
    return hz / _LINEAR_HZ if hz < _BREAK_HZ else _BREAK_MEL + float(np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ, _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL)))
