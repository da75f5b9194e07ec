"""Money, percentages, temperatures and units of measure in English words."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from voice_pipeline.text.english.numbers import cardinal, decimal, spelled_digits
from voice_pipeline.text.english.vocabulary import CURRENCIES, CURRENCY_CODES, CURRENCY_PREFIXES, SCALES, UNITS
from voice_pipeline.text.rules import Match, Rule, rule, sentence_stop

INTEGER = r"(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)"
NUMBER = r"(?:" + INTEGER + r"(?:\.\d++)?|\.\d++)"
_FRACTION = r"(?:(?:\d{1,3}\s)?\d{1,2}/\d{1,2}(?![\d/]))"
_BEGIN = r"(?<![\w.,])"
_SIGNED = r"(?<![\w.,)^])([-–]?)"
_TO = r"\s?(?:[-–—]|to)\s?"
_QUOTED = 300  # characters in which an opening quote is looked for
_OPENING_QUOTE = re.compile(r'(?<!\d)"')
_OPENING_SINGLE_QUOTE = re.compile(r"(?<!\w)'")
# What is paid for by the piece is named in the singular: a five dollar bill.
_PIECES = re.compile(
    r"[-\s](?:bills?|notes?|coins?|gift|banknotes?|stamps?|deals?|fines?|fees?|loans?|prizes?|grants?|funds?"
    r"|investments?|contracts?|projects?|settlements?|lawsuits?|budgets?|donations?|question|homes?|houses?)\b"
)


@cache
def rules() -> tuple[Rule, ...]:
    """Rules for texts that hold digits, in their order."""
    signs = "[" + "".join(map(re.escape, CURRENCIES)) + "]"
    prefixes = "|".join(sorted((re.escape(prefix) for prefix in CURRENCY_PREFIXES), key=len, reverse=True))
    scale = r"(?:[\s-]?(" + "|".join(sorted(map(re.escape, SCALES), key=len, reverse=True)) + r")(?!\w))?"
    second = r"(?:" + _TO + signs + r"?(" + NUMBER + r")" + scale + r")?"
    codes = "|".join(re.escape(code) for code in CURRENCY_CODES)
    units = "|".join(sorted((re.escape(unit) for unit in UNITS), key=len, reverse=True))
    number = r"(" + _FRACTION + "|" + NUMBER + r")"
    to_number = r"(?:" + _TO + r"(" + NUMBER + r"))?"
    thousands = r"(?:\s(thousand|million|billion|trillion)(?=\s))?"
    per = r"(?:/(" + units + r")\b|\s?/\s?([a-z]{3,8})\b)?\.?"
    return (
        rule(
            r"(?<![\w$£€¥])(-)?("
            + prefixes
            + r")?("
            + signs
            + r")\s?(-)?("
            + NUMBER
            + r")"
            + scale
            + second
            + r"(?!\.?\d)",
            _money,
        ),
        rule(_BEGIN + r"(" + NUMBER + r")" + scale + r"\s?(" + signs + r"|¢)(?!\w)", _money_after),
        rule(r"\b(" + codes + r")\s?(" + NUMBER + r")" + scale + r"(?!\w)", _code_money),
        rule(_BEGIN + r"(" + NUMBER + r")" + scale + r"\s?(" + codes + r")(?!\w)", _money_code),
        rule(r"\b(dollars?|pounds?|euros?|cents|pence|yen)\s{1,2}/\s?(" + units + r"|[a-z]{3,12})\b", _per),
        rule(_BEGIN + r"(\d{1,2})\s?(?:'|ft\.?|feet)\s?(\d{1,2}(?:\.\d)?)\s?(?:\"|''|in\b\.?|inches\b)", _feet_inches),
        rule(_BEGIN + r"(\d{1,2})'(\d{1,2})(?![\w'])", _feet_inches),
        rule(r"(?<![\w.,)])([-–]?)(" + NUMBER + r")(?:" + _TO + r"(-?" + NUMBER + r"))?\s?°\s?([CFK])?\b", _degrees),
        rule(r"(?<![\w.,)])([-–]?)(" + NUMBER + r")(?:" + _TO + r"(-?" + NUMBER + r"))?\s?°(?![\d.])", _angle),
        rule(r"(?<![\w.,)])([-+]?)(" + NUMBER + r")(?:\s?%)?" + _TO + r"(" + NUMBER + r")\s?%", _percent_range),
        rule(r"(?<![\w.,)])([-+]?)" + number + r"\s?%", _percent),
        rule(_BEGIN + r"(\d++)\s?h(?:rs?)?\s?(\d{1,2})\s?m(?:in)?\b\.?(?![\w/])", _hours_minutes),
        rule(_BEGIN + r"(" + NUMBER + r")\s?[x×]\s?(" + NUMBER + r")(?:\s?[x×]\s?(" + NUMBER + r"))?(?!\s?\^)", _by),
        rule(_SIGNED + number + to_number + thousands + r"([\s-]?)(" + units + r")(?![\w°'])(?!\.\w)" + per, _measure),
        rule(r"(?<![\w.,/])(" + _FRACTION + r"|\d{1,2}(?:\.\d)?)\"(?=[\s,.;)-]|$)", _inches),
        rule(r"(?<![\w.,/'])(\d{1,2})'(?=[\s,.;)]|$)", _feet),
    )


class _Value(NamedTuple):
    words: str
    is_one: bool


def value(number: str) -> _Value:
    """A number or a fraction in words, and whether it asks for the singular."""
    if "/" in number:
        from voice_pipeline.text.english.number_words import fraction, mixed

        whole, _, part = number.rpartition(" ")
        return _Value(mixed(whole, part), False) if whole else _Value(fraction(part) + " of a", True)
    return _Value(decimal(number), number == "1")


def _amount(number: str, sign: str, scale: str | None) -> str:
    currency = CURRENCIES[sign]
    whole, _, part = number.replace(",", "").partition(".")
    if scale:
        return f"{decimal(number)} {SCALES[scale]} {currency.plural}"
    if len(part) != 2 or not currency.cents:
        return f"{decimal(number)} {currency.name if number == '1' else currency.plural}"
    major = f"{cardinal(whole or '0')} {currency.name if whole == '1' else currency.plural}"
    if part == "00":
        return major
    minor = f"{cardinal(int(part))} {currency.cent if part == '01' else currency.cents}"
    return minor if not whole.strip("0") else f"{major} and {minor}"


def _money(match: Match) -> str:
    minus, prefix, sign, inner_minus, number, scale, second, second_scale = match.groups()
    words = _amount(number, sign, scale)
    if second:
        last = _amount(second, sign, second_scale)
        low = f"{decimal(number)} {SCALES[scale]}" if scale and scale != second_scale else decimal(number)
        words = f"{words} to {last}" if "." in number + second and not second_scale else f"{low} to {last}"
    elif _PIECES.match(match.string, match.end()):
        words = words.replace(CURRENCIES[sign].plural, CURRENCIES[sign].name)
    if prefix and CURRENCY_PREFIXES[prefix]:
        name = CURRENCIES[sign]
        words = re.sub(rf"\b({name.plural}|{name.name})\b", CURRENCY_PREFIXES[prefix] + r" \1", words, count=1)
    return f"minus {words}" if minus or inner_minus else words


def _money_after(match: Match) -> str:
    number, scale, sign = match.groups()
    if sign == "¢":
        return f"{decimal(number)} {'cent' if number == '1' else 'cents'}"
    return _amount(number, sign, scale)


def _coded(number: str, scale: str | None, code: str) -> str:
    name, names = CURRENCY_CODES[code]
    words = f"{decimal(number)} {SCALES[scale]}" if scale else decimal(number)
    return f"{words} {name if number == '1' and not scale else names}"


def _code_money(match: Match) -> str:
    return _coded(match[2], match[3], match[1])


def _money_code(match: Match) -> str:
    return _coded(match[1], match[2], match[3])


def _feet_inches(match: Match) -> str:
    feet, inches = match[1], match[2]
    first = f"{decimal(feet)} {'foot' if feet == '1' else 'feet'}"
    return f"{first} {decimal(inches)} {'inch' if inches == '1' else 'inches'}{sentence_stop(match)}"


def _inches(match: Match) -> str:
    """Inches when the double quote closes nothing; a 24 inch monitor."""
    if _is_quoted(match, _OPENING_QUOTE):
        return match[0]
    first = value(match[1])
    one = first.is_one or match.string[match.end() : match.end() + 2].strip().isalpha()
    return f"{first.words.removesuffix(' of a')} {'inch' if one else 'inches'}"


def _feet(match: Match) -> str:
    """Feet when the single quote closes nothing."""
    if _is_quoted(match, _OPENING_SINGLE_QUOTE):
        return match[0]
    return f"{decimal(match[1])} {'foot' if match[1] == '1' else 'feet'}"


def _is_quoted(match: Match, opening: re.Pattern[str]) -> bool:
    return len(opening.findall(match.string, max(0, match.start() - _QUOTED), match.start())) % 2 == 1


def _per(match: Match) -> str:
    return f"{match[1]} per {UNITS.get(match[2], (match[2], ''))[0]}"


_SCALES_OF_TEMPERATURE = {"C": " celsius", "F": " fahrenheit", "K": " kelvin", None: ""}


def _signed(sign: str, number: str) -> str:
    return ("minus " if sign in ("-", "–") and sign else "plus " if sign == "+" else "") + decimal(number)


def _range_end(number: str | None) -> str:
    if not number:
        return ""
    return f" to {_signed('-' if number[0] == '-' else '', number.lstrip('-'))}"


def _degrees(match: Match) -> str:
    sign, number, second, scale = match.groups()
    name = "degree" if number == "1" and not second else "degrees"
    return f"{_signed(sign, number)}{_range_end(second)} {name}{_SCALES_OF_TEMPERATURE[scale]}"


def _angle(match: Match) -> str:
    sign, number, second = match.groups()
    name = "degree" if number == "1" and not second else "degrees"
    return f"{_signed(sign, number)}{_range_end(second)} {name}"


def _percent_range(match: Match) -> str:
    return f"{_signed(match[1], match[2])} to {decimal(match[3])} percent"


def _percent(match: Match) -> str:
    words = value(match[2]).words.removesuffix(" of a")
    return f"{_signed(match[1], '0').removesuffix('zero')}{words} percent"


def _hours_minutes(match: Match) -> str:
    hours, minutes = str(int(match[1])) if len(match[1]) < 5 else match[1], str(int(match[2]))
    return (
        f"{cardinal(hours)} {'hour' if hours == '1' else 'hours'} "
        f"{cardinal(minutes)} {'minute' if minutes == '1' else 'minutes'}"
    )


def _by(match: Match) -> str:
    return " by ".join(decimal(number) for number in match.groups() if number)


def _measure(match: Match) -> str:
    sign, number, second, thousands, gap, unit, per_unit, per_word = match.groups()
    if unit == "s" and not gap and "." not in number:  # 100s are hundreds
        return match[0]
    first = value(number)
    name, names = UNITS[unit]
    words = f"minus {first.words}" if sign else first.words
    if second:
        words += f" to {decimal(second)}"
    if thousands:
        words += f" {thousands}"
    words += f" {name if (first.is_one and not second and not thousands) or gap == '-' else names}"
    if per_unit:
        words += f" per {UNITS[per_unit][0]}"
    elif per_word:
        words += f" per {per_word}"
    return words + sentence_stop(match)


def telephone(match: Match) -> str:
    """Groups of digits, one digit at a time, with a short pause between the groups."""
    groups = [spelled_digits(group) for group in re.findall(r"\d+", match[0])]
    plus = "plus " if match[0].startswith("+") else ""
    return plus + ", ".join(groups)
