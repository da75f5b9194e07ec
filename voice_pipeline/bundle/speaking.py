"""Speak a text into a WAV file: what ``voice-pipeline speak`` calls. Imports what speaking needs, nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from voice_pipeline import clock
from voice_pipeline.bundle.synthesizer import Speech, Synthesizer, write_wav
from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.store import Store
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


def bundle_of(store: Store, voice: str) -> Path:
    """The folder of a bundle: ``voice`` itself where it is one, else the promoted one, else the newest.

    Raises ConfigError where the voice has none, VoiceFailure ``consent_missing`` where its consent was revoked.
    """
    folder = Path(voice)
    if (folder / "manifest.json").is_file():
        return folder
    if folder.is_dir() or "/" in voice:
        raise ConfigError(f"{voice}: there is no bundle here: manifest.json is missing")
    # The link is resolved once: what is promoted while the bundle is read does not mix with it.
    for candidate in (store.promoted(voice).resolve() / "voice_bundle", store.bundle(voice)):
        if (candidate / "manifest.json").is_file():
            if os.path.lexists(store.revocation(voice)):
                _check_revocation(store, voice, candidate)
            return candidate
    raise ConfigError(f"{voice}: no bundle in {store.root}; run: voice-pipeline train {voice}")


def _check_revocation(store: Store, voice: str, folder: Path) -> None:
    """Only a bundle that stands on a consent given anew speaks."""

    from voice_pipeline.bundle.format import CONSENT_NAME
    from voice_pipeline.consent import carried_problem, read_revocation

    today, mark = clock.today(), read_revocation(store, voice)
    problem = carried_problem(folder / CONSENT_NAME, today, voice_id=voice, revocation=mark)
    if problem is not None:
        raise VoiceFailure("consent_missing", problem, voice=voice)
