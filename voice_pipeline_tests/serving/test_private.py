"""A writer whose changes leave no new time behind: what is loaded is still only what was verified."""

from __future__ import annotations

import errno
import mmap
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from voice_pipeline.bundle.synthesizer import Synthesizer
from voice_pipeline.serving import private
from voice_pipeline_tests.serving.conftest import Served
from voice_pipeline_tests.serving.releases import current_bundle
from voice_pipeline_tests.serving.test_voice_routes import envelope, speak

pytestmark = pytest.mark.evaluation


def test_a_change_that_no_time_tells_is_not_loaded(
    served: Served, client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = current_bundle(served.store) / "synthesizer.json"
    with path.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapped:
        mapped[0:1] = mapped[0:1]  # its page is dirty from here on: later writes set no time
        assert client.get("/health").json()["ok"]
        place = mapped[:].index(b'"ceiling": 0.8')
        before = path.stat()
        mapped[place : place + 14] = b'"ceiling": 0.1'
        if path.stat().st_ctime_ns != before.st_ctime_ns:
            pytest.skip("this file system sets a time for every write to a mapping")
        answer = envelope(speak(client), "voice_unavailable", 503)
    assert answer["details"]["reason"] == "bundle_invalid"
    assert "synthesizer.json" in answer["message"]
    assert not client.get("/health").json()["ok"]


def test_the_copy_is_for_this_user_alone_and_goes(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    load, seen = Synthesizer.load, []

    def looking(folder: Path) -> Synthesizer:
        seen.append((folder, folder.stat().st_mode & 0o777))
        return load(folder)

    monkeypatch.setattr(Synthesizer, "load", looking)
    assert speak(client).status_code == 200
    ((folder, mode),) = seen
    assert mode == 0o700
    assert not folder.exists()


def test_a_full_disk_makes_the_voice_unavailable_until_there_is_space(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(private.tempfile, "TemporaryDirectory", full)
        assert envelope(speak(client), "voice_unavailable", 503)["details"]["reason"] == "disk_full"
    assert client.get("/health").json()["ok"]
    with monkeypatch.context() as patch:
        patch.setattr(private.tempfile, "TemporaryDirectory", full)
        assert envelope(speak(client), "voice_unavailable", 503)["details"]["reason"] == "disk_full"
    assert speak(client).status_code == 200
