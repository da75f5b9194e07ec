from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from voice_pipeline.status import TrainStatus, read_status
from voice_pipeline.store import Store
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.training import features
from voice_pipeline.training.features import FeaturesRecord
from voice_pipeline.training.recipe import Recipe
from voice_pipeline.training.spec import TrainingSpec
from voice_pipeline.voice import Consent, Source, Voice, parse_strict

TINY = Path(__file__).with_name("tiny.yaml")
VOICE = "tone_speaker"
RATE = 22050
SENTENCES = (
    "The cat sat.",
    "A red kite flew by.",
    "Rain fell on the roof.",
    "She sings at noon.",
    "We walk home.",
    "Nine boats came in.",
    "He opened the old door.",
    "Birds sleep here.",
)


@dataclass(frozen=True)
class TinyDataset:
    """What features.run needs of a dataset's record."""

    identity: str


def speech_like(seed: int, seconds: float) -> np.ndarray[Any, Any]:
    """A gliding harmonic tone with pauses and noise: nobody's voice, but with pitch, formants and silence."""
    random = np.random.default_rng(seed)
    time_axis = np.arange(int(seconds * RATE)) / RATE
    pitch = 130 + 40 * np.sin(2 * np.pi * (0.7 * time_axis + random.random()))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.sin(k * phase) * np.exp(-(((k * pitch - 700) / 900) ** 2)) for k in range(1, 20))
    envelope = np.clip(np.sin(2 * np.pi * 2.5 * time_axis + random.random()) + 0.4, 0, 1)
    noise = 0.003 * random.standard_normal(time_axis.size)
    return np.asarray(0.25 * voice * envelope + noise, dtype=np.float32)


def make_voice() -> Voice:
    return Voice(
        voice_profile_id=VOICE,
        display_name="Tone speaker",
        language="en-US",
        recipe="tiny",
        source=Source(path=Path("clips"), kind="clips", text="txt", min_bytes=1),
        consent=Consent(speaker_type="synthetic", speaker="a formula", status="not_applicable"),
    )


def write_clip(store: Store, utterance: int, seed: int | None = None) -> dict[str, Any]:
    """Stage one clip; returns its line of the manifest."""
    name = f"clip_{utterance:02d}"
    path = store.dataset(VOICE) / "clips" / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = speech_like(utterance if seed is None else seed, 1.2 + 0.15 * (utterance % 4))
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return {
        "audio_filepath": store.relative(path),
        "text": SENTENCES[utterance],
        "normalized_text": SENTENCES[utterance],
        "duration": len(samples) / RATE,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "utterance_id": name,
    }


def write_manifests(store: Store, lines: list[dict[str, Any]], validation: int = 2) -> None:
    for split, part in (("train", lines[:-validation]), ("validation", lines[-validation:])):
        text = "".join(json.dumps(line) + "\n" for line in part)
        (store.dataset(VOICE) / f"{split}.jsonl").write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def frontend() -> TextFrontend:
    return TextFrontend.for_language("en-US")


@pytest.fixture(scope="session")
def tiny() -> Recipe:
    return parse_strict(Recipe, TINY)


@pytest.fixture
def dataset_store(tmp_path: Path) -> Store:
    """A store with eight staged clips and their manifests."""
    store = Store(tmp_path / "store")
    write_manifests(store, [write_clip(store, index) for index in range(len(SENTENCES))])
    return store


@dataclass(frozen=True)
class Prepared:
    """A store with features and a saved frontend, to be copied."""

    store: Store
    record: FeaturesRecord


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, frontend: TextFrontend, tiny: Recipe) -> Prepared:
    store = Store(tmp_path_factory.mktemp("prepared") / "store")
    write_manifests(store, [write_clip(store, index) for index in range(len(SENTENCES))])
    frontend.save(store.voice_artifacts(VOICE) / "frontend")
    record = features.run(make_voice(), store, TinyDataset("d" * 64), frontend, tiny)
    return Prepared(store, record)


@dataclass
class Training:
    """One training in a store of its own."""

    store: Store
    spec: TrainingSpec
    spec_path: Path

    @property
    def stdout(self) -> Path:
        return self.spec_path.with_suffix(".out")

    @property
    def stderr(self) -> Path:
        return self.spec_path.with_suffix(".err")

    @property
    def work_dir(self) -> Path:
        return self.store.resolve(self.spec.work_dir)

    def protocol(self) -> str:
        return self.stdout.read_text(encoding="utf-8")

    def result(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.work_dir / "result.json").read_text(encoding="utf-8"))
        return value

    def status(self) -> TrainStatus:
        status = read_status(self.store.train_status(VOICE, self.spec.job_type))
        assert status is not None, self.stderr.read_text(encoding="utf-8")
        return status


def make_training(prepared: Prepared, recipe: Recipe, root: Path, name: str, **changes: Any) -> Training:
    """A training: a copy of the prepared store, and a spec with some fields changed."""
    store = Store(root / name / "store")
    shutil.copytree(prepared.store.root, store.root)
    fields = {
        "voice_profile_id": VOICE,
        "run_id": f"run-{name}",
        "store": store.root,
        "work_dir": f"checkpoints/{VOICE}/nemo/0123456789abcdef",
        "features_index": prepared.record.index,
        "statistics": prepared.record.statistics,
        "frontend": f"artifacts/{VOICE}/frontend",
        "recipe": recipe,
        "seed": 7,
        **changes,
    }
    spec = TrainingSpec.model_validate(fields)
    spec_path = root / name / "spec.json"
    spec_path.write_text(json.dumps(spec.to_json()), encoding="utf-8")
    return Training(store, spec, spec_path)


@pytest.fixture
def new_training(prepared: Prepared, tiny: Recipe, tmp_path: Path) -> Callable[..., Training]:
    """Make a training of the tiny recipe in a folder of its own, with some fields of its spec changed."""

    def make(name: str = "training", *, root: Path = tmp_path, recipe: Recipe = tiny, **changes: Any) -> Training:
        return make_training(prepared, recipe, root, name, **changes)

    return make


class Zygote:
    """Starts training programs that need not import NeMo again."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "voice_pipeline_tests.training.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self._answer() == "ready"

    def start(self, training: Training, *, env: dict[str, str] | None = None, orphan: float = 0) -> int:
        request = {
            "spec": str(training.spec_path),
            "stdout": str(training.stdout),
            "stderr": str(training.stderr),
            "env": env or {},
            "orphan": orphan,
        }
        training.stdout.unlink(missing_ok=True)
        return int(self._ask(request))

    def wait(self, pid: int) -> int:
        return int(self._ask({"wait": pid}))

    def run(self, training: Training, *, env: dict[str, str] | None = None) -> int:
        return self.wait(self.start(training, env=env))

    def execute(self, code: str, folder: Path) -> str:
        """Run ``code`` beside the imported NeMo; returns what it printed. Raises AssertionError when it failed."""
        request = {"code": code, "stdout": str(folder / "out"), "stderr": str(folder / "err")}
        exit_code = self.wait(int(self._ask(request)))
        assert exit_code == 0, (folder / "err").read_text(encoding="utf-8")
        return (folder / "out").read_text(encoding="utf-8")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def _ask(self, request: dict[str, Any]) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the zygote ended"
        return line


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    pytest.importorskip("nemo")
    started = Zygote()
    yield started
    started.close()


def wait_for_line(path: Path, start: str, timeout: float = 60) -> None:
    """Wait until a whole line that starts with ``start`` is in the file."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if path.exists() and f"\n{start}" in "\n" + path.read_text(encoding="utf-8").rpartition("\n")[0]:
            return
        time.sleep(0.005)
    raise AssertionError(f"no line {start!r} in {path}")
