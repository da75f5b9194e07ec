"""Roman numerals, where the words around them say that they are numbers."""

from __future__ import annotations

import re
from functools import cache

from voice_pipeline.text.english.numbers import cardinal, ordinal
from voice_pipeline.text.rules import Match, Rule, rule

_NUMERAL = re.compile(r"(?=[IVXLCDM])M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_CAPTIONS = (
    "act|appendix|article|book|canto|category|chapter|class|division|episode|figure|grade|level|part|phase|psalm|scene"
    "|schedule|section|stage|table|tier|title|type|unit|version|volume|war|bowl|apollo|symphony|sonata|olympiad"
)
_RULERS = (
    "Alexander|Alfonso|Benedict|Boniface|Carl|Catherine|Charles|Christian|Clement|Constantine|David|Edward|Elizabeth"
    "|Ferdinand|Francis|Frederick|George|Gregory|Gustav|Harald|Henry|Innocent|Isabella|Ivan|James|John|Joseph|Julius"
    "|Juan Carlos|Leo|Leopold|Louis|Ludwig|Mary|Maximilian|Mehmed|Napoleon|Nicholas|Otto|Paul|Pedro|Peter|Philip|Pius"
    "|Ptolemy|Ramses|Rameses|Richard|Robert|Rudolf|Sixtus|Thutmose|Urban|Victoria|Wilhelm|William"
)
_ROMAN = r"([IVXLCDM]{1,9})(?![\w.]\w|\w)"


@cache
def rules() -> tuple[Rule, ...]:
    """Rules for texts that hold capitals I, V, X, L, C, D or M."""
    many = r"([IVXLCDM]{2,9})(?![\w.]\w|\w)"
    return (
        rule(r"\bWW(II?)\b", lambda m: f"world war {'one' if m[1] == 'I' else 'two'}"),
        rule(r"\b((?i:" + _CAPTIONS + r")s?\s)" + _ROMAN + r"(?:\s?[-–]\s?" + _ROMAN + r")?", _caption),
        rule(r"\b((?:King|Queen|Pope|Emperor|Tsar|Czar|Kaiser|Prince)\s[A-Z][a-z]{2,12}\s)" + _ROMAN, _ruler),
        rule(r"\b((?:" + _RULERS + r")\s)" + many, _ruler),
        rule(r"\b((?:" + _RULERS + r")\s)(I)(?=[,;:)]|\.\s|\.$|$|\sof\b|\swas\b|\sdied\b|\sbecame\b)", _ruler),
        rule(r"(?<![\w.])" + many + r"(?=(?:th|st|nd|rd)?\s(?:[Cc]entury|[Cc]enturies|[Dd]ynasty)\b)", _century),
        rule(r"(\b[A-Z][a-z]{1,20}\s)(II|III|IV|VI{1,3}|IX|XI{1,3}|XIV|XVI{0,3}|XIX)(?![\w.]\w|\w)", _caption),
    )


def roman_value(numeral: str) -> int | None:
    """The number that a well-formed Roman numeral writes, else None."""
    if not _NUMERAL.fullmatch(numeral):
        return None
    values = [_VALUES[letter] for letter in numeral]
    return sum(
        value if value >= following else -value for value, following in zip(values, [*values[1:], 0], strict=True)
    )


def _caption(match: Match) -> str:
    values = [roman_value(numeral) for numeral in match.groups()[1:] if numeral]
    if None in values:
        return match[0]
    return match[1] + " to ".join(cardinal(value) for value in values if value is not None)


def _ruler(match: Match) -> str:
    value = roman_value(match[2])
    return match[0] if value is None else f"{match[1]}the {ordinal(value)}"


def _century(match: Match) -> str:
    value = roman_value(match[1])
    return match[0] if value is None else ordinal(value)
