"""How an English word is said: looked up, derived from its stem, spelled, or guessed.

The order goes from what is known to what is guessed: the lexicon; an ending on a word of the lexicon ("rebooted");
letters for what has no vowel ("mph"); the CRF model for everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

Phones = tuple[str, ...]

_SIBILANTS = frozenset({"S", "Z", "SH", "ZH", "CH", "JH"})
_VOICELESS = frozenset({"P", "T", "K", "F", "TH", "S", "SH", "CH"})
_CLITICS: tuple[tuple[str, Phones], ...] = (
    ("n't", ("AH0", "N", "T")),
    ("'ll", ("AH0", "L")),
    ("'ve", ("AH0", "V")),
    ("'re", ("ER0",)),
    ("'d", ("D",)),
    ("'m", ("AH0", "M")),
)
_ENDINGS: tuple[tuple[str, Phones], ...] = (
    ("ly", ("L", "IY0")),
    ("ness", ("N", "AH0", "S")),
    ("less", ("L", "AH0", "S")),
)
_PREFIXES: tuple[tuple[str, Phones], ...] = (
    ("centi", ("S", "EH1", "N", "T", "AH0")),
    ("deci", ("D", "EH1", "S", "AH0")),
    ("giga", ("G", "IH1", "G", "AH0")),
    ("hecto", ("HH", "EH1", "K", "T", "AH0")),
    ("kilo", ("K", "IH1", "L", "AH0")),
    ("mega", ("M", "EH1", "G", "AH0")),
    ("micro", ("M", "AY1", "K", "R", "OW0")),
    ("milli", ("M", "IH1", "L", "AH0")),
    ("nano", ("N", "AE1", "N", "OW0")),
    ("peta", ("P", "EH1", "T", "AH0")),
    ("tera", ("T", "EH1", "R", "AH0")),
    ("non", ("N", "AA2", "N")),
    ("un", ("AH0", "N")),
)
_MIN_STEM = 3  # letters: "as" is no plural, "bed" is no past tense
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
        derived = next(self._derived(word), None) or self._prefixed(word)
        if derived is not None:
            return derived
        if not set(word) & set("aeiouy"):
            return self.spelled(word)
        return self._guess(word) or self.spelled(word)

    def _with_apostrophe(self, word: str) -> Phones:
        if word.endswith("'s") and len(word) > 2:
            return _with_s(self(word[:-2]))
        for clitic, phones in _CLITICS:
            if word.endswith(clitic) and len(word) > len(clitic):
                return self(word[: -len(clitic)]) + phones
        joined = word.replace("'", "")
        if joined in self._lexicon:
            return self._lexicon[joined]
        parts = [part for part in word.split("'") if part]
        return tuple(phone for part in parts for phone in self(part))

    def _derived(self, word: str) -> Iterator[Phones]:
        """What the word may be, an ending on a known stem, the likeliest first."""
        for stem in _stems(word, "s", ("ies", "y"), ("es", "")):
            if stem in self._lexicon and not stem.endswith("s"):
                yield _with_s(self._lexicon[stem])
        for stem in _stems(word, "ed", ("ied", "y"), ("ed", "e")):
            if stem in self._lexicon:
                yield _with_ed(self._lexicon[stem])
        for stem in _stems(word, "ing", ("ing", "e")):
            if stem in self._lexicon:
                yield (*self._lexicon[stem], "IH0", "NG")
        for ending, phones in _ENDINGS:
            stem = word.removesuffix(ending)
            if stem != word and len(stem) >= _MIN_STEM and stem in self._lexicon:
                base = self._lexicon[stem]
                yield base + phones[1:] if base[-1] == phones[0] else base + phones

    def _prefixed(self, word: str) -> Phones | None:
        """A prefix before a known word: "gigawatts", "unbookable"."""
        for prefix, phones in _PREFIXES:
            stem = word.removeprefix(prefix)
            if stem != word and len(stem) >= _MIN_STEM:
                base = self._lexicon.get(stem) or next(self._derived(stem), None)
                if base is not None:
                    stressed = any(phone.endswith("1") for phone in phones)
                    return phones + (tuple(phone.replace("1", "2") for phone in base) if stressed else base)
        return None

    def spelled(self, letters: str) -> Phones:
        """The names of the letters, one after the other."""
        names = (self._lexicon["ay" if letter == "a" else letter] for letter in letters if letter != "'")
        return tuple(phone for name in names for phone in name)


def _stems(word: str, ending: str, *replacements: tuple[str, str]) -> Iterator[str]:
    """The words that ``word`` may be made of: ending cut off, replaced, and its doubled consonant undone."""
    for old, new in ((ending, ""), *replacements):
        if word.endswith(old):
            stem = word[: -len(old)]
            if len(stem) >= _MIN_STEM - len(new):
                yield stem + new
    stem = word[: -len(ending)] if word.endswith(ending) and ending != "s" else ""
    if len(stem) > _MIN_STEM and stem[-1] == stem[-2] and stem[-1] not in "aeiousl":
        yield stem[:-1]


def _with_s(base: Phones) -> Phones:
    if base[-1] in _SIBILANTS:
        return (*base, "IH0", "Z")
    return (*base, "S" if base[-1] in _VOICELESS else "Z")


def _with_ed(base: Phones) -> Phones:
    if base[-1] in ("T", "D"):
        return (*base, "IH0", "D")
    return (*base, "T" if base[-1] in _VOICELESS else "D")
