"""``python -m voice_pipeline.recognition.nemo_program MODEL.nemo SHA256``: a NeMo recogniser that answers requests.

It runs in the trainer's interpreter. On stdin it reads one JSON object a line, ``{"wavs": ["/…/0.wav", …]}``, and
answers each on stdout with one line, ``{"texts": ["…", …]}``. Its first line is ``{"ready": {"sample_rate": 16000}}``;
whatever goes wrong is ``{"failure": {"reason": …, "detail": …}}``, and the program ends. It ends with its parent.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, TextIO

from voice_pipeline.failures import EXIT_SUCCESS, EXIT_USAGE, VoiceFailure
from voice_pipeline.nemo_archive import give_extraction_filters, open_archive, short
from voice_pipeline.recognition.nemo_config import PARENT_ENVIRONMENT, checked_config

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Serve until stdin ends; returns the process exit code."""
    if len(arguments) != 2:
        print("usage: python -m voice_pipeline.recognition.nemo_program MODEL.nemo SHA256", file=sys.stderr)
        return EXIT_USAGE
    _die_with_parent()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # NeMo prints: only answers go to the pipe
    try:
        model, sample_rate = load(Path(arguments[0]), arguments[1])
        _answer(answers, {"ready": {"sample_rate": sample_rate}})
        for line in sys.stdin:
            _answer(answers, {"texts": [transcribe(model, path) for path in json.loads(line)["wavs"]]})
    except VoiceFailure as failure:
        _answer(answers, {"failure": {"reason": failure.reason, "detail": failure.detail}})
        return failure.exit_code
    return EXIT_SUCCESS


def load(path: Path, sha256: str) -> tuple[Any, int]:
    """The model, ready to listen, and the rate in Hz that it wants. Raises VoiceFailure."""
    with open_archive(path, sha256=sha256) as archive:
        config = checked_config(archive.config, path)
    # With this variable, torch would unpickle whatever the file asks for.
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    try:
        give_extraction_filters()
        import torch
        from nemo.collections.asr.models import ASRModel
        from omegaconf import OmegaConf
    except Exception as error:  # NeMo imports much, and what is missing raises in many ways
        raise VoiceFailure("nemo_runtime_unavailable", f"NeMo's speech recognition: {short(error)}") from error
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        model = ASRModel.restore_from(
            str(path), override_config_path=OmegaConf.create(config), map_location=torch.device("cpu"), strict=True
        )
    except Exception as error:  # it builds classes by name and reads a pickle
        unsafe = "weights_only" in str(error) or "Unpickling" in type(error).__name__
        reason = "base_checkpoint_unsafe" if unsafe else "base_checkpoint_incompatible"
        raise VoiceFailure(reason, f"it does not load: {short(error)}", file=path) from error
    if not hasattr(model, "transcribe"):
        raise VoiceFailure("base_checkpoint_incompatible", f"{type(model).__name__} does not transcribe", file=path)
    model.eval()
    featurizer = getattr(getattr(model, "preprocessor", None), "featurizer", None)
    if featurizer is not None and hasattr(featurizer, "dither"):
        featurizer.dither = 0.0  # random numbers
    return model, int(model.cfg.preprocessor.sample_rate)


def transcribe(model: Any, path: str) -> str:
    """The text of one WAV, alone: neighbours in a batch would change its padding."""
    (found,) = model.transcribe([path], batch_size=1, num_workers=0, verbose=False)[:1]
    while isinstance(found, list | tuple):  # n-best lists begin with the best
        found = found[0]
    text = getattr(found, "text", found)
    return " ".join(str(text or "").split())


def _answer(answers: TextIO, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def _die_with_parent() -> None:
    """Have the kernel end this process when its parent ends (Linux; elsewhere the end of stdin does it)."""
    parent = int(os.environ.get(PARENT_ENVIRONMENT) or os.getppid())
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel knew
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
