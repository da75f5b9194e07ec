"""English words made of known words: endings, prefixes, compounds.

    formed("unbloggable", lexicon)     # prefix "un", the known "blog", ending "able"

Only what beats the guess of the CRF model is here: measured on 12,000 words that neither the lexicon nor the model
had seen, each kind gave 90 to 99 % of the phones where the model gave 70 to 92 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Phones = tuple[str, ...]

_SIBILANTS = frozenset({"S", "Z", "SH", "ZH", "CH", "JH"})
_VOICELESS = frozenset({"P", "T", "K", "F", "TH", "S", "SH", "CH"})
_VOWELS = "aeiouy"
_MIN_STEM = 3  # letters: "as" is no plural, "bed" is no past tense
_MIN_PREFIXED = 4  # letters behind a prefix, unless it is a metric one ("gigabit")
_MIN_PART = 4  # letters in each part of a compound: with three, the model guesses as well
_MAX_COMPOUND = 30  # letters
_DEPTH = 3  # endings and prefixes on one stem: "un-follow-er-s"

_ENDINGS = {
    "ness": "N AH0 S",
    "less": "L AH0 S",
    "ship": "SH IH2 P",
    "like": "L AY2 K",
    "hood": "HH UH2 D",
    "able": "AH0 B AH0 L",
    "ment": "M AH0 N T",
    "wise": "W AY2 Z",
    "dom": "D AH0 M",
    "est": "IH0 S T",
    "ful": "F AH0 L",
    "ish": "IH0 SH",
    "ism": "IH2 Z AH0 M",
    "ist": "IH0 S T",
    "ize": "AY2 Z",
    "ise": "AY2 Z",
    "man": "M AH0 N",
    "men": "M AH0 N",
    "al": "AH0 L",
    "er": "ER0",
    "or": "ER0",
    "ly": "L IY0",
    "y": "IY0",
}
_PREFIXES = {
    "counter": "K AW2 N T ER0",
    "hyper": "HH AY2 P ER0",
    "inter": "IH2 N T ER0",
    "micro": "M AY2 K R OW0",
    "multi": "M AH2 L T IY0",
    "photo": "F OW2 T OW0",
    "super": "S UW2 P ER0",
    "ultra": "AH2 L T R AH0",
    "under": "AH2 N D ER0",
    "anti": "AE2 N T IY0",
    "over": "OW2 V ER0",
    "post": "P OW2 S T",
    "semi": "S EH2 M IY0",
    "bio": "B AY2 OW0",
    "dis": "D IH0 S",
    "mis": "M IH0 S",
    "non": "N AA2 N",
    "out": "AW2 T",
    "pre": "P R IY0",
    "sub": "S AH0 B",
    "co": "K OW2",
    "de": "D IY0",
    "re": "R IY0",
    "un": "AH0 N",
    "up": "AH0 P",
}
_METRIC = {
    "centi": "S EH1 N T AH0",
    "deci": "D EH1 S AH0",
    "giga": "G IH1 G AH0",
    "hecto": "HH EH1 K T AH0",
    "kilo": "K IH1 L AH0",
    "mega": "M EH1 G AH0",
    "micro": "M AY1 K R OW0",
    "milli": "M IH1 L AH0",
    "nano": "N AE1 N OW0",
    "peta": "P EH1 T AH0",
    "tera": "T EH1 R AH0",
}
_UNITS = frozenset(
    ["bit", "byte", "watt", "volt", "amp", "joule", "pascal", "meter", "gram", "liter", "second", "hertz", "calorie"]
)


def formed(word: str, lexicon: Mapping[str, Phones]) -> Phones | None:
    """The phones of a word that is made of words of the lexicon, else None."""
    return _known(word, lexicon, _DEPTH) or _compound(word, lexicon)


def with_s(base: Phones) -> Phones:
    """The plural, the third person or the possessive."""
    if base[-1] in _SIBILANTS:
        return (*base, "IH0", "Z")
    return (*base, "S" if base[-1] in _VOICELESS else "Z")


def with_ed(base: Phones) -> Phones:
    """The past tense of a regular verb."""
    if base[-1] in ("T", "D"):
        return (*base, "IH0", "D")
    return (*base, "T" if base[-1] in _VOICELESS else "D")


def _known(word: str, lexicon: Mapping[str, Phones], depth: int) -> Phones | None:
    phones = lexicon.get(word)
    if phones is not None or depth == 0:
        return phones
    return next(_derived(word, lexicon, depth - 1), None)


def _derived(word: str, lexicon: Mapping[str, Phones], depth: int) -> Iterator[Phones]:
    """What the word may be, the likeliest first."""
    for prefix, phones in _METRIC.items():
        stem = word.removeprefix(prefix)
        if stem != word and stem.removesuffix("s") in _UNITS and (base := _known(stem, lexicon, 1)):
            yield (*phones.split(" "), *_secondary(base))
    if not word.endswith(("ss", "us", "is")):
        for stem in _stems(word, "s", ("ies", "y"), ("es", "")):
            if not stem.endswith("s") and (base := _known(stem, lexicon, depth)):
                yield with_s(base)
    for stem in _stems(word, "ed", ("ied", "y"), ("ed", "e")):
        if base := _known(stem, lexicon, depth):
            yield with_ed(base)
    for stem in _stems(word, "ing", ("ing", "e")):
        if base := _known(stem, lexicon, depth):
            yield (*base, "IH0", "NG")
    for ending, phones in _ENDINGS.items():
        silent = ((ending, "e"),) if ending[0] in _VOWELS else ()
        for stem in _stems(word, ending, *silent, ("i" + ending, "y")):
            if base := _known(stem, lexicon, min(depth, 1)):
                yield _joined(base, tuple(phones.split(" ")))
    for prefix, phones in _PREFIXES.items():
        stem = word.removeprefix(prefix)
        if stem != word and len(stem) >= _MIN_PREFIXED and (base := _known(stem, lexicon, depth)):
            yield (*phones.split(" "), *base)


def _stems(word: str, ending: str, *replacements: tuple[str, str]) -> Iterator[str]:
    """The words that ``word`` may be made of: ending cut off, replaced, and its doubled consonant undone."""
    for old, new in ((ending, ""), *replacements):
        if word.endswith(old) and len(word) - len(old) + len(new) >= _MIN_STEM:
            yield word[: len(word) - len(old)] + new
    stem = word[: -len(ending)] if word.endswith(ending) and ending[0] in _VOWELS else ""
    if len(stem) > _MIN_STEM and stem[-1] == stem[-2] and stem[-1] not in "aeiousl":
        yield stem[:-1]


def _joined(base: Phones, ending: Phones) -> Phones:
    return base + ending[1:] if base[-1] == ending[0] else base + ending


def _compound(word: str, lexicon: Mapping[str, Phones]) -> Phones | None:
    """Two known words, the cut that leaves the longer shorter part: "smart|watch"."""
    if len(word) > _MAX_COMPOUND:
        return None
    cuts = range(_MIN_PART, len(word) - _MIN_PART + 1)
    for cut in sorted(cuts, key=lambda position: (-min(position, len(word) - position), position)):
        first, second = lexicon.get(word[:cut]), lexicon.get(word[cut:])
        if first is not None and second is not None:
            return first + _secondary(second)
    return None


def _secondary(phones: Phones) -> Phones:
    return tuple(phone.replace("1", "2") for phone in phones)
