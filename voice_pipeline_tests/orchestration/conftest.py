"""One real run of the whole job on a tiny recipe, which the tests of this folder look at from all sides."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from voice_pipeline import clock
from voice_pipeline.store import Store
from voice_pipeline_tests.conftest import date_licences, make_project

CLIPS = 16
VOICE = "tiny"
JOB = "tts_prod_train_nemo"
TINY_RECIPE = Path(__file__).parents[1] / "training" / "tiny.yaml"


@dataclass(frozen=True)
class Workplace:
    """A project with one tiny voice."""

    project: Path

    @property
    def store(self) -> Store:
        return Store(self.project / "store")

    @property
    def config(self) -> Path:
        return self.project / f"configs/voices/{VOICE}.yaml"

    def environment(self, **more: str) -> dict[str, str]:
        clean = {key: value for key, value in os.environ.items() if key not in ("VOICE_PROJECT", "VOICE_STORE")}
        return {**clean, "DAGSTER_HOME": str(self.project / "store/dagster"), **more}

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """``voice-pipeline ARGUMENTS`` in this project."""
        return self.call([sys.executable, "-m", "voice_pipeline", *arguments], **more)

    def call(self, command: Sequence[str], **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(command), cwd=self.project, env=self.environment(**more), capture_output=True, text=True, timeout=600
        )

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "voice_pipeline", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.project,
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def configure(self, **changes: object) -> None:
        """Change fields of the voice's config."""
        value = yaml.safe_load(self.config.read_text())
        self.config.write_text(yaml.safe_dump({**value, **changes}))

    def copy(self, folder: Path) -> Workplace:
        shutil.copytree(self.project, folder, symlinks=True)
        return Workplace(folder)


def make_workplace(root: Path, recordings: Path, *, steps: int | None = None) -> Workplace:
    """A project whose voice ``tiny`` has the first clips of ``recordings`` (LJ Speech form) and the tiny recipe.

    ``steps`` makes its FastPitch training longer, for tests that must meet it at work.
    """
    project = make_project(root)
    date_licences(project, clock.today())
    source = project / "data" / VOICE
    (source / "wavs").mkdir(parents=True)
    with (recordings / "metadata.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="|", quoting=csv.QUOTE_NONE))[:CLIPS]
    for row in rows:
        shutil.copy(recordings / "wavs" / f"{row[0]}.wav", source / "wavs")
    (source / "metadata.csv").write_text("".join("|".join(row) + "\n" for row in rows), encoding="utf-8")
    recipe = yaml.safe_load(TINY_RECIPE.read_text(encoding="utf-8"))
    if steps is not None:
        recipe["fastpitch"]["steps"] = steps
    (project / f"configs/recipes/{recipe['name']}.yaml").write_text(yaml.safe_dump(recipe))
    workplace = Workplace(project)
    workplace.config.write_text(
        yaml.safe_dump(
            {
                "voice_profile_id": VOICE,
                "display_name": "Tiny",
                "recipe": recipe["name"],
                "source": {"path": f"data/{VOICE}", "min_bytes": 100_000, "license": "Apache-2.0"},
                "consent": {
                    "speaker_type": "synthetic",
                    "speaker": 'hibari-tts 0.2.1, voice "heart"',
                    "status": "not_applicable",
                    "commercial_use": True,
                },
                "dataset_gates": {"min_minutes": 0, "min_utterances": 2},
            }
        )
    )
    return workplace


@pytest.fixture(scope="session")
def sample_recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hibari", reason="the sample speaker is not installed (extra demo)")
    from voice_pipeline.recordings.sample_speaker import record

    return record(tmp_path_factory.mktemp("recordings"))


@dataclass(frozen=True)
class FinishedRun:
    """The workplace after ``train``, and what that printed."""

    workplace: Workplace
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, sample_recordings: Path) -> FinishedRun:
    pytest.importorskip("nemo", reason="the NeMo runtime is not installed (extra nemo)")
    pytest.importorskip("faster_whisper", reason="the recogniser is not installed (extra evaluation)")
    workplace = make_workplace(tmp_path_factory.mktemp("main_job") / "project", sample_recordings)
    return FinishedRun(workplace, workplace.run("train", VOICE))


@pytest.fixture
def finished_copy(finished_run: FinishedRun, tmp_path: Path) -> Workplace:
    """The finished workplace, to be tampered with."""
    return finished_run.workplace.copy(tmp_path / "project")
