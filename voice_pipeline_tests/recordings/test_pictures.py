from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.recordings.pictures import COLUMNS, Overview, spectrogram_png, waveform_png
from voice_pipeline_tests.recordings.material import tone


def overview(seconds: float, hertz: float = 220.0, rate: int = 22_050) -> Overview:
    made = Overview(seconds)
    samples = tone(seconds, rate=rate, hertz=hertz)[:, np.newaxis]
    for start in range(0, len(samples), rate):
        made.add(samples[start : start + rate], rate)
    return made


def test_the_same_sound_gives_the_same_small_pictures() -> None:
    assert waveform_png(overview(30)) == waveform_png(overview(30))
    assert spectrogram_png(overview(30)) == spectrogram_png(overview(30))
    assert spectrogram_png(overview(30)) != spectrogram_png(overview(30, hertz=880))


def test_the_worst_sound_still_makes_small_pictures() -> None:
    noise = Overview(100)
    random = np.random.default_rng(1)
    for _ in range(100):
        level = random.uniform(0, 0.5, (10, 1)).repeat(2_205, axis=0)
        noise.add((random.standard_normal((22_050, 1)) * level).astype(np.float32), 22_050)
    assert len(waveform_png(noise)) < 60_000
    assert len(spectrogram_png(noise)) < 60_000


def test_a_picture_can_be_opened() -> None:
    from PIL import Image

    for data in (waveform_png(overview(3)), spectrogram_png(overview(3))):
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "PNG"
            assert image.size == (640, 192)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("hertz", [500.0, 3_000.0])
def test_a_tone_stands_at_its_frequency(hertz: float, rate: int) -> None:
    made = overview(5, hertz, rate)
    assert made.power.sum(axis=0).argmax() * 31.25 == pytest.approx(hertz, abs=40)


def test_the_envelope_holds_every_sample() -> None:
    samples = np.zeros((221_111, 1), np.float32)
    samples[100], samples[150_000], samples[-1] = 0.9, -0.8, 0.7
    made = Overview(len(samples) / 22_050)
    made.add(samples[:100_000], 22_050)
    made.add(samples[100_000:], 22_050)
    assert (made.high.max(), made.low.min(), made.high[-1]) == pytest.approx((0.9, -0.8, 0.7))
    assert made.high.argmax() == 0
    assert made.low.argmin() / made.columns == pytest.approx(150_000 / len(samples), abs=0.02)


@pytest.mark.parametrize(("seconds", "columns"), [(0.01, 1), (0.35, 3), (12.0, 120), (36_000.0, COLUMNS)])
def test_the_width_is_bounded(seconds: float, columns: int) -> None:
    assert Overview(seconds).columns == columns


def test_a_header_that_was_too_short_does_not_matter() -> None:
    made = Overview(1.0)
    made.add(tone(3)[:, np.newaxis], 22_050)
    assert spectrogram_png(made)


@settings(deadline=None, max_examples=50)
@given(st.integers(8_000, 384_000), st.integers(1, 100_000))
def test_any_rate_and_length_fit(rate: int, frames: int) -> None:
    made = Overview(frames / rate)
    made.add(np.full((frames, 1), 0.5, np.float32), rate)
    assert made.high.max() == 0.5
    assert np.isfinite(made.power).all()
