from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from voice_pipeline.atomic import write_json
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.protocol import Progress
from voice_pipeline.report import close_run, superseded
from voice_pipeline.status import TrainStatus, read_status, write_status
from voice_pipeline.store import Store
from voice_pipeline.voice import Voice

KEYS = [
    "objective_status",
    "first_failed_step",
    "root_cause_class",
    "audio_path",
    "audio_size_bytes",
    "manifest_path",
    "manifest_entry_count",
    "training_status_path",
    "training_status_json",
    "checkpoint_path",
    "checkpoint_size_bytes",
    "checkpoint_sha256",
    "bundle_manifest_path",
    "promotion",
    "blockers",
    "next_unblock_action",
]
JOB = "tts_prod_train_nemo"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def voice() -> Voice:
    return Voice.model_validate(
        {
            "voice_profile_id": "ada",
            "display_name": "Ada",
            "source": {"path": "data/ada.flac"},
            "consent": {"speaker_type": "synthetic", "speaker": "a program", "status": "not_applicable"},
        }
    )


def completed(run_id: str = "r1") -> TrainStatus:
    started = TrainStatus.start(JOB, "ada", run_id, total=10)
    return replace(
        started,
        status="completed",
        progress=Progress(10, 10),
        loss=0.5,
        checkpoint="checkpoints/ada/fastpitch.nemo",
        checkpoint_bytes=3,
        checkpoint_sha256="0" * 64,
    )


def test_a_run_that_failed_at_its_first_step_has_the_whole_block(store: Store, voice: Voice, tmp_path: Path) -> None:
    failure = VoiceFailure("missing_audio_path", "no such file", voice="ada", file="data/ada.flac")
    report = close_run(store, tmp_path, voice, "r1", failed_step="audio_preflight", failure=failure)
    lines = report.render().splitlines()
    assert lines[0] == "=== VOICE TRAIN REPORT ==="
    assert [line.partition(": ")[0] for line in lines[1:]] == KEYS
    values = dict(line.split(": ", 1) for line in lines[1:])
    assert values["objective_status"] == "blocked"
    assert values["first_failed_step"] == "audio_preflight"
    assert values["root_cause_class"] == "data_blocked"
    assert values["audio_path"] == "data/ada.flac"
    assert values["audio_size_bytes"] == values["manifest_path"] == values["checkpoint_sha256"] == "N/A"
    assert values["promotion"] == "NO-GO"
    assert values["blockers"] == "missing_audio_path"
    assert values["next_unblock_action"] == failure.next_unblock_action
    status = json.loads(values["training_status_json"])
    assert (status["status"], status["state"], status["reason"]) == ("blocked", "error", "missing_audio_path")
    assert store.report("ada", JOB, "txt").read_text() == report.render() == store.latest_report(JOB, "txt").read_text()
    assert json.loads(store.report("ada", JOB, "json").read_text())["blockers"] == "missing_audio_path"


def test_no_go_after_training_keeps_the_completed_status(store: Store, voice: Voice, tmp_path: Path) -> None:
    write_status(store, completed())
    write_json(store.promotion_decision("ada"), {"go": False, "blockers": ["quality_below_threshold: wer 1.0"]})
    failure = VoiceFailure("quality_below_threshold", "wer 1.0", voice="ada")
    report = close_run(store, tmp_path, voice, "r1", failed_step="promoted_voice", failure=failure)
    assert (report.promotion, report.blockers) == ("NO-GO", "quality_below_threshold")
    assert json.loads(report.training_status_json)["status"] == "completed"
    assert report.checkpoint_path == "checkpoints/ada/fastpitch.nemo"


def test_go_is_a_success(store: Store, voice: Voice, tmp_path: Path) -> None:
    write_status(store, completed())
    write_json(store.promotion_decision("ada"), {"go": True, "blockers": []})
    report = close_run(store, tmp_path, voice, "r1")
    assert (report.objective_status, report.promotion, report.blockers) == ("success", "GO", "none")


def test_an_old_go_is_no_go_for_a_run_that_failed_before(store: Store, voice: Voice, tmp_path: Path) -> None:
    write_json(store.promotion_decision("ada"), {"go": True, "blockers": []})
    failure = VoiceFailure("trainer_killed", "signal 9", voice="ada")
    report = close_run(store, tmp_path, voice, "r2", failed_step="nemo_checkpoint", failure=failure)
    assert (report.promotion, report.blockers, report.root_cause_class) == ("NO-GO", "trainer_killed", "train_failed")


def test_a_killed_trainer_keeps_its_progress(store: Store, voice: Voice, tmp_path: Path) -> None:
    write_status(store, replace(TrainStatus.start(JOB, "ada", "r1", total=10), progress=Progress(4, 10)))
    failure = VoiceFailure("trainer_killed", "signal 9", voice="ada")
    close_run(store, tmp_path, voice, "r1", failed_step="nemo_checkpoint", failure=failure)
    status = read_status(store.train_status("ada", JOB))
    assert status is not None
    assert (status.status, status.state, status.progress) == ("error", "error", Progress(4, 10))


def test_the_trainers_own_reason_is_kept(store: Store, voice: Voice, tmp_path: Path) -> None:
    own = TrainStatus.start(JOB, "ada", "r1").failed(VoiceFailure("non_finite_loss", "loss is nan at step 7"))
    write_status(store, own)
    failure = VoiceFailure("trainer_exit_nonzero", "exit 1", voice="ada")
    close_run(store, tmp_path, voice, "r1", failed_step="nemo_checkpoint", failure=failure)
    status = read_status(store.train_status("ada", JOB))
    assert status is not None
    assert status.reason == "non_finite_loss"


def test_a_newer_run_is_not_overwritten(store: Store, voice: Voice) -> None:
    write_status(store, completed("r2"))
    assert superseded(store, voice, JOB, "r1", started_at=0.0)
    assert not superseded(store, voice, JOB, "r2", started_at=0.0)
    assert not superseded(store, voice, JOB, "r3", started_at=4e9)


def test_status_is_written_to_its_three_places(store: Store) -> None:
    write_status(store, completed())
    paths = (store.train_status("ada", JOB), store.latest_train_status(JOB), store.latest_train_status())
    assert len({path.read_bytes() for path in paths}) == 1
    assert read_status(paths[0]) == completed()


@pytest.mark.parametrize(
    "incomplete",
    [
        replace(completed(), loss=None),
        replace(completed(), loss=float("nan")),
        replace(completed(), loss=float("inf")),
        replace(completed(), checkpoint=None),
        replace(completed(), checkpoint_bytes=0),
        replace(completed(), checkpoint_sha256="short"),
        replace(completed(), status="error"),
        replace(completed(), status="blocked", reason="disk_full"),
    ],
)
def test_an_incomplete_status_is_never_written(store: Store, incomplete: TrainStatus) -> None:
    with pytest.raises(ValueError):
        write_status(store, incomplete)
    assert not store.train_status("ada", JOB).exists()
    assert read_status(store.train_status("ada", JOB)) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"job_type": 1'])
def test_a_damaged_status_is_an_error_not_a_crash_of_the_reader(store: Store, text: str) -> None:
    path = store.train_status("ada", JOB)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ValueError):
        read_status(path)


def test_a_run_that_was_turned_away_leaves_the_status_of_the_one_that_trains(
    store: Store, voice: Voice, tmp_path: Path
) -> None:
    running = TrainStatus.start(JOB, "ada", "r1", total=10)
    write_status(store, running)
    failure = VoiceFailure("voice_busy", "another process is training this voice", voice="ada")
    close_run(store, tmp_path, voice, "r2", failed_step="nemo_checkpoint", failure=failure)
    assert read_status(store.train_status("ada", JOB)) == running


def test_a_dataset_run_leaves_the_training_s_status_alone(store: Store, voice: Voice, tmp_path: Path) -> None:
    trained = TrainStatus.start(JOB, "ada", "r0")
    write_status(store, trained)
    failure = VoiceFailure("missing_audio_path", "no such file", voice="ada")
    report = close_run(store, tmp_path, voice, "r1", failed_step="audio_preflight", failure=failure, job_type="dataset")
    assert (report.objective_status, report.blockers) == ("blocked", "missing_audio_path")
    assert read_status(store.train_status("ada", JOB)) == trained
    refused = read_status(store.train_status("ada", "dataset"))
    assert refused is not None
    assert refused.reason == "missing_audio_path"

    report = close_run(store, tmp_path, voice, "r2", job_type="dataset")
    assert report.objective_status == "success"
    assert read_status(store.train_status("ada", "dataset")) is None
    assert read_status(store.latest_train_status("dataset")) is None
    assert read_status(store.latest_train_status()) is None, "the latest word was that of the dataset run"
    assert read_status(store.train_status("ada", JOB)) == trained
