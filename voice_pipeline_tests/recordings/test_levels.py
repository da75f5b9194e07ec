from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_pipeline.recordings.decoding import open_audio
from voice_pipeline.recordings.levels import SILENCE_DBFS, Figures, Levels
from voice_pipeline_tests.recordings.material import write


def measure(*paths: Path) -> Figures:
    levels = Levels()
    for path in paths:
        with open_audio(path) as audio:
            for _ in levels.follow(audio):
                pass
    return levels.figures()


def sine(seconds: float, rate: int, level: float, hertz: float = 997.0) -> NDArray[np.float64]:
    return np.asarray(level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate))


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_the_tone_of_the_standard(tmp_path: Path, rate: int) -> None:
    # ITU-R BS.1770-4, annex 1: a 997 Hz sine at 0 dBFS in one channel reads -3.01 LKFS; here at -20 dBFS.
    path = write(tmp_path / "a.wav", sine(20, rate, 0.1), rate, "FLOAT")
    tolerance = 0.2 if rate == 8_000 else 0.1  # the shelf is warped so near to half the sample rate
    assert measure(path).loudness_lufs == pytest.approx(-23.01, abs=tolerance)


def test_two_channels_are_three_decibels_louder(tmp_path: Path) -> None:
    # EBU Tech 3341, test 1: a stereo sine at -23 dBFS reads -23.0 LUFS.
    wave = sine(20, 48_000, 10 ** (-23 / 20), 1000.0)
    path = write(tmp_path / "a.wav", np.column_stack([wave, wave]), 48_000, "FLOAT")
    assert measure(path).loudness_lufs == pytest.approx(-23.0, abs=0.1)


def test_the_gate_leaves_pauses_out(tmp_path: Path) -> None:
    # EBU Tech 3341, test 3: 10 s at -36 dBFS, 60 s at -23, 10 s at -36 reads -23.0 LUFS.
    levels = [(10, -36), (60, -23), (10, -36)]
    wave = np.concatenate([sine(seconds, 48_000, 10 ** (level / 20), 1000.0) for seconds, level in levels])
    path = write(tmp_path / "a.wav", np.column_stack([wave, wave]), 48_000, "FLOAT")
    assert measure(path).loudness_lufs == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("rate", [22_050, 44_100])
def test_the_stream_agrees_with_pyloudnorm(tmp_path: Path, rate: int) -> None:
    from pyloudnorm import Meter

    random = np.random.default_rng(7)
    loud = np.repeat(random.uniform(0.001, 0.3, 50), rate // 2)
    noise = random.standard_normal(len(loud)) * loud
    path = write(tmp_path / "a.wav", noise, rate, "DOUBLE")
    assert measure(path).loudness_lufs == pytest.approx(Meter(rate).integrated_loudness(noise), abs=0.05)


def test_clips_are_gated_together(tmp_path: Path) -> None:
    loud = write(tmp_path / "a.wav", sine(5, 22_050, 0.5), subtype="FLOAT")
    faint = write(tmp_path / "b.wav", sine(5, 22_050, 0.01), subtype="FLOAT")
    assert measure(loud, faint).loudness_lufs == measure(loud).loudness_lufs
    assert measure(loud, loud).loudness_lufs == measure(loud).loudness_lufs


def test_peak_clipping_and_noise(tmp_path: Path) -> None:
    wave = np.full(22_050, 0.01, np.float32)
    wave[:11_025] = 0.5
    wave[100:320] = 1.0
    figures = measure(write(tmp_path / "a.wav", wave))
    assert figures.peak_dbfs == pytest.approx(0.0, abs=0.01)
    assert figures.clipping_share == pytest.approx(220 / 22_050)
    assert figures.noise_floor_dbfs == pytest.approx(-40.0, abs=0.05)


@pytest.mark.parametrize("frames", [1, 2_204, 8_819])
def test_a_sound_shorter_than_a_gating_block_has_no_loudness(tmp_path: Path, frames: int) -> None:
    figures = measure(write(tmp_path / "a.wav", np.full(frames, 0.5, np.float32)))
    assert figures.loudness_lufs is None
    assert figures.peak_dbfs == pytest.approx(-6.02, abs=0.01)


def test_digital_silence_has_finite_figures(tmp_path: Path) -> None:
    figures = measure(write(tmp_path / "a.wav", np.zeros(44_100, np.float32)))
    assert figures == Figures(2.0, SILENCE_DBFS, None, 0.0, SILENCE_DBFS)
