"""From the IPA of gruut's English lexicon to ARPABET with stress, the symbols of CMUdict.

    arpabet(["h", "ə", "l", "ˈoʊ"])     # ("HH", "AH0", "L", "OW1")

gruut's inventory is one to one with CMUdict's, apart from the two spellings of the unstressed AH.
"""

from __future__ import annotations

from collections.abc import Iterable

_CONSONANTS = {
    **{ipa: ipa.upper() for ipa in "bdfklmnpstvwz"},
    "h": "HH",
    "j": "Y",
    "ŋ": "NG",
    "ð": "DH",
    "ɡ": "G",
    "ɹ": "R",
    "ʃ": "SH",
    "ʒ": "ZH",
    "θ": "TH",
    "d͡ʒ": "JH",
    "t͡ʃ": "CH",
}
_VOWELS = {
    "aɪ": "AY",
    "aʊ": "AW",
    "eɪ": "EY",
    "i": "IY",
    "oʊ": "OW",
    "u": "UW",
    "æ": "AE",
    "ɑ": "AA",
    "ɔ": "AO",
    "ɔɪ": "OY",
    "ə": "AH",
    "ɚ": "ER",
    "ɛ": "EH",
    "ɪ": "IH",
    "ʊ": "UH",
    "ʌ": "AH",
}
_STRESS = {"ˈ": "1", "ˌ": "2"}
PHONE = {  # of each phoneme as the lexicon writes it
    **_CONSONANTS,
    **{ipa: phone + "0" for ipa, phone in _VOWELS.items()},
    **{mark + ipa: phone + digit for ipa, phone in _VOWELS.items() for mark, digit in _STRESS.items()},
}


def arpabet(phonemes: Iterable[str]) -> tuple[str, ...]:
    """The ARPABET phones of IPA phonemes whose vowels carry their stress mark. Raises KeyError for another sign."""
    return tuple(PHONE[phoneme] for phoneme in phonemes)
