"""What the store holds about voices, read for the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voice_pipeline.atomic import read_json
from voice_pipeline.failures import ConfigError
from voice_pipeline.project import voice_ids
from voice_pipeline.report import NOT_AVAILABLE
from voice_pipeline.store import Store
from voice_pipeline.voice import load_voice_by_id


def voice_states(project: Path, store: Store, voice: str | None = None) -> list[dict[str, Any]]:
    """The state of one voice, or of all that have a config: the training's status, and what is promoted.

    Raises ConfigError for an unknown voice.
    """
    ids = voice_ids(project) if voice is None else [load_voice_by_id(project, voice).voice_profile_id]
    return [_state(project, store, one) for one in ids]


def last_report(project: Path, store: Store, voice: str, suffix: str) -> str:
    """The text (``txt``) or JSON (``json``) of a voice's last report. Raises ConfigError where there is none."""
    configured = load_voice_by_id(project, voice)
    path = store.report(configured.voice_profile_id, configured.job_type, suffix)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{voice}: no report yet; run: voice-pipeline train {voice}") from None


def _state(project: Path, store: Store, voice: str) -> dict[str, Any]:
    try:
        job_type = load_voice_by_id(project, voice).job_type
    except ConfigError as error:
        return _row(voice, "invalid", "", str(error), None, False)
    promoted = (store.promoted(voice) / "decision.json").is_file()
    try:
        status = read_json(store.train_status(voice, job_type))
    except FileNotFoundError:
        return _row(voice, "never run", "", f"run: voice-pipeline train {voice}", None, promoted)
    except ValueError:
        return _row(voice, "unreadable", "", "train_status.json is damaged; train again", None, promoted)
    progress = f"{status['progress']['current']}/{status['progress']['total']}"
    return _row(voice, status["status"], progress, status["message"], status, promoted)


def _row(voice: str, state: str, progress: str, message: str, status: Any, promoted: bool) -> dict[str, Any]:
    return {
        "voice_profile_id": voice,
        "state": state,
        "progress": progress or NOT_AVAILABLE,
        "message": message,
        "promoted": "yes" if promoted else "no",
        "train_status": status,
    }
