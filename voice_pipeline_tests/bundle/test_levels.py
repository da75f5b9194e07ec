from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from voice_pipeline.bundle import levels

RATE = 22_050
CEILING = 0.891

signals = arrays(np.float32, st.integers(0, 2000), elements=st.floats(-4, 4, width=32))


def tone(seconds: float, amplitude: float, frequency: float = 220.0) -> NDArray[np.float32]:
    time = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


@settings(max_examples=200, deadline=None)
@given(signals, st.sampled_from([8_000, 22_050, 48_000]), st.sampled_from([0.1, CEILING, 1.0]))
def test_nothing_passes_the_ceiling_and_nothing_is_turned_up(
    samples: NDArray[np.float32], rate: int, ceiling: float
) -> None:
    limited = levels.limit(samples, rate, ceiling)
    assert limited.dtype == np.float32 and limited.shape == samples.shape
    assert (np.abs(limited) <= np.float32(ceiling)).all() or (np.abs(limited) <= ceiling).all()
    assert (np.abs(limited) <= np.abs(samples) + 1e-6).all()
    assert (np.sign(limited) * np.sign(samples) >= 0).all()


def test_quiet_speech_is_left_as_it_is() -> None:
    quiet = tone(0.5, CEILING - 1e-3)
    assert levels.limit(quiet, RATE, CEILING) is quiet


def test_a_peak_is_turned_down_where_it_is_and_nowhere_else() -> None:
    samples = tone(1.0, 0.5)
    samples[10_000:10_200] *= 3
    limited = levels.limit(samples, RATE, CEILING)
    far = round(2 * levels.LIMITER_WINDOW * RATE) + 1
    assert np.array_equal(limited[: 10_000 - far], samples[: 10_000 - far])
    assert np.array_equal(limited[10_200 + far :], samples[10_200 + far :])
    assert np.abs(limited).max() <= CEILING
    # The gain moves smoothly: hard clipping would flatten the tops and jump in slope.
    gain = limited[np.abs(samples) > 0.05] / samples[np.abs(samples) > 0.05]
    assert np.abs(np.diff(gain)).max() < 0.05


@settings(max_examples=100, deadline=None)
@given(arrays(np.float64, st.integers(1, 300), elements=st.floats(0, 1)), st.integers(1, 150))
def test_the_sliding_minimum_is_the_minimum(values: NDArray[np.float64], half: int) -> None:
    expected = [values[max(0, i - half) : i + half + 1].min() for i in range(len(values))]
    assert np.array_equal(levels._sliding_minimum(values, half), expected)


def test_silence_at_the_edges_is_cut_to_what_is_kept() -> None:
    silence = np.zeros(RATE, np.float32)
    samples = np.concatenate([silence, tone(0.5, 0.3), silence])
    trimmed = levels.trim_silence(samples, RATE)
    spare = len(trimmed) / RATE - 0.5
    assert (
        2 * levels.KEPT_SILENCE - 2 * levels.SILENCE_BLOCK
        <= spare
        <= 2 * levels.KEPT_SILENCE + 2 * levels.SILENCE_BLOCK
    )
    assert np.abs(trimmed).max() == np.abs(samples).max()


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros(5, np.float32), np.zeros(RATE, np.float32)])
def test_nothing_but_silence_stays(samples: NDArray[np.float32]) -> None:
    assert len(levels.trim_silence(samples, RATE)) == len(samples)
    assert len(levels.end_softly(samples, RATE)) == len(samples)


def test_sound_to_the_last_sample_is_kept() -> None:
    samples = tone(0.503, 0.3)
    assert len(levels.trim_silence(samples, RATE)) == len(samples)


@settings(max_examples=50, deadline=None)
@given(signals)
def test_ends_are_soft_and_the_middle_untouched(samples: NDArray[np.float32]) -> None:
    before = samples.copy()
    soft = levels.end_softly(samples, RATE)
    assert np.array_equal(samples, before)
    length = min(round(levels.FADE * RATE), len(samples) // 2)
    assert np.array_equal(soft[length : len(soft) - length], samples[length : len(samples) - length])
    if len(samples) > 2 * round(levels.FADE * RATE):
        assert abs(soft[0]) <= abs(samples[0]) / 100 and abs(soft[-1]) <= abs(samples[-1]) / 100
