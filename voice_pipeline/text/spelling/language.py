"""A language whose letters are its symbols, as one of the languages of a front end."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from voice_pipeline.text.spelling.normaliser import MARKS, SpellingNormaliser
from voice_pipeline.text.spelling.writing import FOREIGN_LETTERS, Writing
from voice_pipeline.text.symbols import APOSTROPHE, OOV, PAD, SPACE

_VOWELS = frozenset("aeiouyæøœıаеёиоуыэюяіїєαεηιουω")
_LONGEST_DAY = 2  # digits of a day of the month


class LetterReader:
    """See Reader."""

    def __init__(self, writing: Writing) -> None:
        self.normalise = SpellingNormaliser(writing)

    def symbols(self, normalised: str) -> str:
        """See Reader: each character is one."""
        return normalised

    def files(self) -> dict[str, bytes]:
        """See Reader: there are none."""
        return {}

    def phoneme_dict_text(self) -> None:
        """See Reader: there is none."""


class SpelledLanguage:
    """Reads by letters: no lexicon, no model, nothing but code and the rules of unicode-rbnf."""

    def __init__(self, code: str, writing: Writing) -> None:
        self.code = code
        self.version = writing.version
        self.letters = writing.letters
        self.foreign_letters = frozenset(FOREIGN_LETTERS.get(writing.language, ""))
        self.marks = (*MARKS, *writing.marks)
        self._writing = writing

    @property
    def symbol_table(self) -> tuple[str, ...]:
        """The symbol of each id, in the order of NeMo's ``BaseCharsTokenizer``."""
        return (SPACE, *self.letters, APOSTROPHE, *self.marks, PAD, OOV)

    def reader(self, folder: Path | None) -> LetterReader:
        """See Language: it needs no files."""
        return LetterReader(self._writing)

    def ends_sentence(self, word: str, following: str) -> bool:
        """Whether a sentence ends at the full stop of ``word``: not after "3." or what has no vowel, such as "Sr."."""
        stem = word.rstrip(".")
        if following[:1].islower():
            return False
        if stem.isdigit():
            return not (self._writing.dotted_ordinals and len(stem) <= _LONGEST_DAY)
        if len(stem) == 1 and stem.isalpha():
            return False  # an initial
        return not stem.isalpha() or not _VOWELS.isdisjoint(unicodedata.normalize("NFKD", stem.lower()))
