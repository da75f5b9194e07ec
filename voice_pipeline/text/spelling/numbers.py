"""Numbers in the words of a language, spelled by unicode-rbnf (MIT) from the rules of Unicode CLDR.

    Numbers(writing("it-IT"))("costa 1.234,50 €")     # "costa  milleduecentotrentaquattro virgola cinquanta euro "

Whole numbers are cardinals, years too. Digits that begin with a zero, and more digits than anybody says as one number,
are read one by one. Separators that do not make a number of this language (dates, times, versions) part two numbers.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

from voice_pipeline.text.spelling.writing import Noun, Writing

_MAX_DIGITS = 15  # the rules of some languages end there
_MAX_ORDINAL_DIGITS = 4
_MAX_FRACTION_DIGITS = 2  # of a fraction that is said as one number
_CARDINAL = "spellout-numbering"  # a number by itself: "uno", not "un"
_SPACES_IN_NUMBER = re.compile(r"(?<=\d)[\u00a0\u2007\u2009\u202f](?=\d{3}(?!\d))")


class Numbers:
    """Replaces the numbers of a text by their words. Keeps no state between texts."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        decimal, group = re.escape(writing.decimal), re.escape(writing.group)
        # A space parts thousands only where no digit stands in front: "06 123 456" is no number of millions.
        first = r"(?<!\d )(?!0)" if writing.group == " " else ""
        whole = rf"{first}\d{{1,3}}(?:{group}\d{{3}})+(?!\d|{group}\d)|\d+"
        signs = "[" + "".join(map(re.escape, writing.counted)) + "]"
        self._pattern = re.compile(
            rf"(?P<before>{signs})?\s?(?P<minus>(?<![\w.,])(?<!\d\s)-)?(?P<whole>{whole})"
            rf"(?:{decimal}(?P<fraction>\d+)(?!\d|[.,]\d))?(?:\s?(?P<after>{signs}))?(?P<loose>[.,:/'–-](?=\d))?"
        )
        digits = rf"(?<![\d.,])(\d{{1,{_MAX_ORDINAL_DIGITS}}})"
        endings = "|".join(sorted(map(re.escape, writing.ordinals), key=len, reverse=True))
        self._ordinal = re.compile(rf"{digits}\.?({endings})(?!\w)") if endings else None

    def ordinals(self, text: str) -> str:
        """``text`` with its ordinals in words: before NFKC makes letters of the signs that mark them."""
        if self._ordinal is None:
            return text
        return self._ordinal.sub(lambda match: f" {self._position(match[1], match[2])} ", text)

    def __call__(self, text: str) -> str:
        """``text`` with its other numbers in words, a space to both sides of each."""
        return self._pattern.sub(lambda match: f" {self._words(match)} ", text)

    def _position(self, digits: str, ending: str) -> str:
        if digits.startswith("0"):
            return self._digits(digits)
        return _spelled(self._writing.numbers, digits, self._writing.ordinals[ending])

    def _words(self, match: re.Match[str]) -> str:
        writing, fraction = self._writing, match["fraction"]
        whole = re.sub(r"\D", "", match["whole"])
        sign = match["after"] or match["before"]
        noun = writing.counted[sign] if sign else None
        words = [writing.minus] if match["minus"] else []
        words.append(self._cardinal(whole, noun if fraction is None else None))
        if fraction is not None:
            words += [writing.decimal_word, self._fraction(fraction)]
        if noun is not None:
            category = _plural(writing.language, whole if fraction is None else f"{whole}.{fraction}")
            name = noun.form(category)
            words = [name, *words] if writing.before_number and sign == "%" else [*words, name]
        if match["before"] and match["after"]:  # "$5 %": two signs, one number
            words.insert(0, writing.counted[match["before"]].other)
        return " ".join(words)

    def _cardinal(self, digits: str, noun: Noun | None) -> str:
        if len(digits) > _MAX_DIGITS or (len(digits) > 1 and digits[0] == "0"):
            return self._digits(digits)
        rules = f"spellout-cardinal-{noun.gender}" if noun is not None and noun.gender else _CARDINAL
        return _spelled(self._writing.numbers, digits, rules)

    def _fraction(self, digits: str) -> str:
        """What is behind the decimal separator: "zero cinque", "cinquanta", but "uno quattro uno"."""
        rest = digits.lstrip("0")
        if not self._writing.pairs or len(digits) > _MAX_FRACTION_DIGITS or not rest:
            return self._digits(digits)
        zeros = self._digits(digits[: len(digits) - len(rest)])
        return f"{zeros} {self._cardinal(rest, None)}".strip()

    def _digits(self, digits: str) -> str:
        return " ".join(_spelled(self._writing.numbers, digit, _CARDINAL) for digit in digits)


def without_inner_spaces(text: str) -> str:
    """Thousands that no-break and thin spaces part, as one number: they mean nothing else in any language."""
    return _SPACES_IN_NUMBER.sub("", text)


@lru_cache(maxsize=4096)
def _spelled(rules: str, digits: str, ruleset: str) -> str:
    engine = _engine(rules)
    name = ruleset if ruleset in engine.rulesets else _CARDINAL
    text: str = engine.format_number(int(digits), ruleset_names=[name]).text
    return text.replace("ʼ", "'")  # Ukrainian's apostrophe, which the rules write as a modifier letter


@cache
def _engine(rules: str) -> Any:
    from unicode_rbnf import RbnfEngine

    return RbnfEngine.for_language(rules)


def _plural(language: str, number: str) -> str:
    """CLDR's plural category. One that is too long for the library's decimals is as good as its last digits."""
    from decimal import Decimal

    from unicode_rbnf.plural_rules import get_plural_category

    category: str = get_plural_category(language, Decimal(number[-_MAX_DIGITS:]))
    return category
