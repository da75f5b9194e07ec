"""Recordings of known shape: clips of speech with gaps between them, and sounds in which nobody speaks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Joined:
    """Clips in a row. ``clips`` are the true times of each, seconds; ``gaps`` those of the true pauses between."""

    samples: Samples
    rate: int
    clips: tuple[Interval, ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    @property
    def gaps(self) -> tuple[Interval, ...]:
        return tuple((before[1], after[0]) for before, after in zip(self.clips, self.clips[1:], strict=False))

    def write(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, self.samples, self.rate)
        return path


def join(clips: list[Samples], rate: int, *, seed: int, shortest: float = 0.3, longest: float = 1.2) -> Joined:
    """Clips with gaps of even chance between two lengths, filled with the room's noise 66 dB below full scale."""
    chance = np.random.default_rng(seed)
    parts, times, at = list[Samples](), list[Interval](), 0
    for number, clip in enumerate(clips):
        if number:
            gap = round(chance.uniform(shortest, longest) * rate)
            parts.append(chance.normal(0.0, 5e-4, gap).astype(np.float32))
            at += gap
        times.append((at / rate, (at + len(clip)) / rate))
        parts.append(clip)
        at += len(clip)
    return Joined(np.concatenate(parts), rate, tuple(times))


def lost_seconds(joined: Joined, kept: list[Interval]) -> float:
    """Seconds of the clips' sound, all that is within 40 dB of the loudest 10 ms, that no interval holds."""
    step = joined.rate // 100
    count = len(joined.samples) // step
    power = np.square(joined.samples[: count * step].reshape(count, step)).mean(axis=1)
    loud = power > power.max() * 1e-4
    times = (np.arange(count) + 0.5) * step / joined.rate
    inside = np.zeros(count, bool)
    for start, end in kept:
        inside |= (times >= start) & (times <= end)
    return float((loud & ~inside).sum()) / 100


def not_speech(kind: str, seconds: float = 20.0, rate: int = 16_000) -> Samples:
    """Sounds in which nobody speaks."""
    chance = np.random.default_rng(7)
    count = round(seconds * rate)
    time = np.arange(count) / rate
    if kind == "silence":
        return np.zeros(count, np.float32)
    if kind == "noise":
        return chance.normal(0.0, 0.1, count).astype(np.float32)
    if kind == "hum":
        return (0.1 * np.sign(np.sin(2 * np.pi * 50 * time))).astype(np.float32)
    if kind == "clicks":
        clicks = np.zeros(count, np.float32)
        clicks[:: rate // 2] = 0.9
        return clicks
    assert kind == "music"
    note = np.arange(rate // 4) / rate
    decay = np.exp(-note * 10)
    pitches = 440 * 2 ** (chance.integers(-12, 12, round(seconds * 4)) / 12)
    return np.concatenate([0.3 * decay * np.sin(2 * np.pi * pitch * note) for pitch in pitches]).astype(np.float32)
