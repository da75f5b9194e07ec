from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voice_pipeline.training import mel
from voice_pipeline.training.mel import log_mel, mel_filters
from voice_pipeline.training.recipe import AudioSettings
from voice_pipeline_tests.training.conftest import Zygote, speech_like

AUDIO = AudioSettings.model_validate({})


@pytest.mark.parametrize("samples", [0, 1, 255, 256, 257, 1024, 22050])
def test_there_is_one_frame_for_each_whole_hop(samples: int) -> None:
    assert log_mel(np.zeros(samples, dtype=np.float32), AUDIO).shape == (80, samples // 256)


def test_silence_lies_on_the_floor() -> None:
    assert np.allclose(log_mel(np.zeros(2560, dtype=np.float32), AUDIO), np.log(mel.LOG_FLOOR))


def test_blocks_do_not_change_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = speech_like(3, 1.0)
    whole = log_mel(samples, AUDIO)
    monkeypatch.setattr(mel, "_BLOCK", 7)
    assert np.allclose(log_mel(samples, AUDIO), whole, atol=1e-5)


def test_the_filters_are_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    expected = librosa.filters.mel(sr=22050, n_fft=1024, n_mels=80, fmin=0, fmax=8000)
    assert np.allclose(mel_filters(AUDIO), expected, atol=1e-6)


@pytest.mark.nemo
@pytest.mark.slow
def test_numbers_are_nemos(zygote: Zygote, tmp_path: Path) -> None:
    """The spectrogram, the aligner's distance, the monotonic path and the prior, each against NeMo's own."""
    code = """
import numpy as np, torch
from nemo.collections.asr.modules.audio_preprocessing import AudioToMelSpectrogramPreprocessor
from voice_pipeline.training.mel import log_mel
from voice_pipeline.training.nemo.alignment import monotonic_path, squared_distance
from voice_pipeline.training.nemo.batches import alignment_prior
from voice_pipeline.training.nemo.models import mel_preprocessor
from voice_pipeline.training.recipe import AudioSettings
from voice_pipeline_tests.training.conftest import Zygote, speech_like

audio = AudioSettings.model_validate({})
settings = {k: v for k, v in mel_preprocessor(audio).items() if k != "_target_"}
stock = AudioToMelSpectrogramPreprocessor(**settings).eval()
samples = speech_like(1, 1.5)[:33000]
mel, length = stock(input_signal=torch.from_numpy(samples)[None], length=torch.tensor([len(samples)]))
ours = log_mel(samples, audio)
assert ours.shape[1] == int(length), (ours.shape, length)
assert np.abs(mel[0, :, : int(length)].numpy() - ours).max() < 1e-3

from nemo.collections.tts.modules.aligner import AlignmentEncoder
torch.manual_seed(0)
q, k = torch.randn(2, 80, 90), torch.randn(2, 80, 17)
assert (AlignmentEncoder.get_euclidean_dist(q, k) - squared_distance(q, k)).abs().max() < 5e-4

from nemo.collections.tts.parts.utils.helpers import mas_width1
random = np.random.default_rng(0)
attention = np.log(random.random((3, 40, 12)).astype(np.float32))
texts, mels = np.array([12, 7, 1]), np.array([40, 22, 9])
ours = monotonic_path(attention, texts, mels)
for row in range(2):
    stock_path = mas_width1.py_func(attention[row, : mels[row], : texts[row]])
    assert (ours[row, : mels[row], : texts[row]] == stock_path).all()
    assert ours[row].sum() == mels[row]
assert ours[2, :9, 0].sum() == 9 and ours[2].sum() == 9

from nemo.collections.tts.parts.utils.tts_dataset_utils import beta_binomial_prior_distribution
assert np.abs(beta_binomial_prior_distribution(23, 110) - alignment_prior(23, 110)).max() < 1e-4
print("equal", flush=True)
"""
    assert zygote.execute(code, tmp_path).endswith("equal\n")
