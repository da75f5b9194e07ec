"""Clean speech of several people: what is spoiled, and what it is mixed into."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from voice_pipeline.recordings.sample_speaker import record

DEBIAN = Path(__file__).parents[1] / "debian_voices" / "prepare.py"
# Of the Debian prompts: beeps, silence, monkeys, and single letters and numbers, which are half a second long.
_NO_SENTENCES = (
    "beep",
    "silence",
    "tt-monkeys",
    "confbridge-join",
    "confbridge-leave",
    "ascending",
    "descending",
    "letters",
)
_MIN_SECONDS = 0.8


@dataclass(frozen=True)
class Clip:
    """One clip and its text."""

    name: str
    path: Path
    text: str
    seconds: float

    def read(self) -> tuple[NDArray[np.float32], int]:
        samples, rate = soundfile.read(self.path, dtype="float32")
        return samples, rate


def ljspeech(folder: Path) -> list[Clip]:
    """A woman, 22.05 kHz, clips of 1.9 to 10 s."""
    return _listed(folder, folder)


def sample_speaker(folder: Path) -> list[Clip]:
    """The sample speaker: a program, 24 kHz, ninety sentences."""
    record(folder)
    return _listed(folder, folder / "wavs")


def debian(language: str, folder: Path, packages: Path) -> list[Clip]:
    """A Debian voice: prompts of 0.8 s and more over G.722, 16 kHz."""
    if not (folder / "metadata.csv").exists():
        subprocess.run(
            [sys.executable, str(DEBIAN), language, str(folder), "--packages-folder", str(packages)], check=True
        )
    return [
        clip
        for clip in _listed(folder, folder / "wavs")
        if clip.seconds >= _MIN_SECONDS and not clip.name.startswith(_NO_SENTENCES)
    ]


def _listed(folder: Path, sounds: Path) -> list[Clip]:
    found = []
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as stream:
        for name, text, *rest in csv.reader(stream, delimiter="|", quoting=csv.QUOTE_NONE):
            path = next((path for path in (sounds / f"{name}.wav", sounds / f"{name}.flac") if path.exists()), None)
            if path is not None:
                found.append(Clip(name, path, rest[0] if rest else text, soundfile.info(path).duration))
    return sorted(found, key=lambda clip: clip.name)
