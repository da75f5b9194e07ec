"""The command line: exit codes, help, and what a person reads when something is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from voice_pipeline.cli import app, main

PROJECT = Path(__file__).parents[1]
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own: the shipped configs, an empty store, no Dagster home."""
    root = tmp_path / "project"
    shutil.copytree(PROJECT / "configs", root / "configs")
    monkeypatch.chdir(root)
    for name in ("VOICE_PROJECT", "VOICE_STORE", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_a_place_in_the_readme(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.strip().endswith(".") for line in lines[:8]), "the first paragraph says what it does"
    assert f"voice-pipeline {command}" in (PROJECT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [["sing"], ["train"], ["speak", "x"], ["train", "x", "--loud"], ["speak", "a", "b", "-o", "c.wav", "--pace", "9"]],
)
def test_wrong_usage_is_64(arguments: list[str], project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 64
    assert capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "status", "report"])
@pytest.mark.parametrize("voice", ["nobody", "../x", "A B"])
def test_an_unknown_voice_is_wrong_usage(
    command: str, voice: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, voice]) == 64
    assert voice in capsys.readouterr().err
    assert not (project / "store").exists()


def test_outside_a_project_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOICE_PROJECT", raising=False)
    assert main(["train", "sample_speaker"]) == 64
    assert "VOICE_PROJECT" in capsys.readouterr().err


def test_status_lists_every_voice(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert "dottie_default" in shown
    assert "never run" in shown
    assert main(["status", "dottie_default", "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert state["voice_profile_id"] == "dottie_default"
    assert state["train_status"] is None


def test_a_report_that_does_not_exist_says_how_to_get_one(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "dottie_default"]) == 64
    assert "voice-pipeline train dottie_default" in capsys.readouterr().err


def test_speaking_without_a_bundle_says_how_to_get_one(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speak", "dottie_default", "Hello.", "-o", "out.wav"]) == 64
    assert "voice-pipeline train dottie_default" in capsys.readouterr().err
    assert not Path("out.wav").exists()


def test_the_command_line_itself_starts_light() -> None:  # pydantic is there: typer needs it
    code = (
        "import sys; from voice_pipeline.cli import main; "
        "code = main(['speak', 'no/bundle', 'Hello.', '-o', 'x.wav']); "
        "heavy = ('yaml', 'dagster', 'torch', 'nemo', 'scipy', 'matplotlib', 'rich'); "
        "print(code, [name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "64 []"


def test_an_invalid_bundle_is_three(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify-bundle", str(tmp_path)]) == 3
    assert "manifest_missing" in capsys.readouterr().out


def test_weights_validator_keeps_its_own_codes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify-weights", "nowhere.json"]) == 2
    assert capsys.readouterr().out.startswith("[weights-manifest] error=manifest_not_found")
    assert main(["verify-weights", str(project / "configs/voice/weights-manifest.example.json")]) == 0
    assert capsys.readouterr().out == "[weights-manifest] status=ok\n"


def test_doctor_names_every_lane_and_why_it_is_blocked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert findings["lane tts_prod_train_espnet"]["reason"] == "espnet_runtime_unavailable"
    assert findings["lane tts_prod_train_nemo"]["state"] == findings["nemo runtime"]["state"]


def test_doctor_sees_an_interpreter_without_nemo(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOICE_TRAINER_PYTHON", "/usr/bin/python-that-is-not-there")
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "nemo_runtime_unavailable" in shown


def test_a_lane_without_a_job_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = project / "configs/voices/dottie_default.yaml"
    config.write_text(config.read_text().replace("lane: production", "lane: experimental"))
    assert main(["train", "dottie_default"]) == 64
    assert "experimental" in capsys.readouterr().err


@pytest.mark.slow
def test_training_without_the_recording_ends_at_preflight(project: Path) -> None:
    command = [sys.executable, "-m", "voice_pipeline", "train", "dottie_default"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "=== VOICE TRAIN REPORT ===" in done.stdout
    values = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert values["first_failed_step"] == "audio_preflight"
    assert values["root_cause_class"] == "data_blocked"
    assert values["blockers"] == "missing_audio_path"
    assert values["audio_path"] == "data/knowledge_audio_source/auntie_dottie.flac"
    status = json.loads((project / "store/artifacts/train_status.json").read_text())
    assert (status["status"], status["reason"]) == ("blocked", "missing_audio_path")
    assert "auntie_dottie.flac" in done.stderr
