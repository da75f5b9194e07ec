"""What the trainer tells: the protocol on stdout, train_status.json, the loss curve, and rates in the log.

Protocol and curve hold rounded losses and no times, so that two runs of the same training tell the same; how fast
it goes and how long it will take goes to the log on stderr.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from voice_pipeline.atomic import write_bytes, write_text
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.protocol import Progress, ProtocolWriter
from voice_pipeline.status import TrainStatus, write_status
from voice_pipeline.store import Store
from voice_pipeline.training.spec import TrainingSpec

_STATUS_PERIOD = 1.0  # seconds between two writings of the status
_RATE_PERIOD = 15.0  # seconds between two lines about speed in the log
_RESERVE = 256 * 1024  # bytes kept free so that a full disk can still be reported
DIGITS = 4  # decimals of the losses that are told
_log = logging.getLogger(__name__)


def take_stdout() -> TextIO:
    """The real stdout, for the protocol alone; whatever libraries print goes to stderr from now on."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout.flush()
    os.dup2(2, 1)
    return stream


class LossCurve:
    """``loss.jsonl``: one line a tick. After a resume it holds what the unbroken run's would hold."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines: list[dict[str, Any]] = []

    def resume(self, order: tuple[str, ...], stage: str, step: int) -> None:
        """Keep the lines up to ``step`` of ``stage``; drop later ones, and a half line of a killed run."""
        kept = []
        if self._path.exists():
            for text in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError, KeyError, TypeError):
                    line = json.loads(text)
                    if (order.index(line["stage"]), line["step"]) <= (order.index(stage), step):
                        kept.append(line)
        self.lines = kept
        write_text(self._path, "".join(f"{_line(line)}\n" for line in kept))

    def append(self, line: Mapping[str, Any]) -> None:
        """Add one line, at once."""
        self.lines.append(dict(line))
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(f"{_line(line)}\n")

    def mean(self, stage: str, loss: str, last: int = 10) -> float | None:
        """Mean of a loss over the last lines of a stage."""
        values = [line[loss] for line in self.lines if line["stage"] == stage and loss in line][-last:]
        return round(sum(values) / len(values), 6) if values else None


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


class Reporter:
    """Ticks of one training. Rank 0 reports; the other ranks hold a silent one."""

    def __init__(self, spec: TrainingSpec, stream: TextIO | None, total: int) -> None:
        self._store = Store(spec.store)
        self._spec = spec
        self._writer = ProtocolWriter(stream) if stream is not None else None
        self._status = TrainStatus.start(spec.job_type, spec.voice_profile_id, spec.run_id, total=total)
        self._reserve = spec.path(spec.work_dir) / ".reserve"
        self._written = 0.0
        self._rate_at = (time.monotonic(), 0)
        self.total = total

    @property
    def silent(self) -> bool:
        """Whether this rank reports nothing."""
        return self._writer is None

    def start(self) -> None:
        """The first status, and a few bytes kept back for the last one."""
        if not self.silent:
            write_bytes(self._reserve, bytes(_RESERVE))
            self._write(force=True)

    def set_total(self, total: int) -> None:
        """Fix the length of the progress before the first tick."""
        self.total = total
        self._status = replace(self._status, progress=Progress(self._status.progress.current, total))

    def tick(
        self, current: int, stats: Mapping[str, Any] | None = None, *, artifact: Path | None = None, message: str = ""
    ) -> None:
        """One update: protocol at once, status when a second has passed."""
        if self._writer is None:
            return
        relative = None if artifact is None else self._store.relative(artifact)
        self._writer.tick(current, self.total, stats=stats, artifact=relative)
        artifacts = self._status.artifacts
        self._status = replace(
            self._status,
            message=message or self._status.message,
            progress=Progress(current, self.total),
            stats={**self._status.stats, **(stats or {})},
            artifacts=artifacts if relative is None or relative in artifacts else (*artifacts, relative),
        )
        self._write(force=relative is not None)
        self._log_rate(current)

    def complete(self, *, loss: float, checkpoint: Path, checkpoint_bytes: int, checkpoint_sha256: str) -> None:
        """The last status of a training that succeeded."""
        self._status = replace(
            self._status,
            status="completed",
            message="Training complete",
            loss=loss,
            checkpoint=self._store.relative(checkpoint),
            checkpoint_bytes=checkpoint_bytes,
            checkpoint_sha256=checkpoint_sha256,
        )
        self._write(force=True)
        self._reserve.unlink(missing_ok=True)

    def fail(self, failure: VoiceFailure) -> None:
        """The last status of a training that failed; a disk that refuses even that is only logged."""
        if self.silent:
            return
        with suppress(OSError):
            self._reserve.unlink(missing_ok=True)
        self._status = self._status.failed(failure)
        try:
            self._write(force=True)
        except (OSError, VoiceFailure) as error:
            _log.error("the status could not be written: %s", error)

    def _write(self, *, force: bool) -> None:
        now = time.monotonic()
        if not self.silent and (force or now - self._written >= _STATUS_PERIOD):
            write_status(self._store, self._status)
            self._written = now

    def _log_rate(self, current: int) -> None:
        now = time.monotonic()
        since, done = self._rate_at
        if done == 0:
            self._rate_at = (now, current)
        elif now - since >= _RATE_PERIOD and current > done:
            pace = (now - since) / (current - done)
            left = pace * (self.total - current) / 60
            stage = self._status.stats.get("stage", "")
            _log.info("%s: step %d of %d, %.2f s a step, %.0f min left", stage, current, self.total, pace, left)
            self._rate_at = (now, current)
