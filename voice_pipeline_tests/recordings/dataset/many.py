"""Tables of any number of rows, written as a stream, with one small clip for each: for measurements of size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voice_pipeline.recordings import manifest
from voice_pipeline.recordings.manifest import DatasetRecord
from voice_pipeline.recordings.tables import AudioFile, CleanUtterance, Segment, UtteranceText, write_rows
from voice_pipeline.store import Store
from voice_pipeline_tests.conftest import PROJECT
from voice_pipeline_tests.recordings.dataset.prepared import Letters, stages_of, write_gates
from voice_pipeline_tests.recordings.material import voice

WORDS = (PROJECT / "voice_pipeline/recordings/sample_sentences.txt").read_text(encoding="utf-8").split()


@dataclass(frozen=True)
class Many:
    """A voice with ``count`` utterances: one in ten is rejected, one in a hundred is a copy of another."""

    project: Path
    store: Store
    count: int


def many(project: Path, store: Store, count: int) -> Many:
    """Write the tables and the clips."""
    write_gates(project)
    for number in range(count):
        wav = store.resolve(_wav(number))
        wav.parent.mkdir(parents=True, exist_ok=True)
        wav.write_bytes(_data(number))
    write_rows(store.audio_files("v"), (AudioFile(f"{n:07d}.wav", _digest(n, "s"), 9) for n in range(count)))
    write_rows(
        store.segments("v"), (Segment(f"u{n:07d}", f"{n:07d}.wav", _digest(n, "s"), 0, 5, True) for n in range(count))
    )
    write_rows(store.texts("v"), _texts(count))
    write_rows(store.texts("v").with_name("unmatched.jsonl"), ())
    write_rows(store.utterances("v"), _clean(count))
    return Many(project, store, count)


def run_many(made: Many) -> DatasetRecord:
    """The dataset of them."""
    return manifest.run(made.project, voice(), made.store, Letters(), *stages_of(made.store))


def _texts(count: int) -> Iterator[UtteranceText]:
    for number in range(count):
        words = [WORDS[(number * 7 + place * 13) % len(WORDS)] for place in range(12)]
        text = " ".join(words)
        cer = (number // 100 % 50) / 100
        yield UtteranceText(f"u{number:07d}", "given", text, text, text.lower(), hypothesis=text, cer=cer)


def _clean(count: int) -> Iterator[CleanUtterance]:
    for number in range(count):
        data = _data(number)
        yield CleanUtterance(
            f"u{number:07d}", _wav(number), hashlib.sha256(data).hexdigest(), len(data), 5.0, 22_050, peak_dbfs=-6.0,
            loudness_lufs=-20.0, gain_db=-3.0, clipping_share=0.0, noise_floor_dbfs=-70.0,
            snr_db=8.0 + number // 7 % 41, bandwidth_hz=9_000.0, speech_seconds=4.5, speaker_similarity=0.9,
            fingerprint=_print(number),
        )  # fmt: skip


def _wav(number: int) -> str:
    return f"cache/clips/{number % 1000:03d}/{number}.wav"


def _data(number: int) -> bytes:
    """Not a sound: nothing here listens. Every hundredth is the one before it."""
    return f"RIFF {number - (number % 100 == 99)}".encode()


def _print(number: int) -> str:
    """A fingerprint as long as that of five seconds; every hundredth is near the one two before it."""
    random = np.random.default_rng(number - 2 * (number % 100 == 97))
    return random.bytes(48 + 2 * 75).hex()


def _digest(number: int, kind: str) -> str:
    return hashlib.sha256(f"{kind}{number}".encode()).hexdigest()
