from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import yaml

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.promotion import registry
from voice_pipeline.promotion.signing import keygen
from voice_pipeline_tests.promotion.releasing import copy_of, digest_of_tree, promote_next, roll_back, seen
from voice_pipeline_tests.ready_voice import CONFIG, NAME, ReadyVoice, edit_json

pytestmark = pytest.mark.evaluation


@pytest.fixture(scope="module")
def three(ready_voice: ReadyVoice, tmp_path_factory: pytest.TempPathFactory) -> ReadyVoice:
    """Three releases of one voice, the last one promoted."""
    ready = copy_of(ready_voice, tmp_path_factory.mktemp("three") / "project")
    assert [ready.promote().release, promote_next(ready), promote_next(ready)] == [1, 2, 3]
    return ready


@pytest.fixture
def voice(three: ReadyVoice, tmp_path: Path) -> ReadyVoice:
    return copy_of(three, tmp_path / "project")


def refusal(ready: ReadyVoice, to: int | None = None, today: date = date(2026, 6, 1)) -> VoiceFailure:
    """The refusal of a rollback that changes nothing."""
    before = seen(ready), registry.history(ready.store, NAME)
    with pytest.raises(VoiceFailure) as caught:
        roll_back(ready, to, today)
    assert (seen(ready), registry.history(ready.store, NAME)) == before
    return caught.value


def test_rollback_goes_to_the_release_before_and_further_with_each_step(voice: ReadyVoice) -> None:
    folders = {number: digest_of_tree(voice.store.release(NAME, number)) for number in (1, 2, 3)}
    assert len(set(folders.values())) == 3
    assert roll_back(voice).release == 2
    assert seen(voice) == folders[2]
    entry = roll_back(voice)
    assert (entry.action, entry.release, entry.by) == ("rollback", 1, "dora")
    assert entry.facts() == registry.history(voice.store, NAME)[0].facts()
    assert seen(voice) == folders[1]
    assert "release 1 is the first" in str(refusal(voice))
    assert roll_back(voice, 3).release == 3
    assert seen(voice) == folders[3]
    assert {number: digest_of_tree(voice.store.release(NAME, number)) for number in (1, 2, 3)} == folders


def test_going_to_what_is_promoted_adds_nothing(voice: ReadyVoice) -> None:
    entry = roll_back(voice, 3)
    assert entry == registry.history(voice.store, NAME)[-1]
    assert len(registry.history(voice.store, NAME)) == 3


def test_a_release_after_a_rollback_has_a_new_number(voice: ReadyVoice) -> None:
    roll_back(voice)
    assert voice.promote().release == 4
    assert voice.store.release(NAME, 3).is_dir()


@pytest.mark.parametrize("number", [0, 4, 999_999, -1])
def test_a_release_that_never_was_is_refused(voice: ReadyVoice, number: int) -> None:
    failure = refusal(voice, number)
    assert failure.reason == "verification_failed"
    assert "was never promoted (releases: 1, 2, 3)" in str(failure)


def test_a_voice_that_never_was_promoted_is_refused(ready_voice: ReadyVoice, tmp_path: Path) -> None:
    ready = copy_of(ready_voice, tmp_path / "never")
    assert "was never promoted" in str(refusal(ready))
    assert not ready.store.promoted(NAME).exists()


def test_a_withdrawn_voice_is_not_rolled_back(voice: ReadyVoice) -> None:
    registry.withdraw(voice.store, NAME, by="dora", reason="asked for it", at=datetime(2026, 6, 2, tzinfo=UTC))
    for to in (None, 2):
        failure = refusal(voice, to, date(2026, 6, 3))
        assert failure.reason == "verification_failed"
        assert "it was withdrawn: asked for it" in str(failure)


def test_the_consent_must_hold_today(voice: ReadyVoice) -> None:
    assert refusal(voice, today=date(2027, 6, 1)).reason == "consent_missing"
    voice.configure(consent={**CONFIG["consent"], "status": "revoked"})
    assert refusal(voice).reason == "consent_missing"


def test_the_lane_must_be_promotable_today(voice: ReadyVoice) -> None:
    voice.configure(lane="experimental")
    assert refusal(voice).reason == "lane_not_promotable"


def test_licences_are_judged_by_todays_policy(voice: ReadyVoice) -> None:
    path = voice.project / "configs/licensing/allowlist.yaml"
    value = yaml.safe_load(path.read_text())
    for entry in value["weights"]:
        if entry["id"] == "whisper/tiny.en":
            entry["commercial_use_allowed"] = False
    path.write_text(yaml.safe_dump(value))
    failure = refusal(voice)
    assert failure.reason in ("license_noncommercial", "license_unclear")
    assert "whisper/tiny.en" in str(failure)


def test_every_problem_is_named(voice: ReadyVoice) -> None:
    voice.configure(lane="experimental")
    (voice.store.release(NAME, 2) / "voice_bundle/sample.wav").unlink()
    failure = refusal(voice, today=date(2027, 6, 1))
    for told in ("release 2", "experimental lane", "consent_missing", "bundle_invalid: required_file_missing"):
        assert told in str(failure)


def test_a_release_whose_bundle_is_a_link_is_refused(voice: ReadyVoice, tmp_path: Path) -> None:
    """What it leads to holds the right bytes, but is not in the release."""
    bundle = voice.store.release(NAME, 2) / "voice_bundle"
    bundle.rename(tmp_path / "elsewhere")
    bundle.symlink_to(tmp_path / "elsewhere")
    failure = refusal(voice)
    assert failure.reason == "verification_failed"
    assert "its voice_bundle is a link" in str(failure)


def test_a_damaged_or_exchanged_release_is_refused(voice: ReadyVoice) -> None:
    folder = voice.store.release(NAME, 2)
    kept = voice.project / "kept"
    shutil.copytree(folder, kept)

    def after(spoil: str) -> VoiceFailure:
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        if spoil == "flipped bit":
            path = folder / "voice_bundle/hifigan.nemo"
            path.write_bytes(path.read_bytes()[:-1] + b"\0")
        elif spoil == "decision edited":
            edit_json(folder / "decision.json", go=False, blockers=["quality_below_threshold: forged"])
        elif spoil == "bundle of another release":
            shutil.rmtree(folder / "voice_bundle")
            shutil.copytree(voice.store.release(NAME, 1) / "voice_bundle", folder / "voice_bundle")
        elif spoil == "another release":
            shutil.rmtree(folder)
            shutil.copytree(voice.store.release(NAME, 1), folder)
        elif spoil == "link to another release":
            shutil.rmtree(folder)
            folder.symlink_to("000001")
        else:
            shutil.rmtree(folder)
        return refusal(voice, 2)

    assert after("flipped bit").reason == "bundle_invalid"
    assert "decision.json is no GO" in str(after("decision edited"))
    assert "its content_digest is not the one that was promoted" in str(after("bundle of another release"))
    assert "its decision_sha256 is not the one that was promoted" in str(after("another release"))
    assert "not a folder of this store" in str(after("link to another release"))
    folder.unlink()
    folder.mkdir()
    assert "not a folder of this store" in str(after("taken away"))


# -- signatures ----------------------------------------------------------------------------------------


def test_a_release_that_no_trusted_key_signed_is_refused(
    voice: ReadyVoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [generated[:2] for generated in (keygen(tmp_path / f"keys{n}/signing.key", voice.store) for n in (1, 2))]
    monkeypatch.setenv("VOICE_SIGNING_KEY", str(keys[0][0]))
    assert promote_next(voice) == 4
    assert promote_next(voice) == 5
    monkeypatch.setenv("VOICE_VERIFICATION_KEY", str(keys[1][1]))
    assert "signature_invalid" in str(refusal(voice, 4))
    monkeypatch.setenv("VOICE_VERIFICATION_KEY", str(keys[0][1]))
    failure = refusal(voice, 3)  # of before there was a key
    assert failure.reason == "verification_failed"
    assert "signature_missing" in str(failure)
    assert roll_back(voice).release == 4
    assert registry.history(voice.store, NAME)[-1].signed_by == registry.history(voice.store, NAME)[3].signed_by


def test_what_is_promoted_unsigned_is_promoted_again_once_there_is_a_key(
    voice: ReadyVoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, _, key_id = keygen(tmp_path / "keys/signing.key", voice.store)
    monkeypatch.setenv("VOICE_SIGNING_KEY", str(private))
    records = [voice.promote(), voice.promote()]
    assert [(one.release, one.signed_by) for one in records] == [(4, key_id), (4, key_id)]
    before, signed = (voice.store.release(NAME, number) for number in (3, 4))
    assert (before / "statement.json").read_bytes() == (signed / "statement.json").read_bytes()
