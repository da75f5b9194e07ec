"""Sensors: voices follow configs/voices/, and every run ends in a true status and a report."""

import dagster as dg

from voice_pipeline.failures import ConfigError
from voice_pipeline.orchestration.jobs import is_about_training, job_type_of, trains
from voice_pipeline.orchestration.partitions import VOICES, new_voices, retired_voices
from voice_pipeline.orchestration.refusal import run_failure
from voice_pipeline.orchestration.workspace import Workspace
from voice_pipeline.project import find_project
from voice_pipeline.report import close_run, superseded
from voice_pipeline.status import TrainStatus, read_status, write_status
from voice_pipeline.store import Store
from voice_pipeline.voice import Voice

_MONITORED = dg.DefaultSensorStatus.RUNNING


@dg.sensor(
    minimum_interval_seconds=10,
    default_status=_MONITORED,
    description="Keeps the partitions in step with configs/voices/: a new file is a new voice.",
)
def voices_in_step(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Add a partition for every new voice. A voice whose file is gone keeps its partition and its history."""
    try:
        project = find_project()
    except ConfigError as error:
        return dg.SkipReason(str(error))
    missing = new_voices(context.instance, project)
    if not missing:
        retired = retired_voices(context.instance, project)
        return dg.SkipReason(
            "All voices have their partition." + (f" Retired: {', '.join(retired)}." if retired else "")
        )
    return dg.SensorResult(dynamic_partitions_requests=[VOICES.build_add_request(missing)])


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.STARTED,
    default_status=_MONITORED,
    description="Writes train_status.json when a run starts.",
)
def status_of_started_run(context: dg.RunStatusSensorContext) -> None:
    """The first status of a run; its trainer takes over from here."""
    run = context.dagster_run
    current = context.instance.get_run_by_id(run.run_id)
    voice = _voice_of(run)
    if voice is None or current is None or current.is_finished or not trains(run):
        return
    store = Workspace().open_store()
    if _has_status(store, voice, run.run_id):
        return
    if not superseded(store, voice, job_type_of(run, voice), run.run_id, started_at=_started_at(context.instance, run)):
        write_status(store, TrainStatus.start(voice.job_type, voice.voice_profile_id, run.run_id))


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    default_status=_MONITORED,
    description="Writes the report of a run that succeeded.",
)
def report_of_successful_run(context: dg.RunStatusSensorContext) -> None:
    """Close a run that succeeded."""
    _close(context)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.FAILURE,
    default_status=_MONITORED,
    description="Writes the status and the report of a run that failed, whatever killed it.",
)
def report_of_failed_run(context: dg.RunStatusSensorContext) -> None:
    """Close a run that failed."""
    _close(context)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    default_status=_MONITORED,
    description="Writes the status and the report of a run that was cancelled.",
)
def report_of_cancelled_run(context: dg.RunStatusSensorContext) -> None:
    """Close a run that was cancelled."""
    _close(context)


SENSORS = (
    voices_in_step,
    status_of_started_run,
    report_of_successful_run,
    report_of_failed_run,
    report_of_cancelled_run,
)


def _close(context: dg.RunStatusSensorContext) -> None:
    run = context.dagster_run
    voice = _voice_of(run)
    if voice is None:
        return
    workspace = Workspace()
    store = workspace.open_store()
    if superseded(store, voice, job_type_of(run, voice), run.run_id, started_at=_started_at(context.instance, run)):
        return
    failed_step, failure = run_failure(context.instance, run)
    close_run(
        store,
        workspace.project_root(),
        voice,
        run.run_id,
        failed_step=failed_step,
        failure=failure,
        job_type=job_type_of(run, voice),
    )


def _voice_of(run: dg.DagsterRun) -> Voice | None:
    """The voice whose run it is; None for other jobs, such as a rollback, and for a voice whose config is no more."""
    partition = run.tags.get("dagster/partition")
    if partition is None or not is_about_training(run):
        return None
    try:
        return Workspace().voice(partition)
    except ConfigError:
        return None


def _has_status(store: Store, voice: Voice, run_id: str) -> bool:
    try:
        status = read_status(store.train_status(voice.voice_profile_id, voice.job_type))
    except ValueError:
        return False
    return status is not None and status.run_id == run_id


def _started_at(instance: dg.DagsterInstance, run: dg.DagsterRun) -> float:
    record = instance.get_run_record_by_id(run.run_id)
    return record.create_timestamp.timestamp() if record is not None else 0.0
