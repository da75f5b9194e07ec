"""English as one of the languages of a front end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from voice_pipeline.text.english import normaliser, resources
from voice_pipeline.text.english.pronunciation import EnglishPronunciation
from voice_pipeline.text.english.vocabulary import ABBREVIATIONS, BEFORE_NUMBER, TITLES
from voice_pipeline.text.rules import STARTERS, words

Phones = tuple[str, ...]

_MONTHS_AND_DAYS = words("jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun")
_TITLES = frozenset(title.lower() for title in TITLES) | {"dr", "drs"}
_DOTTED = re.compile(r"(?:[a-z]\.)+[a-z]|[a-hj-z]")  # "u.s", "e.g", an initial


class English:
    """US English, read by the lexicon and the model of gruut-lang-en."""

    code = "en-US"
    version = normaliser.VERSION

    def lexicon(self) -> bytes:
        """See Language."""
        return resources.lexicon()

    def g2p_model(self) -> bytes:
        """See Language."""
        return resources.g2p_model()

    def notice(self) -> str:
        """See Language."""
        return resources.NOTICE

    def normaliser(self, is_word: Callable[[str], bool]) -> Callable[[str], str]:
        """See Language."""
        return normaliser.EnglishNormaliser(is_word)

    def pronunciation(self, lexicon: Mapping[str, Phones], guess: Callable[[str], Phones]) -> Callable[[str], Phones]:
        """See Language."""
        return EnglishPronunciation(lexicon, guess)

    def ends_sentence(self, word: str, following: str) -> bool:
        """See Language."""
        stem = word.rstrip(".").lower()
        if following[:1].islower():
            return False
        if stem in _TITLES:
            return False
        if stem in BEFORE_NUMBER and stem not in ("no", "art", "par"):
            return False
        if stem == "no":
            return not following[:1].isdigit()
        if stem in _MONTHS_AND_DAYS:
            return following.lower() in STARTERS
        if stem in ABBREVIATIONS or _DOTTED.fullmatch(stem):
            return following.lower() in STARTERS
        return True
