"""From a folder to a judged dataset, as a person does it: import, dataset, a threshold, a review, a kill, a refusal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from voice_pipeline.atomic import read_json
from voice_pipeline.status import read_status
from voice_pipeline_tests.orchestration.conftest import JOB, VOICE, Workplace, make_workplace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.demo,
    pytest.mark.recordings,
    pytest.mark.evaluation,
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, sample_recordings: Path) -> Workplace:
    """A workplace after its first ``voice-pipeline dataset``."""
    for module in ("faster_whisper", "silero_vad", "resemblyzer"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    workplace = make_workplace(tmp_path_factory.mktemp("preparation") / "project", sample_recordings)
    done = workplace.run("dataset", VOICE)
    assert done.returncode == 0, done.stdout + done.stderr
    return workplace


@pytest.fixture
def workplace(prepared: Workplace, tmp_path: Path) -> Workplace:
    return prepared.copy(tmp_path / "project")


def as_json(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    value = json.loads(done.stdout)
    assert isinstance(value, dict)
    return value


def test_the_listing_says_what_is_kept_and_where_to_look(workplace: Workplace) -> None:
    done = workplace.run("dataset", VOICE, "--last", "--limit", "3")
    assert done.returncode == 0
    assert "16 utterances kept" in done.stdout
    assert "… and 13 more" in done.stdout
    page = next(line.partition("Page:")[2].strip() for line in done.stdout.splitlines() if line.startswith("Page:"))
    assert "<html" in Path(page).read_text(encoding="utf-8")
    value = as_json(workplace.run("dataset", VOICE, "--last", "--json", "--limit", "0"))
    assert value["count"] == 16
    assert isinstance(value["utterances"], list)
    assert {row["kept"] for row in value["utterances"]} == {True}
    assert {model["model_id"] for model in value["models"]} == {  # type: ignore[attr-defined]
        "silero-vad/16k",
        "whisper/tiny.en",
        "resemblyzer/ge2e",
    }


def test_the_dataset_job_has_a_manifest_and_a_report_of_its_own(workplace: Workplace) -> None:
    store = workplace.store
    assert read_json(store.dataset_manifest(VOICE, "dataset")) == read_json(store.dataset_manifest(VOICE, JOB))
    report = read_json(store.report(VOICE, "dataset", "json"))
    assert (report["objective_status"], report["manifest_entry_count"]) == ("success", "16")
    assert not store.report(VOICE, JOB, "json").exists()
    assert read_status(store.train_status(VOICE, "dataset")) is None
    assert read_status(store.train_status(VOICE, JOB)) is None


def test_a_threshold_blocks_without_a_word_about_audio(workplace: Workplace) -> None:
    store = workplace.store
    before = {path: path.stat().st_mtime_ns for path in (store.root / "cache/clips").rglob("*.wav")}
    tables = [store.segments(VOICE), store.texts(VOICE), store.utterances(VOICE)]
    written = [table.stat().st_mtime_ns for table in tables]
    workplace.configure(dataset_gates={"min_minutes": 600})
    done = workplace.run("dataset", VOICE)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "data_blocked: too_little_speech: tiny" in done.stderr
    assert "BLOCKED" in done.stdout, "the dataset that is refused is shown all the same"
    assert {path: path.stat().st_mtime_ns for path in (store.root / "cache/clips").rglob("*.wav")} == before
    assert [table.stat().st_mtime_ns for table in tables] == written
    report = read_json(store.report(VOICE, "dataset", "json"))
    assert (report["first_failed_step"], report["blockers"]) == ("dataset_manifest", "too_little_speech")

    # The next step alone, as the UI would run it, refuses the same.
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "voice_pipeline.definitions"]
    alone = workplace.call([*command, "--select", "training_features", "--partition", VOICE])
    assert alone.returncode != 0
    assert "too_little_speech" in alone.stdout + alone.stderr
    assert not store.record(VOICE, "training_features").exists()


def test_a_review_rejects_corrects_and_is_on_the_record(workplace: Workplace) -> None:
    rows = as_json(workplace.run("dataset", VOICE, "--last", "--json", "--limit", "0"))["utterances"]
    assert isinstance(rows, list)
    coughed, misread = rows[0]["utterance_id"], rows[1]["utterance_id"]
    said = rows[1]["text"].removesuffix(".") + "!"
    reviews = workplace.project / "configs/reviews"
    reviews.mkdir()
    review = {"reject": {coughed: "a cough"}, "text": {misread: said}}
    (reviews / f"{VOICE}.yaml").write_text(yaml.safe_dump(review))
    value = as_json(workplace.run("dataset", VOICE, "--json", "--limit", "0"))
    assert (value["count"], value["rejected_count"], value["reviewed"]) == (15, 1, 2)
    texts = {row["utterance_id"]: row for row in value["utterances"]}  # type: ignore[attr-defined]
    assert texts[coughed]["reasons"] == ["rejected_by_review"]
    assert texts[misread]["text"] == said

    (reviews / f"{VOICE}.yaml").write_text(yaml.safe_dump({"reject": {coughed + "x": "a cough"}}))
    done = workplace.run("dataset", VOICE)
    assert done.returncode == 2
    assert coughed in done.stderr, "the near id is named"
    assert "utterances kept" not in done.stdout, "the former dataset does not answer for this review"


def test_a_bad_clip_is_rejected_and_the_others_are_untouched(workplace: Workplace) -> None:
    source = workplace.project / "data" / VOICE
    kept = {row["utterance_id"] for row in _rows(workplace)}
    victim = sorted((source / "wavs").glob("*.wav"))[3]
    victim.write_bytes(victim.read_bytes()[:2000])
    done = workplace.run("dataset", VOICE, "--json", "--limit", "0")
    assert done.returncode == 0, done.stderr
    value = as_json(done)
    assert (value["count"], value["rejected_count"]) == (15, 1)
    rejected = [row for row in value["utterances"] if not row["kept"]]  # type: ignore[attr-defined]
    assert rejected[0]["reasons"] == ["audio_undecodable"]
    assert victim.stem in rejected[0]["source"]
    assert "cut off" in rejected[0]["detail"]
    assert {row["utterance_id"] for row in value["utterances"] if row["kept"]} == kept - {victim.stem}  # type: ignore[attr-defined]


def test_a_killed_preparation_goes_on_and_ends_with_the_same_bytes(
    prepared: Workplace, sample_recordings: Path, tmp_path: Path
) -> None:
    fresh = make_workplace(tmp_path / "project", sample_recordings)
    table = fresh.store.utterances(VOICE)
    for _ in range(2):
        process = fresh.start("dataset", VOICE)
        deadline = time.monotonic() + 120
        while process.poll() is None and not table.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        table.unlink(missing_ok=True)
    done = fresh.run("dataset", VOICE)
    assert done.returncode == 0, done.stdout + done.stderr
    for path in (table, fresh.store.dataset_manifest(VOICE, JOB), fresh.store.dataset(VOICE) / "dataset.parquet"):
        twin = prepared.store.root / path.relative_to(fresh.store.root)
        assert path.read_bytes() == twin.read_bytes(), path.name


def test_import_describes_a_folder_and_its_dataset_follows(workplace: Workplace) -> None:
    config = workplace.project / "configs/voices/new.yaml"
    source = workplace.project / "data" / VOICE
    done = workplace.run("import", str(source), "--voice", "new", "--speaker", "Ada")
    assert done.returncode == 0, done.stderr
    assert str(config) in done.stdout
    assert "No consent of Ada is recorded" in done.stdout
    blocked = workplace.run("dataset", "new")
    assert blocked.returncode == 2
    assert "consent_missing" in blocked.stderr

    again = workplace.run("import", str(source), "--voice", "new")
    assert again.returncode == 64
    assert "exists already" in again.stderr
    shutil.rmtree(source)
    gone = workplace.run("import", str(source), "--voice", "newer")
    assert gone.returncode == 2
    assert "missing_audio_path" in gone.stderr
    assert not (workplace.project / "configs/voices/newer.yaml").exists()


def _rows(workplace: Workplace) -> list[dict[str, object]]:
    rows = as_json(workplace.run("dataset", VOICE, "--last", "--json", "--limit", "0"))["utterances"]
    assert isinstance(rows, list)
    return rows
