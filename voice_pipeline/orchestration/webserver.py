"""Start ``dagster dev`` on the store's own instance."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from voice_pipeline.orchestration.terminal import open_instance
from voice_pipeline.project import PROJECT_ENVIRONMENT
from voice_pipeline.store import STORE_ENVIRONMENT, Store


def serve_ui(project: Path, store: Store, host: str, port: int) -> int:
    """Run webserver, daemon and code location until they are stopped; returns the exit code."""
    with open_instance(project, store):
        pass
    environment = {**os.environ, STORE_ENVIRONMENT: str(store.root), PROJECT_ENVIRONMENT: str(project)}
    workspace = project / "workspace.yaml"
    location = ["-w", str(workspace)] if workspace.is_file() else ["-m", "voice_pipeline.definitions"]
    command = [sys.executable, "-m", "dagster", "dev", *location, "-h", host, "-p", str(port)]
    return subprocess.call(command, cwd=project, env=environment)
