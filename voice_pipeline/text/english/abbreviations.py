"""Abbreviations with full stops, initials, and slashes between words."""

from __future__ import annotations

import re
from functools import cache

from voice_pipeline.text.english.vocabulary import ABBREVIATIONS, BEFORE_NUMBER, CALENDAR, TITLES
from voice_pipeline.text.rules import Match, Rule, rule, sentence_stop

_NAME = r"(?=\s{1,3}[A-Z][a-z']|\s{1,3}[A-Z]\.)"


@cache
def rules_before_numbers() -> tuple[Rule, ...]:
    """Abbreviations that a number follows, while it is still written in digits."""
    names = "|".join(BEFORE_NUMBER)
    calendar = "(" + "|".join(CALENDAR) + ")"
    return (
        rule(
            r"(?<!\w)" + calendar + r"\.?\s?[-–]\s?" + calendar + r"(?!\w)\.?",
            lambda m: f"{CALENDAR[m[1]]} to {CALENDAR[m[2]]}{sentence_stop(m)}",
        ),
        rule(
            r"\b(" + names + r")\.\s{0,3}(?=#?\d|(?-i:[IVXLC]{2,6}\b))",
            lambda m: BEFORE_NUMBER[m[1].lower()],
            re.IGNORECASE,
        ),
    )


@cache
def rules() -> tuple[Rule, ...]:
    """The rules in their order: what depends on its neighbours first."""
    short = "|".join(sorted(map(re.escape, ABBREVIATIONS), key=len, reverse=True))
    return (
        rule(r"\bw/o(?!\w)", "without", re.IGNORECASE),
        rule(r"\bw/(?=\s)", "with", re.IGNORECASE),
        rule(r"\b([Aa])nd/[Oo]r\b", "and or"),
        # Saint Louis, but Main Street: a capitalised word before it makes it a street.
        rule(r"(?<![A-Za-z,]\s)(?<!\w)[Ss]t\." + _NAME, "saint"),
        rule(
            r"(?<!\w)((?:[A-Z][a-z]{1,20}|\d{1,3}(?:st|nd|rd|th))\s)St\.(?!\s[A-Z][a-z]{1,20}\b(?!\s(?:St|Ave|Rd)\b))",
            lambda m: m[1] + "street" + sentence_stop(m),
        ),
        rule(r"(?<!\w)St\." + _NAME, "saint"),
        # Doctor Brown, but Ocean Drive.
        rule(r"(?<!\w)([A-Z][a-z]{1,20}\s)Dr\.(?!\s[A-Z][a-z]{1,20}\b)", lambda m: m[1] + "drive" + sentence_stop(m)),
        rule(r"(?<!\w)Dr\.", "doctor", re.IGNORECASE),
        rule(r"(?<!\w)Drs\." + _NAME, "doctors"),
        rule(r"(?<=[a-z]\s)vs?\.(?=\s[A-Z])", "versus"),
        rule(r"(?<!\w)(" + "|".join(TITLES) + r")\.(?=\s|$)(?!\s*$)", lambda m: TITLES[m[1]]),
        rule(r"(?<!\w)(M[rs]s?|Dr)(?=\s{1,3}[A-Z])", lambda m: {**TITLES, "Dr": "doctor"}[m[1]]),
        rule(r"(?<!\w)(" + "|".join(CALENDAR) + r")\.", lambda m: CALENDAR[m[1]] + sentence_stop(m)),
        # Initials and dotted acronyms: U.S., J. R. R. Tolkien.
        rule(r"(?<![\w.])((?:[A-Za-z]\.){2,10})(?!\w)", _dotted),
        rule(r"(?<![\w.'])([A-Z])\.(?=\s?[A-Z])", lambda m: letter(m[1])),
        rule(r"(?<![\w.])(" + short + r")\.", _abbreviation, re.IGNORECASE),
    )


def letter(character: str) -> str:
    """How the name of a letter is written: itself, but "ay" for A, which would be the article."""
    return "ay" if character in "Aa" else character.lower()


def spelled(letters: str) -> str:
    """The names of letters."""
    return " ".join(letter(character) for character in letters)


def _dotted(match: Match) -> str:
    letters = match[1].replace(".", "")
    fixed = ABBREVIATIONS.get(match[1].lower().rstrip("."))
    return (fixed or spelled(letters)) + sentence_stop(match)


def _abbreviation(match: Match) -> str:
    return ABBREVIATIONS[match[1].lower()] + sentence_stop(match)
