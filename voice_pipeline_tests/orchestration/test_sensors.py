"""Sensors on an ephemeral instance: partitions follow the configs, and every run gets its status and report."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from voice_pipeline.atomic import read_json
from voice_pipeline.definitions import defs
from voice_pipeline.orchestration import sensors
from voice_pipeline.orchestration.partitions import register_voices
from voice_pipeline.status import TrainStatus, read_status, write_status
from voice_pipeline.store import Store
from voice_pipeline_tests.conftest import make_project

JOB = "tts_prod_train_nemo"
VOICE = "dottie_default"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make_project(tmp_path / "project")
    monkeypatch.setenv("VOICE_PROJECT", str(root))
    monkeypatch.setenv("VOICE_STORE", str(root / "store"))
    return root


def evaluate(instance: dg.DagsterInstance) -> dg.SensorResult | dg.SkipReason:
    with dg.build_sensor_context(instance=instance) as context:
        result = sensors.voices_in_step(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def test_partitions_follow_the_configs(project: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first = evaluate(instance)
        assert isinstance(first, dg.SensorResult)
        (request,) = first.dynamic_partitions_requests or []
        assert list(request.partition_keys) == ["dottie_default", "sample_speaker"]
        register_voices(instance, project)
        assert isinstance(evaluate(instance), dg.SkipReason)

        config = project / "configs/voices/dottie_default.yaml"
        config.rename(project / "dottie_default.yaml")
        skipped = evaluate(instance)
        assert isinstance(skipped, dg.SkipReason)
        assert "Retired: dottie_default" in (skipped.skip_message or "")
        assert "dottie_default" in instance.get_dynamic_partitions("voices"), "its history is kept"


def test_outside_a_project_the_sensor_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICE_PROJECT", str(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:
        result = evaluate(instance)
    assert isinstance(result, dg.SkipReason)
    assert "VOICE_PROJECT" in (result.skip_message or "")


def run_status_context(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, run_id: str, event_type: dg.DagsterEventType
) -> dg.RunStatusSensorContext:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    event = dg.DagsterEvent(event_type_value=event_type.value, job_name=run.job_name, message="")
    return dg.build_run_status_sensor_context(
        sensor_name=sensor.name, dagster_event=event, dagster_instance=instance, dagster_run=run
    )


def test_a_run_that_fails_before_its_trainer_has_a_status_and_a_report(project: Path) -> None:
    store = Store(project / "store")
    with dg.DagsterInstance.ephemeral() as instance:
        register_voices(instance, project)
        result = defs.resolve_job_def(JOB).execute_in_process(
            instance=instance, partition_key=VOICE, raise_on_error=False
        )
        assert not result.success
        context = run_status_context(
            sensors.report_of_failed_run, instance, result.run_id, dg.DagsterEventType.RUN_FAILURE
        )
        sensors.report_of_failed_run(context)
        (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "recordings_usable"]
    assert not check.passed
    assert "missing_audio_path" in (check.description or "")
    status = read_status(store.train_status(VOICE, JOB))
    assert status is not None
    assert (status.run_id, status.status, status.reason) == (result.run_id, "blocked", "missing_audio_path")
    report = read_json(store.report(VOICE, JOB, "json"))
    assert report["first_failed_step"] == "audio_preflight"
    assert report["promotion"] == "NO-GO"


def test_a_run_that_died_without_a_word_is_closed(project: Path) -> None:
    store = Store(project / "store")
    with dg.DagsterInstance.ephemeral() as instance:
        register_voices(instance, project)
        run = instance.create_run_for_job(
            defs.resolve_job_def(JOB), tags={"dagster/partition": VOICE}, status=dg.DagsterRunStatus.STARTED
        )
        started = run_status_context(sensors.status_of_started_run, instance, run.run_id, dg.DagsterEventType.RUN_START)
        sensors.status_of_started_run(started)
        status = read_status(store.train_status(VOICE, JOB))
        assert status is not None
        assert (status.run_id, status.status) == (run.run_id, "running")

        instance.report_run_failed(run)
        sensors.report_of_failed_run(
            run_status_context(sensors.report_of_failed_run, instance, run.run_id, dg.DagsterEventType.RUN_FAILURE)
        )
    status = read_status(store.train_status(VOICE, JOB))
    assert status is not None
    assert (status.status, status.reason) == ("error", "trainer_killed")


def test_a_cancelled_run_is_closed_as_cancelled(project: Path) -> None:
    store = Store(project / "store")
    with dg.DagsterInstance.ephemeral() as instance:
        register_voices(instance, project)
        run = instance.create_run_for_job(
            defs.resolve_job_def(JOB), tags={"dagster/partition": VOICE}, status=dg.DagsterRunStatus.STARTED
        )
        instance.report_run_canceled(run)
        sensors.report_of_cancelled_run(
            run_status_context(sensors.report_of_cancelled_run, instance, run.run_id, dg.DagsterEventType.RUN_CANCELED)
        )
    status = read_status(store.train_status(VOICE, JOB))
    assert status is not None
    assert (status.status, status.reason) == ("error", "cancelled")
    assert read_json(store.report(VOICE, JOB, "json"))["blockers"] == "cancelled"


def test_a_late_sensor_leaves_a_newer_run_alone(project: Path) -> None:
    store = Store(project / "store")
    with dg.DagsterInstance.ephemeral() as instance:
        register_voices(instance, project)
        run = instance.create_run_for_job(
            defs.resolve_job_def(JOB), tags={"dagster/partition": VOICE}, status=dg.DagsterRunStatus.STARTED
        )
        instance.report_run_failed(run)
        newer = TrainStatus.start(JOB, VOICE, "a newer run")
        write_status(store, newer)
        sensors.report_of_failed_run(
            run_status_context(sensors.report_of_failed_run, instance, run.run_id, dg.DagsterEventType.RUN_FAILURE)
        )
    assert read_status(store.train_status(VOICE, JOB)) == newer
    assert not store.report(VOICE, JOB, "json").exists()
