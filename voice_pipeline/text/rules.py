"""A rule of normalisation: a pattern, and the words that stand for what it finds.

Patterns are compiled at first use, and written to run in linear time on any input: repetitions are bounded or
possessive, and a pattern that begins with a repetition may only begin where the repetition does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

Match = re.Match[str]


def words(text: str) -> frozenset[str]:
    """The set of the words of ``text``."""
    return frozenset(text.split())


class Rule(NamedTuple):
    """``words(match)`` takes the place of each match; a space is put to both sides."""

    pattern: re.Pattern[str]
    words: Callable[[Match], str]


def rule(pattern: str, words: Callable[[Match], str] | str, flags: int = 0) -> Rule:
    """A rule from the source of its pattern; ``words`` may be one fixed text."""
    if isinstance(words, str):
        fixed = words
        return Rule(re.compile(pattern, flags), lambda match: fixed)
    return Rule(re.compile(pattern, flags), words)


def apply(rules: Iterable[Rule], text: str) -> str:
    """Apply the rules to the whole text, one after the other."""
    for pattern, words in rules:
        text = pattern.sub(lambda match, words=words: f" {words(match)} ", text)  # type: ignore[misc]
    return text


# After an abbreviation, a capital may begin a sentence or a name ("the U.S. Army"): these words begin sentences.
STARTERS = words(
    "the a an he she it they we i you this that these those there his her its their our my your but and so or "
    "if when while in on at for from to as after before then now not no yes what who why how where however "
    "meanwhile"
)
_NEXT_WORD = re.compile(r"[\s\"')\]]{0,8}([A-Z][A-Za-z]{0,20})?")


def sentence_stop(match: Match) -> str:
    """The full stop at the end of what was found, if a sentence ends there too: "at 5 p.m. He left"."""
    if not match[0].endswith("."):
        return ""
    following = _NEXT_WORD.match(match.string, match.end())
    if following is None or (following.end() == len(match.string) and not following[1]) or "\n" in following[0]:
        return "."
    return "." if (following[1] or "").lower() in STARTERS else ""
