"""Pronunciations of unknown words, guessed from their spelling by a conditional random field.

The model file is gruut's (MIT), trained on its English lexicon with python-crfsuite. It tags each letter with zero
or more IPA phonemes, joined by "|"; "_" stands for none; letters and tags are in base64. The features are those the
model was trained with: the letter, three letters to each side, both ends of the word (gruut 2, gruut/g2p.py).
"""

from __future__ import annotations

import base64
import struct
import threading
from typing import Any

from voice_pipeline.failures import ConfigError
from voice_pipeline.text.arpabet import arpabet

_CONTEXT = 3  # letters to each side
_SILENT = "_"
_JOIN = "|"
_HEADER = struct.Struct("<4sI")  # crf1d_model.c: magic "lCRF", then the size of the file in bytes


class GraphemeToPhoneme:
    """A trained tagger. Loads its model at the first word; safe to share between threads."""

    def __init__(self, model: bytes, name: str = "g2p") -> None:
        """``model`` is the content of a .crf file. Raises ConfigError when it is visibly something else."""
        if len(model) < _HEADER.size or _HEADER.unpack_from(model) != (b"lCRF", len(model)):
            raise ConfigError(f"{name}: no CRF model, or cut short")
        self._model = model  # the tagger reads this memory: it must live as long
        self._tagger: Any = None
        self._lock = threading.Lock()

    def __call__(self, word: str) -> tuple[str, ...]:
        """ARPABET phones of a lower-case word; () for a word that the model finds silent."""
        with self._lock:
            if self._tagger is None:
                import pycrfsuite

                self._tagger = pycrfsuite.Tagger()
                self._tagger.open_inmemory(self._model)
            tags = self._tagger.tag([_features(word, position) for position in range(len(word))])
        phonemes = (phoneme for tag in tags for phoneme in base64.b64decode(tag).decode().split(_JOIN))
        return arpabet(phoneme for phoneme in phonemes if phoneme != _SILENT)


def _features(word: str, position: int) -> dict[str, str | bool | float]:
    features: dict[str, str | bool | float] = {"bias": 1.0, "grapheme": _encoded(word[position])}
    for distance in range(1, _CONTEXT + 1):
        if position >= distance:
            features[f"grapheme-{distance}"] = _encoded(word[position - distance])
        if position + distance < len(word):
            features[f"grapheme+{distance}"] = _encoded(word[position + distance])
    if position == 0:
        features["begin"] = True
    if position == len(word) - 1:
        features["end"] = True
    return features


def _encoded(letter: str) -> str:
    return base64.b64encode(letter.encode()).decode("ascii")
