"""How a stage that cannot go on shows itself in Dagster: a red check and a failed step with its reason."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import dagster as dg

from voice_pipeline.failures import REASONS, ConfigError, VoiceFailure
from voice_pipeline.store import Store

Record = TypeVar("Record")

REASON, DETAIL, FILE = "reason", "detail", "file"


def classify(error: Exception, voice: str) -> VoiceFailure:
    """The taxonomy's word for any error of a stage."""
    if isinstance(error, VoiceFailure):
        return error
    if isinstance(error, ConfigError):
        return VoiceFailure("config_invalid", str(error), voice=voice)
    if isinstance(error, MemoryError):
        return VoiceFailure("out_of_memory", "this machine's memory is not enough", voice=voice)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return VoiceFailure("disk_full", "no space left on the device", voice=voice, file=error.filename)
    return VoiceFailure("internal_error", f"{type(error).__name__}: {error}", voice=voice)


def refuse(error: Exception, voice: str, *checks: str) -> Iterator[dg.AssetCheckResult]:
    """Yield the named checks as failed, then raise the step's failure. The end of every stage that refuses."""
    end = failed(error, voice)
    for check in checks:
        yield dg.AssetCheckResult(
            passed=False,
            check_name=check,
            severity=dg.AssetCheckSeverity.ERROR,
            description=end.description,
            metadata=end.metadata,
        )
    raise end from error


def failed(error: Exception, voice: str) -> dg.Failure:
    """The failure of a step, in the taxonomy's words: what ``run_failure`` reads again."""
    failure = classify(error, voice)
    metadata: dict[str, dg.MetadataValue] = {
        REASON: dg.MetadataValue.text(failure.reason),
        "root_cause_class": dg.MetadataValue.text(failure.root_cause_class.value),
        DETAIL: dg.MetadataValue.text(failure.detail),
        "next_unblock_action": dg.MetadataValue.text(failure.next_unblock_action),
    }
    if failure.file is not None:
        metadata[FILE] = dg.MetadataValue.text(failure.file)
    return dg.Failure(description=str(failure), metadata=metadata, allow_retries=False)


def stored(read: Callable[[Store, str], Record | None], store: Store, voice: str, stage: str) -> Record:
    """The record that an earlier stage left. Raises VoiceFailure ``stage_missing`` where there is none."""
    record = read(store, voice)
    if record is None:
        raise VoiceFailure("stage_missing", f"there is no record of {stage}; materialize it first", voice=voice)
    return record


def run_failure(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[str | None, VoiceFailure | None]:
    """The first failed step of a run and why, read from its events; (None, None) for a run that did not fail."""
    voice = run.tags.get("dagster/partition")
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        if event is None:
            continue
        data = event.step_failure_data
        metadata = data.user_failure_data.metadata if data.user_failure_data else {}
        values = {key: str(value.value) for key, value in metadata.items()}
        if values.get(REASON) in REASONS:
            failure = VoiceFailure(values[REASON], values.get(DETAIL, ""), voice=voice, file=values.get(FILE))
        elif run.status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELING) or _interrupted(data):
            failure = VoiceFailure("cancelled", "the run was cancelled", voice=voice)
        else:
            message = data.error.message.strip() if data.error else "the step failed"
            failure = VoiceFailure("internal_error", message, voice=voice)
        return event.step_key, failure
    if run.status == dg.DagsterRunStatus.CANCELED:
        return None, VoiceFailure("cancelled", "the run was cancelled", voice=voice)
    if run.status == dg.DagsterRunStatus.FAILURE:
        return None, VoiceFailure("trainer_killed", "the run ended without a word: its process was killed", voice=voice)
    return None, None


def _interrupted(data: Any) -> bool:
    """Whether the step ended because its process was told to: Ctrl-C in a terminal leaves the run as a failure."""
    error = data.error
    while error is not None:
        if error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
            return True
        error = error.cause
    return False
