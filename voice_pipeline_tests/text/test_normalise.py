"""What is said for what is written: the golden table, and what holds for any text."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.text.errors import TEXT_ERROR_CODES, TextError
from voice_pipeline.text.frontend import MAX_TEXT_CHARS, TextFrontend
from voice_pipeline.text.symbols import SYMBOL_TABLE

CASES = Path(__file__).with_name("normalisation_cases.txt")
SPOKEN = re.compile(r"[a-z]+(?:'[a-z]+)*(?:[,.;:!?]? [a-z]+(?:'[a-z]+)*)*[,.;:!?]?")


def cases() -> Iterator[tuple[str, str]]:
    for line in CASES.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("# "):
            written, _, said = line.partition(" => ")
            yield written, said


@pytest.mark.parametrize(("written", "said"), list(cases()))
def test_golden(frontend: TextFrontend, written: str, said: str) -> None:
    assert frontend.normalise(written) == said


def test_the_golden_table_is_whole() -> None:
    table = list(cases())
    assert len(table) > 150
    assert len({written for written, _ in table}) == len(table)


def test_golden_sentences_are_fixed_points(frontend: TextFrontend) -> None:
    assert [said for _, said in cases() if frontend.normalise(said) != said] == []


# Fragments that the rules look for, in any order: closer to the rules' borders than random characters.
FRAGMENTS = [fragment for written, _ in cases() for fragment in written.split()]
TEXTS = st.one_of(
    st.text(max_size=40),
    st.text("aAbBIVXstST019 .,:;-'\"/$%°&@#()^+=<>~*–—…éßπ½€£¥\n\u200b😀", max_size=25),
    st.lists(st.sampled_from(FRAGMENTS), max_size=6).map(" ".join),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=3)), max_size=6).map("".join),
)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_any_text_is_read_or_refused_with_a_known_code(frontend: TextFrontend, text: str) -> None:
    try:
        said = frontend.normalise(text)
    except TextError as error:
        assert error.code in TEXT_ERROR_CODES
        return
    assert SPOKEN.fullmatch(said)
    assert frontend.normalise(said) == said
    ids = frontend.encode(text)
    assert ids == frontend.encode(said)
    assert all(0 <= number < len(SYMBOL_TABLE) for number in ids)
    assert len(ids) > 2


@pytest.mark.parametrize("text", ["", "   \n\t", "...", "😀", "—", "'\"", "\u200b\u00ad"])
def test_nothing_to_say(frontend: TextFrontend, text: str) -> None:
    with pytest.raises(TextError, match="nothing to say") as caught:
        frontend.encode(text)
    assert caught.value.code == "empty_text"


@pytest.mark.parametrize(
    ("text", "script", "character"),
    [("Привет", "Cyrillic", "П"), ("say 你好", "Cjk", "你"), ("שלום", "Hebrew", "ש"), ("สวัสดี", "Thai", "ส")],
)
def test_other_scripts_are_named(frontend: TextFrontend, text: str, script: str, character: str) -> None:
    with pytest.raises(TextError) as caught:
        frontend.normalise(text)
    assert caught.value.code == "unsupported_script"
    assert script in str(caught.value)
    assert character in str(caught.value)


def test_a_text_has_a_greatest_length(frontend: TextFrontend) -> None:
    frontend.normalise("word " * (MAX_TEXT_CHARS // 5))
    for read in (frontend.normalise, frontend.encode, frontend.split_sentences):
        with pytest.raises(TextError) as caught:
            read("a" * (MAX_TEXT_CHARS + 1))
        assert caught.value.code == "text_too_long"


HOSTILE = [
    "1,",
    "1,111",
    "1.1.",
    "1-1-",
    "a.",
    "a@",
    "a-",
    "A.",
    "'",
    '1" ',
    "$1",
    "½",
    "1%",
    "1 1/2 ",
    "www.a",
    "10:10 ",
]
HOSTILE += [
    "Jan. 1 ",
    "1990-",
    "St. ",
    "Dr. ",
    "No. ",
    "...",
    "(111) ",
    "1 km/",
    "+1 ",
    "IV ",
    "\n\n",
    "e\u0301",
    "^2",
    "<1",
]


@pytest.mark.parametrize("fragment", HOSTILE)
def test_time_grows_with_length_only(frontend: TextFrontend, fragment: str) -> None:
    """Four times the text may take 4 times as long, not 16 times; the floor keeps noise out of short times."""
    seconds = []
    for length in (MAX_TEXT_CHARS // 8, MAX_TEXT_CHARS // 2):
        text = (fragment * length)[:length]
        best = float("inf")
        for _ in range(2):
            start = time.process_time()
            with contextlib.suppress(TextError):
                frontend.normalise(text)
            best = min(best, time.process_time() - start)
        seconds.append(best)
    assert seconds[1] < 9 * max(seconds[0], 0.02), seconds
