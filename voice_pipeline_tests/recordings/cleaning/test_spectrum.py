from __future__ import annotations

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from voice_pipeline.recordings.cleaning.spectrum import bandwidth_hz
from voice_pipeline_tests.recordings.cleaning.signals import noise, sine

RATE = 44_100
SPEECH = ((0.5, 1.1), (1.4, 2.5))


def hisses(rate: int) -> NDArray[np.float32]:
    """White bursts where SPEECH says, on a faint floor: 3 s whose speech fills the band."""
    sound = noise(3.0, rate, 1e-4, 5)
    for start, end in SPEECH:
        sound[round(start * rate) : round(end * rate)] += noise(end - start, rate, 0.05, 6)[
            : round((end - start) * rate)
        ]
    return sound


def stored(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    return (np.rint(samples * 32_768) / 32_768).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 48_000, 96_000])
def test_speech_that_fills_the_band_reads_half_its_rate(rate: int) -> None:
    assert bandwidth_hz(hisses(rate), rate, SPEECH) == pytest.approx(rate / 2, rel=0.02)


@pytest.mark.parametrize(("narrow", "least", "most"), [(8_000, 3_600, 4_200), (16_000, 7_200, 8_100)])
def test_what_was_resampled_up_reads_what_it_was(narrow: int, least: float, most: float) -> None:
    up = stored(soxr.resample(stored(hisses(narrow)), narrow, RATE))
    assert least <= bandwidth_hz(up, RATE, SPEECH) <= most


def test_noise_above_the_speech_does_not_widen_it() -> None:
    up = soxr.resample(hisses(8_000), 8_000, RATE) + noise(3.0, RATE, 0.002)
    assert 3_500 <= bandwidth_hz(up.astype(np.float32), RATE, SPEECH) <= 4_200


def test_a_whistle_does_not_widen_it() -> None:
    up = soxr.resample(hisses(8_000), 8_000, RATE)
    whistling = up + np.concatenate([np.zeros(RATE // 2, np.float32), sine(2.5, RATE, 15_625.0, 0.01)])
    assert 3_500 <= bandwidth_hz(whistling.astype(np.float32), RATE, SPEECH) <= 4_200


def test_without_pauses_the_faint_hops_are_the_noise() -> None:
    sound = hisses(RATE)
    speaking = np.concatenate([sound[round(start * RATE) : round(end * RATE)] for start, end in SPEECH])
    fading = speaking * np.abs(np.sin(np.arange(len(speaking)) * np.pi * 4 / RATE)).astype(np.float32) ** 2
    assert bandwidth_hz(fading, RATE, ((0.0, len(fading) / RATE),)) > 18_000


def test_silence_and_next_to_nothing_have_none() -> None:
    assert bandwidth_hz(np.zeros(RATE, np.float32), RATE, ()) == 0.0
    assert bandwidth_hz(np.zeros(10, np.float32), RATE, ()) == 0.0
