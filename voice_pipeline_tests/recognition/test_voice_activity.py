"""Silero's detector without torch: the published model's own answers, the same every time."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition import voice_activity
from voice_pipeline.recognition.voice_activity import MODEL_ID, VoiceActivity
from voice_pipeline.store import sha256_file

pytestmark = pytest.mark.recordings


@pytest.fixture(scope="module")
def detector() -> VoiceActivity:
    if not any(one.metadata["Name"] == voice_activity.DISTRIBUTION for one in metadata.distributions()):
        pytest.skip("voice activity needs the recordings extra")
    return VoiceActivity.load()


def sound(seconds: float) -> np.ndarray:
    """Bursts of a buzz with formants: something that the detector answers with more than one number."""
    chance = np.random.default_rng(3)
    count = round(seconds * 16_000)
    time = np.arange(count) / 16_000
    pitch = 120 + 20 * np.sin(2 * np.pi * 2.1 * time)
    buzz = sum(np.sin(2 * np.pi * np.cumsum(pitch) / 16_000 * k) / k for k in range(1, 25))
    return (0.1 * buzz * (np.sin(2 * np.pi * 1.7 * time) > 0) + chance.normal(0, 0.003, count)).astype(np.float32)


def window_by_window(samples: np.ndarray) -> np.ndarray:
    """The published way: one window a call, with the 64 samples before it, the state handed on."""
    silence = 64  # windows
    samples = np.concatenate([np.zeros(silence * 512, np.float32), samples])
    import onnxruntime

    folder = Path(str(metadata.distribution("silero-vad").locate_file("silero_vad/data")))
    session = onnxruntime.InferenceSession(folder / "silero_vad_16k_op15.onnx", providers=["CPUExecutionProvider"])
    state, context, found = np.zeros((2, 1, 128), np.float32), np.zeros((1, 64), np.float32), list[float]()
    for first in range(0, len(samples) - 511, 512):
        window = np.concatenate([context, samples[np.newaxis, first : first + 512]], axis=1)
        answer: Any
        answer, state = session.run(None, {"input": window, "state": state, "sr": np.array(16_000, np.int64)})
        found.append(answer[0, 0])
        context = window[:, -64:]
    return np.array(found[silence:], np.float32)


def test_it_answers_as_the_published_model_does(detector: VoiceActivity) -> None:
    samples = sound(512 * 300 / 16_000)
    expected = window_by_window(samples)
    assert expected.max() > 0.3 > 0.01 > expected.min()
    np.testing.assert_allclose(detector.probabilities(samples), expected, atol=1e-5)


@pytest.mark.parametrize("count, windows", [(0, 0), (1, 1), (511, 1), (512, 1), (513, 2), (512 * 129, 129)])
def test_a_probability_for_every_window(detector: VoiceActivity, count: int, windows: int) -> None:
    found = detector.probabilities(sound(5)[:count])
    assert found.shape == (windows,)
    assert found.dtype == np.float32
    assert ((found >= 0) & (found <= 1)).all()


def test_a_prefix_is_answered_alike(detector: VoiceActivity) -> None:
    samples = sound(12)
    assert (detector.probabilities(samples[: 512 * 150]) == detector.probabilities(samples)[:150]).all()


def test_nothing_is_remembered(detector: VoiceActivity) -> None:
    first = detector.probabilities(sound(3))
    detector.probabilities(np.ones(20_000, np.float32))
    assert (detector.probabilities(sound(3)) == first).all()


def test_silence_is_no_speech(detector: VoiceActivity) -> None:
    assert detector.probabilities(np.zeros(16_000, np.float32)).max() < 0.2


def test_it_says_what_it_is(detector: VoiceActivity) -> None:
    path = Path(str(metadata.distribution("silero-vad").locate_file(voice_activity.WEIGHTS)))
    assert (detector.model_id, detector.sha256) == (MODEL_ID, sha256_file(path))
    assert len(detector.identity) == 64
    assert detector.identity == VoiceActivity.load().identity


def test_without_the_package_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_activity, "DISTRIBUTION", "no-such-distribution")
    with pytest.raises(VoiceFailure) as failure:
        VoiceActivity.load(voice="v")
    assert failure.value.reason == "voice_activity_unavailable"
    assert failure.value.voice == "v"
    assert "silero-vad/16k" in failure.value.detail


def test_a_broken_model_is_unavailable(
    detector: VoiceActivity, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model" * 100)
    monkeypatch.setattr(voice_activity, "WEIGHTS", str(broken))
    with pytest.raises(VoiceFailure) as failure:
        VoiceActivity.load()
    assert failure.value.reason == "voice_activity_unavailable"


def test_torch_is_not_imported(detector: VoiceActivity) -> None:
    code = (
        "from voice_pipeline.recognition.voice_activity import VoiceActivity; VoiceActivity.load(); "
        "import sys; print([name for name in ('torch', 'silero_vad') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
