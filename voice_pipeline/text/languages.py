"""The languages that a front end can read: one small interface, one entry a language.

English is read by words, with a lexicon and a model for unknown words. The others are read by letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from voice_pipeline.failures import ConfigError


class Reader(Protocol):
    """What reads the texts of one front end."""

    def normalise(self, text: str) -> str:
        """What ``text`` says, in the letters and the punctuation of the language. Raises TextError."""

    def symbols(self, normalised: str) -> Iterable[str]:
        """The symbols of a normalised text; what is not normalised comes back as it is."""

    def files(self) -> Mapping[str, bytes]:
        """Name to content of the files that it is made of: a saved front end carries them."""

    def phoneme_dict_text(self) -> str | None:
        """Its lexicon in CMUdict's form; None where there is no lexicon."""


class Language(Protocol):
    """What a language brings."""

    @property
    def code(self) -> str:
        """BCP 47, such as "en-US"."""

    @property
    def version(self) -> str:
        """Of the code: raised when a text may read or sound differently."""

    @property
    def symbol_table(self) -> tuple[str, ...]:
        """The symbol of each id. A trained model depends on the order."""

    @property
    def foreign_letters(self) -> frozenset[str]:
        """Symbols of names and loanwords alone, which nobody misses in a dataset."""

    def reader(self, folder: Path | None) -> Reader:
        """The reader from a saved front end's folder, or (None) from the installed packages. Raises ConfigError."""

    def ends_sentence(self, word: str, following: str) -> bool:
        """Whether a sentence ends with ``word``, its full stop included, before the word ``following``."""


def language(code: str) -> Language:
    """The language of a BCP 47 code. Raises ConfigError for one that is not there yet."""
    if code in ("en-US", "en"):
        from voice_pipeline.text.english.language import English

        return English()
    from voice_pipeline.text.spelling.writing import LANGUAGES, writing

    found = writing(code)
    if found is None:
        supported = ", ".join(LANGUAGES)
        raise ConfigError(f"language {code!r} is not supported yet; supported: en-US, and by letters {supported}")
    from voice_pipeline.text.spelling.language import SpelledLanguage

    return SpelledLanguage(code, found)
