"""Capitals: acronyms are spelled or said as words, shouting is lowered, the letter A is told from the article."""

from __future__ import annotations

import re
from collections.abc import Callable

from voice_pipeline.text.english.abbreviations import letter, spelled
from voice_pipeline.text.english.vocabulary import SAID_AS_WORDS, SHORT_WORDS, SPELLED
from voice_pipeline.text.rules import Match, Rule, rule

_MAX_SPELLED = 5  # letters: a longer unknown word in capitals is read as a word
_CAPITALS = re.compile(r"[A-Z']{2,}")
_NEIGHBOUR = re.compile(r"\s[A-Z]{3,}\b")


class Capitals:
    """Decides how words in capitals are read. ``is_word`` says whether the lexicon holds a lower-case word."""

    def __init__(self, is_word: Callable[[str], bool]) -> None:
        self._is_word = is_word

    def rules(self) -> tuple[Rule, ...]:
        """Rules for texts that hold capitals."""
        return (
            rule(r"(?<![\w'])A(?=-[A-Za-z]|\s(?:and|or)\sB\b)", "ay"),
            rule(r"(?<=[A-Za-z])-(?=[A-Za-z])", ""),  # before the words around it are spelled
            rule(r"\bPh\.?D(s?)(?!\w)", lambda m: "p h d" + ("'s" if m[1] else "")),
            rule(r"(?<![A-Za-z'])([A-Z]{2,5})(?:'s|s)(?![A-Za-z'])", self._plural),
            rule(r"(?<![A-Za-z'])[A-Z]{2,}(?:'[A-Z]{1,2})?(?![A-Za-z])", self._capitals),
            rule(r"(?<=[a-z]\s)A(?=\s?(?:[.,;:!?)]|$)|\s(?:and|or)\s[B-Z]\b)", "ay"),
        )

    def codes(self) -> tuple[Rule, ...]:
        """Rules for letters and digits in one word: MP3, F-16, 3D, 4k."""
        return (
            rule(r"(?<![\w.,])(\d[\d.,]*+)(?:mn|M)(?!\w)", lambda m: f"{m[1]} million"),
            rule(r"(?<![\w.,])(\d[\d.,]*+)(?:bn|B)(?!\w)", lambda m: f"{m[1]} billion"),
            rule(r"(?<![\w.,])(\d{3})[kK](?!\w)", lambda m: f"{m[1]} thousand"),
            rule(r"(?<![\w'])([A-Z]{1,12})[-–]?(?=\d)", lambda m: self.read(m[1]) if len(m[1]) > 1 else letter(m[1])),
            rule(r"(?<![\w'])([a-z]{1,2})(?=\d)", lambda m: spelled(m[1])),
            rule(r"(?<=\d)[-–]?([A-Z]{1,4}|[a-rt-z])(?![a-z'])", lambda m: spelled(m[1])),
        )

    def lower_shouting(self, text: str) -> str:
        """A text all in capitals: its words in lower case, its acronyms left as they are."""
        words = _CAPITALS.findall(text)
        known = sum(self._is_word(word.lower()) for word in words)
        if known < 2 or known * 2 <= len(words) or any(character.islower() for character in text):
            return text
        lowered = _CAPITALS.sub(lambda match: match[0].lower() if self._is_word(match[0].lower()) else match[0], text)
        return re.sub(r"\bA\b", "a", lowered)

    def read(self, word: str) -> str:
        """A word in capitals: as a word, or letter by letter."""
        lower = word.lower()
        if lower in SAID_AS_WORDS:
            return lower
        if lower in SPELLED or (len(word) == 2 and lower not in SHORT_WORDS):
            return spelled(word)
        if self._is_word(lower) or (len(word) > _MAX_SPELLED and set(lower) & set("aeiouy")):
            return lower
        return spelled(word)

    def _capitals(self, match: Match) -> str:
        word = match[0]
        if "'" in word:
            return word.lower()
        if word.lower() in SHORT_WORDS and self._is_emphasised(match):
            return word.lower()
        return self.read(word)

    def _plural(self, match: Match) -> str:
        """CEOs and the CEO's sound alike; a word such as NASA's keeps its own ending."""
        words = self.read(match[1])
        return f"{words}'s"

    def _is_emphasised(self, match: Match) -> bool:
        """Whether a whole phrase is in capitals: "STOP IT NOW" is no matter of IT."""
        before = match.string[max(0, match.start() - 12) : match.start()]
        return bool(_NEIGHBOUR.match(match.string, match.end()) or re.search(r"\b[A-Z]{3,}\s$", before))
