"""A language of tones, and a recogniser that understands it: every letter is a tone of 30 ms, so that tests of what is
done with hypotheses need no seconds of speech. The real recogniser and real speech are in test_readings.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

import numpy as np

from voice_pipeline.recognition.recognizer import Samples, Word, recognizer_identity

RATE = 16_000  # Hz
_FRAME = 480  # samples
_ALPHABET = " " + string.ascii_lowercase
_FIRST_BIN = 20  # of a spectrum of one frame; two bins from one letter to the next


def spoken(text: str) -> Samples:
    """The sound of ``text``: float32 [N] at 16 kHz; what is no letter is silent."""
    time = np.arange(_FRAME) / _FRAME
    frames = [np.zeros(_FRAME)]
    for character in text.lower():
        place = _ALPHABET.find(character)
        cycles = _FIRST_BIN + 2 * place
        frames.append(0.3 * np.sin(2 * np.pi * cycles * time) if place >= 0 else np.zeros(_FRAME))
    return np.concatenate(frames).astype(np.float32)


class ToneRecognizer:
    """Hears the letters. ``asked`` counts the sounds that it listened to; after ``patience`` of them it is killed.

    A text that holds ``stops_at`` is heard as far as that, as by a recogniser that gives up in mid-sentence.
    """

    model_id = "tests/tones"
    sha256 = "1" * 64
    has_words = True

    def __init__(self, *, version: int = 1, patience: int | None = None, stops_at: str | None = None) -> None:
        self.settings: dict[str, str | int] = {"version": version}
        self.asked = 0
        self._patience = patience
        self._stops_at = stops_at

    @property
    def identity(self) -> str:
        return recognizer_identity(self)

    def transcribe(self, samples: Samples, sample_rate: int) -> str:
        if self.asked == self._patience:
            raise KeyboardInterrupt
        self.asked += 1
        assert sample_rate == RATE
        return self._heard(samples).replace("_", "")

    def words(self, samples: Samples, sample_rate: int) -> tuple[Word, ...]:
        heard = self._heard(samples)
        return tuple(
            Word(match[0], match.start() * _FRAME / sample_rate, match.end() * _FRAME / sample_rate)
            for match in re.finditer(r"[a-z]+", heard)
        )

    def _heard(self, samples: Samples) -> str:
        """A letter a frame, _ for silence."""
        heard = ""
        for start in range(0, len(samples) - _FRAME + 1, _FRAME):
            spectrum = np.abs(np.fft.rfft(samples[start : start + _FRAME]))
            loudest = int(spectrum.argmax())
            heard += _ALPHABET[(loudest - _FIRST_BIN) // 2] if spectrum[loudest] > 1 else "_"
        return heard if self._stops_at is None else heard.partition(self._stops_at)[0]

    def transcribe_many(self, clips: Sequence[Samples], sample_rate: int) -> list[str]:
        return [self.transcribe(clip, sample_rate) for clip in clips]
