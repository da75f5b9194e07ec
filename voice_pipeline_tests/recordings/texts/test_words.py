from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.recordings.texts.comparison import character_error_rate, heard_words, letters, without_loops
from voice_pipeline.recordings.texts.words import read_words
from voice_pipeline.text.errors import TextError
from voice_pipeline.text.frontend import TextFrontend


@pytest.fixture(scope="module")
def english() -> TextFrontend:
    return TextFrontend.for_language("en-US")


def _shown(text: str, frontend: TextFrontend) -> list[tuple[str, str]]:
    words = read_words(text, frontend.normalise)
    return [(text[word.start : word.end], " ".join(word.spoken)) for word in words]


def test_a_written_word_is_atomic_however_it_is_spoken(english: TextFrontend) -> None:
    assert _shown("It cost $23.50.", english) == [
        ("It", "it"),
        ("cost", "cost"),
        ("$23.50.", "twenty three dollars and fifty cents"),
    ]


def test_a_word_is_read_as_in_its_sentence(english: TextFrontend) -> None:
    assert ("3,", "third") in _shown("They came on March 3, 1990, with Dr. Brown.", english)
    assert _shown("Chapter II.", english) == [("Chapter", "chapter"), ("II.", "two")]
    assert ("$23.50 million", "twenty three point five zero million dollars") in _shown(
        "Then $23.50 million came.", english
    )


def test_marks_stay_with_their_word_and_their_line(english: TextFrontend) -> None:
    text = '"Well," he said — and paused...\n\n* * *\n\n“Yes,” ( she ) said—"never".'
    assert [shown for shown, _ in _shown(text, english)] == [
        '"Well,"', "he", "said —", "and", "paused...", "“Yes,”", "( she )", "said—", '"never".'
    ]  # fmt: skip


def test_pauses_are_seen_at_marks_and_paragraphs(english: TextFrontend) -> None:
    words = read_words("One, two three\n\nfour—five six", english.normalise)
    assert [word.pause for word in words] == [True, False, True, True, False, False]


def test_scripts_that_the_frontend_cannot_read_are_read_as_written(english: TextFrontend) -> None:
    assert _shown("Здравствуй, МИР!", english) == [("Здравствуй,", "здравствуй"), ("МИР!", "мир")]
    assert _shown("今天好。", english) == [("今", "今"), ("天", "天"), ("好。", "好")]


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_words_are_slices_in_order_that_hold_every_letter(text: str) -> None:
    def strict(part: str) -> str:
        if not part.isascii():
            raise TextError("unsupported_script", "only ASCII is read here")
        return part.replace("3", "three four")

    words = read_words(text, strict)
    at = 0
    for word in words:
        assert at <= word.start < word.end <= len(text)
        assert word.spoken
        assert letters(text[at : word.start]) == ()
        at = word.end
    assert letters(text[at:]) == ()


@given(st.lists(st.sampled_from(["a", "b2", "$3", "II.", "1990", "St.", "x—y", "—", "Dr.", "May", "5", "NASA"])))
@settings(max_examples=100, deadline=None)
def test_all_that_a_text_says_is_given_to_its_words(english: TextFrontend, tokens: list[str]) -> None:
    text = " ".join(tokens)
    spoken = [word for one in read_words(text, english.normalise) for word in one.spoken]
    assert spoken == list(heard_words(text, english.normalise))


def test_letters_have_no_case_marks_or_apostrophes() -> None:
    assert letters("Don’t—STOP, it's “42”!") == ("dont", "stop", "its", "42")
    assert letters("Straße ﬁn") == ("strasse", "fin")
    assert letters("E\u0301te\u0301") == letters("Été")
    assert letters("_—!") == ()


def test_the_error_rate_counts_characters_of_the_reference() -> None:
    assert character_error_rate(("cat",), ("cat",)) == 0
    assert character_error_rate(("cut",), ("cats",)) == 0.5
    assert character_error_rate((), ("cats",)) == 1
    assert character_error_rate(("much", "more"), ("a",)) == 9
    assert character_error_rate(("cat",), ()) is None


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("sixtieth sixtieth", "sixtieth"),
        ("h three h three h", "h three"),
        ("it is late thank you thank you thank you thank", "it is late thank you"),
        ("he said no no and went", "he said no no and went"),
        ("to others eight eight", "to others eight"),
        ("one", "one"),
        ("", ""),
    ],
)
def test_a_recognisers_loops_are_taken_out(said: str, left: str) -> None:
    assert " ".join(without_loops(said.split())) == left
