"""Where speech begins and ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from voice_pipeline.recordings.segmentation.speech import pauses_between, smoothed, speech_intervals


def measured(*stretches: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, float]:
    """(seconds, probability, level) of stretches in a row."""
    seconds = sum(length for length, _, _ in stretches)
    ends = np.cumsum([length for length, _, _ in stretches])

    def sampled(step: float, column: int) -> np.ndarray:
        times = (np.arange(int(np.ceil(seconds / step - 1e-9))) + 0.5) * step
        index = np.minimum(np.searchsorted(ends, times), len(stretches) - 1)
        return np.array([stretch[column] for stretch in stretches], np.float32)[index]

    return sampled(0.032, 1), sampled(0.01, 2), seconds


def test_speech_is_found_between_silence() -> None:
    probabilities, levels, seconds = measured((0.96, 0.01, -70), (1.92, 0.9, -20), (0.96, 0.01, -70))
    ((start, end),) = speech_intervals(probabilities, levels, seconds)
    assert start == pytest.approx(0.96, abs=0.04)
    assert end == pytest.approx(2.88, abs=0.04)


def test_doubt_goes_on_as_it_was() -> None:
    in_doubt_after_speech = measured((0.96, 0.9, -20), (0.96, 0.4, -20), (0.96, 0.0, -70))
    assert speech_intervals(*in_doubt_after_speech)[0][1] == pytest.approx(1.92, abs=0.04)
    in_doubt_before = measured((0.96, 0.4, -70), (0.96, 0.9, -20))
    assert speech_intervals(*in_doubt_before)[0][0] == pytest.approx(0.96, abs=0.04)


@pytest.mark.parametrize("closure, count", [(0.064, 1), (0.256, 2)])
def test_a_closure_is_no_pause(closure: float, count: int) -> None:
    assert len(speech_intervals(*measured((0.96, 0.9, -20), (closure, 0.1, -60), (0.96, 0.9, -20)))) == count


def test_a_click_is_no_speech() -> None:
    assert speech_intervals(*measured((0.96, 0.0, -70), (0.064, 0.9, -10), (0.96, 0.0, -70))) == ()


def test_a_fading_end_belongs_to_the_word() -> None:
    """The detector gives up on an s before it is over: the level says how long it lasts."""
    ((_, end),) = speech_intervals(*measured((0.96, 0.9, -20), (0.16, 0.1, -40), (0.96, 0.0, -75)))
    assert end == pytest.approx(1.12, abs=0.03)


def test_a_breath_far_behind_is_not() -> None:
    stretches = (0.96, 0.9, -20), (0.32, 0.1, -75), (0.3, 0.1, -45), (0.96, 0.0, -75)
    ((_, end),) = speech_intervals(*measured(*stretches))
    assert end == pytest.approx(0.96, abs=0.04)


def test_the_border_is_in_the_quietest_place() -> None:
    stretches = (0.96, 0.9, -20), (0.32, 0.0, -50), (0.1, 0.0, -80), (0.54, 0.0, -50), (0.96, 0.9, -20)
    probabilities, levels, seconds = measured(*stretches)
    speech = speech_intervals(probabilities, levels, seconds)
    _, pause, _ = pauses_between(speech, levels, seconds)
    assert 1.28 <= pause.border <= 1.38


def test_nothing_is_measured_of_nothing() -> None:
    nothing = np.zeros(0, np.float32)
    assert speech_intervals(nothing, nothing, 0.0) == ()
    assert len(smoothed(nothing)) == 0
    assert len(pauses_between((), nothing, 0.0)) == 1


@given(
    arrays.arrays(np.float32, st.integers(0, 200), elements=st.floats(0, 1, width=32)),
    st.integers(0, 2**32 - 1),
    st.floats(0.001, 0.032),
)
def test_intervals_are_in_order_and_inside(probabilities: np.ndarray, seed: int, last: float) -> None:
    seconds = (len(probabilities) - 1) * 0.032 + last if len(probabilities) else 0.0
    steps = int(np.ceil(seconds / 0.01 - 1e-6))
    levels = np.random.default_rng(seed).uniform(-127.5, 0, steps).astype(np.float32)
    speech = speech_intervals(probabilities, levels, seconds)
    times = [time for interval in speech for time in interval]
    assert times == sorted(times)
    assert all(start < end for start, end in speech)
    assert all(0 <= time <= seconds for time in times)
    pauses = pauses_between(speech, levels, seconds)
    assert len(pauses) == len(speech) + 1
    assert all(pause.start <= pause.border <= pause.end for pause in pauses)
