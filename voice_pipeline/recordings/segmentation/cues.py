"""Cues with times (subtitles, TextGrid) to utterances of 1 to 15 seconds whose borders are in silence. Pure.

    cut_at_cues(cues, speech, pauses, seconds)

A cue's times are somebody's taps on a key: near the words, not at them. So a border goes to the nearest silence within
0.3 s, and stays where it was where there is none. Cues under a second are joined to a neighbour. What a cue belongs to
is said by its middle: it lies inside of exactly one utterance, or, of a cue outside of the audio, in none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from voice_pipeline.recordings.segmentation.cuts import Cut, end_before, start_after
from voice_pipeline.recordings.segmentation.speech import Interval, Pause


class TimedText(Protocol):
    """What is needed of a cue: its times in seconds."""

    @property
    def start(self) -> float:
        """Seconds in the recording."""

    @property
    def end(self) -> float:
        """Seconds in the recording."""


@dataclass(frozen=True)
class CueSettings:
    """Seconds."""

    min_seconds: float = 1.0
    max_seconds: float = 15.0
    moved: float = 0.3  # as far as the nearest silence may be; in it, the border goes on by no more than the margin
    joined_over: float = 1.0  # the longest silence that a short cue is joined across
    margin: float = 0.15  # of silence that an utterance keeps at each end


@dataclass(frozen=True)
class _Span:
    """One cue or several; all of their middles lie between the two."""

    start: float
    end: float
    first_middle: float
    last_middle: float


DEFAULT_CUES = CueSettings()


def cut_at_cues(
    cues: Sequence[TimedText],
    speech: tuple[Interval, ...],
    pauses: tuple[Pause, ...],
    seconds: float,
    settings: CueSettings = DEFAULT_CUES,
) -> list[Cut]:
    """The utterances of cues sorted by their start: in order, disjoint, inside of the recording.

    ``pauses`` are those before, between and behind the intervals of ``speech``.
    """
    spans = _joined(_inside(cues, seconds), settings)
    found = list[Interval]()
    for index, span in enumerate(spans):
        start = min(_moved(span.start, start_after, pauses, settings), (span.start + span.first_middle) / 2)
        end = max(_moved(span.end, end_before, pauses, settings), (span.last_middle + span.end) / 2)
        if found and start < found[-1][1]:
            start = _border(spans[index - 1], span, pauses)
            found[-1] = (found[-1][0], start)
        found.append((start, end))
    rounded = ((round(start, 3), min(round(end, 3), seconds)) for start, end in found)
    return [Cut(start, end, speech_inside(speech, start, end)) for start, end in rounded if end > start]


def as_given(start: float, end: float, speech: tuple[Interval, ...], seconds: float) -> Cut | None:
    """A segment of a corpus that has ids: its times are data. None for one that is outside of the recording."""
    start, end = max(0.0, start), min(end, seconds)
    return Cut(start, end, speech_inside(speech, start, end)) if start < end else None


def speech_inside(speech: tuple[Interval, ...], start: float, end: float) -> tuple[Interval, ...]:
    """The speech between two times."""
    return tuple((max(a, start), min(b, end)) for a, b in speech if a < end and b > start)


def _inside(cues: Sequence[TimedText], seconds: float) -> list[_Span]:
    found = []
    for cue in cues:
        middle = (cue.start + cue.end) / 2
        if cue.start < cue.end and 0.0 <= middle < seconds:
            found.append(_Span(max(0.0, cue.start), min(cue.end, seconds), middle, middle))
    return found


def _joined(spans: list[_Span], settings: CueSettings) -> list[_Span]:
    """Cues that overlap for the most part are one; so are a short one and its neighbour, where they are near."""
    joined = list[_Span]()
    for span in spans:
        if joined:
            last = joined[-1]
            both = _Span(
                last.start,
                max(last.end, span.end),
                min(last.first_middle, span.first_middle),
                max(last.last_middle, span.last_middle),
            )
            overlap = span.first_middle < last.end
            short = min(last.end - last.start, span.end - span.start) < settings.min_seconds
            fits = both.end - both.start <= settings.max_seconds
            if overlap or (short and fits and span.start - last.end < settings.joined_over):
                joined[-1] = both
                continue
        joined.append(span)
    return joined


def _nearest(time: float, pauses: tuple[Pause, ...]) -> tuple[Pause, float]:
    """The pause that a time is in, or that is nearest, and how far it is."""
    index = bisect_left(pauses, time, key=lambda pause: pause.end)
    near = [(max(pause.start - time, time - pause.end, 0.0), pause) for pause in pauses[max(index - 1, 0) : index + 1]]
    distance, pause = min(near, key=lambda one: one[0])
    return pause, distance


def _moved(
    time: float, edge: Callable[[Pause, float], float], pauses: tuple[Pause, ...], settings: CueSettings
) -> float:
    """A border, moved into the nearest pause, and there as near to where it should be as it may go."""
    pause, distance = _nearest(time, pauses)
    if distance > settings.moved:
        return time
    farthest = settings.moved + settings.margin
    return min(max(edge(pause, settings.margin), time - farthest), time + farthest)


def _border(before: _Span, after: _Span, pauses: tuple[Pause, ...]) -> float:
    """One border for two utterances that came to overlap: in the pause that is nearest to where their cues meet."""
    meeting = (before.end + after.start) / 2
    border = _nearest(meeting, pauses)[0].border
    return border if before.last_middle < border <= after.first_middle else meeting
