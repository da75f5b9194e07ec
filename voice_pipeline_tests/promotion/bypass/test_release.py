"""Ways around the registry: to have something else served than was promoted, or to go back to what must not return."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from voice_pipeline.atomic import read_json, write_json
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.promotion import promote, registry, releases, revoke
from voice_pipeline.store import canonical_json
from voice_pipeline_tests.promotion.bypass.attacks import flip, replace_file
from voice_pipeline_tests.promotion.releasing import copy_of, promote_next, roll_back
from voice_pipeline_tests.ready_voice import NAME, TODAY, ReadyVoice, edit_json

pytestmark = pytest.mark.evaluation

Act = Callable[[ReadyVoice], None]


@pytest.fixture(scope="module")
def twice(ready_voice: ReadyVoice, tmp_path_factory: pytest.TempPathFactory) -> ReadyVoice:
    """A voice with two releases; the second is promoted."""
    ready = copy_of(ready_voice, tmp_path_factory.mktemp("twice") / "project")
    assert (ready.promote().release, promote_next(ready)) == (1, 2)
    return ready


@pytest.fixture
def voice(twice: ReadyVoice, tmp_path: Path) -> ReadyVoice:
    return copy_of(twice, tmp_path / "project")


def refusal(act: Callable[[], object]) -> VoiceFailure:
    with pytest.raises(VoiceFailure) as caught:
        act()
    return caught.value


def lines_of(ready: ReadyVoice) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ready.store.promotions(NAME).read_text().splitlines()]


def write_chain(ready: ReadyVoice, entries: list[dict[str, Any]]) -> None:
    """Write entries as somebody would who knows how the chain is made."""
    previous, lines = None, []
    for number, entry in enumerate(entries, start=1):
        lines.append(canonical_json({**entry, "seq": number, "previous": previous}))
        previous = hashlib.sha256(lines[-1]).hexdigest()
    ready.store.promotions(NAME).write_bytes(b"".join(line + b"\n" for line in lines))


def turn_link(ready: ReadyVoice, target: str) -> None:
    ready.store.promoted(NAME).unlink()
    ready.store.promoted(NAME).symlink_to(target)


# -- the link and the registry: readers, promotion and rollback refuse -------------------------------


def link_to_the_release_before(ready: ReadyVoice) -> None:
    turn_link(ready, "releases/000001")


def link_to_the_newest_bundle(ready: ReadyVoice) -> None:
    turn_link(ready, "voice_bundle")


def link_to_another_voice(ready: ReadyVoice) -> None:
    shutil.copytree(ready.store.promoted(NAME).parent, ready.store.promoted("other").parent, symlinks=True)
    turn_link(ready, "../other/releases/000002")


def link_out_of_the_store(ready: ReadyVoice) -> None:
    shutil.copytree(ready.store.release(NAME, 2), ready.project / "elsewhere")
    turn_link(ready, str(ready.project / "elsewhere"))


def folder_in_place_of_the_link(ready: ReadyVoice) -> None:
    ready.store.promoted(NAME).unlink()
    shutil.copytree(ready.store.release(NAME, 1), ready.store.promoted(NAME))


def name_edited(ready: ReadyVoice) -> None:
    path = ready.store.promotions(NAME)
    path.write_text(path.read_text().replace('"by":"', '"by":"not ', 1))


def last_entry_removed(ready: ReadyVoice) -> None:
    path = ready.store.promotions(NAME)
    path.write_text(path.read_text().splitlines(keepends=True)[0])


def first_entry_removed(ready: ReadyVoice) -> None:
    path = ready.store.promotions(NAME)
    path.write_text(path.read_text().splitlines(keepends=True)[1])


def registry_taken_away(ready: ReadyVoice) -> None:
    ready.store.promotions(NAME).unlink()


def registry_of_another_voice(ready: ReadyVoice) -> None:
    entries = lines_of(ready)
    write_chain(ready, [entries[0]])


def withdrawal_forged_away(ready: ReadyVoice) -> None:
    kept = ready.store.promotions(NAME).read_bytes()
    at = datetime(2026, 6, 2, tzinfo=UTC)
    registry.withdraw(ready.store, NAME, by="dora", reason="asked for it", at=at)
    ready.store.promotions(NAME).write_bytes(kept)


def link_put_back_after_a_withdrawal(ready: ReadyVoice) -> None:
    at = datetime(2026, 6, 2, tzinfo=UTC)
    registry.withdraw(ready.store, NAME, by="dora", reason="asked for it", at=at)
    ready.store.promoted(NAME).symlink_to("releases/000002")


@pytest.mark.parametrize(
    "act",
    [
        link_to_the_release_before,
        link_to_the_newest_bundle,
        link_to_another_voice,
        link_out_of_the_store,
        folder_in_place_of_the_link,
        name_edited,
        last_entry_removed,
        first_entry_removed,
        registry_taken_away,
        registry_of_another_voice,
        withdrawal_forged_away,
        link_put_back_after_a_withdrawal,
    ],
)
def test_registry_and_link_must_agree(voice: ReadyVoice, act: Act) -> None:
    act(voice)
    kept = voice.store.promotions(NAME).read_bytes() if voice.store.promotions(NAME).exists() else None
    tries: list[Callable[[], object]] = [
        lambda: registry.current(voice.store, NAME),
        lambda: registry.current_folder(voice.store, NAME),
        lambda: voice.promote(date(2026, 6, 3)),
        lambda: roll_back(voice, 1, date(2026, 6, 3)),
    ]
    for each in tries:
        failure = refusal(each)
        assert failure.reason == "verification_failed"
        assert failure.file is not None
    assert (voice.store.promotions(NAME).read_bytes() if kept is not None else None) == kept


def test_a_link_that_was_put_right_is_followed_again(voice: ReadyVoice) -> None:
    link_to_the_newest_bundle(voice)
    refusal(lambda: registry.current(voice.store, NAME))
    turn_link(voice, "releases/000002")
    assert registry.current_folder(voice.store, NAME) == voice.store.release(NAME, 2)
    assert voice.promote().release == 2


def test_a_voice_has_no_release_because_another_has(voice: ReadyVoice) -> None:
    """Registry, link and releases of one voice, put under another name: what is in them says whose they are."""
    store = voice.store
    shutil.copytree(store.promoted(NAME).parent, store.promoted("other").parent, symlinks=True)
    store.promotions("other").parent.mkdir(parents=True)
    shutil.copyfile(store.promotions(NAME), store.promotions("other"))
    entry = registry.current(store, "other")
    assert entry is not None and entry.release is not None
    found = [str(blocker) for blocker in releases.problems(store, "other", entry.release, entry.facts())]
    assert f"verification_failed: its bundle is of {NAME}" in found


# -- the bytes of a release --------------------------------------------------------------------------


def test_a_flipped_bit_in_any_file_of_a_release_is_found(voice: ReadyVoice) -> None:
    folder = voice.store.release(NAME, 1)
    facts = registry.history(voice.store, NAME)[0].facts()
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert {"decision.json", "certificate.json", "statement.json"} <= {path.name for path in files}
    assert len(files) >= 20
    for path in files:
        kept = path.read_bytes()
        flip(path)
        assert releases.problems(voice.store, NAME, 1, facts), path
        path.write_bytes(kept)
    assert releases.problems(voice.store, NAME, 1, facts) == ()


def older_certificate(ready: ReadyVoice) -> None:
    replace_file(ready.store.release(NAME, 1) / "certificate.json", ready.store.release(NAME, 2) / "certificate.json")


def certificate_turned_green(ready: ReadyVoice) -> None:
    path = ready.store.release(NAME, 1) / "certificate.json"
    constraints = read_json(path)["constraints"]
    edit_json(path, constraints=[{**one, "status": "pass", "value": 0} for one in constraints])


def certificate_taken_away(ready: ReadyVoice) -> None:
    (ready.store.release(NAME, 1) / "certificate.json").unlink()


def decision_of_another_release(ready: ReadyVoice) -> None:
    replace_file(ready.store.release(NAME, 1) / "decision.json", ready.store.release(NAME, 2) / "decision.json")


def bundle_of_another_release(ready: ReadyVoice) -> None:
    shutil.rmtree(ready.store.release(NAME, 1) / "voice_bundle")
    shutil.copytree(ready.store.release(NAME, 2) / "voice_bundle", ready.store.release(NAME, 1) / "voice_bundle")


def statement_edited(ready: ReadyVoice) -> None:
    flip(ready.store.release(NAME, 1) / "statement.json")


def file_put_beside(ready: ReadyVoice) -> None:
    (ready.store.release(NAME, 1) / "approved.txt").write_text("yes")


def file_put_into_the_bundle(ready: ReadyVoice) -> None:
    (ready.store.release(NAME, 1) / "voice_bundle/extra.bin").write_bytes(b"x")


def file_of_the_same_size(ready: ReadyVoice) -> None:
    flip(ready.store.release(NAME, 1) / "voice_bundle/hifigan.nemo")


def release_that_is_a_link(ready: ReadyVoice) -> None:
    shutil.rmtree(ready.store.release(NAME, 1))
    ready.store.release(NAME, 1).symlink_to("000002")


@pytest.mark.parametrize(
    ("reason", "act"),
    [
        ("verification_failed", older_certificate),
        ("verification_failed", certificate_turned_green),
        ("verification_failed", certificate_taken_away),
        ("verification_failed", decision_of_another_release),
        ("verification_failed", bundle_of_another_release),
        ("verification_failed", statement_edited),
        ("verification_failed", file_put_beside),
        ("bundle_invalid", file_put_into_the_bundle),
        ("bundle_invalid", file_of_the_same_size),
        ("verification_failed", release_that_is_a_link),
    ],
)
def test_a_release_that_was_changed_is_not_gone_back_to(voice: ReadyVoice, reason: str, act: Act) -> None:
    act(voice)
    assert refusal(lambda: roll_back(voice, 1)).reason == reason
    assert [one.release for one in registry.history(voice.store, NAME)] == [1, 2]


def test_a_promoted_release_that_was_damaged_is_not_taken_for_whole(voice: ReadyVoice) -> None:
    flip(voice.store.release(NAME, 2) / "voice_bundle/hifigan.nemo")
    assert voice.promote().release == 3


# -- what must not return ----------------------------------------------------------------------------


def forge_release(ready: ReadyVoice, decision: dict[str, Any]) -> None:
    """Put a release and its entry there, by hand, with a chain that fits; the link stays."""
    store = ready.store
    folder = store.release(NAME, 3)
    shutil.copytree(store.release(NAME, 1), folder)
    write_json(folder / "decision.json", {**read_json(folder / "decision.json"), **decision})
    entries = lines_of(ready)
    facts = {**entries[0], **releases.facts_of(folder).model_dump(), "release": 3}
    write_chain(ready, [entries[0], facts, {**entries[1], "release": 4}])
    store.release(NAME, 2).rename(store.release(NAME, 4))
    turn_link(ready, "releases/000004")
    assert registry.current_folder(store, NAME) == store.release(NAME, 4)


def test_a_no_go_is_not_gone_back_to(voice: ReadyVoice) -> None:
    """Even where somebody forged the whole registry, a release still says itself that it was refused."""
    forge_release(voice, {"go": False, "blockers": ["quality_below_threshold: wer is 0.9, at most 0.1"]})
    assert "decision.json is no GO" in str(refusal(lambda: roll_back(voice, 3)))


def test_an_experimental_voice_is_not_gone_back_to(voice: ReadyVoice) -> None:
    forge_release(voice, {"job_type": "tts_voice_train"})
    failure = refusal(lambda: roll_back(voice, 3))
    assert failure.reason == "lane_not_promotable"
    assert "tts_voice_train, which is never promoted" in str(failure)


def test_a_revoked_voice_is_not_gone_back_to(voice: ReadyVoice) -> None:
    config, chain = voice.config.read_bytes(), voice.store.promotions(NAME).read_bytes()
    now = datetime(2026, 6, 2, tzinfo=UTC)
    revoke.revoke(voice.project, NAME, voice.store, by="dora", reason="asked for it", today=now.date(), now=now)
    assert registry.current_folder(voice.store, NAME) is None
    later = date(2026, 6, 3)
    assert "it was withdrawn: asked for it" in str(refusal(lambda: roll_back(voice, 1, later)))

    voice.config.write_bytes(config)  # its mark in the store is left
    assert refusal(lambda: voice.promote(later)).reason == "consent_missing"
    voice.store.promotions(NAME).write_bytes(chain)
    voice.store.promoted(NAME).symlink_to("releases/000002")
    assert refusal(lambda: roll_back(voice, 1, later)).reason == "consent_missing"


@pytest.mark.parametrize("act", ["promote", "rollback"])
def test_the_experimental_lane_is_refused_by_every_function(voice: ReadyVoice, act: str) -> None:
    voice.configure(lane="experimental")
    calls: dict[str, Callable[[], object]] = {"promote": voice.promote, "rollback": lambda: roll_back(voice, 1)}
    assert refusal(calls[act]).reason == "lane_not_promotable"
    assert len(registry.history(voice.store, NAME)) == 2


@pytest.mark.parametrize("act", ["promote", "rollback"])
def test_a_clock_set_back_is_refused(voice: ReadyVoice, act: str) -> None:
    before = date(2026, 5, 20)
    assert before < TODAY
    calls: dict[str, Callable[[], object]] = {
        "promote": lambda: voice.promote(before),
        "rollback": lambda: roll_back(voice, 1, before),
    }
    failure = refusal(calls[act])
    assert failure.reason == "verification_failed"
    assert "set the clock right" in str(failure)
    assert len(registry.history(voice.store, NAME)) == 2


def test_what_a_stage_says_of_an_earlier_promotion_is_no_promotion(ready_voice: ReadyVoice, tmp_path: Path) -> None:
    """A record and a decision of a promotion, without its release: nothing is promoted."""
    ready = copy_of(ready_voice, tmp_path / "project")
    write_json(ready.store.record(NAME, promote.STAGE), {"stage": promote.STAGE, "go": True, "release": 1})
    write_json(ready.store.promotion_decision(NAME), {"go": True, "blockers": []})
    assert registry.current_folder(ready.store, NAME) is None
    assert "was never promoted" in str(refusal(lambda: roll_back(ready, 1)))
