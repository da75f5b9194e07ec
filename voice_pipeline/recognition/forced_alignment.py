"""When each word of a known text is spoken: forced alignment of English by PocketSphinx.

    align_words(samples, sample_rate, ["The", "gardener", "planted"])   # (Word("The", 0.21, 0.30), …), or None

Words that the model's dictionary of 135,000 does not know need a pronunciation: ``pronounce`` gives one in ARPABET.
On a core it is some 60 times as fast as speech. Times are in steps of 10 ms; pauses belong to no word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition.recognizer import Samples, Word
from voice_pipeline.recognition.sphinx import (
    DECIDING_FILE,
    MODEL_ID,
    decoded,
    model_folder,
    new_decoder,
)
from voice_pipeline.store import sha256_file

Pronounce = Callable[[str], Sequence[str]]

_SILENCE_PROBABILITY = 0.1  # the decoder's own 0.005 has a word swallow the short pause after it
_PHONES = frozenset(  # of the dictionary
    {"AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH", "K"}
    | {"L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH"}
)
_WORD = re.compile(r"[a-z'][a-z'-]*")
_MOST_PHONES = 40  # of one word


class Aligner:
    """A loaded aligner. The same samples and words give the same times."""

    def __init__(self, decoder: Any, sha256: str) -> None:
        self._decoder = decoder
        self._sha256 = sha256

    @classmethod
    def load(cls) -> Aligner:
        """Load the packaged model, a fifth of a second. Raises VoiceFailure ``recognizer_unavailable``."""
        try:
            folder = model_folder()
            sha256 = sha256_file(folder / DECIDING_FILE)
            decoder = new_decoder(folder, silprob=_SILENCE_PROBABILITY)
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            detail = f"{MODEL_ID} cannot be loaded: {type(error).__name__}: {error}"
            raise VoiceFailure("recognizer_unavailable", detail) from error
        return cls(decoder, sha256)

    @property
    def model_id(self) -> str:
        """``pocketsphinx/en-us``."""
        return MODEL_ID

    @property
    def sha256(self) -> str:
        """sha256 of the acoustic model's means."""
        return self._sha256

    def align(
        self, samples: Samples, sample_rate: int, words: Sequence[str], pronounce: Pronounce | None = None
    ) -> tuple[Word, ...] | None:
        """A Word for each of ``words``, in order, with its time in ``samples``: float32 [N] within -1..1, mono.

        ``words`` are as they are spoken: letters, apostrophes, hyphens; case and punctuation around them do not
        matter. None where a word cannot be pronounced, or the samples do not hold these words in any way.
        """
        parts = [self._parts(word, pronounce) for word in words]
        if not words or not len(samples) or not all(parts):
            return None
        spoken = [part for word in parts for part in word]
        try:
            self._decoder.set_align_text(" ".join(spoken))
            times = decoded(self._decoder, samples, sample_rate)
        except RuntimeError:  # the decoder's word for a text that it cannot take
            return None
        if [part for part, *_ in times] != spoken:
            return None
        found, first = [], 0
        for word, own in zip(words, parts, strict=True):
            found.append(Word(word, times[first][1], times[first + len(own) - 1][2]))
            first += len(own)
        return tuple(found)

    def _parts(self, word: str, pronounce: Pronounce | None) -> list[str]:
        """The dictionary's words that ``word`` is spoken as; [] where it cannot be."""
        outside = re.compile(r"^[^a-z']+|[^a-z']+$")
        written = outside.sub("", word.casefold().replace("’", "'"))
        candidates = [[written], [written.strip("'")], written.strip("'").split("-")]
        for pronouncing in (None, pronounce):
            for parts in candidates:
                if all(self._knows(part, pronouncing) for part in parts):
                    return parts
        return []

    def _knows(self, word: str, pronounce: Pronounce | None) -> bool:
        if not _WORD.fullmatch(word):
            return False
        if self._decoder.lookup_word(word) is not None:
            return True
        if pronounce is None or not word.strip("'").isalpha():  # hyphens: its parts are asked for
            return False
        phones = [re.sub(r"\d$", "", phone) for phone in pronounce(word)]
        if not 0 < len(phones) <= _MOST_PHONES or not _PHONES.issuperset(phones):
            return False
        self._decoder.add_word(word, " ".join(phones), True)
        return True


def align_words(
    samples: Samples, sample_rate: int, words: Sequence[str], pronounce: Pronounce | None = None
) -> tuple[Word, ...] | None:
    """``Aligner.align`` by an aligner that this process keeps. Raises VoiceFailure ``recognizer_unavailable``."""
    return _aligner().align(samples, sample_rate, words, pronounce)


@cache
def _aligner() -> Aligner:
    return Aligner.load()
