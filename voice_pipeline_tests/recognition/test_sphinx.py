"""PocketSphinx hears and aligns real speech, the same each time."""

from __future__ import annotations

import sys
from importlib import metadata

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.licensing.allowlist import load_allowlist
from voice_pipeline.recognition.forced_alignment import Aligner, align_words
from voice_pipeline.recognition.recognizer import load_recognizer
from voice_pipeline.recognition.sphinx import MODEL_ID, SphinxRecognizer, model_folder
from voice_pipeline.voice import Voice
from voice_pipeline_tests.conftest import PROJECT

Samples = NDArray[np.float32]
RATE = 24_000  # Hz, of the sample speaker
TEXT = "The gardener planted three rows of beans."
WORDS = ["The", "gardener", "planted", "three", "rows", "of", "beans."]
pytestmark = pytest.mark.recordings


@pytest.fixture(scope="module")
def speech() -> Samples:
    """The sentence in the sample speaker's voice, with half a second of silence at both ends."""
    hibari = pytest.importorskip("hibari")
    quiet = np.zeros(RATE // 2, np.float32)
    return np.concatenate([quiet, hibari.Hibari()(TEXT, seed=0), quiet])


@pytest.fixture(scope="module")
def other() -> Samples:
    hibari = pytest.importorskip("hibari")
    return np.asarray(hibari.Hibari()("Nobody remembered when it had rained so long.", seed=0), np.float32)


@pytest.fixture(scope="module")
def aligner() -> Aligner:
    pytest.importorskip("pocketsphinx")
    return Aligner.load()


def voiced(samples: Samples) -> tuple[float, float]:
    """Where the sound begins and ends, in seconds."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    return float(loud[0] / RATE), float(loud[-1] / RATE)


@pytest.mark.demo
def test_it_hears_and_repeats_whatever_came_before(speech: Samples, other: Samples) -> None:
    pytest.importorskip("pocketsphinx")
    recognizer = SphinxRecognizer.load()
    first = recognizer.words(speech, RATE)
    heard = [word.text for word in first]
    assert len(set(heard) & {word.strip(".").lower() for word in WORDS}) >= 5, heard
    assert recognizer.transcribe_many([other, speech], RATE)[1] == " ".join(heard)
    assert recognizer.words(speech, RATE) == first
    times = [time for word in first for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(word.probability is not None and 0 <= word.probability <= 1 for word in first)
    assert recognizer.transcribe(np.zeros(0, np.float32), RATE) == ""
    entry = load_allowlist(PROJECT).entry(MODEL_ID)
    assert entry is not None
    assert f"sha256:{recognizer.sha256}" in entry.checksums
    assert recognizer.settings["pocketsphinx"] == metadata.version("pocketsphinx")


@pytest.mark.demo
def test_every_word_has_its_time(aligner: Aligner, speech: Samples, other: Samples) -> None:
    words = aligner.align(speech, RATE, WORDS)
    assert words is not None
    assert [word.text for word in words] == WORDS
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    begin, end = voiced(speech)
    assert abs(words[0].start - begin) < 0.1
    assert abs(words[-1].end - end) < 0.1
    lengths = {word.text: word.end - word.start for word in words}
    assert lengths["gardener"] > 2 * lengths["of"]
    aligner.align(other, RATE, ["nobody"])
    assert aligner.align(speech, RATE, WORDS) == words
    assert align_words(speech, RATE, WORDS) == words


@pytest.mark.demo
def test_a_pause_belongs_to_no_word(aligner: Aligner, speech: Samples) -> None:
    words = aligner.align(speech, RATE, WORDS)
    assert words is not None
    cut = round(words[3].end * RATE)
    longer = np.concatenate([speech[:cut], np.zeros(RATE * 4 // 10, np.float32), speech[cut:]])
    moved = aligner.align(longer, RATE, WORDS)
    assert moved is not None
    assert moved[4].start - moved[3].end > 0.3
    assert abs(moved[-1].end - words[-1].end - 0.4) < 0.05


@pytest.mark.demo
def test_unknown_words_need_a_pronunciation(aligner: Aligner, speech: Samples) -> None:
    words = ["The", "gardenur", "planted", "threerows", "of", "beans"]
    assert aligner.align(speech, RATE, words) is None
    assert aligner.align(speech, RATE, words, lambda word: ["XX"]) is None
    assert aligner.align(speech, RATE, words, lambda word: []) is None
    told = {"gardenur": "G AA1 R D AH0 N ER0", "threerows": "TH R IY R OW Z"}
    found = aligner.align(speech, RATE, words, lambda word: told[word].split())
    known = aligner.align(speech, RATE, WORDS)
    assert found is not None
    assert known is not None
    assert abs(found[1].start - known[1].start) <= 0.03
    assert abs(found[3].end - known[4].end) <= 0.03


@pytest.mark.demo
def test_words_are_found_behind_their_punctuation(aligner: Aligner, speech: Samples) -> None:
    known = aligner.align(speech, RATE, WORDS)
    written = ["“THE", "gardener,", "planted—", "(three", "rows)", "of...", "beans’"]
    found = aligner.align(speech, RATE, written)
    assert known is not None
    assert found is not None
    assert [(word.start, word.end) for word in found] == [(word.start, word.end) for word in known]
    joined = aligner.align(speech, RATE, ["the", "gardener", "planted", "three-rows", "of", "beans"])
    assert joined is not None
    assert (joined[3].start, joined[3].end) == (known[3].start, known[4].end)


@pytest.mark.parametrize("words", [[], ["the", "—"], ["the", "7"], ["straße"], ["a b"], [""], ["<sil>"], ["the(2)"]])
def test_what_cannot_be_spoken_is_not_aligned(aligner: Aligner, words: list[str]) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, RATE).astype(np.float32)
    assert aligner.align(noise, RATE, words) is None


def test_nothing_holds_no_words(aligner: Aligner) -> None:
    assert aligner.align(np.zeros(0, np.float32), RATE, ["the"]) is None
    assert aligner.align(np.zeros(480, np.float32), RATE, ["the", "gardener", "planted", "beans"]) is None


def test_it_hears_english_only() -> None:
    with pytest.raises(VoiceFailure, match="it-IT"):
        SphinxRecognizer.load(language="it-IT")


def test_a_missing_package_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    for load in (SphinxRecognizer.load, Aligner.load):
        with pytest.raises(VoiceFailure) as caught:
            load()
        assert caught.value.reason == "recognizer_unavailable"


def test_the_environment_does_not_choose_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pocketsphinx")
    monkeypatch.setenv("POCKETSPHINX_PATH", "/nowhere")
    assert model_folder().is_dir()
    assert Aligner.load().model_id == MODEL_ID


def test_the_config_chooses_it() -> None:
    pytest.importorskip("pocketsphinx")
    voice = Voice.model_validate(
        {
            "voice_profile_id": "tester",
            "display_name": "Tester",
            "source": {"path": "recordings"},
            "consent": {"speaker_type": "synthetic", "speaker": "nobody", "status": "not_applicable"},
            "recognizer": {"kind": "pocketsphinx"},
        }
    )
    assert isinstance(load_recognizer(PROJECT, voice), SphinxRecognizer)
