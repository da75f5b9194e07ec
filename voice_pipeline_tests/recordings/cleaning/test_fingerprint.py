from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voice_pipeline.recordings.cleaning.fingerprint import NEAR_BELOW, buckets, distance, fingerprint, near
from voice_pipeline_tests.recordings.cleaning.signals import babble

RATE = 22_050


@pytest.fixture(scope="module")
def take() -> NDArray[np.float32]:
    return babble(2.0, RATE)


def test_gain_and_resampling_change_nothing_that_matters(take: NDArray[np.float32]) -> None:
    original = fingerprint(take, RATE)
    assert distance(original, fingerprint(take * np.float32(0.05), RATE)) < 0.01
    assert distance(original, fingerprint(soxr.resample(take, RATE, 48_000), 48_000)) < 0.02


def test_noise_cuts_and_silence_at_the_ends_stay_near(take: NDArray[np.float32]) -> None:
    original = fingerprint(take, RATE)
    noise = np.random.default_rng(0).standard_normal(len(take)).astype(np.float32) * take.std() * 10 ** (-30 / 20)
    silence = np.zeros(RATE // 3, np.float32)
    for changed in (take + noise, take[RATE // 30 :], take[: -RATE // 30], np.concatenate([silence, take, silence])):
        other = fingerprint(changed, RATE)
        assert near(original, other)
        assert set(buckets(original)) & set(buckets(other))


def test_another_sound_is_far_and_shares_no_bucket() -> None:
    prints = [fingerprint(babble(2.0, RATE, seed), RATE) for seed in range(40)]
    for number, one in enumerate(prints):
        for other in prints[:number]:
            assert distance(one, other) > 2 * NEAR_BELOW
            assert not set(buckets(one)) & set(buckets(other))


def test_a_long_sound_is_bounded_and_the_same_bytes_again() -> None:
    long = babble(30.0, RATE)
    assert fingerprint(long, RATE) == fingerprint(long.copy(), RATE)
    assert len(fingerprint(long, RATE)) == 2 * (48 + 2 * 128)


def test_silence_has_no_fingerprint(take: NDArray[np.float32]) -> None:
    assert fingerprint(np.zeros(RATE, np.float32), RATE) == ""
    assert fingerprint(np.zeros(0, np.float32), RATE) == ""
    assert buckets("") == ()
    assert distance("", fingerprint(take, RATE)) == 1.0
    assert distance("", "") == 1.0  # silence is no duplicate of silence: it has a reason of its own


@pytest.mark.parametrize("text", ["zz", "00", "ab" * 49, "ab" * (48 + 2 * 129)])
def test_what_is_no_fingerprint_is_refused(text: str, take: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError):
        buckets(text)
    with pytest.raises(ValueError):
        distance(text, fingerprint(take, RATE))


@settings(max_examples=30, deadline=None)
@given(st.integers(50, 4000), st.integers(0, 9), st.sampled_from([8000, 16000, 44100]))
def test_any_sound_is_at_no_distance_from_itself(count: int, seed: int, rate: int) -> None:
    one = fingerprint(np.random.default_rng(seed).uniform(-1, 1, count).astype(np.float32), rate)
    other = fingerprint(babble(1.0, RATE, seed)[:count], rate)
    assert distance(one, one) == 0.0
    assert distance(one, other) == distance(other, one)
    assert len(buckets(one)) == 16
    assert all(table << 24 <= bucket < (table + 1) << 24 for table, bucket in enumerate(buckets(one)))
