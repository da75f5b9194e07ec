"""Tables as the stages before leave them, with real clips in the cache: what the dataset is made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from voice_pipeline.atomic import write_bytes
from voice_pipeline.recognition.listeners import ListeningModel
from voice_pipeline.recordings import manifest
from voice_pipeline.recordings.cleaning.fingerprint import fingerprint
from voice_pipeline.recordings.manifest import DatasetRecord
from voice_pipeline.recordings.tables import AudioFile, CleanUtterance, Segment, Unmatched, UtteranceText, write_rows
from voice_pipeline.recordings.thresholds import DatasetGates
from voice_pipeline.recordings.wav import wav_bytes
from voice_pipeline.store import Store, identity, sha256_file
from voice_pipeline.text.errors import TextError
from voice_pipeline.text.symbols import SYMBOL_TABLE
from voice_pipeline.voice import Voice
from voice_pipeline_tests.recordings.material import voice

RATE = 22_050  # Hz
# Limits of our own, so that no test depends on what the project finds right today.
GATES = DatasetGates(
    min_seconds=0.3, max_seconds=20, min_snr_db=12, max_clipping_share=0.001, min_bandwidth_hz=3600,
    min_speech_share=0.25, min_speech_rate=4, max_speech_rate=30, max_cer=0.4, min_speaker_similarity=0.6,
    min_minutes=3, min_utterances=30, min_phone_coverage=0.9, max_rejected_share=0.5, max_other_speaker_share=0.2,
)  # fmt: skip
MODELS = (ListeningModel("voice activity", "silero-vad/16k", "a" * 64),)


class Letters:
    """A text frontend of the simplest kind: lower case, and letters for sounds."""

    identity = "0" * 64
    symbol_table = (" ", *"abcdefghijklmnopqrstuvwxyz", ".", ",", "<pad>")

    def normalise(self, text: str) -> str:
        if not text.isascii():
            raise TextError("unsupported_script", f"cannot read {text!r}")
        return text.lower()

    def symbols(self, normalised: str) -> tuple[str, ...]:
        if set(normalised) - set(SYMBOL_TABLE):
            raise ValueError(normalised)
        return tuple(normalised)


@dataclass(frozen=True)
class Stage:
    """The record of an earlier stage, as far as it is used."""

    identity: str
    sha256: str  # of the table; of preflight, of the recordings
    models: tuple[ListeningModel, ...] = MODELS
    source: str = "source"
    files_sha256: str = ""
    unmatched_sha256: str = ""


@dataclass
class Prepared:
    """A voice up to its cleaned utterances. Change the rows, then ``make``."""

    project: Path
    store: Store
    segments: list[Segment] = field(default_factory=list)
    texts: list[UtteranceText] = field(default_factory=list)
    clean: list[CleanUtterance] = field(default_factory=list)
    files: list[AudioFile] = field(default_factory=list)
    unmatched: list[Unmatched] = field(default_factory=list)
    gates: dict[str, float] = field(default_factory=dict)

    @property
    def voice(self) -> Voice:
        return voice(dataset_gates=self.gates)

    def add(
        self,
        utterance_id: str,
        text: str | None = None,
        samples: NDArray[np.int16] | None = None,
        *,
        source: str | None = None,
        **figures: Any,
    ) -> None:
        """One more utterance; ``figures`` of it that are not those of a good one."""
        samples = babble(utterance_id) if samples is None else samples
        text = f"This is the sentence called {utterance_id}." if text is None else text
        data = wav_bytes(samples, RATE)
        sha256 = hashlib.sha256(data).hexdigest()
        wav = self.store.cache("clips", sha256, ".wav")
        write_bytes(wav, data)
        seconds = round(len(samples) / RATE, 6)
        name = source or f"{utterance_id}.wav"
        content = figures.pop("source_sha256", hashlib.sha256(b"source of " + data).hexdigest())
        mine = {key: figures.pop(key) for key in ("origin", "cer", "hypothesis", "problem_of_text") if key in figures}
        problem = mine.pop("problem_of_text", None)
        self.files.append(AudioFile(name, content, len(data), seconds, RATE, 1))
        self.segments.append(Segment(utterance_id, name, content, 0.0, seconds, True))
        self.texts.append(
            UtteranceText(utterance_id, mine.pop("origin", "given"), text, text, text.lower(), problem=problem, **mine)
        )
        good = CleanUtterance(
            utterance_id, self.store.relative(wav), sha256, len(data), seconds, RATE, peak_dbfs=-6.0,
            loudness_lufs=-20.0, gain_db=-3.0, clipping_share=0.0, noise_floor_dbfs=-70.0, snr_db=40.0,
            bandwidth_hz=9_000.0, speech_seconds=round(seconds * 0.9, 6), speaker_similarity=0.9,
            fingerprint=fingerprint((samples / 32_768).astype(np.float32), RATE),
        )  # fmt: skip
        self.clean.append(replace(good, **figures))

    def change(self, utterance_id: str, **figures: Any) -> None:
        """Other figures for one utterance."""
        (place,) = [place for place, one in enumerate(self.clean) if one.utterance_id == utterance_id]
        self.clean[place] = replace(self.clean[place], **figures)

    def write(self) -> None:
        """The tables."""
        store, name = self.store, "v"
        write_rows(store.segments(name), self.segments)
        write_rows(store.texts(name), self.texts)
        write_rows(store.utterances(name), self.clean)
        write_rows(store.audio_files(name), sorted(self.files, key=lambda file: file.name))
        write_rows(store.texts(name).with_name("unmatched.jsonl"), self.unmatched)

    def stages(self) -> tuple[Stage, Stage, Stage, Stage]:
        """The records of the tables as they are on the disk."""
        return stages_of(self.store)

    def make(self, **more: Any) -> DatasetRecord:
        """Write the tables and make the dataset of them."""
        self.write()
        return manifest.run(self.project, self.voice, self.store, Letters(), *self.stages(), **more)

    def review(self, text: str) -> Path:
        """A person's review."""
        path = self.project / "configs/reviews/v.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


def stages_of(store: Store) -> tuple[Stage, Stage, Stage, Stage]:
    """The records of the tables on the disk."""

    def digest(path: Path) -> str:
        return sha256_file(path) if path.exists() else ""

    texts = store.texts("v")
    files, unmatched = digest(store.audio_files("v")), digest(texts.with_name("unmatched.jsonl"))
    segments, spoken, clean = digest(store.segments("v")), digest(texts), digest(store.utterances("v"))
    return (
        Stage(identity(files=files), "5" * 64, files_sha256=files),
        Stage(identity(table=segments), segments),
        Stage(identity(table=spoken, unmatched=unmatched), spoken, unmatched_sha256=unmatched),
        Stage(identity(table=clean), clean),
    )


def write_gates(project: Path) -> None:
    """configs/gates.yaml with our limits."""
    (project / "configs").mkdir(parents=True, exist_ok=True)
    (project / "configs/gates.yaml").write_text(yaml.safe_dump({"dataset": GATES.model_dump()}))


def prepared(project: Path, store: Store, count: int = 0) -> Prepared:
    """A voice with ``count`` good utterances u00, u01, ..."""
    write_gates(project)
    made = Prepared(project, store, gates={"min_minutes": 0.1, "min_utterances": 2})
    for number in range(count):
        made.add(f"u{number:02d}")
    return made


def babble(name: str, seconds: float = 2.0) -> NDArray[np.int16]:
    """Noise in syllables of its own: another name sounds otherwise. Integers only, the same on every machine."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    random = np.random.default_rng(seed)
    frames = round(seconds * RATE)
    noise = random.integers(-8_000, 8_000, frames, dtype=np.int32)
    smooth = noise + np.roll(noise, 1) * random.integers(0, 3) + np.roll(noise, 3) * random.integers(0, 3)
    syllables = np.repeat(random.integers(0, 8, frames // 2_000 + 1), 2_000)[:frames]
    return (smooth * syllables // 48).astype(np.int16)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
