"""The main job, for real: recordings in, a gated, speaking voice out, and every way back in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import pytest

from voice_pipeline.atomic import read_json
from voice_pipeline.bundle.validation import validate_bundle
from voice_pipeline.protocol import Artifact, Progress, Stats, read_records
from voice_pipeline.report import superseded
from voice_pipeline.store import sha256_file
from voice_pipeline.voice import load_voice_by_id
from voice_pipeline_tests.orchestration.conftest import JOB, VOICE, FinishedRun, Workplace, make_workplace

pytestmark = [pytest.mark.slow, pytest.mark.nemo, pytest.mark.evaluation]

# Every gate so wide that a voice that says nothing passes: only for tests of what comes after a GO.
OPEN_GATES = {
    "max_wer": 1000.0,
    "max_wer_above_recordings": 1000.0,
    "max_cer": 1000.0,
    "max_silence_share": 1.0,
    "max_edge_silence_seconds": 1000.0,
    "max_real_time_factor": 1000.0,
}
STAGES = [
    "audio_preflight",
    "utterance_segments",
    "clean_utterances",
    "utterance_texts",
    "dataset_manifest",
    "training_features",
    "nemo_checkpoint",
    "voice_bundle",
    "voice_evaluation",
    "license_gate",
    "verification",
    "promoted_voice",
]


def materialize_promotion_alone(workplace: Workplace) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "voice_pipeline.definitions"]
    return workplace.call([*command, "--select", "promoted_voice", "--partition", VOICE])


def report_of(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    block = done.stdout.partition("=== VOICE TRAIN REPORT ===\n")[2]
    return dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)


def test_a_voice_that_nobody_understands_is_an_honest_no_go(finished_run: FinishedRun) -> None:
    done, store = finished_run.done, finished_run.workplace.store
    assert done.returncode == 3, done.stdout + done.stderr
    report = report_of(done)
    assert report["objective_status"] == "blocked"
    assert report["first_failed_step"] == "promoted_voice"
    assert report["root_cause_class"] == "promotion_blocked"
    assert report["promotion"] == "NO-GO"
    assert report["blockers"] == "quality_below_threshold"
    assert report["manifest_entry_count"] == "16"
    status = json.loads(report["training_status_json"])
    assert (status["status"], status["state"]) == ("completed", "completed")
    assert status["progress"]["current"] == status["progress"]["total"]
    checkpoint = store.root / report["checkpoint_path"]
    assert sha256_file(checkpoint) == report["checkpoint_sha256"]
    assert checkpoint.stat().st_size == int(report["checkpoint_size_bytes"])
    assert not store.promoted(VOICE).exists()


def test_every_stage_left_its_record_and_the_bundle_is_whole(finished_run: FinishedRun) -> None:
    store = finished_run.workplace.store
    for stage in STAGES[:-2]:
        assert read_json(store.record(VOICE, stage))["stage"] == stage
    result = read_json(store.verification(VOICE) / "result.json")
    assert (result["verdict"], result["certificate"]["integrityOk"]) == ("FAIL", True)
    assert validate_bundle(store.bundle(VOICE)) == []
    listed = {entry["path"] for entry in read_json(store.bundle(VOICE) / "manifest.json")["files"]}
    assert {"fastpitch.nemo", "hifigan.nemo", "sample.wav", "evaluation.json"} <= listed


def test_the_terminal_showed_stages_and_training(finished_run: FinishedRun) -> None:
    shown = finished_run.done.stdout
    for number, stage in enumerate(STAGES, start=1):
        assert f"{number}/12 {stage}" in shown
    assert "fastpitch step" in shown
    assert "ETA" in shown


def test_the_trainers_lines_follow_the_protocol(finished_run: FinishedRun) -> None:
    logs = finished_run.workplace.store.voice_artifacts(VOICE) / "logs"
    records = list(read_records(next(logs.glob("*.log")).read_text(errors="replace").splitlines()))
    progress = [record for record in records if isinstance(record, Progress)]
    assert [record.current for record in progress] == sorted(record.current for record in progress)
    assert progress[-1].current == progress[-1].total
    assert any(isinstance(record, Stats) for record in records)
    assert any(isinstance(record, Artifact) and record.path.endswith("fastpitch.nemo") for record in records)


def test_the_bundle_speaks_from_the_command_line(finished_run: FinishedRun, tmp_path: Path) -> None:
    for voice in (VOICE, str(finished_run.workplace.store.bundle(VOICE))):
        output = tmp_path / "out.wav"
        done = finished_run.workplace.run("speak", voice, "It costs $23.50.", "-o", str(output))
        assert done.returncode == 0, done.stderr
        with wave.open(str(output)) as stream:
            assert stream.getframerate() == 22050
            assert stream.getnframes() > 0


def test_running_again_computes_nothing_again(finished_copy: Workplace) -> None:
    store = finished_copy.store
    before = {path: path.stat().st_mtime_ns for path in store.root.glob("checkpoints/**/*.nemo")}
    bundle = sha256_file(store.bundle(VOICE) / "manifest.json")
    done = finished_copy.run("train", VOICE)
    assert done.returncode == 3
    assert {path: path.stat().st_mtime_ns for path in store.root.glob("checkpoints/**/*.nemo")} == before
    assert sha256_file(store.bundle(VOICE) / "manifest.json") == bundle
    assert read_json(store.train_status(VOICE, JOB))["status"] == "completed"


def test_open_gates_promote_and_the_override_is_on_the_record(finished_copy: Workplace) -> None:
    finished_copy.configure(gates=OPEN_GATES)
    done = finished_copy.run("train", VOICE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert report_of(done)["promotion"] == "GO"
    promoted = finished_copy.store.promoted(VOICE)
    assert validate_bundle(promoted / "voice_bundle") == []
    decision = read_json(promoted / "decision.json")
    assert decision["go"] is True
    assert "max_wer" in json.dumps(decision)

    # The same decision does not cover other bytes, and a later NO-GO leaves the promoted voice where it is.
    model = finished_copy.store.bundle(VOICE) / "vocoder.onnx"
    damaged = bytearray(model.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    model.write_bytes(damaged)
    alone = materialize_promotion_alone(finished_copy)
    assert alone.returncode != 0
    assert "bundle_invalid" in alone.stdout + alone.stderr
    assert validate_bundle(promoted / "voice_bundle") == []
    assert read_json(promoted / "decision.json") == decision


@pytest.mark.slow
def test_two_clean_runs_end_in_the_same_certificate_statement_and_bundle(
    finished_copy: Workplace, sample_recordings: Path, tmp_path: Path
) -> None:
    """Recordings to release twice, training included: what is certified and what is stated is the same bytes."""
    finished_copy.configure(gates=OPEN_GATES)
    other = make_workplace(tmp_path / "other", sample_recordings)
    other.configure(gates=OPEN_GATES)
    folders = []
    for workplace in (finished_copy, other):
        done = workplace.run("train", VOICE)
        assert done.returncode == 0, done.stdout + done.stderr
        folders.append(workplace.store.promoted(VOICE).resolve())
    files = [{path.relative_to(one): sha256_file(path) for path in one.rglob("*") if path.is_file()} for one in folders]
    timed = {Path("voice_bundle/manifest.json")}  # created_at is part of no digest
    assert {name for name in files[0] if files[0][name] != files[1].get(name)} <= timed
    assert set(files[0]) == set(files[1])
    assert {Path("certificate.json"), Path("statement.json")} < set(files[0])


def test_materializing_the_last_step_alone_cannot_get_around_a_gate(finished_copy: Workplace) -> None:
    alone = materialize_promotion_alone(finished_copy)
    assert alone.returncode != 0
    assert "quality_below_threshold" in alone.stdout + alone.stderr
    assert not finished_copy.store.promoted(VOICE).exists()


def trainer_of(workplace: Workplace) -> int | None:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"voice_pipeline.training.nemo" in words and str(workplace.project).encode() in b" ".join(words):
            return int(path.parent.name)
    return None


def wait_for_steps(workplace: Workplace, process: subprocess.Popen[str], steps: int) -> int:
    """Wait until the trainer has made ``steps``; returns its process id."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        try:
            status = read_json(workplace.store.train_status(VOICE, JOB))
        except FileNotFoundError:
            status = {"progress": {"current": 0}}
        trainer = trainer_of(workplace)
        if trainer is not None and status["progress"]["current"] >= steps:
            return trainer
        time.sleep(0.1)
    raise AssertionError("the trainer made no progress in three minutes")


def test_a_killed_trainer_is_named_and_the_next_run_ends_with_the_same_tensors(
    finished_run: FinishedRun, sample_recordings: Path, tmp_path: Path
) -> None:
    workplace = make_workplace(tmp_path / "project", sample_recordings)
    process = workplace.start("train", VOICE)
    os.kill(wait_for_steps(workplace, process, 6), signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert "blockers: trainer_killed" in output
    status = read_json(workplace.store.train_status(VOICE, JOB))
    assert (status["status"], status["reason"]) == ("error", "trainer_killed")

    done = workplace.run("train", VOICE)
    assert done.returncode == 3, done.stdout
    mine, unbroken = (
        read_json(place.store.record(VOICE, "nemo_checkpoint")) for place in (workplace, finished_run.workplace)
    )
    assert mine["fastpitch_tensors_sha256"] == unbroken["fastpitch_tensors_sha256"]
    assert mine["hifigan_tensors_sha256"] == unbroken["hifigan_tensors_sha256"]
    manifests = [place.store.dataset_manifest(VOICE, JOB) for place in (workplace, finished_run.workplace)]
    assert manifests[0].read_bytes() == manifests[1].read_bytes()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_trainer_outlives_its_run(how: signal.Signals, sample_recordings: Path, tmp_path: Path) -> None:
    workplace = make_workplace(tmp_path / "project", sample_recordings, steps=2000)
    process = workplace.start("train", VOICE)
    trainer = wait_for_steps(workplace, process, 2)
    process.send_signal(how)
    output, _ = process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{trainer}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{trainer}").exists()
    if how == signal.SIGINT:
        assert process.returncode == 1, output
        assert "blockers: cancelled" in output
        status = read_json(workplace.store.train_status(VOICE, JOB))
        assert (status["status"], status["reason"]) == ("error", "cancelled")


def test_a_finished_run_is_not_touched_by_the_sensor_of_an_older_one(finished_run: FinishedRun) -> None:
    workplace = finished_run.workplace
    voice = load_voice_by_id(workplace.project, VOICE)
    assert superseded(workplace.store, voice, JOB, "an older run", started_at=0.0)
