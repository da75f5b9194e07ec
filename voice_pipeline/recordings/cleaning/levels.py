"""Loudness, true peak, noise and clipping of one utterance: float32 [N] in memory, mono.

powers = HopPowers.of(mono, sample_rate)      # K-weighted and plain, every 10 ms
loudness_lufs(powers.weighted)                # ITU-R BS.1770-4
true_peak(mono)                               # BS.1770-4, annex 2
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.recordings.levels import CLIPPED_FROM, SILENCE_DBFS, KWeighting, gated_loudness

HOPS_PER_SECOND = 100
MAX_SNR_DB = 100.0  # reported where pauses are digital silence
MIN_SNR_DB = -20.0
_BLOCK_HOPS, _BLOCK_STEP = 40, 10  # BS.1770: 400 ms, overlapping by 75 %
_OFFSET_LUFS = -0.691
_DIGITAL_SILENCE = 10**-9.5  # power, -95 dBFS: below, no microphone was open
_GUARD_SECONDS = 0.06  # beside speech, neither speech nor noise
_MIN_QUIET_HOPS = 10
_QUIET = 25.0  # percentile of the hops in pauses: a word that the detector missed is not their noise
_FAINT = 5.0  # percentile of all hops, where there are no pauses
_MISSED_DB = 15.0  # below the speech beside it: what sounds so much goes on being speech …
_MISSED_SECONDS = 0.5  # … for so long
_SMOOTH_HOPS = 5
_FLAT_RUN = 3  # equal samples in a row
_FLAT_FROM = 0.9  # of the peak of that sign
_STEP_FROM = 0.5  # of the peak: where the step is looked for; A-law and mu-law have coarse ones at the top
_FLAT_DROP = 4.0  # quantisation steps from a flat top to its neighbour; a rounded top falls by 2.8 at most

# BS.1770-4, annex 2, table of the order 48, 4-phase FIR interpolating filter: the phases 0 and 1; 3 and 2 mirror them.
_PHASE_0 = (
    0.0017089843750, 0.0109863281250, -0.0196533203125, 0.0332031250000, -0.0594482421875, 0.1373291015625,
    0.9721679687500, -0.1022949218750, 0.0476074218750, -0.0266113281250, 0.0148925781250, -0.0083007812500,
)  # fmt: skip
_PHASE_1 = (
    -0.0291748046875, 0.0292968750000, -0.0517578125000, 0.0891113281250, -0.1665039062500, 0.4650878906250,
    0.7797851562500, -0.2003173828125, 0.1015625000000, -0.0582275390625, 0.0330810546875, -0.0189208984375,
)  # fmt: skip

Samples = NDArray[np.float32]
Powers = NDArray[np.float64]
Speech = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class HopPowers:
    """Mean squares of hops of about 10 ms, float64 [hops]; the last may be a part of one."""

    weighted: Powers  # after the K-weighting of BS.1770: as it is heard
    plain: Powers
    seconds: float  # of a hop: a whole number of samples

    @classmethod
    def of(cls, mono: Samples, sample_rate: int) -> HopPowers:
        """Of float32 [N]."""
        if not len(mono):
            return cls(np.zeros(0), np.zeros(0), 1 / HOPS_PER_SECOND)
        weighting = KWeighting(sample_rate, 1)
        exact = mono.astype(np.float64)
        weighted = weighting(exact[:, np.newaxis])[:, 0]
        hop = round(sample_rate / HOPS_PER_SECOND)
        return cls(_hop_means(weighted, hop), _hop_means(exact, hop), hop / sample_rate)

    def between(self, start: float, end: float) -> HopPowers:
        """The hops that hold the time from ``start`` to ``end`` in seconds."""
        first, last = math.floor(start / self.seconds + 1e-6), math.ceil(end / self.seconds - 1e-6)
        return HopPowers(self.weighted[first:last], self.plain[first:last], self.seconds)


@dataclass(frozen=True)
class Noise:
    """What is between the words. dB and dBFS."""

    floor_dbfs: float
    snr_db: float


def loudness_lufs(weighted: Powers) -> float | None:
    """Integrated, gated loudness of K-weighted powers of 10 ms, in LUFS. None when nothing is above -70 LUFS.

    An utterance shorter than a gating block (400 ms) is one block of its own length.
    """
    if not len(weighted):
        return None
    size = min(_BLOCK_HOPS, len(weighted))
    sums = np.concatenate([[0.0], np.cumsum(weighted)])
    starts = np.arange(0, len(weighted) - size + 1, _BLOCK_STEP)
    return gated_loudness((sums[starts + size] - sums[starts]) / size)


def true_peak(mono: Samples) -> float:
    """The highest true peak of float32 [N], 4 times oversampled; 1.0 is full scale. 0.0 for no samples.

    Only around samples high enough to have a peak beside them that is higher than the highest sample: no output of the
    filter exceeds its input by more than the sum of its coefficients' magnitudes.
    """
    highest = float(np.abs(mono).max(initial=0.0))
    phases = np.array([_PHASE_0, _PHASE_1, _PHASE_1[::-1], _PHASE_0[::-1]], np.float32)
    taps = phases.shape[1]
    high = np.flatnonzero(np.abs(mono) >= highest / float(np.abs(phases).sum(axis=1).max()))
    if not highest or not len(high):
        return highest
    reached = np.zeros(len(mono) + taps - 1, np.int32)  # which windows of the filter hold one of them
    np.add.at(reached, high, 1)
    windows = np.flatnonzero(np.convolve(reached, np.ones(taps, np.int32))[: len(reached)])
    padded = np.pad(mono, taps - 1)
    between = np.lib.stride_tricks.sliding_window_view(padded, taps)[windows] @ phases.T
    return max(highest, float(np.abs(between).max()))


def whole_speech(powers: HopPowers, speech: Speech) -> Speech:
    """``speech`` with what the detector missed at its ends: it is at times late where a clip begins with a word.

    An interval goes on for as long as the sound, smoothed over 50 ms, is less than 15 dB below the speech; by half a
    second at most, and not beyond the sound.
    """
    if not speech:
        return ()
    spoken, count = _spoken(powers, speech), len(powers.weighted)
    if not spoken.any():
        return speech
    smooth = np.convolve(powers.weighted, np.full(_SMOOTH_HOPS, 1 / _SMOOTH_HOPS), mode="same")
    loud = smooth > float(powers.weighted[spoken].mean()) * 10 ** (-_MISSED_DB / 10)
    most = round(_MISSED_SECONDS / powers.seconds)
    joined: list[tuple[float, float]] = []
    for start, end in speech:
        first, last = min(int(start / powers.seconds), count), min(math.ceil(end / powers.seconds), count)
        before, behind = loud[max(0, first - most) : first][::-1], loud[last : last + most]
        first -= len(before) if before.all() else int(np.argmin(before))
        last += len(behind) if behind.all() else int(np.argmin(behind))
        start, end = min(start, first * powers.seconds), max(end, last * powers.seconds)
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


def noise_of(powers: HopPowers, speech: Speech) -> Noise:
    """The noise in the pauses and how far speech is above it; ``speech`` in seconds.

    Noise is the lower quartile of the powers of the hops 60 ms and more away from speech; digital silence, which an
    editor or a gate put there, says nothing and is left out. Where fewer than ten such hops are left (0.1 s), it is the
    twentieth of all hops that are quietest, as in the STNR of NIST's speech quality assurance package, which reads its
    noise off the low end of the histogram of levels; speech without a pause then has 20 dB and more. Speech is the mean
    power of its hops, minus the noise. Both are K-weighted for the ratio: a rumble that is not heard is no noise.
    """
    sounding = powers.plain > _DIGITAL_SILENCE
    spoken = _spoken(powers, speech)
    quiet = sounding & ~_spoken(powers, tuple((start - _GUARD_SECONDS, end + _GUARD_SECONDS) for start, end in speech))
    if np.count_nonzero(quiet) >= _MIN_QUIET_HOPS:
        floor, noise = (np.percentile(one[quiet], _QUIET) for one in (powers.plain, powers.weighted))
    elif sounding.any():
        floor, noise = (np.percentile(one[sounding], _FAINT) for one in (powers.plain, powers.weighted))
    else:
        return Noise(SILENCE_DBFS, MIN_SNR_DB)
    heard = powers.weighted[spoken] if spoken.any() else powers.weighted
    signal = max(float(heard.mean()) - float(noise), 1e-20)
    ratio = 10 * math.log10(signal / max(float(noise), 1e-20))
    return Noise(decibels(float(floor)), round(min(max(ratio, MIN_SNR_DB), MAX_SNR_DB), 2))


def clipped_samples(channel: Samples) -> int:
    """How many of float32 [N] were cut off: at full scale, or in the flat tops of a signal that was clipped below it.

    A flat top is three or more equal samples beyond 0.9 of the peak of their sign, from which the signal falls by more
    than four quantisation steps to a side: a rounded top, stored with few bits, falls by less. Floating point that goes
    beyond full scale was not cut off there.
    """
    if not len(channel):
        return 0
    magnitude = np.abs(channel)
    clipped = magnitude >= CLIPPED_FROM if magnitude.max() <= 1.0 else np.zeros(len(channel), np.bool_)
    for sign in (1, -1):
        signed = channel * np.float32(sign)
        peak = float(signed.max())
        if peak > 10 ** (-50 / 20):
            clipped |= _flat_tops(signed, peak)
    return int(np.count_nonzero(clipped))


def decibels(power: float) -> float:
    """A power as dB, two places; -120 for silence."""
    return SILENCE_DBFS if power <= 0 else round(max(SILENCE_DBFS, 10 * math.log10(power)), 2)


def _spoken(powers: HopPowers, speech: Speech) -> NDArray[np.bool_]:
    """Which hops have their middle in speech."""
    middles = (np.arange(len(powers.weighted)) + 0.5) * powers.seconds
    spoken = np.zeros(len(middles), np.bool_)
    for start, end in speech:
        spoken |= (middles >= start) & (middles <= end)
    return spoken


def _flat_tops(signed: Samples, peak: float) -> NDArray[np.bool_]:
    """Which samples belong to a flat top on the positive side."""
    marked = np.zeros(len(signed), np.bool_)
    top = np.flatnonzero(signed >= _FLAT_FROM * peak)
    if len(top) < _FLAT_RUN:
        return marked
    heights = signed[top]
    step = _smallest_step(signed[signed >= _STEP_FROM * peak])
    breaks = np.flatnonzero((np.diff(top) != 1) | (np.diff(heights) != 0)) + 1
    firsts, lasts = np.concatenate([[0], breaks]), np.concatenate([breaks, [len(top)]]) - 1
    long = lasts - firsts + 1 >= _FLAT_RUN
    for first, last in zip(top[firsts[long]], top[lasts[long]], strict=True):
        height = float(signed[first])
        before = float(signed[first - 1]) if first else height
        after = float(signed[last + 1]) if last + 1 < len(signed) else height
        if max(height - before, height - after) > _FLAT_DROP * step:
            marked[first : last + 1] = True
    return marked


def _smallest_step(heights: Samples) -> float:
    """The quantisation step near the peak: the least distance of two different heights; of one height, the height."""
    distances = np.diff(np.unique(heights))
    return float(distances.min()) if len(distances) else float(heights[0])


def _hop_means(samples: Powers, hop: int) -> Powers:
    whole = len(samples) // hop
    squares = np.square(samples)
    means = squares[: whole * hop].reshape(whole, hop).mean(axis=1)
    rest = squares[whole * hop :]
    return np.concatenate([means, [rest.mean()]]) if len(rest) else np.asarray(means)
