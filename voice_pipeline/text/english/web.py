"""Web addresses, e-mail addresses, handles and hashtags in English words."""

from __future__ import annotations

import re
from collections.abc import Callable

from voice_pipeline.text.english.abbreviations import spelled
from voice_pipeline.text.english.numbers import cardinal, spelled_digits
from voice_pipeline.text.english.vocabulary import SHORT_WORDS
from voice_pipeline.text.rules import Rule, rule

_DOMAINS = "com|org|net|edu|gov|mil|int|info|io|ai|dev|app|co|me|tv|us|uk|ca|au|de|fr|es|it|eu|jp|ch|nl|se|ru|cn|in"
_SIGNS = {
    ".": "dot",
    "/": "slash",
    "-": "dash",
    "_": "underscore",
    "@": "at",
    ":": "colon",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "%": "percent",
    "#": "hash",
    "+": "plus",
    "~": "tilde",
}
_PART = re.compile(r"[A-Za-z]+|\d+|[^A-Za-z\d]")
_TRAILING = ".,;:!?)]}'\"/"


def rules(is_word: Callable[[str], bool]) -> tuple[Rule, ...]:
    """``is_word`` says whether the lexicon holds a lower-case word: then it is read, else spelled."""

    def words(address: str) -> str:
        body = address.rstrip(_TRAILING)
        rest = "".join(sign for sign in address[len(body) :] if sign in ".,;:!?")
        body = re.sub(r"^[A-Za-z]{2,6}://", "", body)
        return " ".join(_part(part, is_word) for part in _PART.findall(body)) + rest[:1]

    return (
        rule(r"(?<![\w.+@-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}", lambda m: words(m[0])),
        rule(r"(?<!\w)(?:https?://|ftp://|www\.)[^\s<>\"]{1,2000}", lambda m: words(m[0]), re.IGNORECASE),
        rule(
            r"(?<![\w.@/-])(?:[a-z\d][a-z\d-]{0,62}\.){1,6}(?:"
            + _DOMAINS
            + r")(?![\w-]|\.[a-z])(?:/[^\s<>\"]{0,500})?",
            lambda m: words(m[0]),
        ),
        rule(
            r"(?<![\w@.])@([A-Za-z]\w{0,40})",
            lambda m: "at " + " ".join(_part(p, is_word) for p in _PART.findall(m[1])),
        ),
        rule(r"(?<![\w#])#([A-Za-z]\w{0,60})", lambda m: "hashtag " + _camel(m[1])),
    )


def _camel(text: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text.replace("_", " "))


def _part(part: str, is_word: Callable[[str], bool]) -> str:
    if part.isdigit():
        return cardinal(part) if len(part) < 4 else spelled_digits(part)
    if not part.isalpha():
        return _SIGNS.get(part, "")
    lower = part.lower()
    if lower in ("com", "org", "net", "edu", "gov", "mil", "info", "dev", "app", "co", "me"):
        return lower
    if lower in SHORT_WORDS or (len(lower) > 2 and (is_word(lower) or (len(lower) > 4 and set(lower) & set("aeiouy")))):
        return lower
    return spelled(lower)
