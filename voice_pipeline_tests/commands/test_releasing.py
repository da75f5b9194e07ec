"""The commands of releasing, on a voice that may be promoted: what they print, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voice_pipeline import clock
from voice_pipeline.cli import main
from voice_pipeline_tests.ready_voice import NAME, NOW, ReadyVoice

pytestmark = pytest.mark.evaluation


@pytest.fixture
def voice(ready_voice: ReadyVoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReadyVoice:
    """The ready voice's project is the working folder; its clock is the one of its day."""
    copy = ready_voice.copy(tmp_path / "project")
    monkeypatch.chdir(copy.project)
    for name in ("VOICE_PROJECT", "VOICE_STORE", "VOICE_SIGNING_KEY", "VOICE_VERIFICATION_KEY", "VOICE_ADAPTER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VOICE_OPERATOR", "a tester")
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return copy


def test_from_a_key_to_a_signed_release_and_back(
    voice: ReadyVoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "keys/signing.key"
    assert main(["keygen", "-o", str(key)]) == 0
    assert str(key) in capsys.readouterr().out
    assert main(["keygen", "-o", str(key)]) == 64, "a key is never replaced unasked"
    monkeypatch.setenv("VOICE_SIGNING_KEY", str(key))

    assert main(["verify", NAME]) == 0
    shown = capsys.readouterr().out
    assert "PASS: GREEN, integrity ok, constraint-pack:voice-promotion:" in shown
    assert main(["verify", NAME, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "PASS"

    assert main(["promote", NAME]) == 0
    assert f"GO: {NAME} speaks from release 1, signed by" in capsys.readouterr().out
    bundle = voice.store.promoted(NAME) / "voice_bundle"
    assert main(["verify-bundle", str(bundle), "--key", f"{key}.pub"]) == 0
    assert "bundle valid, signed by" in capsys.readouterr().out
    assert main(["verify-bundle", str(voice.bundle), "--key", f"{key}.pub"]) == 3
    assert "signature_missing" in capsys.readouterr().out

    assert main(["history", NAME]) == 0
    shown = capsys.readouterr().out
    assert "promote" in shown
    assert "a tester" in shown
    assert shown.endswith("promoted: release 1\n")
    assert main(["rollback", NAME]) == 3, "there is no release before the first"
    assert "verification_failed" in capsys.readouterr().err

    assert main(["revoke", NAME, "--reason", "she asked", "--yes"]) == 0
    assert "What was promoted is withdrawn." in capsys.readouterr().out
    assert main(["history", NAME, "--json"]) == 0
    assert [entry["action"] for entry in json.loads(capsys.readouterr().out)] == ["promote", "withdraw"]
    assert main(["promote", NAME]) == 2
    assert "consent_missing" in capsys.readouterr().err
    assert main(["rollback", NAME]) == 3
    assert "it was withdrawn: she asked" in capsys.readouterr().err
    assert main(["verify", NAME]) == 3
    assert "revoked" in capsys.readouterr().out
    assert main(["speak", NAME, "hello", "-o", str(tmp_path / "x.wav")]) == 2
    assert not (tmp_path / "x.wav").exists()


def test_a_refused_promotion_names_its_blockers(voice: ReadyVoice, capsys: pytest.CaptureFixture[str]) -> None:
    voice.evaluate(wrong_words=3)
    assert main(["promote", NAME]) == 3
    told = capsys.readouterr().err
    assert "quality_below_threshold" in told
    assert "Next: " in told
    assert main(["history", NAME]) == 0
    assert capsys.readouterr().out == "promoted: nothing\n"


def test_an_adapter_that_is_not_there_is_no_pass(voice: ReadyVoice, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", NAME, "--adapter", "http://127.0.0.1:9"]) == 3
    assert "adapter.pass" in capsys.readouterr().out
    assert main(["verify", NAME, "--adapter", "ftp://127.0.0.1"]) == 64


def test_a_revocation_is_asked_for_first(
    voice: ReadyVoice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("typer.confirm", lambda *_: False)
    assert main(["revoke", NAME, "--reason", "a slip"]) == 64
    assert "Nothing was revoked" in capsys.readouterr().err
    assert main(["verify", NAME]) == 0


def test_the_lineage_is_shown(voice: ReadyVoice, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", NAME]) == 0
    assert "gruut-lang-en/lexicon" in capsys.readouterr().out
    assert main(["lineage", NAME, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nodes"]


def test_a_manifest_whose_licence_nobody_can_read(
    voice: ReadyVoice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = json.loads((voice.project / "configs/voice/weights-manifest.example.json").read_text())
    path = tmp_path / "base.json"
    path.write_text(json.dumps({**example, "weights_license": "apache 2.0"}))
    assert main(["verify-weights", str(path)]) == 10
    shown = capsys.readouterr().out
    assert shown.startswith("[weights-manifest] error=invalid_field field=weights_license ")
    assert "did you mean Apache-2.0?" in shown
    path.write_text(json.dumps(example))
    assert main(["verify-weights", str(path)]) == 0


def test_an_unset_variable_is_no_key(voice: ReadyVoice, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify-bundle", str(voice.bundle), "--key", ""]) == 64
    assert "the verification key is empty" in capsys.readouterr().err


def test_where_signatures_are_asked_for_nothing_is_promoted_unsigned(
    voice: ReadyVoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "keys/signing.key"
    assert main(["keygen", "-o", str(key)]) == 0
    monkeypatch.setenv("VOICE_VERIFICATION_KEY", f"{key}.pub")
    assert main(["promote", NAME]) == 64
    assert "set VOICE_SIGNING_KEY" in capsys.readouterr().err
    assert not voice.store.promoted(NAME).exists()
