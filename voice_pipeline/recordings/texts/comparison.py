"""Texts as they are compared: what is heard of them, letters and digits only.

    heard_words("It's 3—no, 4!", normalise)         # ("its", "three", "no", "four")
    character_error_rate(heard, reference)          # edits per character of the reference

A recogniser writes "$15" where the text says "fifteen dollars", and "its" for "it's": both sides go through the
voice's normaliser, and what has no sound of its own (case, punctuation, apostrophes) is left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

Normalise = Callable[[str], str]

_APOSTROPHES = dict.fromkeys(map(ord, "'’‘ʼ`´"))
_ASCII_WORD = re.compile(r"[a-z0-9]+")
# Scripts that are written without blanks between words: every sign counts as a word.
_SCRIPTS_WITHOUT_BLANKS = re.compile(
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])"
)


def letters(text: str) -> tuple[str, ...]:
    """The words of ``text`` as written, without case, marks of punctuation and apostrophes; letters of any script."""
    text = text.translate(_APOSTROPHES)
    if text.isascii():
        return tuple(_ASCII_WORD.findall(text.lower()))
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(character if unicodedata.category(character)[0] in "LMN" else " " for character in text)
    return tuple(_SCRIPTS_WITHOUT_BLANKS.sub(r" \1 ", kept).split())


def heard_words(text: str, normalise: Normalise) -> tuple[str, ...]:
    """The words that ``text`` says. A text that ``normalise`` cannot read (ValueError) is taken as it is written."""
    if not text.strip():
        return ()
    try:
        return letters(normalise(text))
    except ValueError:
        return letters(text)


def without_loops(words: Sequence[str]) -> tuple[str, ...]:
    """What was heard, without what a recogniser that is caught in a loop says again and again.

    That is an end that is said twice or more ("sixtieth sixtieth"); the last turn may break off. What was really said
    twice is shorter by it, which costs an alignment little. For alignment only.
    """
    said = tuple(words)
    for start in range(len(said)):
        looping = said[start:]
        for period in range(1, len(looping) // 2 + 1):
            if looping[period:] == looping[:-period]:
                return said[: start + period]
    return said


def character_error_rate(heard: Sequence[str], reference: Sequence[str]) -> float | None:
    """Levenshtein's distance over characters, blanks between words included, by those of ``reference``.

    None where the reference has no words: there is no rate of nothing. It may exceed 1.
    """
    from rapidfuzz.distance import Levenshtein

    said, got = " ".join(reference), " ".join(heard)
    return Levenshtein.distance(said, got) / len(said) if said else None
