"""Which phones and pairs of phones a dataset holds, and which it lacks.

    sounds = Sounds(frontend)
    sounds.add(normalized_text)            # of every utterance that trains
    sounds.coverage, sounds.missing

Phones of English count without their stress. A language without phones is covered by its letters.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

_CACHED_WORDS = 50_000


class Frontend(Protocol):
    """What of the text frontend is used here: ``voice_pipeline.text.frontend.TextFrontend``."""

    @property
    def identity(self) -> str:
        """sha256 of everything that decides what the other two answer."""

    @property
    def symbol_table(self) -> tuple[str, ...]:
        """The symbol of each id."""

    def normalise(self, text: str) -> str:
        """Text as it is spoken. Raises TextError for what cannot be spoken."""

    def symbols(self, normalised: str) -> tuple[str, ...]:
        """Phones, punctuation and spaces of a normalised text. Raises ValueError for one that is not normalised."""


class Sounds:
    """Counts the sounds of texts: phones without stress, or letters."""

    def __init__(self, frontend: Frontend) -> None:
        foreign: frozenset[str] = getattr(frontend, "foreign_letters", frozenset())  # of names and loanwords alone
        self.inventory = inventory(frontend.symbol_table) - foreign
        self.phones: Counter[str] = Counter()
        self.pairs: Counter[tuple[str, str]] = Counter()
        self._of_word = lru_cache(_CACHED_WORDS)(lambda word: self._sounds(frontend, word))

    def add(self, normalized: str) -> None:
        """Count the sounds of one normalised text."""
        spoken = self.of(normalized)
        self.phones.update(spoken)
        self.pairs.update(itertools.pairwise(spoken))

    def of(self, normalized: str) -> list[str]:
        """The sounds of a normalised text in order; words follow each other as they are spoken."""
        return [sound for word in normalized.split() for sound in self._of_word(word)]

    @property
    def missing(self) -> tuple[str, ...]:
        """The sounds of the language that no text held, sorted."""
        return tuple(sorted(self.inventory - self.phones.keys()))

    @property
    def coverage(self) -> float:
        """Share of the language's sounds that some text held."""
        return 1 - len(self.missing) / len(self.inventory) if self.inventory else 1.0

    def _sounds(self, frontend: Frontend, word: str) -> tuple[str, ...]:
        try:
            symbols = frontend.symbols(word)
        except ValueError:
            return ()  # a manifest from elsewhere: what cannot be read covers nothing
        return tuple(sound for sound in map(plain, symbols) if sound in self.inventory)


def plain(symbol: str) -> str:
    """A phone without its stress, a letter as it is: "AH0" is "AH"."""
    return symbol[:-1] if len(symbol) > 1 and symbol[-1].isdigit() else symbol


def inventory(symbol_table: Iterable[str]) -> frozenset[str]:
    """The sounds of a language: its phones without stress, or its letters where the table has no phones.

    Phones are written in capitals; letters that stand beside them are there for other front ends and never used.
    """
    words = {plain(symbol) for symbol in symbol_table if plain(symbol).isalpha()}
    phones = frozenset(word for word in words if word.isupper())
    return phones or frozenset(words)
