"""Speaker embeddings are those of the published model, and tell speakers apart."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition import speaker
from voice_pipeline.recognition.speaker import SAMPLE_RATE, SpeakerEncoder, window_starts

Samples = NDArray[np.float32]
pytestmark = pytest.mark.recordings


@pytest.fixture(scope="module")
def encoder() -> SpeakerEncoder:
    try:
        return SpeakerEncoder.load(max_windows=None)
    except VoiceFailure as failure:
        pytest.skip(str(failure))


def voiced(seconds: float, seed: int = 0, pitch: float = 110.0) -> Samples:
    """Something like a vowel that wanders, with a little noise."""
    generator = np.random.default_rng(seed)
    count = round(seconds * SAMPLE_RATE)
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(np.arange(count) / 5000))) / SAMPLE_RATE
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    return np.asarray(0.05 * tone + 0.003 * generator.normal(size=count), np.float32)


@pytest.fixture(scope="module")
def published() -> Callable[[Samples], NDArray[np.float32]]:
    """Resemblyzer's embed_utterance(normalize_volume(wav)), written with the libraries that it uses."""
    librosa = pytest.importorskip("librosa")
    torch = pytest.importorskip("torch")
    path = metadata.distribution(speaker.DISTRIBUTION).locate_file(speaker.WEIGHTS)
    state = torch.load(str(path), map_location="cpu", weights_only=True)["model_state"]
    lstm = torch.nn.LSTM(40, 256, 3, batch_first=True)
    lstm.load_state_dict({name[5:]: value for name, value in state.items() if name.startswith("lstm.")})

    def embed(samples: Samples) -> NDArray[np.float32]:
        level = 20 * np.log10(np.sqrt(np.mean((samples * 32767) ** 2)) / 32767)
        audio = samples * 10 ** (max(0, -30 - level) / 20)
        starts = window_starts(len(audio), None)
        audio = np.pad(audio, (0, max(0, (starts[-1] + 160) * 160 - len(audio))))
        mel = librosa.feature.melspectrogram(y=audio, sr=16_000, n_fft=400, hop_length=160, n_mels=40).T
        windows = torch.from_numpy(np.array([mel[start : start + 160] for start in starts], np.float32))
        with torch.no_grad():
            hidden = lstm(windows)[1][0][-1]
            raw = torch.relu(hidden @ state["linear.weight"].T + state["linear.bias"])
            found = (raw / raw.norm(dim=1, keepdim=True)).mean(dim=0).numpy()
        return np.asarray(found / np.linalg.norm(found), np.float32)

    return embed


@pytest.mark.parametrize(("seconds", "gain"), [(0.4, 1.0), (1.6, 0.01), (2.5, 1.0), (7.3, 0.01)])
def test_it_is_the_published_model(
    encoder: SpeakerEncoder, published: Callable[[Samples], NDArray[np.float32]], seconds: float, gain: float
) -> None:
    samples = voiced(seconds) * np.float32(gain)
    np.testing.assert_allclose(encoder.embed(samples, SAMPLE_RATE), published(samples), atol=1e-4)


def test_it_repeats_and_company_changes_nothing(encoder: SpeakerEncoder) -> None:
    clips = [voiced(1.0, 1), voiced(9.0, 2), voiced(3.0, 3)]
    many = encoder.embed_many(clips, SAMPLE_RATE)
    assert many.dtype == np.float32
    assert many.shape == (3, speaker.SIZE)
    for row, clip in zip(many, clips, strict=True):
        np.testing.assert_array_equal(row, encoder.embed(clip, SAMPLE_RATE))
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1.0, atol=1e-5)
    assert encoder.embed_many([], SAMPLE_RATE).shape == (0, speaker.SIZE)


def test_silence_has_an_embedding_and_nothing_has_none(encoder: SpeakerEncoder) -> None:
    assert np.isfinite(encoder.embed(np.zeros(16_000, np.float32), SAMPLE_RATE)).all()
    for bad in (np.zeros(0, np.float32), np.array([0.1, np.nan], np.float32)):
        with pytest.raises(ValueError, match="finite"):
            encoder.embed(bad, SAMPLE_RATE)


def test_fewer_windows_stay_close(encoder: SpeakerEncoder) -> None:
    few, clip = SpeakerEncoder.load(), voiced(12.0)
    assert len(window_starts(len(clip), None)) > speaker.MAX_WINDOWS
    assert float(few.embed(clip, SAMPLE_RATE) @ encoder.embed(clip, SAMPLE_RATE)) > 0.9


@given(st.integers(1, 60 * SAMPLE_RATE), st.integers(1, 8))
def test_windows_cover_the_utterance(samples: int, most: int) -> None:
    every, some = window_starts(samples, None), window_starts(samples, most)
    assert every[0] == 0
    assert set(np.diff(every)) <= {77}
    assert (every[-1] + 160) * 160 >= samples - 0.75 * 160 * 160 - 77 * 160
    assert set(some) <= set(every)
    assert len(some) == min(most, len(every)) == len(set(some))


def test_people_are_told_apart(encoder: SpeakerEncoder, shared_data: Path) -> None:
    soundfile, hibari = pytest.importorskip("soundfile"), pytest.importorskip("hibari")
    clips = []
    for path in sorted((shared_data / "ljspeech_32").glob("*.flac"))[:6]:
        samples, rate = soundfile.read(path, dtype="float32")
        clips.append(encoder.embed(samples, rate))
    centroid = np.mean(clips, axis=0)
    centroid /= np.linalg.norm(centroid)
    other = encoder.embed(hibari.Hibari()("The gardener planted three rows of beans.", seed=0), 24_000)
    assert min(float(clip @ centroid) for clip in clips) > 0.85
    assert float(other @ centroid) < 0.75


@pytest.mark.demo
def test_made_voices_are_told_apart(encoder: SpeakerEncoder) -> None:
    hibari = pytest.importorskip("hibari")
    engine = hibari.Hibari()
    one, two = (engine(text, seed=0) for text in ("The gardener planted beans.", "Nobody had seen the river so high."))
    # The same sound a fourth lower: another throat.
    lower = encoder.embed(two, 18_000)
    same = float(encoder.embed(one, 24_000) @ encoder.embed(two, 24_000))
    assert same > 0.8
    assert float(encoder.embed(one, 24_000) @ lower) < same - 0.1


def test_a_missing_package_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    with pytest.raises(VoiceFailure, match="not installed") as caught:
        SpeakerEncoder.load()
    assert (caught.value.reason, caught.value.exit_code) == ("speaker_encoder_unavailable", 2)


def test_a_missing_runtime_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(VoiceFailure, match="speaker_encoder_unavailable"):
        SpeakerEncoder.load()


def test_damaged_weights_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pretrained.pt").write_bytes(b"not weights")

    class Damaged:
        def locate_file(self, _path: str) -> Path:
            return tmp_path / "pretrained.pt"

    def damaged(_name: str) -> Any:
        return Damaged()

    monkeypatch.setattr(metadata, "distribution", damaged)
    with pytest.raises(VoiceFailure, match="speaker_encoder_unavailable"):
        SpeakerEncoder.load()
