"""Written text of a language without a lexicon to its letters and the punctuation that is heard.

    SpellingNormaliser(writing("fr-CA"))("L’été coûte 2,5 €…")     # "l'été coûte deux virgule cinq euros."

The result holds the language's letters in lower case, apostrophes inside words, single spaces, ``, . ; : ! ?`` and
the marks of this language alone; normalising it again changes nothing. No abbreviation is expanded.
"""

from __future__ import annotations

import re
import unicodedata

from voice_pipeline.text.characters import LATIN_LETTERS, before_nfkc, unsupported
from voice_pipeline.text.errors import EMPTY_TEXT, UNSUPPORTED_SCRIPT, TextError
from voice_pipeline.text.spelling.numbers import Numbers, without_inner_spaces
from voice_pipeline.text.spelling.writing import Writing

MARKS = (",", ".", "!", "?", ":", ";")
_STRENGTH = "?!.;:,"
_SECOND = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "−": "-", "⁄": "/"})  # what NFKC and numbers bring back
_SUPERSCRIPT = re.compile(r"([⁰¹²³⁴-⁹]+)")
_LINES = re.compile("[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_PAUSES = re.compile(r"\s-+\s|[–—]+|--+|[()\[\]{}|·]")
_ELLIPSIS = re.compile(r"\.(?:\s?\.)+(\s*)(?=(\w)?)")
_LOOSE_APOSTROPHE = re.compile(r"(?<!\w)'+|'+(?!\w)|''+")
_SPACES = re.compile(r"\s+")
_PUNCTUATION = re.compile(r" ?[,.;:!?][ ,.;:!?]*")
_LATIN_NAME = re.compile(r"LATIN SMALL LETTER ([A-Z]) WITH .*")


class SpellingNormaliser:
    """Normalises the texts of one language. Keeps no state between texts, and is safe to share between threads."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._numbers = Numbers(writing)
        self._letters = frozenset(writing.letters)
        self._kept = self._letters | set(" ',.;:!?") | set(writing.marks)
        self._signs = {ord(sign): f" {words} " for sign, words in writing.signs.items()}
        self._signs |= {ord(sign): f" {noun.other} " for sign, noun in writing.counted.items()}
        opening = re.escape(writing.marks)
        self._opening = re.compile(rf"\s*([{opening}])[\s,.;:!?{opening}]*(\w)?") if opening else None

    def __call__(self, text: str) -> str:
        """The letters of ``text``. Raises TextError ``unsupported_script`` or ``empty_text``."""
        text = self._letters_and_marks(self._words(_LINES.sub("\n", text)))
        text = _tidy(text)
        if self._opening is not None:  # a question opens with one mark, right before its first word
            text = self._opening.sub(lambda match: f" {match[1]}{match[2]}" if match[2] else " ", text)
            text = _tidy(text)
        if self._letters.isdisjoint(text):
            raise TextError(EMPTY_TEXT, "there is nothing to say in this text")
        return text

    def _words(self, text: str) -> str:
        """Numbers and signs in words, in lower case; anything else as it is written."""
        text = without_inner_spaces(_SUPERSCRIPT.sub(r" \1 ", _paragraphs(text)))
        text = text.translate(before_nfkc(keep="ºª№"))
        text = text.replace("№", f" {self._writing.signs.get('№', '')} ")
        text = self._numbers.ordinals(text).replace("º", "°")
        text = _digits_of_any_script(unicodedata.normalize("NFKC", text)).translate(_SECOND)
        text = _ELLIPSIS.sub(lambda match: ", " if (match[2] or "").islower() else ". ", text)
        text = self._numbers(text) if any(map(str.isdigit, text)) else text
        return unicodedata.normalize("NFC", _lower(text.translate(self._signs), self._writing.language))

    def _letters_and_marks(self, text: str) -> str:
        """Only what is kept, and what pauses are made of. Raises TextError ``unsupported_script``."""
        text = _PAUSES.sub(", ", text)
        replaced = {character: self._replacement(character) for character in sorted(set(text) - self._kept)}
        unknown = [character for character, replacement in replaced.items() if replacement is None]
        if unknown:
            raise TextError(UNSUPPORTED_SCRIPT, unsupported(unknown))
        return text.translate({ord(character): replacement for character, replacement in replaced.items()})

    def _replacement(self, character: str) -> str | None:
        """What stands for a character that is not kept; None for a letter that this language does not have."""
        category = unicodedata.category(character)
        if category.startswith("L") and category != "Lm":
            return self._letter(character)
        return "" if category.startswith("M") or category in ("Cf", "Lm") else " "

    def _letter(self, character: str) -> str | None:
        if same := self._writing.same.get(character):
            return same
        spelled = LATIN_LETTERS.get(character) or "".join(
            part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part)
        )
        if not self._letters.issuperset(spelled):
            spelled = _plain_latin(character)
        return spelled if spelled and self._letters.issuperset(spelled) else None


def _plain_latin(character: str) -> str:
    """The letter under a stroke or hook, which Unicode does not decompose: "ł" is "l"."""
    match = _LATIN_NAME.fullmatch(unicodedata.name(character, ""))
    return match[1].lower() if match else ""


def _paragraphs(text: str) -> str:
    """A blank line ends a sentence, another line end is a space."""
    joined = ""
    blank = False
    for line in map(str.strip, text.split("\n")):
        if line:
            joined += (". " if blank and joined[-1:].isalnum() else " ") + line
        blank = not line
    return joined


def _digits_of_any_script(text: str) -> str:
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(c)) if unicodedata.category(c) == "Nd" else c for c in text)


def _lower(text: str, language: str) -> str:
    if language == "tr":
        text = text.replace("İ", "i").replace("I", "ı")
    return text.lower()


def _tidy(text: str) -> str:
    """Single spaces, one mark at each pause, none at the beginning."""
    text = _LOOSE_APOSTROPHE.sub("", text)
    text = _SPACES.sub(" ", text)
    text = _PUNCTUATION.sub(_strongest, text)
    return _SPACES.sub(" ", text).strip(" ,").lstrip(" ,.;:!?").rstrip()


def _strongest(match: re.Match[str]) -> str:
    mark = min((sign for sign in match[0] if sign != " "), key=_STRENGTH.index)
    return mark + " "
