"""Written English to the words that are said.

    EnglishNormaliser(is_word)("It cost $23.50 in 1990.")
    # "it cost twenty three dollars and fifty cents in nineteen ninety."

The result holds a-z, apostrophes inside words, single spaces and , . ; : ! ? only, which is what the lexicon and the
symbols cover, and normalising it again changes nothing. Each class of signs has its own module of rules; this one
sets their order: what is longest and most specific is read first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, cached_property

from voice_pipeline.text.characters import clean
from voice_pipeline.text.english import abbreviations, dates_times, number_words, quantities, roman, web
from voice_pipeline.text.english.letters import Capitals
from voice_pipeline.text.english.vocabulary import CURRENCIES
from voice_pipeline.text.errors import EMPTY_TEXT, TextError
from voice_pipeline.text.rules import Match, Rule, apply, rule

VERSION = "1"  # goes into the identity of a front end: raise it whenever a text may read differently

_PASSES = 4  # the second one finds nothing to do, but for a text such as "main st ."
_NORMALISED = re.compile(r"[a-z]+(?:'[a-z]+)*(?:[,.;:!?]? [a-z]+(?:'[a-z]+)*)*[,.;:!?]?")
_STRENGTH = "?!.;:,"


class EnglishNormaliser:
    """Normalises English texts. Keeps no state between texts."""

    version = VERSION

    def __init__(self, is_word: Callable[[str], bool]) -> None:
        """``is_word`` says whether the lexicon holds a lower-case word: the reading of capitals depends on it."""
        self._capitals = Capitals(is_word)
        self._is_word = is_word

    def __call__(self, text: str) -> str:
        """The words of ``text``. Raises TextError ``unsupported_script`` or ``empty_text``."""
        text = clean(text)
        for _ in range(_PASSES):
            normalised = self._once(text)
            if normalised == text:
                break
            text = normalised
        if not text:
            raise TextError(EMPTY_TEXT, "there is nothing to say in this text")
        return text

    def _once(self, text: str) -> str:
        text = self._capitals.lower_shouting(_paragraphs(text))
        if "." in text or "@" in text or "#" in text or "://" in text:
            text = apply(self._web, text)
        text = apply(_signs_before_numbers(), text)
        text = apply(abbreviations.rules_before_numbers(), text)
        if any(map(str.isdigit, text)):
            text = apply(number_words.identifier_rules(), text)
            text = apply(dates_times.rules(), text)
            text = apply(quantities.rules(), text)
        text = apply(abbreviations.rules(), text)
        if not text.islower():
            text = apply(roman.rules(), text)
        if any(map(str.isdigit, text)):
            text = apply(self._codes, text)
            text = apply(number_words.rules(), text)
        text = apply(_apostrophes(), text)
        text = apply(_signs(), text)
        if not text.islower():
            text = apply(self._letters, text)
        text = _ELLIPSIS.sub(lambda match: ", " if match[2] else ". ", text)
        return _tidy(text.lower())

    @cached_property
    def _web(self) -> tuple[Rule, ...]:
        return web.rules(self._is_word)

    @cached_property
    def _codes(self) -> tuple[Rule, ...]:
        return self._capitals.codes()

    @cached_property
    def _letters(self) -> tuple[Rule, ...]:
        return self._capitals.rules()


def _paragraphs(text: str) -> str:
    """A blank line ends a sentence, another line end is a space."""
    if "\n" not in text:
        return text
    lines = [line.strip() for line in text.split("\n")]
    joined = ""
    for number, line in enumerate(lines):
        if line:
            blank = number > 0 and not lines[number - 1]
            joined += (". " if blank and joined and joined[-1] not in ".!?:;," else " ") + line
    return joined


@cache
def _signs_before_numbers() -> tuple[Rule, ...]:
    return (
        rule(r"[~≈]\s?(?=[\d$£€¥.])", "about"),
        rule(r"±\s?(?=\d)", "plus or minus"),
        rule(r"≤\s?(?=\d)|<=\s?(?=\d)", "less than or equal to"),
        rule(r"≥\s?(?=\d)|>=\s?(?=\d)", "greater than or equal to"),
        rule(r"<\s?(?=[\d$£€.])", "less than"),
        rule(r"(?<![-=])>\s?(?=[\d$£€.])", "greater than"),
        rule(r"≠", "is not equal to"),
        rule(r"√\s?(?=\d)", "the square root of"),
        rule(r"∞", "infinity"),
        rule(r"§§?\s?", "section"),
    )


@cache
def _apostrophes() -> tuple[Rule, ...]:
    words = {"tis": "it is", "twas": "it was", "em": "em", "til": "till", "cause": "because", "bout": "about"}
    return (
        rule(r"(?<=[A-Za-z])(?:\s?'n'\s?|\s'n\s)(?=[A-Za-z])", "and", re.IGNORECASE),
        rule(r"(?<!\w)'(" + "|".join(words) + r")\b(?!')", lambda m: words[m[1].lower()], re.IGNORECASE),
    )


@cache
def _signs() -> tuple[Rule, ...]:
    currencies = "[" + "".join(map(re.escape, CURRENCIES)) + "]"
    return (
        rule(r"\b([Cc])\+\+", "c plus plus"),
        rule(r"\b([CcFf])#(?!\w)", lambda m: f"{m[1].lower()} sharp"),
        rule(r"(?<=[a-z])\.(?=[A-Z][a-z])", "."),  # a space forgotten between two sentences
        rule(r"(?<=[a-z])\s?/\s?(?=(?:hour|hr|day|week|month|year|second|minute|mile|gallon|person|night)\b)", "per"),
        rule(r"&+", "and"),
        rule(r"%", "percent"),
        rule(r"(?<=[A-Za-z)])\s?\+(?!\w)", "plus"),
        rule(r"(?<=[A-Za-z)])\s{0,3}\+\s{0,3}(?=[A-Za-z(])", "plus"),
        rule(r"\s=+\s|(?<=\w)=(?=\w)", "equals"),
        rule(r"(?<=\w)\s?×\s?(?=\w)", "times"),
        rule(r"(?<=\w)\s?÷\s?(?=\w)", "divided by"),
        rule(r"(?<=\w)\s?[-=]?(?:→|->|=>)\s?(?=\w)", "to"),
        rule(r"@", "at"),
        rule(r"°", "degrees"),
        rule(currencies, lambda m: CURRENCIES[m[0]].name),
    )


_DOT = re.compile(r"(?<=[a-z])\.(?=[a-z])")
_ELLIPSIS = re.compile(r"\.(?:\s?\.){1,}(\s*)(?=([a-z])?)")
_PAUSES = re.compile(r"\s[-–]+\s|[–—]+|--+|[()\[\]{}|·]")
_OTHER = re.compile(r"[^a-z' ,.;:!?]")
_POSSESSIVE = re.compile(r"(?<=[a-z])\s+'s(?![a-z])")  # of a word that a rule has written
_LOOSE_APOSTROPHE = re.compile(r"(?<![a-z])'+|'+(?![a-z])|''+")
_SPACES = re.compile(r"\s+")
_PUNCTUATION = re.compile(r" ?[,.;:!?][ ,.;:!?]*")


def _tidy(text: str) -> str:
    """The output's alphabet, single spaces, one mark at each pause, none at the beginning."""
    text = _DOT.sub(" dot ", text)
    text = _PAUSES.sub(", ", text)
    text = _POSSESSIVE.sub("'s", text)
    text = _LOOSE_APOSTROPHE.sub("", text)
    text = _SPACES.sub(" ", _OTHER.sub(" ", text))
    text = _PUNCTUATION.sub(_strongest, text)
    return text.strip(" ,").lstrip(" ,.;:!?")


def _strongest(match: Match) -> str:
    mark = min((sign for sign in match[0] if sign != " "), key=_STRENGTH.index)
    return mark + " "
