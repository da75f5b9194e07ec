from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from voice_pipeline.serving.app import make_app
from voice_pipeline.store import Store
from voice_pipeline_tests.ready_voice import TODAY, ReadyVoice, ready_voice
from voice_pipeline_tests.serving.process import ServerProcess

__all__ = ["ready_voice"]

Clients = Callable[..., TestClient]


@dataclass(frozen=True)
class Served:
    """A project of its own in which the ready voice is promoted."""

    project: Path

    @property
    def store(self) -> Store:
        return Store(self.project / "store")


@pytest.fixture(scope="session")
def promoted_voice(ready_voice: ReadyVoice, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Promoted by every gate, once for the session. Tests must not change it."""
    ready = ready_voice.copy(tmp_path_factory.mktemp("promoted") / "project")
    ready.promote()
    return Served(ready.project)


@pytest.fixture
def served(promoted_voice: Served, tmp_path: Path) -> Served:
    """A copy that a test may change."""
    return Served(shutil.copytree(promoted_voice.project, tmp_path / "project", symlinks=True))


@pytest.fixture
def client_of() -> Iterator[Clients]:
    """Make clients of applications of this process, as a program of this machine would be one."""
    with ExitStack() as stack:

        def make(served: Served, *, address: str = "127.0.0.1", **options: Any) -> TestClient:
            app = make_app(served.project, served.store, **{"today": lambda: TODAY, **options})
            return stack.enter_context(TestClient(app, base_url="http://127.0.0.1", client=(address, 5000)))

        yield make


@pytest.fixture
def client(served: Served, client_of: Clients) -> TestClient:
    return client_of(served)


@pytest.fixture
def server_of(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start real server processes."""
    with ExitStack() as stack:

        def make(served: Served, **options: Any) -> ServerProcess:
            return stack.enter_context(ServerProcess(served.project, tmp_path / "server.log", options))

        yield make
