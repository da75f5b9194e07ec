"""A real voice bundle of random-weight models, built once and shared by every test that needs one.

    from voice_pipeline_tests.tiny_bundle import TinyBundle, tiny_bundle  # in a folder's conftest.py

    def test_it_speaks(tiny_bundle: TinyBundle) -> None:
        Synthesizer.load(tiny_bundle.folder).speak("Good morning.")

It speaks no word that a person would understand, but it is made by the very stage that makes real ones. Tests
must not change it: ``copy_bundle`` gives one that may be spoilt.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from voice_pipeline.atomic import read_json
from voice_pipeline.bundle.build import BundleRecord, TrainedModels, run
from voice_pipeline.bundle.format import Provenance
from voice_pipeline.store import Store
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.voice import Voice
from voice_pipeline_tests.tiny_models import TinyModels, build_in_subprocess

DOCUMENTS = {"NOTICE": b"Tiny Voice, by random weights\n"}
CREATED_AT = "2026-02-23T00:00:00Z"
VOICE = Voice.model_validate(
    {
        "voice_profile_id": "tiny_voice",
        "display_name": "Tiny Voice",
        "recipe": "cpu_demo",
        "source": {"path": "recordings", "license": "CC0-1.0"},
        "consent": {"speaker_type": "synthetic", "speaker": "random weights", "status": "not_applicable"},
    }
)
WEIGHTS_MANIFEST = {
    "model_id": "tiny/base",
    "source_url": "https://example.org/tiny",
    "code_license": "Apache-2.0",
    "weights_license": "CC0-1.0",
    "commercial_use_allowed": True,
    "attribution_required": False,
    "evidence_links": ["https://example.org/tiny/license"],
    "checksum": "sha256:" + "0" * 64,
    "created_at": "2026-02-23T00:00:00Z",
}


@dataclass(frozen=True)
class TinyBundle:
    """The built bundle and all that it was built from."""

    root: Path

    @property
    def store(self) -> Store:
        return Store(self.root / "store")

    @property
    def folder(self) -> Path:
        return self.store.bundle(VOICE.voice_profile_id)

    @property
    def models(self) -> TinyModels:
        return TinyModels(self.root / "models")

    @property
    def record(self) -> BundleRecord:
        return BundleRecord.from_json(read_json(self.store.record(VOICE.voice_profile_id, "voice_bundle")))

    def run_stage(self, documents: Mapping[str, bytes] | None = None) -> BundleRecord:
        """The stage voice_bundle, on the same inputs each time."""
        return run(
            VOICE,
            self.store,
            TrainedModels.from_result(self.models.folder),
            TextFrontend.load(self.models.frontend),
            provenance(),
            {"tiny_base": self.root / "base.json"},
            documents=DOCUMENTS if documents is None else documents,
            created_at=CREATED_AT,
        )

    def copy_bundle(self, target: Path) -> Path:
        """A copy of the bundle's folder that a test may spoil."""
        shutil.copytree(self.folder, target)
        return target


def provenance() -> Provenance:
    """What the caller of the stage says about where the voice came from."""
    return Provenance(
        commit="a" * 40,
        config_sha256="b" * 64,
        dataset_sha256="c" * 64,
        code_version="0.1.0",
        recipe="cpu_demo",
    )


def build_tiny_bundle(root: Path, size: str = "tiny") -> TinyBundle:
    """Build the models and the bundle below ``root``, or return what another test process built there."""
    root.mkdir(parents=True, exist_ok=True)
    bundle = TinyBundle(root)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # pytest-xdist: one worker builds, the others wait for it
        if not (bundle.models.folder / "result.json").exists():
            build_in_subprocess(bundle.models.folder, size)
        (root / "base.json").write_text(json.dumps(WEIGHTS_MANIFEST))
        bundle.run_stage()
    return bundle


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> TinyBundle:
    """One real bundle for the whole session: two NeMo processes, some 40 s on two cores."""
    pytest.importorskip("nemo", reason="the NeMo runtime is not installed")
    if kept := os.environ.get("VOICE_TEST_CACHE"):  # a folder that outlives the session, while one writes tests
        return build_tiny_bundle(Path(kept) / "tiny_bundle")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base  # each worker of pytest-xdist has its own
    return build_tiny_bundle(shared / "tiny_bundle")
