from __future__ import annotations

import threading
from datetime import date
from pathlib import Path

import pytest

from voice_pipeline.atomic import read_json
from voice_pipeline.bundle.validation import validate_bundle
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.promotion import links, promote, registry, releases
from voice_pipeline.store import Store, sha256_file
from voice_pipeline_tests.ready_voice import NAME, ReadyVoice

pytestmark = pytest.mark.evaluation


@pytest.fixture
def voice(ready_voice: ReadyVoice, tmp_path: Path) -> ReadyVoice:
    return ready_voice.copy(tmp_path / "project")


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_voice_that_passes_every_gate_is_promoted(voice: ReadyVoice) -> None:
    record = voice.promote()
    promoted = voice.store.promoted(NAME)
    assert sorted(path.name for path in promoted.iterdir()) == [
        "certificate.json",
        "decision.json",
        "statement.json",
        "voice_bundle",
    ]
    assert contents(promoted / "voice_bundle") == contents(voice.bundle)
    assert validate_bundle(promoted / "voice_bundle", production=True) == []
    decision = read_json(promoted / "decision.json")
    assert (decision["go"], decision["blockers"]) == (True, [])
    assert read_json(voice.store.promotion_decision(NAME)) == decision
    assert record.decision_sha256 == sha256_file(promoted / "decision.json")
    assert decision["evidence"]["content_digest"] == record.content_digest
    assert None not in decision["evidence"].values()


def test_the_same_evidence_gives_the_same_decision_anywhere(voice: ReadyVoice, tmp_path: Path) -> None:
    other = voice.copy(tmp_path / "elsewhere")
    first, second = voice.promote(), other.promote(today=date(2026, 7, 1))
    assert first == second
    assert voice.promote() == first
    assert str(tmp_path) not in (other.store.promoted(NAME) / "decision.json").read_text()


def test_a_refusal_keeps_the_earlier_promoted_voice(voice: ReadyVoice) -> None:
    voice.promote()
    before = contents(voice.store.promoted(NAME))
    voice.evaluate(wrong_words=3)
    with pytest.raises(VoiceFailure):
        voice.promote()
    assert contents(voice.store.promoted(NAME)) == before
    assert read_json(voice.store.promotion_decision(NAME))["go"] is False


def test_a_refusal_names_every_blocker(voice: ReadyVoice) -> None:
    voice.evaluate(wrong_words=3)
    voice.store.record(NAME, "voice_bundle").unlink()
    with pytest.raises(VoiceFailure) as caught:
        voice.promote(today=date(2027, 1, 2))
    decision = read_json(voice.store.promotion_decision(NAME))
    reasons = {blocker.split(":")[0] for blocker in decision["blockers"]}
    assert reasons == {"consent_missing", "quality_below_threshold", "verification_failed"}
    for blocker in decision["blockers"][1:]:
        assert blocker in str(caught.value)
    assert caught.value.reason == decision["blockers"][0].split(":")[0] == "consent_missing"
    assert "wer is 0.3" in str(caught.value)


def test_what_changes_while_it_is_copied_is_not_promoted(voice: ReadyVoice, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = releases.copy_bundle

    def hasty(source: Path, target: Path, name: str) -> None:
        path = source / "hifigan.nemo"
        path.write_bytes(path.read_bytes()[::-1])
        copy(source, target, name)

    monkeypatch.setattr(releases, "copy_bundle", hasty)
    with pytest.raises(VoiceFailure, match="bundle_invalid"):
        voice.promote()
    assert not voice.store.promoted(NAME).exists()
    assert names(voice.store.promoted(NAME).parent) == ["releases", "voice_bundle"]
    assert names(voice.store.release(NAME, 1).parent) == []


def test_a_link_put_there_while_it_is_copied_is_not_followed(
    voice: ReadyVoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, secret = releases.copy_bundle, tmp_path / "secret"
    secret.write_bytes((voice.bundle / "sample.wav").read_bytes())

    def hasty(source: Path, target: Path, name: str) -> None:
        (source / "sample.wav").unlink()
        (source / "sample.wav").symlink_to(secret)
        copy(source, target, name)

    monkeypatch.setattr(releases, "copy_bundle", hasty)
    with pytest.raises(VoiceFailure, match="bundle_invalid"):
        voice.promote()
    assert not voice.store.promoted(NAME).exists()


@pytest.mark.parametrize(("module", "name"), [(releases.shutil, "copyfileobj"), (releases, "sync"), (links, "sync")])
def test_a_full_disk_leaves_nothing_half_promoted(
    voice: ReadyVoice, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    """While it copies, while it makes the release, and while it prepares the link."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, name, full)
    with pytest.raises(VoiceFailure, match="disk_full"):
        voice.promote()
    assert not voice.store.promoted(NAME).exists()
    assert registry.history(voice.store, NAME) == ()
    monkeypatch.undo()
    assert voice.promote().release == 1
    assert names(voice.store.promoted(NAME).parent) == ["promoted", "releases", "voice_bundle"]
    assert names(voice.store.release(NAME, 1).parent) == ["000001"]


def test_two_promotions_at_once_leave_one_whole_voice(voice: ReadyVoice) -> None:
    failures: list[BaseException] = []

    def one() -> None:
        try:
            voice.promote()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    promoted = voice.store.promoted(NAME)
    assert failures == []
    assert validate_bundle(promoted / "voice_bundle", production=True) == []
    assert names(promoted.parent) == ["promoted", "releases", "voice_bundle"]
    assert names(promoted.parent / "releases") == ["000001"]
    assert len(registry.history(voice.store, NAME)) == 1


def test_a_voice_without_anything_is_refused_with_all_reasons(voice: ReadyVoice, tmp_path: Path) -> None:
    empty = Store(tmp_path / "empty")
    with pytest.raises(VoiceFailure) as caught:
        promote.run(voice.project, voice.voice, empty)
    assert caught.value.exit_code == 3
    blockers = read_json(empty.promotion_decision(NAME))["blockers"]
    assert {blocker.split(":")[0] for blocker in blockers} == {
        "verification_failed",
        "checkpoint_missing",
        "bundle_invalid",
        "license_unclear",
    }
