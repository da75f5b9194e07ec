"""English as one of the languages of a front end."""

from __future__ import annotations

import re
from pathlib import Path

from voice_pipeline.text.english import normaliser, resources
from voice_pipeline.text.english.pronunciation import EnglishPronunciation
from voice_pipeline.text.english.vocabulary import ABBREVIATIONS, BEFORE_NUMBER, TITLES
from voice_pipeline.text.lexicon import Lexicon
from voice_pipeline.text.rules import STARTERS, words
from voice_pipeline.text.symbols import SYMBOL_TABLE
from voice_pipeline.text.word_reader import WordFiles, WordReader

_MONTHS_AND_DAYS = words("jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun")
_TITLES = frozenset(title.lower() for title in TITLES) | {"dr", "drs"}
_DOTTED = re.compile(r"(?:[a-z]\.)+[a-z]|[a-hj-z]")  # "u.s", "e.g", an initial


class English:
    """US English, read by the lexicon and the model of gruut-lang-en."""

    code = "en-US"
    version = normaliser.VERSION
    symbol_table = SYMBOL_TABLE
    foreign_letters: frozenset[str] = frozenset()

    def reader(self, folder: Path | None) -> WordReader:
        """See Language."""
        if folder is None:
            files = WordFiles(Lexicon(resources.lexicon()), resources.g2p_model(), resources.NOTICE)
        else:
            files = WordFiles.load(folder)
        return WordReader(files, normaliser.EnglishNormaliser, EnglishPronunciation)

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
