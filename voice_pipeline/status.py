"""train_status.json: what a training is doing, or how it ended, for programs and people that watch it.

    status = TrainStatus.start("tts_prod_train_nemo", "dottie_default", run_id)
    write_status(store, status)
    write_status(store, replace(status, progress=Progress(10, 100)))

Written atomically to three places: of the voice and job type, of the job type, and the latest of all.

This module needs the standard library only, so that a trainer in another environment can use it as it is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from voice_pipeline.atomic import read_json, write_json
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.protocol import Progress
from voice_pipeline.store import Store

JobType = Literal[
    "tts_prod_train_nemo", "tts_prod_train_espnet", "tts_prod_train", "tts_voice_train", "train", "dataset"
]
JOB_TYPES: tuple[JobType, ...] = (
    "tts_prod_train_nemo",
    "tts_prod_train_espnet",
    "tts_prod_train",
    "tts_voice_train",
    "train",
    "dataset",
)
PROMOTABLE_JOB_TYPES = frozenset({"tts_prod_train_nemo", "tts_prod_train_espnet", "tts_prod_train"})

_STATES = {"running": "running", "completed": "completed", "error": "error", "blocked": "error"}


@dataclass(frozen=True)
class TrainStatus:
    """One state of one training. ``problems`` says what the contract still misses in it."""

    job_type: str
    status: Literal["running", "completed", "error", "blocked"]
    message: str
    voice_profile_id: str
    run_id: str
    progress: Progress = field(default_factory=lambda: Progress(0, 1))
    stats: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    root_cause_class: str | None = None
    loss: float | None = None
    checkpoint: str | None = None  # relative to the store
    checkpoint_bytes: int | None = None
    checkpoint_sha256: str | None = None
    artifacts: tuple[str, ...] = ()

    @classmethod
    def start(cls, job_type: str, voice: str, run_id: str, *, total: int = 1) -> TrainStatus:
        """The first status of a training."""
        return cls(job_type, "running", "Starting", voice, run_id, Progress(0, max(total, 1)))

    def failed(self, failure: VoiceFailure) -> TrainStatus:
        """This training, ended by a classified failure."""
        blocked = failure.root_cause_class.value.endswith("_blocked")
        return replace(
            self,
            status="blocked" if blocked else "error",
            message=str(failure),
            reason=failure.reason,
            root_cause_class=failure.root_cause_class.value,
        )

    @property
    def state(self) -> str:
        """``pending`` | ``running`` | ``completed`` | ``error``, for readers that know no ``blocked``."""
        return _STATES[self.status]

    def problems(self) -> list[str]:
        """What a terminal status must hold and this one does not; empty when it may be written."""
        found = []
        if self.status == "completed":
            if self.loss is None or not math.isfinite(self.loss):
                found.append("a completed training needs a finite loss")
            if not self.checkpoint or not self.checkpoint_bytes or len(self.checkpoint_sha256 or "") != 64:
                found.append("a completed training needs a checkpoint of non-zero size with its sha256")
        if self.status in ("error", "blocked") and not (self.reason and self.root_cause_class):
            found.append("a failed training needs its reason and root_cause_class")
        return found

    def to_json(self, timestamp: float) -> dict[str, Any]:
        """The JSON object of the contract. Raises ValueError when ``problems`` is not empty."""
        if problems := self.problems():
            raise ValueError("; ".join(problems))
        return {
            "job_type": self.job_type,
            "status": self.status,
            "state": self.state,
            "message": self.message,
            "reason": self.reason,
            "root_cause_class": self.root_cause_class,
            "voice_profile_id": self.voice_profile_id,
            "run_id": self.run_id,
            "progress": {"current": self.progress.current, "total": self.progress.total},
            "stats": dict(self.stats),
            "loss": self.loss,
            "checkpoint": self.checkpoint,
            "checkpoint_bytes": self.checkpoint_bytes,
            "checkpoint_sha256": self.checkpoint_sha256,
            "artifacts": list(self.artifacts),
            "timestamp": timestamp,
        }


def write_status(store: Store, status: TrainStatus) -> Path:
    """Write ``status`` to its three places; returns the voice's own. Raises ValueError for an incomplete one."""
    value = status.to_json(time.time())
    path = store.train_status(status.voice_profile_id, status.job_type)
    for target in (path, store.latest_train_status(status.job_type), store.latest_train_status()):
        write_json(target, value)
    return path


def remove_status(store: Store, voice: str, job_type: str) -> None:
    """Take back what ``write_status`` wrote for a voice and job type, wherever it still is the latest.

    For a run that trains nothing and ended well: ``completed`` belongs to trainings, with their loss and checkpoint.
    """
    for path in (
        store.train_status(voice, job_type),
        store.latest_train_status(job_type),
        store.latest_train_status(),
    ):
        try:
            status = read_status(path)
        except ValueError:
            continue
        if status is not None and (status.voice_profile_id, status.job_type) == (voice, job_type):
            path.unlink(missing_ok=True)


def read_status(path: Path) -> TrainStatus | None:
    """Read a status; None where there is none. Raises ValueError for a file that is not a status."""
    try:
        value = read_json(path)
    except FileNotFoundError:
        return None
    try:
        progress = value["progress"]
        return TrainStatus(
            job_type=value["job_type"],
            status=value["status"],
            message=value["message"],
            voice_profile_id=value["voice_profile_id"],
            run_id=value["run_id"],
            progress=Progress(progress["current"], progress["total"]),
            stats=value["stats"],
            reason=value["reason"],
            root_cause_class=value["root_cause_class"],
            loss=value["loss"],
            checkpoint=value["checkpoint"],
            checkpoint_bytes=value["checkpoint_bytes"],
            checkpoint_sha256=value["checkpoint_sha256"],
            artifacts=tuple(value["artifacts"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a train status: {error!r}") from error
