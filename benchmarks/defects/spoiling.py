"""Ways to spoil a clip, each with the reasons for which it should be rejected."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Spoil = Callable[[Samples, int, np.random.Generator], Samples]


def noisy(ratio_db: float, samples: Samples, rate: int, random: np.random.Generator) -> Samples:
    """White noise so much below the speech."""
    return _mixed(samples, rate, random.standard_normal(len(samples)), ratio_db)


def humming(ratio_db: float, samples: Samples, rate: int, random: np.random.Generator) -> Samples:
    """Brown noise: a fan, a street."""
    brown = np.cumsum(random.standard_normal(len(samples)))
    brown -= np.convolve(brown, np.full(rate // 20, 20 / rate), mode="same")
    return _mixed(samples, rate, brown, ratio_db)


def with_music(ratio_db: float, samples: Samples, rate: int, random: np.random.Generator) -> Samples:
    """Chords and a melody of decaying harmonic tones, two notes a second."""
    time = np.arange(len(samples)) / rate
    music = np.zeros(len(samples))
    for beat in range(int(len(samples) / rate * 2) + 1):
        root = 110.0 * 2 ** (random.choice([0, 3, 5, 7, 10]) / 12)
        for pitch in (root, root * 1.26, root * 1.5, root * 2 ** (random.integers(12, 25) / 12)):
            since = time - beat / 2
            envelope = np.where(since >= 0, np.exp(-2.5 * np.maximum(since, 0)), 0.0)
            for harmonic in range(1, 6):
                music += envelope * np.sin(2 * np.pi * pitch * harmonic * time) / harmonic
    return _mixed(samples, rate, music, ratio_db)


def clipped(share: float, ceiling: float, samples: Samples, rate: int, random: np.random.Generator) -> Samples:
    """So loud that ``share`` of the samples are cut off, then stored with the ceiling at ``ceiling``."""
    limit = float(np.quantile(np.abs(samples), 1 - share))
    return np.asarray(np.clip(samples, -limit, limit) * (ceiling / limit), np.float32)


def clipped_and_resampled(samples: Samples, rate: int, random: np.random.Generator) -> Samples:
    """Cut off at 2 %, then resampled and back at half the level: no flat top is left."""
    there = soxr.resample(clipped(0.02, 0.5, samples, rate, random), rate, 32_000)
    return np.asarray(soxr.resample(there, 32_000, rate), np.float32)


def silent(samples: Samples, rate: int, random: np.random.Generator) -> Samples:
    """Nothing at all."""
    return np.zeros_like(samples)


def room(samples: Samples, rate: int, random: np.random.Generator) -> Samples:
    """An open microphone and nobody there: noise at -60 dBFS."""
    return (random.standard_normal(len(samples)) * 1e-3).astype(np.float32)


def telephone(samples: Samples, rate: int, random: np.random.Generator) -> Samples:
    """8 kHz and back."""
    return np.asarray(soxr.resample(soxr.resample(samples, rate, 8_000), 8_000, rate), np.float32)


def truncated(text: str) -> str:
    """Without its last third."""
    words = text.split()
    return " ".join(words[: max(1, round(len(words) * 2 / 3))])


def _mixed(samples: Samples, rate: int, other: NDArray[np.float64], ratio_db: float) -> Samples:
    """``other`` so much below the speech: the mean power of the 100 ms that are within 20 dB of the loudest."""
    hop = rate // 10
    hops = np.square(samples[: len(samples) // hop * hop].astype(np.float64)).reshape(-1, hop).mean(axis=1)
    speech = hops[hops > hops.max() / 100].mean()
    gain = np.sqrt(speech / np.mean(np.square(other))) * 10 ** (-ratio_db / 20)
    mixed = samples + gain * other
    return np.asarray(mixed / max(1.0, np.abs(mixed).max() / 0.98), np.float32)


KINDS: dict[str, Spoil] = {
    **{f"noise-{ratio}dB": partial(noisy, ratio) for ratio in (0, 5, 10, 15, 20)},
    **{f"hum-{ratio}dB": partial(humming, ratio) for ratio in (0, 10)},
    **{f"music-{ratio}dB": partial(with_music, ratio) for ratio in (0, 5, 10, 15)},
    "clipped-1%": partial(clipped, 0.01, 1.0),
    "clipped-5%": partial(clipped, 0.05, 1.0),
    "clipped-1%-half": partial(clipped, 0.01, 0.5),
    "clipped-resampled": clipped_and_resampled,
    "silence": silent,
    "room": room,
    "telephone": telephone,
}

_NOISE = frozenset({"low_snr", "no_speech", "silent", "little_speech"})
_CLIPPED = frozenset({"clipped"})
_NOBODY = frozenset({"no_speech", "silent", "little_speech"})
_TEXT = frozenset({"text_mismatch", "speech_too_slow", "speech_too_fast"})
REASONS: dict[str, frozenset[str]] = {
    **{kind: _NOISE for kind in KINDS if kind.startswith(("noise", "hum", "music"))},
    **{kind: _CLIPPED for kind in KINDS if kind.startswith("clipped")},
    "silence": _NOBODY,
    "room": _NOBODY,
    "telephone": frozenset({"narrow_band"}),
    "stranger": frozenset({"other_speaker"}),
    "truncated": _TEXT,
    "swapped": _TEXT,
}
