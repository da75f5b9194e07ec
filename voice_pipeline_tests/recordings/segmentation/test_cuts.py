"""Where recordings are cut. Nothing here reads audio."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.recordings.segmentation.cuts import DEFAULT_CUTS, Cut, cut_at_pauses
from voice_pipeline.recordings.segmentation.speech import speech_intervals
from voice_pipeline_tests.recordings.segmentation.test_speech import measured

SPEECH, SILENCE = (0.95, -20.0), (0.01, -70.0)
Stretch = tuple[float, float, float]


def speaking(*lengths: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Speech and pause in turn, each of a whole number of 32 ms."""
    return measured(*((length, *(SILENCE if index % 2 else SPEECH)) for index, length in enumerate(lengths)))


def cuts(*lengths: float) -> list[Cut]:
    return cut_at_pauses(*speaking(*lengths))


def test_a_long_pause_divides() -> None:
    first, second = cuts(3.2, 0.8, 3.2)
    assert first.end == pytest.approx(3.2 + 0.15, abs=0.04)
    assert second.start == pytest.approx(4.0 - 0.15, abs=0.04)


def test_a_short_pause_does_not() -> None:
    assert len(cuts(3.2, 0.32, 3.2)) == 1


def test_too_long_speech_is_cut_at_its_longest_pause() -> None:
    first, second = cuts(6.4, 0.256, 3.2, 0.48, 6.4)
    assert first.end == second.start or second.start - first.end < 0.3
    assert first.speech[-1][1] == pytest.approx(6.4 + 0.256 + 3.2, abs=0.04)
    assert len(second.speech) == 1


def test_two_longer_pauses_are_better_than_one_short_one() -> None:
    """Cutting once, at 0.16 s, would do; cutting twice, at half a second, is safer."""
    found = cuts(4.8, 0.512, 4.8, 0.16, 4.8, 0.512, 4.8)
    assert [len(cut.speech) for cut in found] == [1, 2, 1]


def test_a_single_word_joins_its_near_neighbour() -> None:
    assert [len(cut.speech) for cut in cuts(4.8, 0.704, 0.32, 1.92, 4.8)] == [2, 1]


def test_a_single_word_far_from_all_others_stands_alone() -> None:
    found = cuts(4.8, 1.92, 0.32, 1.92, 4.8)
    assert [len(cut.speech) for cut in found] == [1, 1, 1]
    assert found[1].end - found[1].start < DEFAULT_CUTS.min_seconds


def test_speech_without_a_pause_stays_whole() -> None:
    (only,) = cuts(19.2)
    assert only.end - only.start > DEFAULT_CUTS.max_seconds


def test_speech_without_a_pause_is_cut_where_it_nearly_stops() -> None:
    stretches = (9.6, *SPEECH), (0.128, 0.4, -60.0), (9.6, *SPEECH)
    first, second = cut_at_pauses(*measured(*stretches))
    assert first.end == second.start
    assert 9.6 <= first.end <= 9.728


@pytest.mark.parametrize("dip", [(0.128, 0.9, -60.0), (0.128, 0.4, -30.0)], ids=["the detector is sure", "it is loud"])
def test_a_dip_that_only_one_of_the_two_takes_for_a_pause_is_none(dip: Stretch) -> None:
    assert len(cut_at_pauses(*measured((9.6, *SPEECH), dip, (9.6, *SPEECH)))) == 1


def test_a_dip_is_only_used_where_it_must_be() -> None:
    assert len(cut_at_pauses(*measured((4.8, *SPEECH), (0.128, 0.4, -60.0), (4.8, *SPEECH)))) == 1


def test_margins_are_silence() -> None:
    """Neither longer than 0.15 s nor beyond the quietest place of the pause."""
    first, second = cuts(14.4, 0.192, 14.4)
    assert first.end == second.start
    assert first.speech[-1][1] <= first.end <= second.speech[0][0]


def test_other_settings_cut_otherwise() -> None:
    shorter = dataclasses.replace(DEFAULT_CUTS, max_seconds=8.0)
    assert len(cut_at_pauses(*speaking(6.4, 0.32, 6.4))) == 1
    assert len(cut_at_pauses(*speaking(6.4, 0.32, 6.4), shorter)) == 2


def test_silence_is_no_utterance() -> None:
    assert cut_at_pauses(*measured((9.6, *SILENCE))) == []


@st.composite
def recordings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float]:
    """Speech and pauses of all lengths, some doubt, uneven levels, and an end in the middle of a window."""
    windows = draw(st.lists(st.tuples(st.integers(1, 700), st.integers(1, 60)), min_size=1, max_size=25))
    stretches = list[Stretch]()
    for speech, pause in windows:
        stretches += [(speech * 0.032, *SPEECH), (pause * 0.032, *SILENCE)]
    probabilities, levels, seconds = measured(*stretches)
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    doubt = draw(st.floats(0, 0.7))
    probabilities = np.clip(probabilities + chance.normal(0, doubt, len(probabilities)), 0, 1).astype(np.float32)
    levels = (levels + chance.normal(0, draw(st.floats(0, 15)), len(levels))).astype(np.float32)
    return probabilities, levels, seconds - draw(st.floats(0, 0.031))


@settings(max_examples=150, deadline=None)
@given(recordings())
def test_the_laws_of_cutting(recording: tuple[np.ndarray, np.ndarray, float]) -> None:
    probabilities, levels, seconds = recording
    levels = levels[: int(np.ceil(seconds / 0.01 - 1e-9))]
    found = cut_at_pauses(probabilities, levels, seconds)
    times = [time for cut in found for time in (cut.start, cut.end)]
    assert times == sorted(times), "in order and disjoint"
    assert all(0 <= time <= seconds for time in times), "inside of the file"
    covered = list[tuple[float, float]]()
    for cut in found:
        assert cut.speech
        assert cut.start <= cut.speech[0][0]
        assert cut.speech[-1][1] <= cut.end
        assert cut.speech[0][0] - cut.start <= DEFAULT_CUTS.margin + 2e-3
        assert cut.end - cut.speech[-1][1] <= DEFAULT_CUTS.margin + 2e-3
        too_long = cut.end - cut.start > DEFAULT_CUTS.max_seconds
        assert not too_long or len(cut.speech) == 1, "only what nothing divides is too long"
        inner = [after[0] - before[1] for before, after in zip(cut.speech, cut.speech[1:], strict=False)]
        assert all(pause < DEFAULT_CUTS.never_joined for pause in inner)
        for start, end in cut.speech:  # what a dip divided is one again
            if covered and covered[-1][1] == start:
                covered[-1] = (covered[-1][0], end)
            else:
                covered.append((start, end))
    assert tuple(covered) == speech_intervals(probabilities, levels, seconds), "all speech, each exactly once"
    assert found == cut_at_pauses(probabilities, levels, seconds)
