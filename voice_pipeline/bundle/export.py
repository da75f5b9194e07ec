"""The program that turns two ``.nemo`` files into ONNX, and proves that the ONNX speaks as they do.

    python -m voice_pipeline.bundle.export SPEC.json

It runs in the trainer's interpreter (NeMo, torch, onnx, onnxruntime) and writes into the spec's ``output`` folder
``acoustic.onnx``, ``vocoder.onnx`` and ``export.json`` with the differences, or ``export_failure.json`` with the
classified reason. Exit codes: 0, or that of the failure's class. Two runs write the same ONNX bytes.

The process ends when its parent does, so that none outlives the stage that started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

from voice_pipeline.atomic import read_json, write_json
from voice_pipeline.bundle.export_spec import (
    FAILURE_NAME,
    PARENT_ENVIRONMENT,
    REPORT_NAME,
    ExportReport,
    ExportSpec,
    SourceModel,
    write_failure,
)
from voice_pipeline.failures import EXIT_SUCCESS, EXIT_USAGE, VoiceFailure, disk_errors
from voice_pipeline.store import sha256_file

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Run one export; returns the process exit code."""
    if len(arguments) != 1:
        print("usage: python -m voice_pipeline.bundle.export SPEC.json", file=sys.stderr)
        return EXIT_USAGE
    try:
        spec = ExportSpec.model_validate(read_json(Path(arguments[0])))
    except (OSError, ValueError) as error:
        print(f"{arguments[0]}: not an export spec: {error}", file=sys.stderr)
        return EXIT_USAGE
    die_with_parent()
    try:
        with disk_errors(voice=spec.voice_profile_id, file=spec.output):
            report = export(spec)
            write_json(spec.output / REPORT_NAME, report.model_dump(mode="json", by_alias=True))
    except VoiceFailure as failure:
        write_failure(spec.output / FAILURE_NAME, failure)
        print(failure, file=sys.stderr)
        return failure.exit_code
    return EXIT_SUCCESS


def export(spec: ExportSpec) -> ExportReport:
    """Restore both models, export them, compare. Raises VoiceFailure; imports NeMo."""
    from voice_pipeline.bundle import nemo_export

    for source in (spec.fastpitch, spec.hifigan):
        _require_digest(spec, source)
    spec.output.mkdir(parents=True, exist_ok=True)
    return nemo_export.export(spec)


def die_with_parent() -> None:
    """Have the kernel end this process when its parent ends (Linux; elsewhere nothing is done)."""
    parent = int(os.environ.get(PARENT_ENVIRONMENT) or os.getppid())
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel knew
        os.kill(os.getpid(), signal.SIGKILL)


def _require_digest(spec: ExportSpec, source: SourceModel) -> None:
    voice = spec.voice_profile_id
    try:
        found = sha256_file(source.path)
    except FileNotFoundError:
        raise VoiceFailure("checkpoint_missing", "no such file", voice=voice, file=source.path) from None
    if found != source.sha256:
        raise VoiceFailure(
            "bundle_invalid", f"sha256 is {found}, the training wrote {source.sha256}", voice=voice, file=source.path
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
