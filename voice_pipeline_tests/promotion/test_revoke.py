from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from voice_pipeline import consent
from voice_pipeline.atomic import exclusive, read_json, write_json
from voice_pipeline.bundle.speaking import bundle_of
from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.licensing.gate import installed_frontend
from voice_pipeline.promotion import links, promote, registry, revoke, revoked_config
from voice_pipeline.promotion.entries import Facts
from voice_pipeline.promotion.revoke import Revoked
from voice_pipeline.recordings import manifest
from voice_pipeline.store import Store
from voice_pipeline.training import checkpoint, features
from voice_pipeline.training.recipe import load_recipe
from voice_pipeline.voice import Voice, load_voice
from voice_pipeline_tests.promotion.releasing import promote_next, roll_back
from voice_pipeline_tests.ready_voice import CONFIG, NAME, ReadyVoice

TODAY = date(2026, 6, 1)
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
OLD, NEW = "a" * 64, "b" * 64
CONSENT: dict[str, Any] = {
    "speaker_type": "human",
    "speaker": "Ada Example",
    "status": "granted",
    "commercial_use": True,
    "purposes": ["text_to_speech"],
    "territories": ["worldwide"],
    "granted_on": date(2026, 1, 1),
    "evidence": "drawer 3",
    "evidence_sha256": OLD,
}


@dataclass(frozen=True)
class Place:
    """A project with the voice ada, and a store in which one release of it is promoted."""

    project: Path

    @property
    def store(self) -> Store:
        return Store(self.project / "store")

    @property
    def config(self) -> Path:
        return self.project / "configs/voices/ada.yaml"

    @property
    def voice(self) -> Voice:
        return load_voice(self.config)

    def configure(self, **changes: Any) -> None:
        value = {"voice_profile_id": "ada", "display_name": "Ada", "source": {"path": "x"}}
        self.config.write_text("# Ada's\n" + yaml.safe_dump({**value, "consent": {**CONSENT, **changes}}))

    def promote(self, release: int = 1) -> None:
        """What a promotion does around a release that holds the consent's record."""
        with registry.changing(self.store, "ada"):
            registry.heal(self.store, "ada", by="dora", at=NOW)
            bundle = self.store.release("ada", release) / "voice_bundle"
            write_json(bundle / "consent.json", consent.public_record(self.voice))
            digest = f"{release:064x}"
            facts = Facts(content_digest=digest, bundle_manifest_sha256=digest, decision_sha256=digest)
            registry.enter(self.store, "ada", "promote", release, facts, by="dora", at=NOW)

    def revoke(self, today: date = TODAY) -> Revoked:
        return revoke.revoke(self.project, "ada", self.store, by="dora", reason="she asked", today=today, now=NOW)

    @property
    def link(self) -> bool:
        return self.store.promoted("ada").is_symlink()

    def speaks(self) -> bool:
        """What a server asks before it speaks: the registry, and the release's consent against the mark."""
        mark = consent.read_revocation(self.store, "ada")
        folder = registry.current_folder(self.store, "ada")
        if folder is None:
            return False
        record = read_json(folder / "voice_bundle/consent.json")
        return consent.record_problem(record, TODAY, voice_id="ada", revocation=mark) is None

    def may_be_trained(self) -> bool:
        return consent.blockers(self.project, self.voice, self.store, TODAY) == ()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    one = Place(tmp_path / "project")
    one.config.parent.mkdir(parents=True)
    one.configure()
    one.promote()
    assert one.speaks() and one.may_be_trained()
    return one


def test_a_revoked_voice_is_marked_withdrawn_and_its_config_says_so(place: Place) -> None:
    done = place.revoke()
    assert (done.voice_profile_id, done.revoked_on, done.marked, done.left) == ("ada", TODAY, True, None)
    assert done.withdrawn is not None
    assert (done.withdrawn.action, done.withdrawn.by, done.withdrawn.reason) == ("withdraw", "dora", "she asked")
    assert read_json(place.store.revocation("ada")) == {
        "schema": "voice_revocation/1",
        "voice_profile_id": "ada",
        "revoked_on": "2026-06-01",
        "at": "2026-06-01T12:00:00Z",
        "by": "dora",
        "reason": "she asked",
        "evidence_known": True,
        "evidence_sha256": [OLD],
    }
    assert not place.link and not place.speaks() and not place.may_be_trained()
    assert (place.voice.consent.status, place.voice.consent.revoked_on) == ("revoked", TODAY)
    assert place.config.read_text().startswith("# Ada's\n")
    assert place.store.release("ada", 1).is_dir()  # the evidence of what was done stays
    assert "since 2026-06-01" in str(done) and "withdrawn" in str(done) and "Copies" in str(done)


def test_revoking_again_changes_nothing(place: Place) -> None:
    place.revoke()
    files = {path: path.read_bytes() for path in place.project.rglob("*") if path.is_file()}
    again = place.revoke(date(2026, 7, 1))
    assert (again.marked, again.withdrawn, again.left, again.revoked_on) == (False, None, None, TODAY)
    assert "already, on 2026-06-01" in str(again)
    assert {path: path.read_bytes() for path in place.project.rglob("*") if path.is_file()} == files


def test_nothing_need_be_promoted(place: Place) -> None:
    registry.withdraw(place.store, "ada", by="dora", reason="tidying", at=NOW)
    done = place.revoke()
    assert done.withdrawn is None and done.marked
    assert "Nothing was promoted." in done.lines()
    assert not place.may_be_trained()


def test_the_command_line_does_not_speak_with_it_either(place: Place) -> None:
    def bundle() -> Path:
        folder = place.store.bundle("ada")
        write_json(folder / "manifest.json", {})
        write_json(folder / "consent.json", consent.public_record(place.voice))
        return folder

    place.configure(granted_on=date(2020, 1, 1))  # long before the clock of whatever machine this runs on
    newest = bundle()
    assert bundle_of(place.store, "ada") == newest
    place.revoke(date(2020, 2, 1))
    for _ in range(2):
        with pytest.raises(VoiceFailure, match=r"consent_missing.*ada: .*was revoked|has revoked"):
            bundle_of(place.store, "ada")
        bundle()  # built again with the config that says revoked
    place.configure(granted_on=date(2020, 2, 1), evidence_sha256=NEW)
    bundle()
    assert bundle_of(place.store, "ada") == newest


# -- a consent given anew --------------------------------------------------------------------------


def test_the_old_consent_put_back_by_hand_lifts_nothing(place: Place) -> None:
    place.revoke()
    for changes in ({}, {"granted_on": TODAY}, {"evidence_sha256": NEW}, {"granted_on": TODAY, "status": "revoked"}):
        place.configure(**changes)
        assert not place.may_be_trained(), changes


def test_a_consent_given_anew_lifts_the_mark_but_not_for_the_old_release(place: Place) -> None:
    place.revoke()
    place.configure(granted_on=TODAY, evidence_sha256=NEW)
    assert place.may_be_trained()
    with registry.changing(place.store, "ada"):
        known = registry.history(place.store, "ada")[0].facts()
        registry.enter(place.store, "ada", "rollback", 1, known, by="dora", at=NOW)
    assert not place.speaks()  # that bundle stands on the consent that was taken back
    place.promote(2)
    assert place.speaks()


def test_a_second_revocation_remembers_both_papers(place: Place) -> None:
    place.revoke()
    place.configure(granted_on=TODAY, evidence_sha256=NEW)
    place.promote(2)
    later = date(2026, 6, 20)
    done = place.revoke(later)
    assert (done.marked, done.revoked_on) == (True, later) and done.withdrawn is not None
    assert read_json(place.store.revocation("ada"))["evidence_sha256"] == [OLD, NEW]
    for digest in (OLD, NEW):
        place.configure(granted_on=later, evidence_sha256=digest)
        assert not place.may_be_trained()
    assert not place.speaks()


def test_the_paper_itself_is_remembered_where_its_digest_was_never_written_down(place: Place) -> None:
    (place.project / "signed.txt").write_text("I agree.")
    place.configure(evidence="signed.txt", evidence_sha256=None)
    place.revoke()
    digests = read_json(place.store.revocation("ada"))["evidence_sha256"]
    assert len(digests) == 2 and OLD in digests  # the promoted bundle's, and the file's


# -- a config that is broken or gone ---------------------------------------------------------------


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("a: ["), Path.unlink, lambda path: path.write_text("")])
def test_a_config_that_is_broken_or_gone_does_not_keep_a_voice_speaking(
    place: Place, spoil: Callable[[Path], object]
) -> None:
    spoil(place.config)
    before = place.config.read_text() if place.config.exists() else None
    done = place.revoke()
    assert done.marked and done.withdrawn is not None and done.left
    assert "by hand" in str(done)
    assert (place.config.read_text() if place.config.exists() else None) == before
    assert not place.link
    place.configure()  # the old consent comes back
    assert not place.may_be_trained()
    place.configure(granted_on=TODAY, evidence_sha256=NEW)  # the release's record knew the old paper
    assert place.may_be_trained()


def test_a_consent_given_anew_is_revoked_too_when_its_config_is_broken(place: Place) -> None:
    place.revoke()
    place.configure(granted_on=TODAY, evidence_sha256=NEW)
    place.promote(2)
    config = place.config.read_text()
    place.config.write_text("a: [")
    later = date(2026, 6, 20)
    done = place.revoke(later)
    assert (done.marked, done.revoked_on) == (True, later)
    assert place.revoke(later).marked is False
    place.config.write_text(config)
    assert not place.may_be_trained()


def test_a_clock_set_back_weakens_no_mark(place: Place) -> None:
    place.revoke()
    place.configure(granted_on=TODAY, evidence_sha256=NEW)
    assert place.revoke(date(2026, 1, 1)).revoked_on == TODAY


def test_where_nothing_shows_the_old_evidence_no_consent_lifts_the_mark(place: Place) -> None:
    for path in place.store.release("ada", 1).rglob("consent.json"):
        path.unlink()
    place.config.write_text("a: [")
    place.revoke()
    place.configure(granted_on=TODAY, evidence_sha256=NEW)
    assert not place.may_be_trained()
    place.configure()  # the old record, found again
    assert place.revoke().revoked_on == TODAY
    place.configure(granted_on=TODAY, evidence_sha256=NEW)
    assert place.may_be_trained()


def test_a_synthetic_voice_can_be_taken_back_too(place: Place) -> None:
    value = yaml.safe_load(place.config.read_text())
    value["consent"] = {"speaker_type": "synthetic", "speaker": "x", "status": "not_applicable", "commercial_use": True}
    place.config.write_text(yaml.safe_dump(value))
    assert place.may_be_trained()
    done = place.revoke()
    assert done.left is None
    assert place.voice.consent.status == "revoked"
    assert not place.may_be_trained() and not place.link


def test_other_voices_on_the_same_paper_are_named(place: Place) -> None:
    for name, digest in (("ada_de", OLD), ("eve", NEW)):
        text = place.config.read_text().replace("voice_profile_id: ada", f"voice_profile_id: {name}")
        place.config.with_stem(name).write_text(text.replace(OLD, digest))
    place.config.with_stem("broken").write_text("a: [")
    done = place.revoke()
    assert done.others == ("ada_de",)
    assert "not revoked by this: ada_de." in str(done)
    assert place.revoke().others == ("ada_de",)
    revoke.revoke(place.project, "ada_de", place.store, by="dora", reason="she asked", today=TODAY, now=NOW)
    assert place.revoke().others == ()


def test_a_mistyped_name_is_no_revocation(place: Place) -> None:
    with pytest.raises(ConfigError, match=r"no voice 'adda'.*voices: ada"):
        revoke.revoke(place.project, "adda", place.store, by="dora", reason="she asked")
    assert not place.store.voice_artifacts("adda").exists()
    with pytest.raises(ConfigError, match="is no voice id"):
        revoke.revoke(place.project, "../ada", place.store, by="dora", reason="she asked")


@pytest.mark.parametrize(
    ("by", "reason"), [("", "x"), ("a\nb", "x"), ("x", ""), ("x", " "), ("x", "a\nb"), ("x", "a" * 2001)]
)
def test_who_and_why_are_said_in_one_line_each(place: Place, by: str, reason: str) -> None:
    with pytest.raises(ConfigError):
        revoke.revoke(place.project, "ada", place.store, by=by, reason=reason)
    assert place.speaks()


# -- faults ----------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


STEPS = [
    (registry, "withdraw"),
    (registry, "heal"),
    (links, "prepare"),
    (registry, "append"),
    (links, "finish"),
    (revoke, "write_revoked"),
    (revoked_config, "write_bytes"),
]


@pytest.mark.parametrize(("module", "step"), STEPS, ids=[step for _, step in STEPS])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_step_the_voice_does_not_speak(
    place: Place, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, when: str
) -> None:
    real = getattr(module, step)

    def killed(*arguments: Any, **named: Any) -> Any:
        if when == "after":
            real(*arguments, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, step, killed)
        with pytest.raises(Killed):
            place.revoke()
    assert not place.speaks() and not place.may_be_trained()
    done = place.revoke()  # and what is left is done by the same command
    assert not place.link and done.left is None
    assert place.voice.consent.status == "revoked"
    assert [entry.action for entry in registry.history(place.store, "ada")] == ["promote", "withdraw"]


def test_a_disk_too_full_for_the_mark_still_withdraws(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise VoiceFailure("disk_full", "no space left on the device")

    monkeypatch.setattr(revoke, "write_json", full)
    with pytest.raises(VoiceFailure, match=r"disk_full.*mark.*cannot be written; what was promoted is withdrawn"):
        place.revoke()
    assert not place.link and not place.speaks()
    assert place.voice.consent.status == "revoked"
    monkeypatch.undo()
    assert place.revoke().marked


@pytest.mark.parametrize("data", [b"", b"{", b"\x00" * 100])
def test_a_torn_mark_holds_and_is_written_anew(place: Place, data: bytes) -> None:
    place.store.revocation("ada").parent.mkdir(parents=True, exist_ok=True)
    place.store.revocation("ada").write_bytes(data)
    assert not place.speaks() and not place.may_be_trained()
    done = place.revoke()
    assert done.marked and not place.link
    assert consent.read_revocation(place.store, "ada") is not None
    place.configure(granted_on=TODAY, evidence_sha256=NEW)
    assert place.may_be_trained()


def test_a_folder_in_the_marks_place_counts_as_one(place: Place) -> None:
    (place.store.revocation("ada") / "x").mkdir(parents=True)
    with pytest.raises(VoiceFailure, match="what lies in its place counts as one"):
        place.revoke()
    assert not place.link and not place.may_be_trained()


def test_a_registry_edited_by_hand_does_not_keep_a_voice_speaking(place: Place) -> None:
    path = place.store.promotions("ada")
    path.write_text(path.read_text().replace("dora", "eve "))
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(VoiceFailure, match=r"verification_failed.*the revocation is marked"):
        place.revoke()
    assert not place.link and not place.may_be_trained()
    assert place.voice.consent.status == "revoked"


def test_while_the_lock_is_held_the_mark_stops_the_voice(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "LOCK_WAIT", 0.1)
    with exclusive(place.store.promotion_lock("ada"), voice="ada"):
        with pytest.raises(VoiceFailure, match=r"voice_busy.*nothing speaks or trains"):
            place.revoke()
        assert place.link and not place.speaks() and not place.may_be_trained()
    assert place.revoke().withdrawn is not None


def test_revocations_at_once_withdraw_once(place: Place) -> None:
    done: list[Revoked] = []
    threads = [threading.Thread(target=lambda: done.append(place.revoke())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 4
    assert [one.withdrawn is not None for one in done].count(True) == 1
    assert [entry.action for entry in registry.history(place.store, "ada")] == ["promote", "withdraw"]
    assert read_json(place.store.revocation("ada"))["evidence_sha256"] == [OLD]


# -- with a voice that real stages made ------------------------------------------------------------


@pytest.fixture
def ready(ready_voice: ReadyVoice, tmp_path: Path) -> ReadyVoice:
    return ready_voice.copy(tmp_path / "ready")


def take_back(ready: ReadyVoice) -> Revoked:
    now = datetime(2026, 6, 1, tzinfo=UTC)  # never after the promotions of that day
    return revoke.revoke(ready.project, NAME, ready.store, by="dora", reason="asked for it", today=TODAY, now=now)


@pytest.mark.evaluation
def test_a_revoked_voice_is_not_promoted_again(ready: ReadyVoice) -> None:
    ready.promote()
    config = ready.config.read_text()
    done = take_back(ready)
    assert done.withdrawn is not None and done.left is None
    assert registry.current(ready.store, NAME) is None
    for text in (ready.config.read_text(), config):  # as revoke left it, and as it was
        ready.config.write_text(text)
        with pytest.raises(VoiceFailure, match="consent_missing") as caught:
            ready.promote()
        assert caught.value.reason == "consent_missing"
    assert not ready.store.promoted(NAME).is_symlink()


@pytest.mark.evaluation
def test_a_release_of_a_consent_that_was_revoked_is_not_gone_back_to(ready: ReadyVoice) -> None:
    first = ready.promote()
    assert promote_next(ready) == first.release + 1
    take_back(ready)
    ready.configure(consent={**CONFIG["consent"], "granted_on": TODAY, "evidence": "drawer", "evidence_sha256": NEW})
    with registry.changing(ready.store, NAME):  # as if another bundle had been promoted on the new consent
        last = registry.history(ready.store, NAME)[1]
        registry.enter(ready.store, NAME, "rollback", last.release, last.facts(), by="dora", at=last.time)
    with pytest.raises(VoiceFailure, match=r"consent_missing.*was revoked on 2026-06-01"):
        roll_back(ready)


@pytest.mark.evaluation
def test_a_revoked_voice_is_not_trained_though_it_was_prepared(ready: ReadyVoice) -> None:
    recipe = load_recipe(ready.project, "cpu_demo")
    frontend = installed_frontend("en-US")
    dataset = manifest.read_record(ready.store, NAME)
    assert frontend is not None and dataset is not None
    prepared = features.run(ready.voice, ready.store, dataset, frontend, recipe)

    def plan() -> object:
        return checkpoint.plan_training(ready.project, ready.voice, ready.store, recipe, prepared, frontend, "run-2")

    config = ready.config.read_text()
    assert plan()
    take_back(ready)
    for text in (ready.config.read_text(), config):
        ready.config.write_text(text)
        with pytest.raises(VoiceFailure, match="consent_missing"):
            plan()


@pytest.mark.evaluation
def test_a_promotion_that_is_under_way_does_not_outlive_the_revocation(
    ready: ReadyVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promotion has judged the consent already when the mark is written: it is withdrawn after it."""
    decided, marked = threading.Event(), threading.Event()
    verify = promote.verify

    def slow(*arguments: Any, **named: Any) -> Any:
        found = verify(*arguments, **named)
        decided.set()
        assert marked.wait(30)
        return found

    monkeypatch.setattr(promote, "verify", slow)
    promotion = threading.Thread(target=ready.promote)
    promotion.start()
    assert decided.wait(30)
    done: list[Revoked] = []
    revocation = threading.Thread(target=lambda: done.append(take_back(ready)))
    revocation.start()
    while not ready.store.revocation(NAME).exists():
        assert revocation.is_alive()
    marked.set()
    promotion.join()
    revocation.join()
    assert [entry.action for entry in registry.history(ready.store, NAME)] == ["promote", "withdraw"]
    assert done[0].withdrawn is not None
    assert registry.current(ready.store, NAME) is None


def test_the_mark_is_the_same_for_the_same_facts(place: Place, tmp_path: Path) -> None:
    place.revoke()
    other = Place(tmp_path / "other")
    other.config.parent.mkdir(parents=True)
    other.configure()
    other.revoke()
    assert json.dumps(read_json(other.store.revocation("ada"))) == json.dumps(read_json(place.store.revocation("ada")))


@pytest.mark.parametrize("spoil", ["bad day", "a key twice", "fifo", "loop"])
def test_no_config_keeps_a_voice_speaking(place: Place, spoil: str) -> None:
    text = place.config.read_text()
    place.config.unlink()
    if spoil == "bad day":
        place.config.write_text(text.replace("2026-01-01", "2026-02-30"))
    elif spoil == "a key twice":
        place.config.write_text(text + "display_name: Eve\n")
    elif spoil == "fifo":
        os.mkfifo(place.config)
    else:
        place.config.symlink_to(place.config.name)
    done = place.revoke()
    assert done.marked and done.withdrawn is not None and done.left is not None
    assert not place.link
