"""Splitting a text into sentences, and over-long sentences into clauses.

    split_sentences("Dr. Ray came at 5 p.m. He sat down.", ends_sentence)
    # ["Dr. Ray came at 5 p.m.", "He sat down."]

Only white space is lost. A sentence that is too long is divided at the last clause that fits, else at the last word
that fits; a single endless word is cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_PARAGRAPH = re.compile(r"[^\S\n]*\n(?:[^\S\n]*\n)+\s*")
_BOUNDARY = re.compile(r"[.!?…。]+[\"'”’)\]]*(\s+)(?=[\"'“‘(\[¿¡]*([^\W_]))")
_CLAUSE = re.compile(r"[,;:—–][\"'”’)\]]*\s")
_LAST_WORD = re.compile(r"[^\s\"'“‘(\[]+$")
_LONGEST_WORD = 40  # characters before a full stop in which an abbreviation is looked for


def split_sentences(text: str, ends_sentence: Callable[[str, str], bool], max_chars: int) -> list[str]:
    """The sentences of ``text``, stripped, none empty, none longer than ``max_chars`` characters.

    ``ends_sentence(word, following)`` says whether a sentence ends at a full stop: ``word`` is what stands before the
    white space, with its stop, ``following`` the word behind it.
    """
    if max_chars < 1:
        raise ValueError(f"max_chars is {max_chars}, and a sentence has at least one character")
    sentences: list[str] = []
    for paragraph in _PARAGRAPH.split(text):
        for sentence in _sentences(paragraph, ends_sentence):
            sentences += _fitting(sentence, max_chars)
    return sentences


def _sentences(paragraph: str, ends_sentence: Callable[[str, str], bool]) -> Iterator[str]:
    start = 0
    for boundary in _BOUNDARY.finditer(paragraph):
        end = boundary.start(1)
        if paragraph[boundary.start()] == "." and not _is_end(paragraph, boundary, ends_sentence):
            continue
        yield paragraph[start:end].strip()
        start = boundary.end(1)
    if rest := paragraph[start:].strip():
        yield rest


def _is_end(paragraph: str, boundary: re.Match[str], ends_sentence: Callable[[str, str], bool]) -> bool:
    following = re.compile(r"\w+").match(paragraph, boundary.start(2))
    before = paragraph[max(0, boundary.start() - _LONGEST_WORD) : boundary.start() + 1]
    word = _LAST_WORD.search(before)
    return ends_sentence(word[0] if word else "", following[0] if following else "")


def _fitting(sentence: str, max_chars: int) -> Iterator[str]:
    while len(sentence) > max_chars:
        head = sentence[: max_chars + 1]
        clauses = [match.end() for match in _CLAUSE.finditer(head) if match.end() > max_chars // 3]
        cut = clauses[-1] if clauses else _last_space(head)
        yield sentence[:cut].strip()
        sentence = sentence[cut:].strip()
    if sentence:
        yield sentence


def _last_space(head: str) -> int:
    """Where the last word that fits ends; the whole length if there is but one."""
    for position in range(len(head) - 1, 0, -1):
        if head[position].isspace():
            return position
    return len(head) - 1
