"""Run the export program in the trainer's interpreter, and name how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path

from pydantic import ValidationError

from voice_pipeline.atomic import read_json, write_json
from voice_pipeline.bundle.export_spec import (
    FAILURE_NAME,
    PARENT_ENVIRONMENT,
    REPORT_NAME,
    ExportReport,
    ExportSpec,
    read_failure,
)
from voice_pipeline.failures import VoiceFailure, disk_errors

PYTHON_ENVIRONMENT = "VOICE_TRAINER_PYTHON"  # the interpreter that has the NeMo runtime
PROGRAM = "voice_pipeline.bundle.export"
TIMEOUT = 1800.0  # seconds; the full-size models take less than a minute


def run_export(spec: ExportSpec, spec_path: Path, log_path: Path) -> ExportReport:
    """Export as ``spec`` says; everything that the program prints is kept in ``log_path``.

    Raises VoiceFailure: the program's own classified failure, ``nemo_runtime_unavailable`` when the interpreter
    is missing or lacks this package, ``trainer_killed`` for a signal, else ``trainer_exit_nonzero``.
    """
    voice = spec.voice_profile_id
    write_json(spec_path, spec.model_dump(mode="json", by_alias=True))
    interpreter = os.environ.get(PYTHON_ENVIRONMENT) or sys.executable
    failure_path = spec.output / FAILURE_NAME
    failure_path.unlink(missing_ok=True)
    with disk_errors(voice=voice, file=log_path):
        log_path.parent.mkdir(parents=True, exist_ok=True)
        log = log_path.open("wb")
    with log:
        try:
            ended = subprocess.run(
                [interpreter, "-m", PROGRAM, str(spec_path)],
                env=_environment(spec.threads),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            detail = f"the export took more than {TIMEOUT:.0f} s"
            raise VoiceFailure("trainer_killed", detail, voice=voice, file=log_path) from None
        except OSError as error:
            detail = f"no interpreter to export with: {interpreter}: {error.strerror}"
            raise VoiceFailure("nemo_runtime_unavailable", detail, voice=voice) from error
    if ended.returncode != 0:
        raise read_failure(failure_path, voice=voice, file=log_path) or _unexplained(
            ended.returncode, voice=voice, log_path=log_path
        )
    try:
        return ExportReport.model_validate(read_json(spec.output / REPORT_NAME))
    except (OSError, ValueError, ValidationError) as error:
        detail = f"the export left no report that can be read: {error}"
        raise VoiceFailure("bundle_invalid", detail, voice=voice, file=log_path) from error


def _environment(threads: int) -> dict[str, str]:
    """The export runs on the CPU: the same bytes on a machine with a GPU as on one without."""
    ours = {PARENT_ENVIRONMENT: str(os.getpid()), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": str(threads)}
    return {**os.environ, **ours}


def _unexplained(code: int, *, voice: str, log_path: Path) -> VoiceFailure:
    """The failure of a program that could not write its own."""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return VoiceFailure("trainer_killed", f"the export was ended by {name}", voice=voice, file=log_path)
    last = _last_line(log_path)
    if "No module named" in last:  # the interpreter lacks this package, or a library that it needs at once
        return VoiceFailure("nemo_runtime_unavailable", last, voice=voice, file=log_path)
    detail = f"the export ended with exit code {code}: {last}"
    return VoiceFailure("trainer_exit_nonzero", detail, voice=voice, file=log_path)


def _last_line(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as stream:
        lines = deque((line.strip() for line in stream if line.strip()), maxlen=1)
    return lines[0][:500] if lines else "no output"
