"""How an English word is said: looked up, derived from its stem, spelled, or guessed.

The order goes from what is known to what is guessed: the lexicon; what is made of its words ("rebooted",
"smartwatch"); letters for what has no vowel ("mph"); the CRF model for everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from voice_pipeline.text.english.word_formation import formed, with_s

Phones = tuple[str, ...]

_CLITICS: tuple[tuple[str, Phones], ...] = (
    ("n't", ("AH0", "N", "T")),
    ("'ll", ("AH0", "L")),
    ("'ve", ("AH0", "V")),
    ("'re", ("ER0",)),
    ("'d", ("D",)),
    ("'m", ("AH0", "M")),
)
_MAX_GUESSED = 1_000  # unknown words kept in memory


class EnglishPronunciation:
    """Pronounces any word of a-z and apostrophes. The same word is always said the same way."""

    def __init__(self, lexicon: Mapping[str, Phones], guess: Callable[[str], Phones]) -> None:
        """``guess`` says an unknown word of a-z only."""
        self._lexicon = lexicon
        self._guess = guess
        self._guessed: dict[str, Phones] = {}

    def __call__(self, word: str) -> Phones:
        """ARPABET phones of a lower-case word; never empty."""
        known = self._lexicon.get(word)
        if known is not None:
            return known
        phones = self._guessed.get(word)
        if phones is None:
            phones = self._unknown(word)
            if len(self._guessed) >= _MAX_GUESSED:
                self._guessed.clear()
            self._guessed[word] = phones
        return phones

    def _unknown(self, word: str) -> Phones:
        if "'" in word:
            return self._with_apostrophe(word)
        made = formed(word, self._lexicon)
        if made is not None:
            return made
        if not set(word) & set("aeiouy"):
            return self.spelled(word)
        return self._guess(word) or self.spelled(word)

    def _with_apostrophe(self, word: str) -> Phones:
        if word.endswith("'s") and len(word) > 2:
            return with_s(self(word[:-2]))
        for clitic, phones in _CLITICS:
            if word.endswith(clitic) and len(word) > len(clitic):
                return self(word[: -len(clitic)]) + phones
        joined = word.replace("'", "")
        if joined in self._lexicon:
            return self._lexicon[joined]
        parts = [part for part in word.split("'") if part]
        return tuple(phone for part in parts for phone in self(part))

    def spelled(self, letters: str) -> Phones:
        """The names of the letters, one after the other."""
        names = (self._lexicon["ay" if letter == "a" else letter] for letter in letters if letter != "'")
        return tuple(phone for name in names for phone in name)
