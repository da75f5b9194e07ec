"""The recogniser hears real speech, and nothing else."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_pipeline.evaluation.intelligibility import comparable, count_errors, total
from voice_pipeline.evaluation.run import test_sentences as own_sentences
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.licensing.allowlist import load_allowlist
from voice_pipeline.recognition.whisper import MODEL_ID, WhisperRecognizer
from voice_pipeline.text.frontend import TextFrontend

PROJECT = Path(__file__).parents[2]
RATE = 24_000  # Hz, of the sample speaker
Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def recognizer() -> WhisperRecognizer:
    pytest.importorskip("faster_whisper")
    try:
        return WhisperRecognizer.load()
    except VoiceFailure as failure:
        pytest.skip(str(failure))


@pytest.fixture(scope="module")
def frontend() -> TextFrontend:
    return TextFrontend.for_language("en-US")


@pytest.fixture(scope="module")
def spoken() -> dict[str, Samples]:
    """Two test sentences in the sample speaker's voice."""
    hibari = pytest.importorskip("hibari")
    engine = hibari.Hibari()
    return {one.text: engine(one.text, seed=0) for one in own_sentences()[15:17]}


def rate(recognizer: WhisperRecognizer, frontend: TextFrontend, pairs: dict[str, Samples]) -> float:
    return total(
        count_errors(
            comparable(text, frontend.normalise), comparable(recognizer.transcribe(audio, RATE), frontend.normalise)
        )
        for text, audio in pairs.items()
    ).wer


def shuffled(samples: Samples) -> Samples:
    """The same sound in pieces of 150 ms, in another order."""
    pieces = np.array_split(samples, max(1, len(samples) // (RATE * 15 // 100)))
    order = np.random.default_rng(0).permutation(len(pieces))
    return np.concatenate([pieces[index] for index in order])


@pytest.mark.evaluation
@pytest.mark.demo
def test_clear_speech_is_understood_and_the_answer_repeats(
    recognizer: WhisperRecognizer, frontend: TextFrontend, spoken: dict[str, Samples]
) -> None:
    assert rate(recognizer, frontend, spoken) <= 0.08
    text, audio = next(iter(spoken.items()))
    assert recognizer.transcribe(audio, RATE) == recognizer.transcribe(audio, RATE), text


@pytest.mark.evaluation
@pytest.mark.demo
@pytest.mark.parametrize("spoil", ["silence", "noise", "shuffled", "other sentences"])
def test_what_is_not_that_speech_is_not_understood(
    recognizer: WhisperRecognizer, frontend: TextFrontend, spoken: dict[str, Samples], spoil: str
) -> None:
    generator = np.random.default_rng(0)
    audio = list(spoken.values())
    changed = {
        "silence": [np.zeros_like(one) for one in audio],
        "noise": [generator.normal(0, 0.1, len(one)).astype(np.float32) for one in audio],
        "shuffled": [shuffled(one) for one in audio],
        "other sentences": audio[1:] + audio[:1],
    }[spoil]
    assert rate(recognizer, frontend, dict(zip(spoken, changed, strict=True))) >= 0.7


@pytest.mark.evaluation
def test_nothing_at_all_is_heard_as_nothing(recognizer: WhisperRecognizer) -> None:
    assert recognizer.transcribe(np.zeros(0, np.float32), RATE) == ""


@pytest.mark.evaluation
def test_it_is_the_model_that_the_allowlist_knows(recognizer: WhisperRecognizer) -> None:
    entry = load_allowlist(PROJECT).entry(MODEL_ID)
    assert entry is not None
    assert f"sha256:{recognizer.sha256}" in entry.checksums
    assert recognizer.model_id == MODEL_ID


def test_a_missing_judge_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)  # what an import of a package that is not there does
    with pytest.raises(VoiceFailure) as caught:
        WhisperRecognizer.load(voice="tester")
    assert (caught.value.reason, caught.value.exit_code) == ("recognizer_unavailable", 2)


def test_missing_weights_block(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    with pytest.raises(VoiceFailure, match="recognizer_unavailable"):
        WhisperRecognizer.load()


def test_it_hears_english_only() -> None:
    with pytest.raises(VoiceFailure, match="de-DE"):
        WhisperRecognizer.load(language="de-DE")
