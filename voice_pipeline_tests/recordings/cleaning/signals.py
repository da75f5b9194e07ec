"""Sounds with known figures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sine(seconds: float, rate: int, hertz: float, level: float, phase: float = 0.0) -> NDArray[np.float32]:
    """Of peak ``level``."""
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * time + phase)).astype(np.float32)


def noise(seconds: float, rate: int, rms: float, seed: int = 0) -> NDArray[np.float32]:
    return (rms * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def babble(seconds: float, rate: int, seed: int = 1, *, level: float = 0.1) -> NDArray[np.float32]:
    """Syllables of a buzz through moving resonances: no speech, but as eventful as speech."""
    random = np.random.default_rng(seed)
    count = round(rate * seconds)
    knots = np.arange(0, count + rate // 5, rate // 5)
    phase = 2 * np.pi * np.cumsum(np.interp(np.arange(count), knots, random.uniform(90, 220, len(knots)))) / rate
    sound = np.zeros(count)
    for harmonic in range(1, 16):
        knots = np.arange(0, count + rate // 8, rate // 8)
        sound += np.interp(np.arange(count), knots, random.uniform(0, 1, len(knots)) ** 3) * np.sin(harmonic * phase)
    return (level * sound).astype(np.float32)


def power_db(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))
