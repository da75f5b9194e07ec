from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.evaluation.intelligibility import ErrorCount, comparable, count_errors, total
from voice_pipeline.text.frontend import TextFrontend

words = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat"]), min_size=1, max_size=8)


@cache
def loaded() -> TextFrontend:
    return TextFrontend.for_language("en-US")


@pytest.fixture
def frontend() -> TextFrontend:
    return loaded()


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("it cost twenty three dollars and fifty cents.", "It cost $23.50."),
        ("Dr. Smith, at 8 o'clock!", "doctor smith at eight o\u2019clock"),
        ("twenty-one boats", "21 boats"),
        ("Why did you leave?", "why did you leave"),
    ],
)
def test_two_spellings_of_the_same_words_are_no_error(frontend: TextFrontend, said: str, heard: str) -> None:
    count = count_errors(comparable(said, frontend.normalise), comparable(heard, frontend.normalise))
    assert (count.word_errors, count.character_errors) == (0, 0)


def test_what_the_normaliser_cannot_read_is_compared_as_written(frontend: TextFrontend) -> None:
    assert comparable("", frontend.normalise) == ()
    assert comparable("...", frontend.normalise) == ()
    assert comparable("Привет, мир", frontend.normalise) == ("привет", "мир")


def test_errors_of_a_known_sentence() -> None:
    said = ["the", "cat", "sat", "on", "the", "mat"]
    assert count_errors(said, said) == ErrorCount(6, 0, 22, 0)
    assert count_errors(said, ["the", "cat", "sat", "the", "mat"]).word_errors == 1  # deleted
    assert count_errors(said, ["the", "cat", "sat", "up", "on", "the", "mat"]).word_errors == 1  # inserted
    assert count_errors(said, ["the", "dog", "sat", "on", "the", "mat"]) == ErrorCount(6, 1, 22, 3)  # substituted
    assert count_errors(said, []).wer == 1.0
    assert count_errors(["no"], ["no"] * 5).wer == 4.0
    with pytest.raises(ValueError, match="no words"):
        count_errors([], ["a"])


def test_a_corpus_weighs_words_not_sentences() -> None:
    assert total([ErrorCount(1, 1, 1, 1), ErrorCount(9, 0, 40, 0)]).wer == 0.1


@given(words, words, words)
def test_word_errors_are_a_distance(one: list[str], two: list[str], three: list[str]) -> None:
    def distance(a: list[str], b: list[str]) -> int:
        return count_errors(a, b).word_errors

    assert distance(one, one) == 0
    assert distance(one, two) == distance(two, one)
    assert distance(one, three) <= distance(one, two) + distance(two, three)


@settings(deadline=None)  # the first call loads the lexicon
@given(st.text(max_size=60))
def test_any_text_can_be_compared(text: str) -> None:
    for word in comparable(text, loaded().normalise):
        assert word == word.lower()
        assert word.strip("'.,!?") == word
