from __future__ import annotations

import numpy as np
import pytest

from voice_pipeline.training.pitch import track_pitch
from voice_pipeline.training.recipe import AudioSettings
from voice_pipeline_tests.training.conftest import RATE

AUDIO = AudioSettings.model_validate({})


def harmonics(frequency: np.ndarray, count: int = 8) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    return np.asarray(sum(0.3 / k * np.sin(k * phase) for k in range(1, count + 1)), dtype=np.float32)


@pytest.mark.parametrize("frequency", [80.0, 120.0, 203.7, 310.0, 440.0])
def test_a_steady_tone_has_its_frequency(frequency: float) -> None:
    pitch = track_pitch(harmonics(np.full(RATE, frequency)), AUDIO)
    inner = pitch[5:-5]
    assert (inner > 0).all()
    assert np.abs(inner / frequency - 1).max() < 0.005


def test_a_glide_is_followed() -> None:
    frequency = np.geomspace(100, 300, 2 * RATE)
    pitch = track_pitch(harmonics(frequency), AUDIO)
    expected = frequency[np.minimum(np.arange(len(pitch)) * 256, len(frequency) - 1)]
    assert np.abs(pitch[8:-8] / expected[8:-8] - 1).max() < 0.02


def test_a_missing_fundamental_is_heard() -> None:
    phase = 2 * np.pi * 150 * np.arange(RATE) / RATE
    samples = np.asarray(sum(0.2 * np.sin(k * phase) for k in range(2, 8)), dtype=np.float32)
    pitch = track_pitch(samples, AUDIO)
    assert np.abs(np.median(pitch[5:-5]) / 150 - 1) < 0.01


def test_noise_and_silence_are_unvoiced() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    assert (track_pitch(noise, AUDIO) > 0).mean() < 0.15
    assert not track_pitch(np.zeros(RATE, dtype=np.float32), AUDIO).any()


def test_voicing_starts_and_ends_where_the_tone_does() -> None:
    tone = harmonics(np.full(RATE, 180.0))
    samples = np.concatenate([np.zeros(RATE, dtype=np.float32), tone, np.zeros(RATE, dtype=np.float32)])
    samples += 1e-4 * np.random.default_rng(1).standard_normal(samples.size).astype(np.float32)
    voiced = np.flatnonzero(track_pitch(samples, AUDIO)) * 256 / RATE
    assert abs(voiced[0] - 1) < 0.06
    assert abs(voiced[-1] - 2) < 0.06


@pytest.mark.parametrize("samples", [0, 1, 255, 256, 700])
def test_short_clips_have_one_value_a_frame(samples: int) -> None:
    assert track_pitch(np.ones(samples, dtype=np.float32), AUDIO).shape == (samples // 256,)
