"""How loud, how clipped and how noisy speech is: figures of a stream of samples, in flat memory.

    levels = Levels()
    with open_audio(path) as audio:
        for block in levels.follow(audio):
            ...
    levels.figures().loudness_lufs

Loudness is the integrated, gated loudness of ITU-R BS.1770-4, with the K-weighting of pyloudnorm. Many clips
measured by one ``Levels`` are gated together, as if they were one programme.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.recordings.decoding import Audio, Samples

CLIPPED_FROM = 0.999  # of full scale: what a 16-bit converter writes when it runs out of range
SILENCE_DBFS = -120.0  # reported for digital silence; JSON has no minus infinity
NOISE_PERCENTILE = 10.0  # of the levels of all 100 ms hops: the pauses between words and sentences
_GATE_HOPS = 4  # a gating block is 400 ms, and overlaps the next by 75 %
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
_STORED = struct.Struct("<ddQQQQ")  # seconds, peak, clipped, samples, hops, gates
_OFFSET_LUFS = -0.691  # BS.1770: a 997 Hz sine at full scale in one channel reads -3.01 LKFS


@dataclass(frozen=True)
class Figures:
    """What was measured. Loudness is None for what is shorter than 400 ms or too quiet for the gate."""

    seconds: float
    peak_dbfs: float  # of the samples, not between them
    loudness_lufs: float | None
    clipping_share: float  # of all samples, 0 to 1
    noise_floor_dbfs: float


@dataclass
class Levels:
    """Collects 16 bytes for every 100 ms, and nothing else."""

    _seconds: float = 0.0
    _peak: float = 0.0
    _clipped: int = 0
    _samples: int = 0
    _hop_power: list[NDArray[np.float64]] = field(default_factory=list)
    _gate_power: list[NDArray[np.float64]] = field(default_factory=list)

    def follow(self, audio: Audio) -> Iterator[Samples]:
        """Pass on the blocks of ``audio`` and measure them. Raises DecodeError."""
        weighting = KWeighting(audio.sample_rate, audio.channels)
        weighted: list[NDArray[np.float64]] = []
        frames = 0
        for block in audio.blocks():
            magnitude = np.abs(block)
            self._peak = max(self._peak, float(magnitude.max()))
            self._clipped += int(np.count_nonzero(magnitude >= CLIPPED_FROM))
            self._samples += block.size
            frames += len(block)
            exact = block.astype(np.float64)
            self._hop_power.append(_hop_means(exact, audio.hop).mean(axis=1))
            weighted.append(_hop_means(weighting(exact), audio.hop).sum(axis=1))
            yield block
        self._seconds += frames / audio.sample_rate
        hops = np.concatenate(weighted) if weighted else np.zeros(0)
        if len(hops) >= _GATE_HOPS:
            self._gate_power.append(np.convolve(hops, np.full(_GATE_HOPS, 1 / _GATE_HOPS), mode="valid"))

    def merge(self, other: Levels) -> None:
        """Add what ``other`` followed, as if it had been followed here: the same figures, without its audio."""
        self._seconds += other._seconds
        self._peak = max(self._peak, other._peak)
        self._clipped += other._clipped
        self._samples += other._samples
        self._hop_power.extend(other._hop_power)
        self._gate_power.extend(other._gate_power)

    def to_bytes(self) -> bytes:
        """All that was collected. ``Levels.from_bytes(levels.to_bytes())`` has the same figures."""
        hops = np.concatenate(self._hop_power) if self._hop_power else np.zeros(0)
        gates = np.concatenate(self._gate_power) if self._gate_power else np.zeros(0)
        head = _STORED.pack(self._seconds, self._peak, self._clipped, self._samples, len(hops), len(gates))
        return head + hops.astype("<f8").tobytes() + gates.astype("<f8").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Levels:
        """The inverse of ``to_bytes``. Raises ValueError for other bytes."""
        if len(data) < _STORED.size:
            raise ValueError("no stored levels")
        seconds, peak, clipped, samples, hops, gates = _STORED.unpack_from(data)
        if len(data) != _STORED.size + 8 * (hops + gates):
            raise ValueError("no stored levels")
        power = np.frombuffer(data, "<f8", offset=_STORED.size)
        return cls(seconds, peak, clipped, samples, [power[:hops]], [power[hops:]])

    def figures(self) -> Figures:
        """The figures of everything that was followed to its end, rounded as they are stored."""
        hops = np.concatenate(self._hop_power) if self._hop_power else np.zeros(0)
        loudness = gated_loudness(np.concatenate(self._gate_power)) if self._gate_power else None
        floor = float(np.percentile(hops, NOISE_PERCENTILE)) if len(hops) else self._peak**2 / 2
        return Figures(
            seconds=round(self._seconds, 6),
            peak_dbfs=_decibels(self._peak**2),
            loudness_lufs=None if loudness is None else round(loudness, 2),
            clipping_share=round(self._clipped / self._samples, 8) if self._samples else 0.0,
            noise_floor_dbfs=_decibels(floor),
        )


def gated_loudness(power: NDArray[np.float64]) -> float | None:
    """Integrated loudness in LUFS of the K-weighted powers of 400 ms blocks, summed over channels.

    BS.1770-4, equations 4 to 7: blocks above -70 LUFS set the relative gate 10 LU below their mean; the mean of
    those above both gates is the loudness. None when no block is above the absolute gate.
    """
    loud = power[power > 10 ** ((_ABSOLUTE_GATE_LUFS - _OFFSET_LUFS) / 10)]
    if not len(loud):
        return None
    loud = loud[loud > loud.mean() * 10 ** (_RELATIVE_GATE_LU / 10)]
    return _OFFSET_LUFS + 10 * math.log10(float(loud.mean()))


class KWeighting:
    """The two filters of BS.1770-4 in a row, for float64 blocks [frames, channels], state kept between blocks."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        from pyloudnorm import IIRfilter

        # The parameters with which pyloudnorm's Meter builds its "K-weighting" for any sample rate.
        shelf = IIRfilter(4.0, 1 / math.sqrt(2), 1500.0, sample_rate, "high_shelf")
        high_pass = IIRfilter(0.0, 0.5, 38.0, sample_rate, "high_pass")
        self._sections: Any = np.array([[*shelf.b, *shelf.a], [*high_pass.b, *high_pass.a]])
        self._state: Any = np.zeros((2, 2, channels))

    def __call__(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """The next block, filtered."""
        from scipy.signal import sosfilt

        filtered, self._state = sosfilt(self._sections, block, axis=0, zi=self._state)
        return np.asarray(filtered)


def _hop_means(block: NDArray[np.float64], hop: int) -> NDArray[np.float64]:
    """Mean square of every whole hop: [frames, channels] -> [hops, channels]. A part of a hop is left out."""
    hops = len(block) // hop
    squares: NDArray[np.float64] = np.square(block[: hops * hop]).reshape(hops, hop, block.shape[1])
    return np.asarray(squares.mean(axis=1))


def _decibels(power: float) -> float:
    return SILENCE_DBFS if power <= 0 else round(max(SILENCE_DBFS, 10 * math.log10(power)), 2)
