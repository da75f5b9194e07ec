"""Where the project is, and which voices it has. Reads no config; that is what ``voice.py`` does.

This module needs the standard library only, so that a bundle speaks without waiting for the config's machinery.
"""

from __future__ import annotations

import os
from pathlib import Path

from voice_pipeline.failures import ConfigError

PROJECT_ENVIRONMENT = "VOICE_PROJECT"
VOICES_FOLDER = Path("configs/voices")


def find_project() -> Path:
    """The project's root: $VOICE_PROJECT, else the nearest folder upwards that holds configs/voices.

    Raises ConfigError where there is none.
    """
    if named := os.environ.get(PROJECT_ENVIRONMENT):
        root = Path(named).expanduser().resolve()
        if (root / VOICES_FOLDER).is_dir():
            return root
        raise ConfigError(f"{PROJECT_ENVIRONMENT}={named}: there is no {VOICES_FOLDER} in it")
    here = Path.cwd()
    for root in (here, *here.parents):
        if (root / VOICES_FOLDER).is_dir():
            return root
    raise ConfigError(f"no {VOICES_FOLDER} here or above; change to the project's folder or set {PROJECT_ENVIRONMENT}")


def voice_ids(project: Path) -> list[str]:
    """The ids of all voices that have a config, sorted."""
    return sorted(path.stem for path in (project / VOICES_FOLDER).glob("*.yaml"))
