"""Recognisers behind one small interface: they turn speech into text, and some say when each word was spoken.

    recognizer = load_recognizer(project, voice)        # None for a voice whose recordings nobody listens to
    recognizer.transcribe(samples, sample_rate)         # "The gardener planted three rows of beans…"
    recognizer.words(samples, sample_rate)              # (Word("The", 0.21, 0.34, 0.98), …)

A recogniser is a local one: a file of an installed package, or what the voice's config names. Nothing is downloaded.
One recogniser uses one processor; whoever wants more loads one in each of several processes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.store import identity
from voice_pipeline.voice import RecognizerSettings, Voice

Samples = NDArray[np.float32]

_MANIFEST_MAX_BYTES = 1 << 20
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


@dataclass(frozen=True)
class Word:
    """One word that was heard. Times are seconds from the start of what was listened to."""

    text: str
    start: float
    end: float
    probability: float | None = None  # 0 to 1; None where the recogniser has none


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

    @property
    def identity(self) -> str:
        """sha256 of the three: the same identity hears the same."""

    @property
    def has_words(self) -> bool:
        """Whether ``words`` can be asked."""

    def transcribe(self, samples: Samples, sample_rate: int) -> str:
        """The text of speech: float32 [N] within -1..1, mono. "" for what it takes for silence."""

    def transcribe_many(self, clips: Sequence[Samples], sample_rate: int) -> list[str]:
        """The text of each clip, as ``transcribe`` gives it; some recognisers are faster with several at once."""

    def words(self, samples: Samples, sample_rate: int) -> tuple[Word, ...]:
        """What was said and when, in order. Raises VoiceFailure where ``has_words`` is false."""


def load_recognizer(project: Path, voice: Voice) -> Recognizer | None:
    """The recogniser of ``voice.recognizer``; by default the packaged Whisper tiny.en for English, none otherwise.

    Raises VoiceFailure ``recognizer_unavailable`` when a package or a file is missing or the model does not know the
    language, ``nemo_runtime_unavailable`` for a .nemo without its runtime, ``base_checkpoint_unsafe`` or
    ``base_checkpoint_incompatible`` for a .nemo that must not be, or cannot be, loaded.
    """
    settings = voice.recognizer
    if settings is None:
        if not voice.language.startswith("en"):
            return None
        settings = RecognizerSettings.model_validate({"kind": "whisper"})
    if settings.kind == "none":
        return None
    name, path = voice.voice_profile_id, project / settings.path if settings.path is not None else None
    if settings.kind == "whisper":
        from voice_pipeline.recognition.whisper import DATASET, LOCAL, WhisperRecognizer

        if path is None:
            return WhisperRecognizer.load(language=voice.language, listening=DATASET, voice=name)
        model_id = manifest_model_id(project, settings)
        return WhisperRecognizer.load(path, model_id=model_id, language=voice.language, listening=LOCAL, voice=name)
    if settings.kind == "pocketsphinx":
        from voice_pipeline.recognition.sphinx import SphinxRecognizer

        return SphinxRecognizer.load(language=voice.language, voice=name)
    from voice_pipeline.recognition.nemo_asr import NemoRecognizer

    assert path is not None  # the config demands one
    return NemoRecognizer.load(path, model_id=manifest_model_id(project, settings), voice=name)


def manifest_model_id(project: Path, settings: RecognizerSettings) -> str:
    """The id that a local model's weights manifest gives it; ``unknown/…``, which no gate passes, without one.

    The manifest itself is judged by the licence gate, not here.
    """
    unknown = f"unknown/{settings.path.name if settings.path is not None else settings.kind}"
    if settings.manifest is None:
        return unknown
    try:
        with (project / settings.manifest).open("rb") as stream:
            value = json.loads(stream.read(_MANIFEST_MAX_BYTES))
        model_id = value["model_id"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return unknown
    return model_id if isinstance(model_id, str) and _MODEL_ID.fullmatch(model_id) else unknown


def weights_file(path: Path) -> Path | None:
    """The one file of a local model that its weights manifest's checksum is of: model.bin of a Whisper folder."""
    file = path / "model.bin" if path.is_dir() else path
    return file if file.is_file() else None


def recognizer_identity(recognizer: Recognizer) -> str:
    """sha256 of everything that decides what ``recognizer`` answers."""
    return identity(model_id=recognizer.model_id, sha256=recognizer.sha256, settings=recognizer.settings)
