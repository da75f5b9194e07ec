"""The languages that a front end can read: one small interface, one entry a language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from voice_pipeline.failures import ConfigError

Phones = tuple[str, ...]


class Language(Protocol):
    """What a language brings. Everything but the two files is code, the same for training and for speaking."""

    code: str  # BCP 47, such as "en-US"
    version: str  # of the code: raised when a text may read or sound differently

    def lexicon(self) -> bytes:
        """The lexicon file, from an installed package. Raises ConfigError when it is not installed."""

    def g2p_model(self) -> bytes:
        """The model for unknown words, from an installed package. Raises ConfigError when it is not installed."""

    def notice(self) -> str:
        """Where the two files come from and under which licence: it travels with them."""

    def normaliser(self, is_word: Callable[[str], bool]) -> Callable[[str], str]:
        """Text to words. The function raises TextError."""

    def pronunciation(self, lexicon: Mapping[str, Phones], guess: Callable[[str], Phones]) -> Callable[[str], Phones]:
        """Word to phones, in or out of the lexicon."""

    def ends_sentence(self, word: str, following: str) -> bool:
        """Whether a sentence ends with ``word``, its full stop included, before the word ``following``."""


def language(code: str) -> Language:
    """The language of a BCP 47 code. Raises ConfigError for one that is not there yet."""
    if code in ("en-US", "en"):
        from voice_pipeline.text.english.language import English

        return English()
    raise ConfigError(f"language {code!r} is not supported yet; supported: en-US")
