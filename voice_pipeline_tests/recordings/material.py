"""Recordings made for tests: tones with pauses, written as real files, and the voice whose source they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from voice_pipeline.recordings.preflight import PreflightRecord
from voice_pipeline.recordings.preflight import run as run_preflight
from voice_pipeline.recordings.source import find_recordings
from voice_pipeline.recordings.tables import AudioFile, read_rows
from voice_pipeline.recordings.transcripts import SourceText, read_source_text
from voice_pipeline.store import Store
from voice_pipeline.text.errors import TextError
from voice_pipeline.voice import Voice

SYNTHETIC = {"speaker_type": "synthetic", "speaker": "tone", "status": "not_applicable", "commercial_use": True}
PERSON = {
    "speaker_type": "human",
    "speaker": "A. Person",
    "status": "granted",
    "commercial_use": True,
    "granted_on": "2026-01-01",
    "purposes": ["text_to_speech"],
    "territories": ["worldwide"],
    "evidence": "drawer 3",
    "evidence_sha256": "5" * 64,
}


class LowerCase:
    """A normaliser of the simplest kind; the real one is used in test_sample_speaker."""

    identity = "0" * 64

    def normalise(self, text: str) -> str:
        if not text.isascii():
            raise TextError("unsupported_script", f"cannot read {text!r}")
        return text.lower()


def tone(seconds: float, *, rate: int = 22_050, hertz: float = 220.0, level: float = 0.25) -> NDArray[np.float32]:
    """A sine with a pause in its last fifth; float32 [frames]."""
    time = np.arange(round(seconds * rate)) / rate
    wave = level * np.sin(2 * np.pi * hertz * time)
    wave[round(len(wave) * 0.8) :] *= 0.001
    return wave.astype(np.float32)


def write(path: Path, samples: NDArray[Any], rate: int = 22_050, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def ljspeech(folder: Path, count: int = 6, *, seconds: float = 0.5) -> Path:
    """``count`` clips in wavs/ and their metadata.csv. Clip n is a tone of 100 + 10 n Hz."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        write(folder / "wavs" / f"c{number:02d}.wav", tone(seconds, hertz=100 + 10 * number))
    lines = (f"c{number:02d}|Sentence number {chr(97 + number % 26)}.\n" for number in range(count))
    (folder / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    return folder


def with_text_beside(folder: Path, count: int = 4, *, seconds: float = 0.5) -> Path:
    """``count`` clips, good00.wav and so on, each with its .txt."""
    for number in range(count):
        write(folder / f"good{number:02d}.wav", tone(seconds, hertz=100 + 10 * number))
        (folder / f"good{number:02d}.txt").write_text(f"This is good clip {number}.\n", encoding="utf-8")
    return folder


def found(project: Path, store: Store, one: Voice | None = None) -> tuple[dict[str, AudioFile], SourceText]:
    """(preflight's table by name, the text) of the source."""
    one = one or voice()
    run_preflight(project, one, store)
    rows = list(read_rows(store.audio_files(one.voice_profile_id), AudioFile))
    return {row.name: row for row in rows}, read_source_text(project, one, find_recordings(project, one), rows)


def voice(path: str = "source", *, consent: dict[str, Any] | None = None, **more: Any) -> Voice:
    source = {"path": path, "min_bytes": 1_000, **more.pop("source", {})}
    return Voice.model_validate(
        {"voice_profile_id": "v", "display_name": "V", "source": source, "consent": consent or SYNTHETIC, **more}
    )


def judged(project: Path, store: Store, one: Voice | None = None) -> PreflightRecord:
    return run_preflight(project, one or voice(), store)
