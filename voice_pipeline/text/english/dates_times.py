"""Dates, times of day, years and decades in English words."""

from __future__ import annotations

import re
from functools import cache

from voice_pipeline.text.english.numbers import cardinal, ordinal, plural, year
from voice_pipeline.text.rules import Match, Rule, rule, sentence_stop

# fmt: off
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)
# fmt: on
_ABBREVIATED = {month[:3]: month for month in MONTHS} | {"sept": "september"}
_DAY = r"(0?[1-9]|[12]\d|3[01])"
_YEAR = r"(\d{4})"
# May is written like the verb: the abbreviation rules ask for a capital.
_MONTH = (
    r"(January|February|March|April|May|June|July|August|September|October|November|December"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\b\.?)"
)
_MERIDIEM = r"([AaPp])\.?\s?[Mm]\b(\.?)"
_END = r"(?![\w]|[.,:]\d)"
_START = r"(?<![\w.,:/-])"
_PLURAL_AFTER = re.compile(
    r"\s+(?!(?:was|is|has|as|its|this|us|his|does|thus|across|plus|versus)\b)(?:[a-z]{2,30}s|people|men|women|children)\b"
)


_TH = r"(?:st|nd|rd|th)?"
_DAY_TH = _DAY + _TH
_MAYBE_YEAR = r"(?:,?\s{1,3}" + _YEAR + r")?"
_MONTH_DAY = r"\b" + _MONTH + r"\s{1,3}" + _DAY_TH
_HALF = r"(?:\s?" + _MERIDIEM + r")?"
_ERA = r"(A\.?D\b\.?|B\.?C\b\.?(?:E\b\.?)?|C\.?E\b\.?)"
_MODERN_YEAR = r"(1[1-9]\d\d|20\d\d)"
_CLOCK = r"\d{1,2}(?::\d\d|\s?[AaPp]\.?[Mm]\b)"
_IN_YEAR = r"(\b(?:[Ii]n|[Ss]ince|[Uu]ntil|[Tt]ill|[Bb]y|[Bb]efore|[Aa]fter|[Aa]round|[Cc]irca|[Yy]ear)\s)(10\d\d)"


@cache
def rules() -> tuple[Rule, ...]:
    """Rules for texts that hold digits, in their order."""
    return (
        rule(_START + _YEAR + r"-(0[1-9]|1[0-2])-" + _DAY + r"(?:T(?=\d)|(?!\d|[./-]\d))", _iso_date),
        rule(_START + _YEAR + r"/(0[1-9]|1[0-2])/" + _DAY + r"(?!\d|[./-]\d)", _iso_date),
        rule(_START + r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})(?![\w/]|[.]\d)", _slashed_date),
        rule(_START + r"(\d{1,2})-(\d{1,2})-(\d{4})(?![\w-]|[.]\d)", _slashed_date),
        rule(_START + r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?![\w]|[.]\d)", _dotted_date),
        rule(r"(" + _MONTH_DAY + r")\s?[-–]\s?(?=" + _MONTH_DAY + r")", lambda m: f"{m[1]} to"),
        rule(_MONTH_DAY + r"\s?[-–]\s?" + _DAY_TH + _MAYBE_YEAR + _END, _month_day_range),
        rule(_MONTH_DAY + r"(?:(,?)\s{1,3}" + _YEAR + r"(,?))?" + _END, _month_day),
        rule(
            r"(\b[Tt]he\s{1,3})?(?<![\w.,:/-])" + _DAY_TH + r"\s{1,3}(?:of\s{1,3})?" + _MONTH + _MAYBE_YEAR + _END,
            _day_month,
        ),
        rule(r"\b" + _MONTH + r",?\s{1,3}(?:of\s{1,3})?" + _YEAR + _END, _month_year),
        rule(r"\b" + _MONTH + r"(?=\s{1,3}'\d\d(?!\d))", lambda m: _month(m[1])),
        rule(r"(" + _CLOCK + r"\.?)\s?[-–]\s?(?=" + _CLOCK + r")", lambda m: f"{m[1]} to"),
        rule(_START + r"([01]?\d|2[0-4]):([0-5]\d):([0-5]\d)" + _HALF + r"(?:Z\b)?(?![\d:])", _time_seconds),
        rule(_START + r"([01]?\d|2[0-4]):([0-5]\d)" + _HALF + r"(?!\d|:\d)", _time),
        rule(r"(?<![\w.,:/])(1[0-2]|0?[1-9])(?:\s?[-–]\s?(1[0-2]|0?[1-9]))?\s?" + _MERIDIEM + r"(?!\w)", _hour),
        rule(r"(?<![\w.,])(\d{3}0|[2-9]0)(?:s|'s)(?!\w)", _decade),
        rule(r"(?<!\w)'(\d0)s(?!\w)", _decade),
        rule(r"(?<!\w)'(\d\d)(?![\w'])", lambda m: _two_digit_year(m[1])),
        rule(r"\b([Aa]\.?[Dd]\.?|[Bb]\.?[Cc]\.?(?:[Ee]\.?)?|[Cc]\.[Ee]\.|CE)\s?(\d{1,4})" + _END, _era_before),
        rule(_START + r"(\d{1,5})\s?" + _ERA + r"(?!\w)", _era_after),
        rule(_START + _MODERN_YEAR + r"\s?[-–]\s?" + _MODERN_YEAR + _END, lambda m: f"{year(m[1])} to {year(m[2])}"),
        rule(_START + _MODERN_YEAR + r"\s?[-–/]\s?(\d\d)" + _END, _short_range),
        rule(_IN_YEAR + _END, _early_year),
        rule(r"(?<![\w.,:/#$])" + _MODERN_YEAR + r"(?!\w|[.,:/]\d|-\d|\s?[%°$€£])", _bare_year),
    )


def _month(text: str) -> str:
    name = text.lower().rstrip(".")
    return _ABBREVIATED.get(name, name)


def _iso_date(match: Match) -> str:
    return f"{MONTHS[int(match[2]) - 1]} {ordinal(match[3])}, {year(match[1])}"


def _slashed_date(match: Match) -> str:
    first, second = int(match[1]), int(match[2])
    month, day = (second, first) if first > 12 else (first, second)
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return f"{cardinal(first)} {cardinal(second)} {cardinal(match[3])}"
    return f"{MONTHS[month - 1]} {ordinal(day)}, {_any_year(match[3])}"


def _dotted_date(match: Match) -> str:
    day, month = int(match[1]), int(match[2])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return f"{cardinal(day)} point {cardinal(month)} point {cardinal(match[3])}"
    return f"{MONTHS[month - 1]} {ordinal(day)}, {year(match[3])}"


def _month_day_range(match: Match) -> str:
    text = f"{_month(match[1])} {ordinal(match[2])} to {ordinal(match[3])}"
    return text + (f", {year(match[4])}" if match[4] else "")


def _month_day(match: Match) -> str:
    text = f"{_month(match[1])} {ordinal(match[2])}"
    return text + (f", {year(match[4])}{match[5]}" if match[4] else "")


def _day_month(match: Match) -> str:
    text = f"the {ordinal(match[2])} of {_month(match[3])}"
    return text + (f", {year(match[4])}" if match[4] else "")


def _month_year(match: Match) -> str:
    return f"{_month(match[1])} {year(match[2])}"


def _any_year(digits: str) -> str:
    if len(digits) == 2:
        return year(int(digits) + (2000 if int(digits) < 50 else 1900))
    return year(digits)


def _two_digit_year(digits: str) -> str:
    return f"oh {cardinal(digits[1])}" if digits[0] == "0" else cardinal(digits)


def _half(match: Match, letter: int) -> str:
    """ "a m" or "p m", with the full stop of a sentence that ends here."""
    if not match[letter]:
        return ""
    return (" ay m" if match[letter] in "Aa" else " p m") + sentence_stop(match)


def _time(match: Match) -> str:
    hour, minute, half = match[1], match[2], _half(match, 3)
    if minute != "00":
        minutes = f"oh {cardinal(minute[1])}" if minute[0] == "0" else cardinal(minute)
        return f"{_hour_word(hour)} {minutes}{half}"
    if half:
        return _hour_word(hour) + half
    return f"{_hour_word(hour)} {'hundred' if int(hour) > 12 or hour[0] == '0' else 'o' + chr(39) + 'clock'}"


def _time_seconds(match: Match) -> str:
    hour, minute, second = (int(match[group]) for group in (1, 2, 3))
    if minute == second == 0:
        return f"{_hour_word(match[1])} o'clock{_half(match, 4)}"
    minutes = "" if minute == 0 else f" {cardinal(minute)}" if minute > 9 else f" oh {cardinal(minute)}"
    seconds = f" and {cardinal(second)} {'second' if second == 1 else 'seconds'}"
    return f"{_hour_word(str(hour))}{minutes}{seconds}{_half(match, 4)}"


def _hour_word(digits: str) -> str:
    return cardinal(int(digits))


def _hour(match: Match) -> str:
    end = f" to {_hour_word(match[2])}" if match[2] else ""
    return _hour_word(match[1]) + end + _half(match, 3)


def _decade(match: Match) -> str:
    digits = match[1]
    if len(digits) == 2:
        return plural(cardinal(digits)) if digits != "00" else "two thousands"
    return plural(year(digits))


def _era(text: str) -> str:
    letters = text.replace(".", "").lower()
    return {"ad": "ay d", "bc": "b c", "bce": "b c e", "ce": "c e"}[letters]


def _era_year(digits: str) -> str:
    return year(digits) if len(digits) == 4 else cardinal(digits)


def _era_before(match: Match) -> str:
    return f"{_era(match[1])} {_era_year(match[2])}"


def _era_after(match: Match) -> str:
    return f"{_era_year(match[1])} {_era(match[2])}{sentence_stop(match)}"


def _short_range(match: Match) -> str:
    return f"{year(match[1])} to {_two_digit_year(match[2])}"


def _early_year(match: Match) -> str:
    """ "In 1066", but "by 1066 votes"."""
    counted = _PLURAL_AFTER.match(match.string, match.end())
    return match[1] + (cardinal(match[2]) if counted else year(match[2]))


def _bare_year(match: Match) -> str:
    """A year, unless things are counted: "in 1500", but "1500 ships"."""
    if _PLURAL_AFTER.match(match.string, match.end()):
        return cardinal(match[1])
    return year(match[1])
