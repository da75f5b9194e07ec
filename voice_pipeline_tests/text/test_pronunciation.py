"""The lexicon, and what is said for words that it does not hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.failures import ConfigError
from voice_pipeline.text.arpabet import arpabet
from voice_pipeline.text.english import resources
from voice_pipeline.text.english.dates_times import MONTHS
from voice_pipeline.text.english.numbers import cardinal, ordinal
from voice_pipeline.text.english.pronunciation import EnglishPronunciation
from voice_pipeline.text.english.vocabulary import (
    ABBREVIATIONS,
    BEFORE_NUMBER,
    CALENDAR,
    CURRENCIES,
    CURRENCY_CODES,
    SCALES,
    TITLES,
    UNITS,
)
from voice_pipeline.text.grapheme_to_phoneme import GraphemeToPhoneme
from voice_pipeline.text.lexicon import Lexicon, lexicon_bytes
from voice_pipeline.text.symbols import PHONES

WORDS = st.from_regex(r"[a-z]([a-z']{0,8}[a-z])?", fullmatch=True)
PHONE_LISTS = st.lists(st.sampled_from(sorted(PHONES)), min_size=1, max_size=8).map(tuple)


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon(resources.lexicon())


@pytest.fixture(scope="module")
def pronounce(lexicon: Lexicon) -> EnglishPronunciation:
    return EnglishPronunciation(lexicon, GraphemeToPhoneme(resources.g2p_model()))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(WORDS, PHONE_LISTS, max_size=30), WORDS)
def test_a_lexicon_holds_what_was_put_in(entries: dict[str, tuple[str, ...]], other: str) -> None:
    lexicon = Lexicon(lexicon_bytes(entries))
    assert dict(lexicon) == entries
    assert list(lexicon) == sorted(entries)
    assert len(lexicon) == len(entries)
    assert (other in lexicon) == (other in entries)
    assert lexicon_bytes(dict(reversed(entries.items()))) == lexicon.data


def test_a_lexicon_is_read_from_its_file(lexicon: Lexicon, tmp_path: Path) -> None:
    path = tmp_path / "lexicon.tsv"
    path.write_bytes(lexicon.data)
    opened = Lexicon.open(path)
    for word in ("a", "hello", "zyuganov's", "aaberg"):
        assert opened[word] == lexicon[word]
    for word in ("", "zzzz", "hellp", "é", "hello\t", "hello\n"):
        assert word not in opened
    with pytest.raises(ConfigError, match=r"no\.tsv"):
        Lexicon.open(tmp_path / "no.tsv")


def test_ipa_becomes_arpabet() -> None:
    assert arpabet(["t͡ʃ", "ˈæ", "l", "ə", "n", "d͡ʒ", "ɚ"]) == ("CH", "AE1", "L", "AH0", "N", "JH", "ER0")
    with pytest.raises(KeyError):
        arpabet(["y"])


def test_one_pronunciation_a_word_and_the_exceptions(lexicon: Lexicon) -> None:
    assert lexicon["the"] == ("DH", "AH0")
    assert lexicon["ay"] == ("EY1",)
    assert lexicon["kilometers"][0] == "K"
    assert len(lexicon) > 124_000
    assert all(PHONES.issuperset(lexicon[word]) for word in list(lexicon)[::500])


def test_no_word_that_we_write_is_guessed(lexicon: Lexicon) -> None:
    guessed: list[str] = []

    def guess(word: str) -> tuple[str, ...]:
        guessed.append(word)
        return ("AH0",)

    pronounce = EnglishPronunciation(lexicon, guess)
    tables = [TITLES, BEFORE_NUMBER, ABBREVIATIONS, CALENDAR, SCALES]
    texts = [text for table in tables for text in table.values()]
    texts += [name for names in (*UNITS.values(), *CURRENCY_CODES.values()) for name in names]
    texts += [name for currency in CURRENCIES.values() for name in currency]
    texts += [cardinal(number) for number in (*range(101), 1_000, 10**6, 10**9, 10**12)]
    texts += [*MONTHS, *(ordinal(number) for number in (*range(101), 1_000, 10**6))]
    texts += ["o'clock minus plus point percent degrees celsius fahrenheit kelvin equals squared cubed times divided"]
    for text in texts:
        for word in text.split():
            pronounce(word)
    assert guessed == []


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("rebooted", "R IY0 B UW1 T IH0 D"),  # an ending on a known stem
        ("podcasts", "P AA1 D K AE2 S T S"),
        ("tweeting", "T W IY1 T IH0 NG"),
        ("gigawatts", "G IH1 G AH0 W AA2 T S"),
        ("unfollowed", "AH0 N F AA1 L OW0 D"),
        ("smartwatches", "S M AA1 R T W AO2 CH IH0 Z"),  # two known words
        ("unfollowers", "AH0 N F AA1 L OW0 ER0 Z"),
        ("vlogs", "V L AA1 G Z"),
        ("kubernetes's", "K Y UW1 B ER0 N IH0 T IH0 S IH0 Z"),
        ("podcast's", "P AA1 D K AE2 S T S"),
        ("somebody'll", "S AH1 M B AA2 D IY0 AH0 L"),
        ("zxcvb", "Z IY1 EH1 K S S IY1 V IY1 B IY1"),  # no vowel: spelled
    ],
)
def test_words_out_of_the_lexicon(pronounce: EnglishPronunciation, lexicon: Lexicon, word: str, phones: str) -> None:
    assert word not in lexicon
    assert " ".join(pronounce(word)) == phones


@settings(max_examples=300, deadline=None)
@given(st.from_regex(r"[a-z]([a-z']{0,20}[a-z])?", fullmatch=True))
def test_every_word_is_said_with_known_phones(pronounce: EnglishPronunciation, word: str) -> None:
    phones = pronounce(word)
    assert phones
    assert PHONES.issuperset(phones)
    assert pronounce(word) == phones


def test_a_very_long_word_is_said(pronounce: EnglishPronunciation) -> None:
    assert len(pronounce("ba" * 5_000)) >= 5_000
    assert pronounce("b'" * 5_000 + "b")


def test_the_model_knows_what_it_was_trained_on(lexicon: Lexicon) -> None:
    """A floor under the guesses: 82 % of the phones with their stress, measured on 4,000 words."""
    guess = GraphemeToPhoneme(resources.g2p_model())
    words = [word for word in lexicon if "'" not in word][::400]
    right = sum(guess(word) == lexicon[word] for word in words)
    assert right / len(words) > 0.30
    assert guess("blogger") == ("B", "L", "AA1", "G", "ER0")


def test_another_release_of_the_lexicon_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "gruut_lang_en"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "lexicon.db").write_bytes(b"another release")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=r"pip install gruut-lang-en==2\.0\.1"):
        resources.lexicon()
