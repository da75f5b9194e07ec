"""What tests share: a project of their own, with the shipped configs and an empty store."""

from __future__ import annotations

import os
import re
import shutil
from datetime import date
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


def date_licences(project: Path, checked_on: date) -> None:
    """Let somebody have looked at the licences on that day: what the shipped allowlist says grows too old one day."""
    path = project / "configs/licensing/allowlist.yaml"
    path.write_text(re.sub(r"(checked_on): \S+", rf"\1: {checked_on}", path.read_text()))
