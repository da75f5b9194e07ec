"""PocketSphinx with its packaged US-English model: a recogniser of the old kind, small and exactly repeatable.

    recognizer = SphinxRecognizer.load()
    recognizer.transcribe(samples, sample_rate)         # "the gardener planted three rows of beans"

Lower case, no punctuation, numbers in words; a word that is not in its dictionary becomes others. WER 16-20 % on clips
of LJ Speech and 5 % on the sample speaker's sentences, five times real time on a core: Whisper is better at both. It is
here for machines on which CTranslate2 does not run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition.recognizer import Samples, Word, recognizer_identity
from voice_pipeline.store import sha256_file

MODEL_ID = "pocketsphinx/en-us"  # in configs/licensing/allowlist.yaml
DISTRIBUTION = "pocketsphinx"
MODEL = "pocketsphinx/model/en-us"
DECIDING_FILE = "en-us/means"  # the one whose sha256 stands for the model; ``model_digest`` is over all
SAMPLE_RATE = 16_000  # Hz
FRAMES_A_SECOND = 100
_FILES = (
    "cmudict-en-us.dict",
    "en-us.lm.bin",
    *(f"en-us/{name}" for name in ("feat.params", "mdef", "means", "noisedict", "sendump", "variances")),
    "en-us/transition_matrices",
)


class SphinxRecognizer:
    """Each utterance is heard as if it were the first: nothing is carried over from the one before."""

    def __init__(self, decoder: Any, *, sha256: str, digest: str, version: str) -> None:
        self._decoder = decoder
        self._sha256 = sha256
        self._digest = digest
        self._version = version

    @classmethod
    def load(cls, *, language: str = "en-US", voice: str | None = None) -> SphinxRecognizer:
        """Load the packaged model, a second. Raises VoiceFailure ``recognizer_unavailable``."""
        if not language.startswith("en"):
            detail = f"{MODEL_ID} hears English only, the voice speaks {language}"
            raise VoiceFailure("recognizer_unavailable", detail, voice=voice)
        try:
            folder = model_folder()
            sha256, digest = sha256_file(folder / DECIDING_FILE), model_digest(folder)
            decoder = new_decoder(folder, lm=str(folder / "en-us.lm.bin"))
            version = metadata.version(DISTRIBUTION)
        except (ImportError, OSError, RuntimeError, ValueError) as error:  # PackageNotFoundError is an ImportError
            detail = f"{MODEL_ID} cannot be loaded: {type(error).__name__}: {error}"
            raise VoiceFailure("recognizer_unavailable", detail, voice=voice) from error
        return cls(decoder, sha256=sha256, digest=digest, version=version)

    @property
    def model_id(self) -> str:
        """``pocketsphinx/en-us``."""
        return MODEL_ID

    @property
    def sha256(self) -> str:
        """sha256 of the acoustic model's means."""
        return self._sha256

    @property
    def settings(self) -> dict[str, str | int]:
        """The digest of all of the model's files, and the version."""
        return {"model_digest": self._digest, "pocketsphinx": self._version}

    @property
    def identity(self) -> str:
        """sha256 of everything that decides what it answers."""
        return recognizer_identity(self)

    @property
    def has_words(self) -> bool:
        """The decoder knows each word's frames."""
        return True

    def transcribe(self, samples: Samples, sample_rate: int) -> str:
        """The text of speech: float32 [N] within -1..1, mono."""
        return " ".join(word.text for word in self.words(samples, sample_rate))

    def transcribe_many(self, clips: Sequence[Samples], sample_rate: int) -> list[str]:
        """The text of each clip, as ``transcribe`` gives it."""
        return [self.transcribe(clip, sample_rate) for clip in clips]

    def words(self, samples: Samples, sample_rate: int) -> tuple[Word, ...]:
        """What was said and when, in order. Probabilities are the lattice's posteriors."""
        return tuple(
            Word(text, start, end, round(min(1.0, max(0.0, probability)), 4))
            for text, start, end, probability in decoded(self._decoder, samples, sample_rate)
        )


def model_folder() -> Path:
    """Where the installed package keeps its model. Raises PackageNotFoundError."""
    return Path(str(metadata.distribution(DISTRIBUTION).locate_file(MODEL)))


def model_digest(folder: Path) -> str:
    """sha256 over the names and digests of every file that decides what is heard. Raises OSError."""
    lines = [f"{name} {sha256_file(folder / name)}\n" for name in sorted(_FILES)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def new_decoder(folder: Path, **options: Any) -> Any:
    """A silent decoder on the model in ``folder``, whatever its environment says. Raises ImportError, RuntimeError."""
    from pocketsphinx import Decoder

    return Decoder(
        hmm=str(folder / "en-us"), dict=str(folder / "cmudict-en-us.dict"), loglevel="FATAL", **{"lm": None, **options}
    )


def decoded(decoder: Any, samples: Samples, sample_rate: int) -> list[tuple[str, float, float, float]]:
    """(word, start, end, probability) of one utterance, without silences and noises; [] where nothing fits."""
    import soxr

    if not len(samples):
        return []
    audio = soxr.resample(np.asarray(samples, np.float32), sample_rate, SAMPLE_RATE, "HQ")
    pcm = np.round(np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes()
    decoder.reinit_feat()  # forgets the channel and the noise of the utterance before
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    found = []
    for one in decoder.seg() or ():  # None where no path reached the end
        if one.word[0] not in "<[+":
            start, end = one.start_frame / FRAMES_A_SECOND, (one.end_frame + 1) / FRAMES_A_SECOND
            found.append((re.sub(r"\(\d+\)$", "", one.word), start, end, float(one.prob)))
    return found
