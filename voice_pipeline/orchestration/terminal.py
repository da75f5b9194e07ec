"""Run a job in this process and show it in the terminal: stages, training progress, then the report."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from voice_pipeline.failures import EXIT_SUCCESS, VoiceFailure
from voice_pipeline.orchestration.jobs import PREPARATION, PRODUCTION, job_type_of
from voice_pipeline.orchestration.partitions import register_voices
from voice_pipeline.orchestration.refusal import run_failure
from voice_pipeline.report import DATASET, Report, close_run
from voice_pipeline.status import read_status
from voice_pipeline.store import Store
from voice_pipeline.voice import Voice

_REFRESH_SECONDS = 0.5
_PLAIN_EVERY_PERCENT = 10


@dataclass(frozen=True)
class Outcome:
    """How a run ended, for the command line."""

    run_id: str
    report: Report
    failure: VoiceFailure | None

    @property
    def exit_code(self) -> int:
        """The exit code of the contract."""
        return EXIT_SUCCESS if self.failure is None else self.failure.exit_code


def open_instance(project: Path, store: Store) -> dg.DagsterInstance:
    """The Dagster instance of $DAGSTER_HOME, else the store's own, made with the local config where it is new."""
    if not os.environ.get("DAGSTER_HOME"):
        os.environ["DAGSTER_HOME"] = str(store.dagster_home())
    home = Path(os.environ["DAGSTER_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    local = project / "configs/dagster/local.yaml"
    if not (home / "dagster.yaml").exists() and local.is_file():
        shutil.copyfile(local, home / "dagster.yaml")
    return dg.DagsterInstance.get()


def run_job(project: Path, store: Store, voice: Voice, *, job: dg.JobDefinition, console: Console) -> Outcome:
    """Run one job for one voice in this process, show it, close it, and return how it ended."""
    run_id = str(uuid.uuid4())
    log_path = store.voice_artifacts(voice.voice_profile_id) / "logs" / f"{run_id}.log"
    with open_instance(project, store) as instance:
        register_voices(instance, project)
        with _quiet_streams(log_path, console) as terminal:
            screen = Console(file=terminal, force_terminal=console.is_terminal or None, width=console.width)
            with _Display(screen, instance, store, voice, run_id, job.name):
                job.execute_in_process(
                    instance=instance,
                    partition_key=voice.voice_profile_id,
                    run_id=run_id,
                    raise_on_error=False,
                    tags={"voice_pipeline/launched_by": "cli"},
                )
        run = instance.get_run_by_id(run_id)
        assert run is not None
        failed_step, failure = run_failure(instance, run)
    report = close_run(
        store, project, voice, run_id, failed_step=failed_step, failure=failure, job_type=job_type_of(run, voice)
    )
    return Outcome(run_id, report, failure)


@contextlib.contextmanager
def _quiet_streams(log_path: Path, console: Console) -> Iterator[Any]:
    """Send everything that the run prints to a log file; yields a stream that still reaches the console's."""
    shown_on = 2 if console.stderr else 1
    log_path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with log_path.open("ab") as log, os.fdopen(os.dup(shown_on), "w", encoding="utf-8") as terminal:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield terminal
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in zip((1, 2), kept, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)


class _Display:
    """Watches the run's events and the voice's status, and draws them: live on a terminal, as lines elsewhere."""

    def __init__(
        self, screen: Console, instance: dg.DagsterInstance, store: Store, voice: Voice, run_id: str, job: str
    ) -> None:
        self._screen, self._instance = screen, instance
        self._run_id, self._step = run_id, ""
        self._steps = PREPARATION if job == DATASET else PRODUCTION
        self._status_path = store.train_status(voice.voice_profile_id, DATASET if job == DATASET else voice.job_type)
        self._seen: set[tuple[str, str]] = set()
        self._started: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="display", daemon=True)
        self._plain_mark = ("", -1)
        self._task: Any = None
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=screen,
            transient=True,
        )

    def __enter__(self) -> _Display:
        self._live: Live | None = (
            Live(self._bar, console=self._screen, transient=True) if self._screen.is_terminal else None
        )
        if self._live is not None:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._draw()
        if self._live is not None:
            self._live.stop()

    def _watch(self) -> None:
        while not self._stop.wait(_REFRESH_SECONDS):
            self._draw()

    def _draw(self) -> None:
        events = self._instance.all_logs(
            self._run_id,
            of_type={
                dg.DagsterEventType.STEP_START,
                dg.DagsterEventType.STEP_SUCCESS,
                dg.DagsterEventType.STEP_FAILURE,
            },
        )
        for entry in events:
            event = entry.dagster_event
            if event is None or event.step_key is None or (event.step_key, event.event_type_value) in self._seen:
                continue
            self._seen.add((event.step_key, event.event_type_value))
            self._show_step(event.step_key, event.event_type, entry.timestamp)
        self._show_progress()

    def _show_step(self, step: str, kind: dg.DagsterEventType, at: float) -> None:
        if kind == dg.DagsterEventType.STEP_START:
            self._started[step] = at
            self._describe(step)
            return
        good = kind == dg.DagsterEventType.STEP_SUCCESS
        mark = "[green]✓[/]" if good else "[red]✗[/]"
        number = f"{self._steps.index(step) + 1}/{len(self._steps)}" if step in self._steps else ""
        self._screen.print(f"{mark} {number} {step:<20} {at - self._started.get(step, at):7.1f} s", highlight=False)
        self._describe("")

    def _describe(self, text: str) -> None:
        self._step = text
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(text, total=None) if text else None

    def _show_progress(self) -> None:
        if not self._step:
            return
        try:
            status = read_status(self._status_path)
        except ValueError:
            return
        if status is None or status.run_id != self._run_id or status.status != "running":
            return
        text = self._step
        if self._step == "nemo_checkpoint":
            stage, step = status.stats.get("stage", "training"), status.stats.get("step", status.progress.current)
            loss = status.stats.get("loss")
            text += f": {stage} step {step}" + (f" loss {loss:.3f}" if isinstance(loss, float) else "")
        elif status.stats.get("stage") != self._step:
            return  # of the stage before
        if self._task is not None:
            self._bar.update(
                self._task, description=text, completed=status.progress.current, total=status.progress.total
            )
        share = status.progress.current / status.progress.total
        mark = (self._step, int(100 * share) // _PLAIN_EVERY_PERCENT)
        if self._live is None and mark != self._plain_mark:
            self._plain_mark = mark
            elapsed = time.time() - self._started[self._step]
            eta = f", ETA {elapsed / share - elapsed:.0f} s" if share else ""
            self._screen.print(f"  {text} ({share:.0%}{eta})", highlight=False)
