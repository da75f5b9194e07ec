from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from voice_pipeline.evaluation.signal import SignalFigures, mean_of, measure

RATE = 22_050  # Hz


def tone(seconds: float, level: float = 0.5) -> NDArray[np.float64]:
    return level * np.sin(2 * np.pi * 220 * np.arange(round(seconds * RATE)) / RATE)


def silence(seconds: float) -> NDArray[np.float64]:
    return np.zeros(round(seconds * RATE))


def measured(folder: Path, *parts: NDArray[np.float64]) -> SignalFigures:
    path = folder / "a.wav"
    soundfile.write(path, np.clip(np.concatenate(parts), -1, 1), RATE, subtype="PCM_16")
    return measure(path)


def test_silence_at_the_edges_and_between(tmp_path: Path) -> None:
    figures = measured(tmp_path, silence(0.2), tone(0.5), silence(0.3), tone(0.5), silence(0.5))
    assert figures.seconds == pytest.approx(2.0, abs=1e-3)
    assert figures.leading_silence == pytest.approx(0.2, abs=0.021)
    assert figures.trailing_silence == pytest.approx(0.5, abs=0.021)
    assert figures.silence_share == pytest.approx(0.5, abs=0.03)
    assert figures.clipping_share == 0.0
    assert figures.peak_dbfs == pytest.approx(-6.02, abs=0.05)


def test_nothing_but_silence(tmp_path: Path) -> None:
    for level in (0.0, 0.0005):
        figures = measured(tmp_path, tone(1.0, level))
        assert figures.silence_share == 1.0
        assert figures.leading_silence == figures.trailing_silence == pytest.approx(1.0, abs=0.021)


def test_a_quiet_recording_is_not_silent(tmp_path: Path) -> None:
    assert measured(tmp_path, tone(1.0, 0.01)).silence_share == 0.0


def test_clipping(tmp_path: Path) -> None:
    assert measured(tmp_path, tone(1.0, 4.0)).clipping_share > 0.5
    assert measured(tmp_path, tone(1.0, 0.99)).clipping_share == 0.0


def test_very_short_audio(tmp_path: Path) -> None:
    figures = measured(tmp_path, tone(0.005))
    assert (figures.silence_share, figures.loudness_lufs) == (1.0, None)


def test_many_files_weigh_by_their_length(tmp_path: Path) -> None:
    figures = [measured(tmp_path, tone(3.0)), measured(tmp_path, silence(1.0))]
    mean = mean_of(figures)
    assert mean["silence_share"] == pytest.approx(0.25, abs=0.01)
    assert mean["edge_silence_seconds"] == pytest.approx(1.0, abs=0.021)
    assert mean_of([])["silence_share"] == 0.0
