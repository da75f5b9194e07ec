"""How much of what a voice says is understood: word and character error rates.

    words = comparable("It costs $15.", normalise)               # ("it", "costs", "fifteen", "dollars")
    count = count_errors(words, comparable(heard, normalise))
    total([count]).wer

A recogniser writes "$15" where the text says "fifteen dollars": both sides go through the one normaliser that the
voice was trained with, so that neither spelling counts as an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'"})

Normalise = Callable[[str], str]


@dataclass(frozen=True)
class ErrorCount:
    """Errors of one sentence, or of many. WER may exceed 1: a recogniser may hear more words than were said."""

    words: int  # of the reference
    word_errors: int  # substituted, deleted and inserted words
    characters: int
    character_errors: int

    @property
    def wer(self) -> float:
        """Word error rate: errors per word of the reference."""
        return self.word_errors / self.words

    @property
    def cer(self) -> float:
        """Character error rate, blanks between words included."""
        return self.character_errors / self.characters


def comparable(text: str, normalise: Normalise) -> tuple[str, ...]:
    """The words of a text as they are compared: normalised, lower-case, without punctuation.

    ``normalise`` raises ValueError for what it cannot read (another script, nothing at all); such a text is compared
    as it is written.
    """
    try:
        spoken = normalise(text)
    except ValueError:
        spoken = text
    return tuple(_WORD.findall(spoken.translate(_APOSTROPHES).lower()))


def count_errors(reference: Sequence[str], heard: Sequence[str]) -> ErrorCount:
    """Errors between two word sequences: Levenshtein's distance over words, and over characters.

    Raises ValueError for an empty reference: there is no rate of nothing.
    """
    from rapidfuzz.distance import Levenshtein

    if not reference:
        raise ValueError("the reference has no words")
    said, got = " ".join(reference), " ".join(heard)
    return ErrorCount(
        words=len(reference),
        word_errors=Levenshtein.distance(list(reference), list(heard)),
        characters=len(said),
        character_errors=Levenshtein.distance(said, got),
    )


def total(counts: Iterable[ErrorCount]) -> ErrorCount:
    """All errors over all words: the rate of a corpus, in which a long sentence weighs more than a short one."""
    all_counts = list(counts)
    return ErrorCount(
        words=sum(count.words for count in all_counts),
        word_errors=sum(count.word_errors for count in all_counts),
        characters=sum(count.characters for count in all_counts),
        character_errors=sum(count.character_errors for count in all_counts),
    )
