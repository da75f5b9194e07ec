from __future__ import annotations

from pathlib import Path

import pytest

from voice_pipeline.text.frontend import TextFrontend


@pytest.fixture(scope="session")
def frontend() -> TextFrontend:
    return TextFrontend.for_language("en-US")


@pytest.fixture(scope="session")
def frontend_folder(frontend: TextFrontend, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frontend")
    frontend.save(folder)
    return folder
