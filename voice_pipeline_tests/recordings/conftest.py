from __future__ import annotations

import os
from pathlib import Path

import pytest

from voice_pipeline.store import Store

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def ljspeech_32() -> Path:
    folder = Path(os.environ.get("VOICE_TEST_DATA", PROJECT.parent / "shared" / "data")) / "ljspeech_32"
    if not (folder / "metadata.csv").exists():
        pytest.skip(f"the LJ Speech clips are not at {folder}; set VOICE_TEST_DATA")
    return folder
