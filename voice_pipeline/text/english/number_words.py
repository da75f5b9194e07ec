"""Plain numbers in English words: ordinals, fractions, ranges, versions, codes that mix letters and digits."""

from __future__ import annotations

from functools import cache

from voice_pipeline.text.english.numbers import cardinal, decimal, ordinal, plural, spelled_digits
from voice_pipeline.text.english.quantities import INTEGER, NUMBER, telephone
from voice_pipeline.text.rules import Match, Rule, rule

_BEGIN = r"(?<![\w.,])"
_FIXED_FRACTIONS = {
    "24/7": "twenty four seven",
    "9/11": "nine eleven",
    "50/50": "fifty fifty",
    "20/20": "twenty twenty",
}


@cache
def identifier_rules() -> tuple[Rule, ...]:
    """Telephone and other grouped identification numbers, versions: before anything else reads their hyphens."""
    return (
        rule(r"(?<!\w)([Vv])(\d++)((?:\.\d++)*+)(?!\w)", _version),
        rule(r"(?<![\w.+-])\+\d{1,3}(?:[\s.-]\(?\d{1,5}\)?){2,6}(?![\w-])", telephone),
        rule(r"(?<![\w.+-])(?:1[-\s.])?(?:\(\d{3}\)\s?|\d{3}[-.])\d{3}[-.]\d{4}(?![\w-]|\.\d)", telephone),
        rule(r"(?<![\w.$£€¥-])\d{3}-\d{4}(?![\w%-]|\.\d)", telephone),
        rule(r"(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-])", telephone),
        rule(r"(?<![\w.,])0\d{2,4}(?:\s\d{3,4}){2,3}(?![\w-])", telephone),
        rule(r"\b((?:[Cc]all|[Dd]ial|[Dd]ialed)\s)(\d{3})(?![\w,.]\w)", lambda m: m[1] + spelled_digits(m[2])),
    )


@cache
def rules() -> tuple[Rule, ...]:
    """Whatever digits are left, in the order of reading; after them the text holds no digit."""
    return (
        rule(r"(?<![\w.])(" + INTEGER + r")\s?(?:st|nd|rd|th)(?!\w)", lambda m: ordinal(m[1])),
        rule(_BEGIN + r"(\d{1,4})\s(\d{1,2}/\d{1,3})(?![\d/])", lambda m: mixed(m[1], m[2])),
        rule(_BEGIN + r"(\d{1,4}/\d{1,4})(?![\d/])", lambda m: fraction(m[1])),
        rule(r"#\s?(?=\d)", "number"),
        rule(r"(?<![\w.])(\d++(?:\.\d++){2,})(?!\w)", lambda m: _dotted(m[1])),
        rule(r"(?<![\w.])(\d++):(\d++)(?![\d:])", lambda m: f"{cardinal(m[1])} to {cardinal(m[2])}"),
        rule(r"(?<=\d)\s[-–]\s(?=\d+\s?=)", "minus"),
        rule(r"(?<=\d)\s/\s(?=\d)", "divided by"),
        rule(_BEGIN + r"(" + NUMBER + r")\s?[-–—]\s?(" + NUMBER + r")(?![\w-]|\.\d)", _range),
        rule(r"(?<=[A-Za-z]{4})\^\d++", ""),  # a footnote
        rule(r"(?<=[\w)])\s?\^\s?2(?![\d.])", "squared"),
        rule(r"(?<=[\w)])\s?\^\s?3(?![\d.])", "cubed"),
        rule(r"(?<=[\w)])\s?\^\s?(?=-?\d)", "to the power of"),
        rule(r"(?<![\w.,)])[-](?=\.?\d)", "minus"),
        rule(r"(?<![\w)])[+](?=\.?\d)", "plus"),
        rule(r"(?<=\d)\+(?![\d\s])", "plus"),
        rule(r"(?<=[\d)])\s?\+\s?(?=[\d(])", "plus"),
        rule(r"(?<=[\d)])\s?[*×]\s?(?=[\d(])", "times"),
        rule(r"(?<=[\d)])\s?÷\s?(?=[\d(])", "divided by"),
        rule(r"(?<![\w.])(10{1,3})s(?!\w)", lambda m: {2: "tens", 3: "hundreds", 4: "thousands"}[len(m[1])]),
        rule(r"(?<![\w.])(\d++)'?s(?!\w)", lambda m: plural(cardinal(m[1]))),
        rule(r"(?<![\w.])(" + NUMBER + r")\s?x(?!\w)", lambda m: decimal(m[1]) + " times"),
        # Letters and digits: every group by itself, so that MP3 is "MP 3" and 4K is "4 K".
        rule(r"(?<=[A-Za-z])-?(?=\d)", ""),
        rule(r"(?<=\d)-?(?=[A-Za-z])", ""),
        rule(r"(?<![\d.])(" + NUMBER + r")", lambda m: decimal(m[1])),
        rule(r"\d++", lambda m: cardinal(m[0])),
    )


def fraction(text: str) -> str:
    """ "3/4" is "three quarters"; what is no fraction of everyday life is "over"."""
    if text in _FIXED_FRACTIONS:
        return _FIXED_FRACTIONS[text]
    numerator, denominator = (int(part) for part in text.split("/"))
    if numerator == denominator and numerator > 1:
        return f"{cardinal(numerator)} out of {cardinal(denominator)}"
    if denominator < 2 or numerator == 0 or numerator > denominator or denominator > 100:
        return f"{cardinal(numerator)} over {cardinal(denominator)}"
    name = {2: "half", 4: "quarter", 100: "hundredth"}.get(denominator) or ordinal(denominator)
    if numerator > 1:
        name = "halves" if denominator == 2 else plural_ordinal(name)
    return f"{cardinal(numerator)} {name}"


def plural_ordinal(name: str) -> str:
    """ "third" is "thirds", "twentieth" "twentieths"."""
    return name + "s"


def mixed(whole: str, part: str) -> str:
    """ "2 1/2" is "two and a half"."""
    words = fraction(part)
    if words.startswith("one "):
        words = "a " + words.removeprefix("one ")
    return f"{cardinal(whole)} and {words}"


def _version(match: Match) -> str:
    return f"version {cardinal(match[2])}{_dots(match[3])}"


def _dotted(number: str) -> str:
    first, *rest = number.split(".")
    return cardinal(first) + _dots("." + ".".join(rest))


def _dots(parts: str) -> str:
    return "".join(f" point {cardinal(part)}" for part in parts.split(".") if part)


def _range(match: Match) -> str:
    return f"{decimal(match[1])} to {decimal(match[2])}"
