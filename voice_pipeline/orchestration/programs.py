"""Start a program under Dagster Pipes and see it through to its end, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

GRACE_SECONDS = 30.0  # a cancelled trainer writes its checkpoint first
_TAIL_LINES = 20


@dataclass(frozen=True)
class ProgramEnd:
    """How a program ended: exit code (negative: the signal that killed it), reported metadata, its last words."""

    exit_code: int
    metadata: Mapping[str, Any]
    tail: tuple[str, ...]


def run_program(
    context: dg.AssetExecutionContext,
    command: Sequence[str],
    *,
    log_path: Path,
    environment: Mapping[str, str] | None = None,
) -> ProgramEnd:
    """Run ``command`` in a session of its own; its stdout is shown in the step's log, its stderr kept in ``log_path``.

    When the run is cancelled the program gets SIGINT, time to write its checkpoint, and then SIGKILL. When this
    process is killed the program sees its parent's death by itself.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with (
        log_path.open("a", encoding="utf-8", errors="replace") as log,
        dg.open_pipes_session(
            context=context,
            context_injector=dg.PipesTempFileContextInjector(),
            message_reader=dg.PipesTempFileMessageReader(),
        ) as session,
    ):
        process = subprocess.Popen(
            list(command),
            env={**os.environ, **(environment or {}), **session.get_bootstrap_env_vars()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches it once, through us
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
            process.wait()
        finally:
            _end(process)
    metadata: dict[str, Any] = {}
    for result in session.get_results():
        metadata.update(getattr(result, "metadata", None) or {})
    return ProgramEnd(process.returncode, metadata, _tail(log_path))


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tail(path: Path) -> tuple[str, ...]:
    with path.open(encoding="utf-8", errors="replace") as stream:
        return tuple(line.rstrip() for line in deque(stream, _TAIL_LINES))
