"""Starting a training program and naming how it ended, whoever starts it: Dagster Pipes, a container, a cluster.

process = subprocess.run(trainer_command(spec_path), env=trainer_environment())
failure = failure_of(process.returncode, store, spec)
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from voice_pipeline.failures import EXIT_USAGE, REASONS, VoiceFailure
from voice_pipeline.status import TrainStatus, read_status
from voice_pipeline.store import Store
from voice_pipeline.training.spec import TrainingSpec

PYTHON_ENVIRONMENT = "VOICE_TRAINER_PYTHON"  # the interpreter that has the NeMo runtime
PARENT_ENVIRONMENT = "VOICE_TRAINER_PARENT"  # the process whose end must end the trainer
PROGRAM = "voice_pipeline.training.nemo"


def trainer_command(spec_path: Path) -> list[str]:
    """The command that trains ``spec_path``; the interpreter is $VOICE_TRAINER_PYTHON, else this one."""
    return [trainer_python(), "-m", PROGRAM, str(spec_path)]


def trainer_python() -> str:
    """The interpreter that trains: $VOICE_TRAINER_PYTHON, else this one."""
    return os.environ.get(PYTHON_ENVIRONMENT) or sys.executable


def require_interpreter(voice: str) -> None:
    """Raises VoiceFailure ``nemo_runtime_unavailable`` when there is no such interpreter."""
    if shutil.which(trainer_python()) is None:
        detail = f"${PYTHON_ENVIRONMENT} names no program that can be run"
        raise VoiceFailure("nemo_runtime_unavailable", detail, voice=voice, file=trainer_python())


def trainer_environment() -> dict[str, str]:
    """What a trainer started by this very process needs beside the inherited environment.

    It names this process, so that a trainer whose parent died before it could ask the kernel still notices.
    Not for containers, where process numbers differ.
    """
    return {PARENT_ENVIRONMENT: str(os.getpid()), "PYTHONUNBUFFERED": "1"}


def failure_of(exit_code: int | None, store: Store, spec: TrainingSpec) -> VoiceFailure | None:
    """The classified failure of an ended trainer, None when it completed.

    The trainer's own status counts when this very run wrote it; a trainer that was killed, or died before it
    could write, is classified by its exit code (negative: the signal that ended it).
    """
    voice = spec.voice_profile_id
    status = _status(store, spec)
    if exit_code == 0:
        if status is None or status.status != "completed":
            return VoiceFailure("checkpoint_missing", "the trainer ended without a completed status", voice=voice)
        return None
    if exit_code is not None and (exit_code < 0 or exit_code > 128):
        number = -exit_code if exit_code < 0 else exit_code - 128
        return VoiceFailure("trainer_killed", f"the trainer was ended by {_signal_name(number)}", voice=voice)
    if status is not None and status.status in ("error", "blocked") and (status.reason or "") in REASONS:
        detail = status.message.rpartition(f"{status.reason}: ")[2] or status.message
        return VoiceFailure(status.reason or "", detail.removeprefix(f"{voice}: "), voice=voice)
    if exit_code == EXIT_USAGE:
        return VoiceFailure("trainer_exit_nonzero", "the trainer refused its spec; see its log", voice=voice)
    if exit_code is None:
        return VoiceFailure("trainer_killed", "the trainer ended without an exit code", voice=voice)
    if status is None or (status.status == "running" and status.progress.current == 0):
        # The program writes its status for every failure of its own: this interpreter could not even start it.
        detail = f"{trainer_python()} cannot run {PROGRAM}; see trainer.log"
        return VoiceFailure("nemo_runtime_unavailable", detail, voice=voice)
    return VoiceFailure("trainer_exit_nonzero", f"the trainer ended with exit code {exit_code}", voice=voice)


def _status(store: Store, spec: TrainingSpec) -> TrainStatus | None:
    try:
        status = read_status(store.train_status(spec.voice_profile_id, spec.job_type))
    except (OSError, ValueError):
        return None
    return status if status is not None and status.run_id == spec.run_id else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
