"""The symbols that the acoustic model reads: ARPABET phones with stress, punctuation and the space.

    SYMBOL_TABLE[0]              # " "
    symbol_ids(["HH", "AH0"])    # (7, 31)

Order and number are those of NeMo 3.0.0's ``EnglishPhonemesTokenizer`` with the options that
``nemo_tokenizer.tokenizer_config`` writes, so that our ids and those of a NeMo server are the same numbers.
A trained model depends on this order: never change it, not even to remove a symbol that no text uses.
"""

from __future__ import annotations

from collections.abc import Iterable

SPACE = " "
APOSTROPHE = "'"
PAD = "<pad>"
OOV = "<oov>"

# fmt: off
CONSONANTS = (
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N",
    "NG", "P", "R", "S", "SH", "T", "TH", "V", "W", "Y", "Z", "ZH",
)
VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
# fmt: on
STRESSES = ("0", "1", "2")  # none, primary, secondary
STRESSED_VOWELS = tuple(vowel + stress for vowel in VOWELS for stress in STRESSES)
PHONES = frozenset(CONSONANTS + STRESSED_VOWELS)

# Letters have ids because released NeMo voices have them (chars=true); our front end never emits one.
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
PUNCTUATION = (",", ".", "!", "?", "-", ":", ";", "/", '"', "(", ")", "[", "]", "{", "}")

SYMBOL_TABLE: tuple[str, ...] = (
    SPACE,
    *CONSONANTS,
    *STRESSED_VOWELS,
    *LETTERS,
    APOSTROPHE,
    *PUNCTUATION,
    PAD,
    OOV,
)
SYMBOL_IDS = {symbol: number for number, symbol in enumerate(SYMBOL_TABLE)}


def symbol_ids(symbols: Iterable[str]) -> tuple[int, ...]:
    """The id of each symbol. Raises KeyError for what is no symbol."""
    return tuple(SYMBOL_IDS[symbol] for symbol in symbols)


def is_vowel(phone: str) -> bool:
    """Whether an ARPABET phone is a vowel: vowels carry their stress as a digit."""
    return phone[-1] in STRESSES
