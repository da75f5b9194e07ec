"""The final report: one block for people and programs at the end of every run, however it ended.

    report = close_run(store, voice, run_id, failed_step="audio_preflight", failure=failure)
    print(report.render())

``close_run`` also makes train_status.json true for runs that died outside the trainer.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from voice_pipeline.atomic import read_json, write_json, write_text
from voice_pipeline.failures import REASONS, VoiceFailure
from voice_pipeline.status import TrainStatus, read_status, remove_status, write_status
from voice_pipeline.store import Store
from voice_pipeline.voice import Voice

HEADER = "=== VOICE TRAIN REPORT ==="
CONTAINER_HEADERS = {
    "production": "=== DOCKER PROD TRAIN REPORT ===",
    "experimental": "=== DOCKER TRAIN REPORT ===",
}
CONTAINER_ENVIRONMENT = "VOICE_CONTAINER"  # set by our images
NOT_AVAILABLE = "N/A"
DATASET = "dataset"  # the job type that prepares and does not train
DONE = "None. The voice is promoted."


@dataclass(frozen=True)
class Report:
    """The report's lines, in their order. Paths below the store are relative to its root."""

    objective_status: str
    first_failed_step: str
    root_cause_class: str
    audio_path: str
    audio_size_bytes: str
    manifest_path: str
    manifest_entry_count: str
    training_status_path: str
    training_status_json: str
    checkpoint_path: str
    checkpoint_size_bytes: str
    checkpoint_sha256: str
    bundle_manifest_path: str
    promotion: str
    blockers: str
    next_unblock_action: str

    def render(self, header: str = HEADER) -> str:
        """The block as it is printed, ending in a newline."""
        return "\n".join([header, *(f"{key}: {value}" for key, value in asdict(self).items())]) + "\n"


def close_run(
    store: Store,
    project: Path,
    voice: Voice,
    run_id: str,
    *,
    failed_step: str | None = None,
    failure: VoiceFailure | None = None,
    header: str | None = None,
    job_type: str | None = None,
) -> Report:
    """Make the voice's status true for this run, then write its report beside it, as text and as JSON.

    ``job_type`` is that of the run; by default the one that trains the voice.
    """
    job_type = job_type or voice.job_type
    _settle_status(store, voice, job_type, run_id, failed_step, failure)
    report = build_report(store, project, voice, failed_step=failed_step, failure=failure, job_type=job_type)
    value = {**asdict(report), "run_id": run_id, "voice_profile_id": voice.voice_profile_id, "job_type": job_type}
    for text_path, json_path in (
        (store.report(voice.voice_profile_id, job_type, "txt"), store.report(voice.voice_profile_id, job_type, "json")),
        (store.latest_report(job_type, "txt"), store.latest_report(job_type, "json")),
    ):
        write_text(text_path, report.render(header or report_header(voice)))
        write_json(json_path, value)
    return report


def report_header(voice: Voice) -> str:
    """The block's first line: inside our images ($VOICE_CONTAINER) it names the lane."""
    return CONTAINER_HEADERS[voice.lane] if os.environ.get(CONTAINER_ENVIRONMENT) else HEADER


def build_report(
    store: Store,
    project: Path,
    voice: Voice,
    *,
    failed_step: str | None = None,
    failure: VoiceFailure | None = None,
    job_type: str | None = None,
) -> Report:
    """Gather the report from what the store holds. A value that does not exist is ``N/A``."""
    voice_id, job_type = voice.voice_profile_id, job_type or voice.job_type
    if job_type == DATASET:
        return _dataset_report(store, project, voice, failed_step, failure)
    status_path = store.train_status(voice_id, job_type)
    status = _read(status_path)
    manifest_path = store.dataset_manifest(voice_id, job_type)
    dataset = _read(store.record(voice_id, "dataset_manifest"))
    has_manifest = manifest_path.is_file()
    preflight = _read(store.record(voice_id, "audio_preflight"))
    bundle_manifest = store.bundle(voice_id) / "manifest.json"
    decision = _read(store.promotion_decision(voice_id)) if failed_step in (None, "promoted_voice") else None
    go = failure is None and bool((decision or {}).get("go"))
    blockers = list((decision or {}).get("blockers") or []) if not go else []
    if failure is not None and failure.reason not in {str(blocker).split(":")[0] for blocker in blockers}:
        blockers.insert(0, failure.reason)
    first = failure.reason if failure is not None else (blockers[0].split(":")[0] if blockers else None)
    known = REASONS.get(first or "")
    return Report(
        objective_status="success" if go or (failure is None and not blockers) else "blocked",
        first_failed_step=failed_step or "none",
        root_cause_class=str(known.root_cause_class) if known else "none",
        audio_path=voice.source.path.as_posix(),
        audio_size_bytes=_text(_audio_bytes(project, voice, preflight)),
        manifest_path=store.relative(manifest_path) if has_manifest else NOT_AVAILABLE,
        manifest_entry_count=_text((dataset or {}).get("count") if has_manifest else None),
        training_status_path=store.relative(status_path) if status else NOT_AVAILABLE,
        training_status_json=_one_line(status) if status else NOT_AVAILABLE,
        checkpoint_path=_text((status or {}).get("checkpoint")),
        checkpoint_size_bytes=_text((status or {}).get("checkpoint_bytes")),
        checkpoint_sha256=_text((status or {}).get("checkpoint_sha256")),
        bundle_manifest_path=store.relative(bundle_manifest) if bundle_manifest.is_file() else NOT_AVAILABLE,
        promotion="GO" if go else "NO-GO",
        blockers=",".join(dict.fromkeys(str(blocker).split(":")[0] for blocker in blockers)) or "none",
        next_unblock_action=known.next_unblock_action if known else (DONE if go else "Materialize promoted_voice."),
    )


def _dataset_report(
    store: Store, project: Path, voice: Voice, failed_step: str | None, failure: VoiceFailure | None
) -> Report:
    """The report of a run that prepares the dataset only: nothing of it can be promoted."""
    path = store.dataset_manifest(voice.voice_profile_id, DATASET)
    written = failure is None and path.is_file()
    record = _read(store.record(voice.voice_profile_id, "dataset_manifest")) or {}
    preflight = _read(store.record(voice.voice_profile_id, "audio_preflight"))
    status_path = store.train_status(voice.voice_profile_id, DATASET)
    status = _read(status_path)
    return Report(
        objective_status="success" if failure is None else "blocked",
        first_failed_step=failed_step or "none",
        root_cause_class=str(failure.root_cause_class) if failure else "none",
        audio_path=voice.source.path.as_posix(),
        audio_size_bytes=_text(_audio_bytes(project, voice, preflight)),
        manifest_path=store.relative(path) if written else NOT_AVAILABLE,
        manifest_entry_count=_text(record.get("count") if written else None),
        training_status_path=store.relative(status_path) if status else NOT_AVAILABLE,
        training_status_json=_one_line(status) if status else NOT_AVAILABLE,
        checkpoint_path=NOT_AVAILABLE,
        checkpoint_size_bytes=NOT_AVAILABLE,
        checkpoint_sha256=NOT_AVAILABLE,
        bundle_manifest_path=NOT_AVAILABLE,
        promotion="NO-GO",
        blockers=failure.reason if failure else "none",
        next_unblock_action=failure.next_unblock_action if failure else "Train the voice.",
    )


def superseded(store: Store, voice: Voice, job_type: str, run_id: str, *, started_at: float) -> bool:
    """Whether a run that began after ``started_at`` (seconds since the epoch) has written that status since."""
    status = _read(store.train_status(voice.voice_profile_id, job_type))
    return status is not None and status.get("run_id") != run_id and float(status.get("timestamp") or 0) > started_at


def _settle_status(
    store: Store, voice: Voice, job_type: str, run_id: str, failed_step: str | None, failure: VoiceFailure | None
) -> None:
    """A run that failed before its training was complete has no other writer for its last status."""
    if failure is None and job_type == DATASET:
        remove_status(store, voice.voice_profile_id, DATASET)
    if failure is None or failure.root_cause_class == "promotion_blocked":
        return
    if failure.reason == "voice_busy":
        return  # the status belongs to the run that is training
    try:
        current = read_status(store.train_status(voice.voice_profile_id, job_type))
    except ValueError:
        current = None
    if current is not None and current.run_id == run_id:
        if current.status in ("error", "blocked"):
            return
        if current.status == "completed" and failed_step not in (None, "nemo_checkpoint"):
            return  # trained; what failed came later
        write_status(store, current.failed(failure))
        return
    fresh = TrainStatus.start(job_type, voice.voice_profile_id, run_id)
    write_status(store, replace(fresh, stats={"first_failed_step": failed_step or "unknown"}).failed(failure))


def _audio_bytes(project: Path, voice: Voice, preflight: dict[str, Any] | None) -> int | None:
    source = project / voice.source.path
    try:
        if source.is_file():
            return source.stat().st_size
    except OSError:
        return None
    return (preflight or {}).get("bytes") if source.is_dir() else None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = read_json(path)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _text(value: Any) -> str:
    return NOT_AVAILABLE if value is None else str(value)


def _one_line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
