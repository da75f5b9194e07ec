"""How far a stage before training is: in the run's log, and in the status that the terminal and other readers watch."""

import time
from dataclasses import replace

import dagster as dg

from voice_pipeline.orchestration.jobs import job_type_of, trains
from voice_pipeline.protocol import Progress
from voice_pipeline.status import TrainStatus, write_status
from voice_pipeline.store import Store
from voice_pipeline.voice import Voice

_STATUS_EVERY = 1.0  # seconds
_LOG_EVERY = 10  # percent


class StageProgress:
    """A stage's ``progress(current, total)``. A stage that ends within a second leaves no word."""

    def __init__(self, context: dg.AssetExecutionContext, store: Store, voice: Voice) -> None:
        self._context, self._store = context, store
        self._step = context.asset_key.to_user_string()
        job_type = job_type_of(context.run, voice)
        self._status = TrainStatus.start(job_type, voice.voice_profile_id, context.run.run_id)
        # Materialised by itself in a run of another kind, it must not touch the status of a finished training.
        self._writes = trains(context.run) or job_type != voice.job_type
        self._written = time.monotonic()
        self._logged = 0

    def __call__(self, current: int, total: int) -> None:
        """``current`` of ``total`` units of the stage's work are done."""
        now = time.monotonic()
        if total < 1 or now - self._written < _STATUS_EVERY:
            return
        self._written = now
        if self._writes:
            status = replace(
                self._status,
                message=f"{self._step}: {100 * current // total} %",
                progress=Progress(min(current, total), total),
                stats={"stage": self._step},
            )
            write_status(self._store, status)
        percent = 100 * current // total // _LOG_EVERY * _LOG_EVERY
        if percent > self._logged:
            self._logged = percent
            self._context.log.info(f"{self._step}: {percent} % ({current} of {total})")
