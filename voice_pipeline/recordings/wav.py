"""Mono 16-bit WAV files: what trainers read."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 32_768


def to_pcm(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """float32 [N] of -1 to 1 to 16 bits: rounded, without dither, limited at full scale."""
    scaled = np.rint(samples * np.float32(FULL_SCALE))
    return np.asarray(np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1), np.int16)


def wav_bytes(pcm: NDArray[np.int16], sample_rate: int) -> bytes:
    """A mono 16-bit WAV file of int16 [frames].

    In memory first: libsndfile calls a full disk a "System error", where our own writing says what it is.
    """
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, pcm, sample_rate, subtype="PCM_16", format="WAV")
    return stream.getvalue()
