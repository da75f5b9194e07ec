"""Where speech begins and ends, from the measurements of ``activity``. Pure, and quick: nothing here reads audio.

    speech = speech_intervals(probabilities, levels, seconds)     # ((0.31, 2.08), (2.56, 4.9), …)
    pauses = pauses_between(speech, levels, seconds)              # one more than there are intervals

The detector decides what is speech. It is now and then late at a soft beginning and early at a fading end, so the
level decides where exactly an interval ends: it goes on for as long as the sound stands out of the pause behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.recordings.segmentation.activity import LEVEL_SECONDS, PROBABILITY_SECONDS

Numbers = NDArray[np.float32]
Interval = tuple[float, float]  # seconds


@dataclass(frozen=True)
class SpeechSettings:
    """What counts as speech. Seconds and dB."""

    on: float = 0.5  # probability that begins speech: the detector's own default, and its 0.35 to end it
    off: float = 0.35
    min_gap: float = 0.1  # shorter gaps are the closures of stops: p, t, k
    min_speech: float = 0.15  # shorter bits are clicks
    onset: float = 0.12  # the most by which the level may set a beginning earlier
    fade: float = 0.24  # the most by which it may set an end later: an s after which the detector had given up
    above_floor_db: float = 9.0  # what stands out of a pause …
    below_speech_db: float = 42.0  # … and is not too far below the speech beside it: else it is breath or room


@dataclass(frozen=True)
class Pause:
    """Between two intervals of speech, or between one and an end of the audio. ``border`` is its quietest place."""

    start: float
    end: float
    border: float
    weak: bool = False  # no real pause: a dip inside speech, see ``cuts``

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


DEFAULT_SPEECH = SpeechSettings()


def speech_intervals(
    probabilities: Numbers, levels: Numbers, seconds: float, settings: SpeechSettings = DEFAULT_SPEECH
) -> tuple[Interval, ...]:
    """Ordered, disjoint intervals of speech within 0 and ``seconds``.

    ``probabilities`` is float32 [P], one for 32 ms; ``levels`` is float32 [L] in dBFS, one for 10 ms.
    """
    found = _closed(_by_hysteresis(probabilities, seconds, settings), settings)
    smooth = smoothed(levels)
    loudness = [_loudness(levels, one) for one in found]
    edges = [list(one) for one in found]
    for index in range(len(found) + 1):
        before = found[index - 1][1] if index else 0.0
        after = found[index][0] if index < len(found) else seconds
        border, floor = _quietest(smooth, before, after)
        if index:
            threshold = max(floor + settings.above_floor_db, loudness[index - 1] - settings.below_speech_db)
            reach = min(before + settings.fade, border)
            edges[index - 1][1] = _until_quiet(smooth, before, reach, threshold)
        if index < len(found):
            threshold = max(floor + settings.above_floor_db, loudness[index] - settings.below_speech_db)
            reach = max(after - settings.onset, border)
            edges[index][0] = _since_quiet(smooth, after, reach, threshold)
    return tuple((round(start, 3), min(round(end, 3), seconds)) for start, end in edges)


def pauses_between(speech: tuple[Interval, ...], levels: Numbers, seconds: float) -> tuple[Pause, ...]:
    """The pauses before, between and behind intervals of speech, in order: one more than there are intervals.

    The first and the last have their border at the end of the audio, and may have no length.
    """
    smooth = smoothed(levels)
    if not speech:
        return (Pause(0.0, seconds, seconds),)
    inner = (Pause(start, end, _quietest(smooth, start, end)[0]) for (_, start), (end, _) in pairwise(speech))
    return (Pause(0.0, speech[0][0], 0.0), *inner, Pause(speech[-1][1], seconds, seconds))


def smoothed(levels: Numbers) -> Numbers:
    """The mean level in dBFS of the 50 ms around each 10 ms: one deep period is no pause."""
    if not len(levels):
        return levels
    first, last = levels[:1], levels[-1:]
    padded = np.concatenate([first, first, levels, last, last])
    return np.asarray(np.convolve(padded, np.full(5, 0.2, np.float32), "valid"), np.float32)


def _by_hysteresis(probabilities: Numbers, seconds: float, settings: SpeechSettings) -> list[Interval]:
    decided = np.flatnonzero((probabilities >= settings.on) | (probabilities < settings.off))
    state = np.zeros(len(probabilities) + 2, np.int8)
    if len(decided):  # a window between the thresholds is what the last one before it was
        latest = np.searchsorted(decided, np.arange(len(probabilities)), side="right") - 1
        speaking = probabilities[decided] >= settings.on
        state[1:-1] = np.where(latest >= 0, speaking[np.maximum(latest, 0)], False)
    changes = np.diff(state)
    starts, ends = np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)
    return [
        (float(start) * PROBABILITY_SECONDS, min(float(end) * PROBABILITY_SECONDS, seconds))
        for start, end in zip(starts, ends, strict=True)
    ]


def _closed(found: list[Interval], settings: SpeechSettings) -> list[Interval]:
    joined: list[Interval] = []
    for start, end in found:
        if joined and start - joined[-1][1] < settings.min_gap:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return [(start, end) for start, end in joined if end - start >= settings.min_speech]


def _loudness(levels: Numbers, interval: Interval) -> float:
    """The level that a tenth of an interval is above."""
    inside = levels[_step(interval[0]) : max(_step(interval[1]), _step(interval[0]) + 1)]
    if not len(inside):
        return 0.0
    place = int(0.9 * (len(inside) - 1))
    return float(np.partition(inside, place)[place])


def _quietest(smooth: Numbers, start: float, end: float) -> tuple[float, float]:
    """(the middle of the quietest 10 ms between two times, its level); of equal ones, the nearest to the middle."""
    first, last = _step(start + LEVEL_SECONDS), _step(end)  # whole steps only
    middle = (start + end) / 2
    if last <= first or first >= len(smooth):
        near = smooth[min(_step(middle), len(smooth) - 1)] if len(smooth) else 0.0
        return middle, float(near)
    inside = smooth[first:last]
    lowest = float(inside.min())
    places = (first + np.flatnonzero(inside <= lowest + 1.0) + 0.5) * LEVEL_SECONDS
    place = float(places[np.argmin(np.abs(places - middle))])
    return min(max(place, start), end), lowest


def _until_quiet(smooth: Numbers, start: float, limit: float, threshold: float) -> float:
    inside = smooth[_step(start) : _step(limit)]
    quiet = np.flatnonzero(inside <= threshold)
    steps = int(quiet[0]) if len(quiet) else len(inside)
    return start if not steps else min(max((_step(start) + steps) * LEVEL_SECONDS, start), max(limit, start))


def _since_quiet(smooth: Numbers, end: float, limit: float, threshold: float) -> float:
    first = _step(limit + LEVEL_SECONDS)
    inside = smooth[first : _step(end)]
    quiet = np.flatnonzero(inside <= threshold)
    steps = len(inside) - (int(quiet[-1]) + 1 if len(quiet) else 0)
    return end if not steps else max(min((_step(end) - steps) * LEVEL_SECONDS, end), min(limit, end))


def _step(seconds: float) -> int:
    """The 10 ms step that a time is in."""
    return int(seconds / LEVEL_SECONDS + 1e-6)
