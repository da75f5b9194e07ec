"""The evaluation of voices that are not English: who listens, and what they are asked to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from voice_pipeline.evaluation.run import judge_of, sentences_of, test_sentences
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.manifest import DatasetRecord
from voice_pipeline.store import Store
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.voice import Voice
from voice_pipeline_tests.ready_voice import CONFIG

test_sentences.__test__ = False  # type: ignore[attr-defined]  # a function of the package, not a test


@pytest.mark.parametrize("recognizer", [None, {"kind": "none"}])
@pytest.mark.parametrize("language", ["it-IT", "es-MX", "fr-CA"])
def test_without_a_recogniser_of_the_language_nobody_judges(
    language: str, recognizer: dict[str, str] | None, tmp_path: Path
) -> None:
    voice = Voice.model_validate({**CONFIG, "language": language, "recognizer": recognizer})
    with pytest.raises(VoiceFailure, match=f"speaks {language}") as caught:
        judge_of(tmp_path, voice)
    assert caught.value.reason == "recognizer_unavailable"


@pytest.mark.parametrize("language", ["it-IT", "es-MX", "fr-CA", "en-US"])
def test_sentences_to_say_are_in_the_language(language: str) -> None:
    frontend = TextFrontend.for_language(language)
    sentences = test_sentences(language)
    assert len(sentences) >= 12
    assert len({sentence.text for sentence in sentences}) == len(sentences)
    for sentence in sentences:
        said = frontend.normalise(sentence.text)
        assert 25 <= len(said) <= 90
        lost = {letter for letter in sentence.text.lower() if letter.isalpha()} - set(said)
        assert not lost, sentence.text  # no accent was folded away
    assert {one.sentence_id for one in sentences} >= {"001", "012"}


def test_with_neither_validation_nor_own_sentences_there_is_nothing_to_judge(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "manifest.json").write_text('{"entries": [{"split": "train"}]}')
    dataset = DatasetRecord.model_construct(manifest="manifest.json")
    assert test_sentences("de-DE") == ()
    with pytest.raises(VoiceFailure, match="de-DE") as caught:
        sentences_of(store, "ada", dataset, "de-DE")
    assert caught.value.reason == "empty_dataset"
    assert sentences_of(store, "ada", dataset, "it-IT") == list(test_sentences("it-IT"))
