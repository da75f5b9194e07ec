"""Speech and pauses to utterances of 1 to 15 seconds. Pure, and quick: a changed setting recomputes no audio.

    for cut in cut_at_pauses(probabilities, levels, seconds):
        cut.start, cut.end, cut.speech

Every pause could be a border. Which are is a shortest path over the pauses: a border costs the less the longer its
pause is; an utterance longer than 15 s is not allowed where there is any other way, one under 1 s costs much, and one
with a long pause inside even more than that. So long pauses always divide, but short bits keep to a neighbour that is
near enough; and where speech runs on, the longest pauses divide it into pieces that fit.

A border is in the quietest place of its pause, and utterances keep a little of the silence on either side. Where
speech goes on for more than 15 s without a pause, dips count as pauses, but only such that both the detector and the
level take for one; without one, the stretch stays whole: a cut inside a word makes two bad utterances of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from voice_pipeline.recordings.segmentation.activity import LEVEL_SECONDS, PROBABILITY_SECONDS
from voice_pipeline.recordings.segmentation.speech import (
    DEFAULT_SPEECH,
    Interval,
    Numbers,
    Pause,
    SpeechSettings,
    pauses_between,
    smoothed,
    speech_intervals,
)


@dataclass(frozen=True)
class CutSettings:
    """Where to cut. Seconds and dB."""

    min_seconds: float = 1.0
    max_seconds: float = 15.0
    always: float = 0.6  # a pause that divides
    never_joined: float = 1.0  # a pause that divides even a word alone from the next
    sure: float = 0.15  # pauses from here on are between words; shorter ones may be a long closure
    margin: float = 0.15  # of silence that an utterance keeps at each end
    dip_seconds: float = 0.06  # a dip inside speech that may be cut, where nothing else helps …
    dip_db: float = 24.0  # … this far below the stretch's median level
    dip_probability: float = 0.5  # … with the detector in doubt


@dataclass(frozen=True)
class Cut:
    """One utterance: seconds in its recording, and the speech inside of it."""

    start: float
    end: float
    speech: tuple[Interval, ...]


DEFAULT_CUTS = CutSettings()
_SHORT, _LONG_PAUSE, _TOO_LONG, _WEAK = 15.0, 10.0, 1_000.0, 100.0  # costs; see _best_borders


def cut_at_pauses(
    probabilities: Numbers,
    levels: Numbers,
    seconds: float,
    settings: CutSettings = DEFAULT_CUTS,
    speech_settings: SpeechSettings = DEFAULT_SPEECH,
) -> list[Cut]:
    """The utterances of a recording: in order, disjoint, all speech in exactly one of them; none where nobody speaks.

    ``probabilities`` is float32 [P], one for 32 ms; ``levels`` is float32 [L] in dBFS, one for 10 ms. An utterance is
    longer than ``max_seconds`` only where its speech goes on for as long without a pause.
    """
    speech = speech_intervals(probabilities, levels, seconds, speech_settings)
    if not speech:
        return []
    speech, pauses = _with_dips(speech, pauses_between(speech, levels, seconds), probabilities, levels, settings)
    starts = [start_after(pause, settings.margin) for pause in pauses[:-1]]
    ends = [end_before(pause, settings.margin) for pause in pauses[1:]]
    borders = _best_borders(starts, ends, pauses, settings)
    return [Cut(starts[first], ends[last - 1], speech[first:last]) for first, last in pairwise(borders)]


def start_after(pause: Pause, margin: float) -> float:
    """Where an utterance begins whose first speech is behind ``pause``; seconds, to the millisecond."""
    return round(min(max(pause.border, pause.end - margin), pause.end), 3)


def end_before(pause: Pause, margin: float) -> float:
    """Where an utterance ends whose last speech is before ``pause``; seconds, to the millisecond."""
    return max(min(round(pause.border, 3), round(pause.start + margin, 3), pause.end), pause.start)


def _best_borders(
    starts: list[float], ends: list[float], pauses: tuple[Pause, ...], settings: CutSettings
) -> list[int]:
    """The borders of least cost: indices of pauses, from 0 to the last; utterance k has the speech between two."""
    count = len(starts)
    best = [0.0] + [float("inf")] * count
    came_from = [0] * (count + 1)
    for last in range(1, count + 1):
        inner = 0.0
        for first in range(last - 1, -1, -1):
            if first < last - 1:
                between = pauses[first + 1].seconds
                if between >= settings.never_joined:
                    break
                inner += _LONG_PAUSE if between >= settings.always else 0.0
            length = ends[last - 1] - starts[first]
            if length > settings.max_seconds and first < last - 1:
                break
            cost = best[first] + inner + (_border_cost(pauses[first], settings) if first else 0.0)
            cost += _SHORT if length < settings.min_seconds else 0.0
            cost += _TOO_LONG if length > settings.max_seconds else 0.0
            if cost < best[last]:
                best[last], came_from[last] = cost, first
    borders = [count]
    while borders[-1]:
        borders.append(came_from[borders[-1]])
    return borders[::-1]


def _border_cost(pause: Pause, settings: CutSettings) -> float:
    """1 for a pause that always divides, 4 for half of it, 16 for a quarter."""
    unsure = _WEAK if pause.weak or pause.seconds < settings.sure else 0.0
    return (settings.always / max(pause.seconds, LEVEL_SECONDS)) ** 2 if not unsure else unsure + 1 - pause.seconds


def _with_dips(
    speech: tuple[Interval, ...],
    pauses: tuple[Pause, ...],
    probabilities: Numbers,
    levels: Numbers,
    settings: CutSettings,
) -> tuple[tuple[Interval, ...], tuple[Pause, ...]]:
    """Speech that runs on for too long, divided at its dips; what there is is kept."""
    smooth = smoothed(levels)
    pieces, between = list[Interval](), [pauses[0]]
    for index, (start, end) in enumerate(speech):
        for dip in _dips(start, end, probabilities, smooth, settings):
            pieces.append((start, dip))
            between.append(Pause(dip, dip, dip, weak=True))
            start = dip
        pieces.append((start, end))
        between.append(pauses[index + 1])
    return tuple(pieces), tuple(between)


def _dips(start: float, end: float, probabilities: Numbers, smooth: Numbers, settings: CutSettings) -> list[float]:
    if end - start + 2 * settings.margin <= settings.max_seconds:
        return []
    first, last = round(start / LEVEL_SECONDS), round(end / LEVEL_SECONDS)
    inside = smooth[first:last]
    if not len(inside):
        return []
    low = np.concatenate([[False], inside < np.median(inside) - settings.dip_db, [False]])
    changes = np.diff(low.astype(np.int8))
    found = list[float]()
    for begin, stop in zip(np.flatnonzero(changes == 1), np.flatnonzero(changes == -1), strict=True):
        if (stop - begin) * LEVEL_SECONDS < settings.dip_seconds:
            continue
        place = round((first + int(begin) + int(np.argmin(inside[begin:stop])) + 0.5) * LEVEL_SECONDS, 3)
        window = int(place / PROBABILITY_SECONDS)
        doubt = float(probabilities[max(window - 1, 0) : window + 2].min(initial=1.0))
        if doubt < settings.dip_probability and start < place < end:
            found.append(place)
    return found
