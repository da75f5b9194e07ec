"""Utterances of subtitles and other cues with times."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.recordings.segmentation.cues import DEFAULT_CUES, as_given, cut_at_cues
from voice_pipeline.recordings.segmentation.cuts import Cut
from voice_pipeline.recordings.segmentation.speech import Interval, Pause
from voice_pipeline.recordings.transcripts import Cue


def pauses(speech: tuple[Interval, ...], seconds: float) -> tuple[Pause, ...]:
    """With the border in the middle of each."""
    if not speech:
        return (Pause(0.0, seconds, seconds),)
    inner = [Pause(a[1], b[0], (a[1] + b[0]) / 2) for a, b in pairwise(speech)]
    return (Pause(0.0, speech[0][0], 0.0), *inner, Pause(speech[-1][1], seconds, seconds))


def cut(cues: list[tuple[float, float]], speech: tuple[Interval, ...], seconds: float = 20.0) -> list[Cut]:
    return cut_at_cues([Cue(start, end, "words") for start, end in cues], speech, pauses(speech, seconds), seconds)


def times(cuts: list[Cut]) -> list[Interval]:
    return [(one.start, one.end) for one in cuts]


def test_borders_go_to_the_nearest_silence() -> None:
    """The first cue ends 0.2 s into the next words, the second begins 0.25 s late."""
    speech = ((1.0, 4.0), (4.6, 8.0))
    assert times(cut([(1.0, 4.8), (4.85, 8.0)], speech)) == [(0.85, 4.35), (4.45, 8.15)]


def test_a_border_without_a_silence_near_stays() -> None:
    assert times(cut([(0.5, 5.0), (5.0, 9.0)], ((0.4, 12.0),))) == [(0.25, 5.0), (5.0, 9.0)]


def test_a_border_moves_no_farther_than_it_may() -> None:
    ((start, end),) = times(cut([(1.0, 9.0)], ((4.0, 6.0),)))
    assert (start, end) == (1.45, 8.55)


def test_two_that_come_to_overlap_share_a_border() -> None:
    """Each alone would take the same pause's far side."""
    first, second = cut([(1.0, 4.2), (4.0, 8.0)], ((1.0, 4.0), (4.1, 8.0)))
    assert first.end == second.start == pytest.approx(4.05)
    assert (first.speech, second.speech) == (((1.0, 4.0),), ((4.1, 8.0),))


def test_short_cues_are_joined() -> None:
    assert len(cut([(1.0, 1.6), (1.7, 4.0), (4.1, 4.5)], ((1.0, 4.5),))) == 1


def test_short_cues_far_apart_are_not() -> None:
    assert len(cut([(1.0, 1.6), (5.0, 5.6)], ((1.0, 1.6), (5.0, 5.6)))) == 2


def test_joining_ends_at_fifteen_seconds() -> None:
    cues = [(index * 0.9, index * 0.9 + 0.9) for index in range(20)]
    found = cut(cues, tuple((start + 0.1, end - 0.1) for start, end in cues))
    assert len(found) >= 2
    assert all(
        one.end - one.start <= DEFAULT_CUES.max_seconds + 2 * (DEFAULT_CUES.moved + DEFAULT_CUES.margin)
        for one in found
    )


def test_a_cue_outside_of_the_recording_is_no_utterance() -> None:
    assert times(cut([(1.0, 4.0), (25.0, 28.0)], ((1.0, 4.0),))) == [(0.85, 4.15)]


def test_a_cue_in_which_nobody_speaks_is_one_all_the_same() -> None:
    """Its text is without speech: that is for the figures to say, and for nobody to hide."""
    (only,) = cut([(5.0, 8.0)], ())
    assert only.speech == ()


def test_the_segments_of_a_corpus_are_as_given() -> None:
    speech = ((1.0, 4.0), (4.6, 8.0))
    assert as_given(0.5, 4.7, speech, 20.0) == Cut(0.5, 4.7, ((1.0, 4.0), (4.6, 4.7)))
    assert as_given(19.0, 25.0, speech, 20.0) == Cut(19.0, 20.0, ())
    assert as_given(21.0, 25.0, speech, 20.0) is None


@st.composite
def cued(draw: st.DrawFn) -> tuple[list[tuple[float, float]], tuple[Interval, ...], float]:
    def ascending(most: int) -> list[float]:
        steps = draw(st.lists(st.integers(1, 4000), max_size=most))
        return [sum(steps[: index + 1]) / 1000 for index in range(len(steps))]

    edges = ascending(20)
    speech = tuple(zip(edges[::2], edges[1::2], strict=False))
    seconds = (edges[-1] if edges else 0.0) + draw(st.floats(0.1, 5))
    starts = ascending(15)
    return [(start, start + draw(st.integers(20, 8000)) / 1000) for start in starts], speech, seconds


@settings(max_examples=200, deadline=None)
@given(cued())
def test_the_laws_of_cues(given_cues: tuple[list[tuple[float, float]], tuple[Interval, ...], float]) -> None:
    cues, speech, seconds = given_cues
    found = cut(cues, speech, seconds)
    order = [time for one in found for time in (one.start, one.end)]
    assert order == sorted(order), "in order and disjoint"
    assert all(0 <= time <= seconds for time in order), "inside of the file"
    for start, end in cues:
        middle = (start + end) / 2
        holders = [one for one in found if one.start <= middle < one.end]
        assert len(holders) == (1 if middle < seconds else 0), "a cue belongs to exactly one utterance"
