"""What tests share: a project of their own, with the shipped configs and an empty store."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Recordings of people that are on some machines only; $VOICE_TEST_DATA, else beside the project."""
    folder = Path(os.environ.get("VOICE_TEST_DATA") or PROJECT.parent / "shared/data")
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}; the twin of this test runs on generated speech")
    return folder


def make_project(root: Path) -> Path:
    """A project at ``root``: the shipped configs, no recordings, no store."""
    shutil.copytree(PROJECT / "configs", root / "configs")
    return root
