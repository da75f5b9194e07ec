"""Speak a text into a WAV file: what ``voice-pipeline speak`` calls."""

from __future__ import annotations

from pathlib import Path

from voice_pipeline.bundle.synthesizer import Speech, Synthesizer, write_wav
from voice_pipeline.failures import ConfigError
from voice_pipeline.text.errors import TextError


def speak_to_file(folder: Path, text: str, output: Path, *, pace: float = 1.0, threads: int = 1) -> Speech:
    """Load the bundle in ``folder``, speak ``text``, write ``output`` (WAV, 16-bit), return what was spoken.

    Raises ConfigError (exit code 64) for a text that cannot be spoken or a wrong pace, VoiceFailure for a broken
    bundle or a disk that refuses.
    """
    synthesizer = Synthesizer.load(folder, threads=threads)
    try:
        speech = synthesizer.speak(text, pace=pace)
    except TextError as error:
        raise ConfigError(f"{error.code}: {error}") from error
    except ValueError as error:
        raise ConfigError(str(error)) from error
    write_wav(output, speech)
    return speech
