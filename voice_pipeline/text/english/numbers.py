"""Numbers in English words, spelled by unicode-rbnf (MIT) from the rules of Unicode CLDR.

    cardinal("1,234")       # "one thousand two hundred thirty four"
    year(1905)              # "nineteen oh five"

The library reads its rules at the first number, since most sentences hold none.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

_MAX_DIGITS = 15  # longer numbers are read digit by digit: nobody says quadrillions, and the rules end at 10^18
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def cardinal(number: str | int) -> str:
    """An integer with or without thousands separators. A leading zero, or too many digits: digit by digit."""
    digits = str(number).replace(",", "")
    if len(digits) > _MAX_DIGITS or (len(digits) > 1 and digits[0] == "0"):
        return spelled_digits(digits)
    return _spell(int(digits), "CARDINAL")


def ordinal(number: str | int) -> str:
    """ "21" is "twenty first"."""
    digits = str(number).replace(",", "")
    if len(digits) > _MAX_DIGITS:
        return spelled_digits(digits)
    return _spell(int(digits), "ORDINAL")


def year(number: str | int) -> str:
    """ "1905" is "nineteen oh five", "2000" "two thousand", "2024" "twenty twenty four"."""
    value = int(number)
    if value > 9999:
        return cardinal(value)
    return _spell(value, "YEAR")


def decimal(number: str) -> str:
    """A number that may have a fraction, which is read digit by digit and keeps its zeros."""
    whole, _, fraction = number.partition(".")
    words = [cardinal(whole)] if whole else []
    if fraction:
        words += ["point", spelled_digits(fraction)]
    return " ".join(words)


def spelled_digits(digits: str) -> str:
    """Each digit by its name; what is no digit is left out."""
    return " ".join(_DIGITS[int(digit)] for digit in digits if digit.isascii() and digit.isdigit())


def plural(word: str) -> str:
    """The plural of a number word: "nineties", "two thousands"."""
    if word.endswith("y"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith("x") else "s")


@lru_cache(maxsize=4096)
def _spell(value: int, purpose: str) -> str:
    engine, purposes = _engine()
    text: str = engine.format_number(value, purposes[purpose]).text
    return text.replace("-", " ")


@cache
def _engine() -> tuple[Any, Any]:
    from unicode_rbnf import FormatPurpose, RbnfEngine

    return RbnfEngine.for_language("en"), FormatPurpose
