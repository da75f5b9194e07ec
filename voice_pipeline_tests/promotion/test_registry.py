from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.promotion import links, registry
from voice_pipeline.promotion.entries import Entry, Facts, read_entries
from voice_pipeline.store import Store
from voice_pipeline_tests.conftest import PROJECT

NAME = "ready"
AT = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def facts(release: int) -> Facts:
    digest = f"{release:064x}"
    return Facts(content_digest=digest, bundle_manifest_sha256=digest, decision_sha256=digest)


def enter(store: Store, action: str, release: int | None = None, minutes: int = 0) -> Entry:
    """What promote and rollback do, around a release that holds nothing."""
    with registry.changing(store, NAME):
        registry.heal(store, NAME, by="dora", at=AT)
        if release is not None:
            store.release(NAME, release).mkdir(parents=True, exist_ok=True)
        known = facts(release) if release is not None else None
        at = AT + timedelta(minutes=minutes)
        return registry.enter(store, NAME, action, release, known, by="dora", at=at)  # type: ignore[arg-type]


def withdraw(store: Store, minutes: int = 0) -> Entry | None:
    return registry.withdraw(store, NAME, by="dora", reason="asked for it", at=AT + timedelta(minutes=minutes))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def used(store: Store) -> Store:
    """Two releases, a step back, and forth again."""
    for number, (action, release) in enumerate((("promote", 1), ("promote", 2), ("rollback", 1), ("rollback", 2))):
        enter(store, action, release, number)
    return store


def refused(store: Store) -> str:
    with pytest.raises(VoiceFailure) as caught:
        registry.current(store, NAME)
    assert caught.value.reason == "verification_failed"
    with pytest.raises(VoiceFailure):
        registry.current_folder(store, NAME)
    with registry.changing(store, NAME), pytest.raises(VoiceFailure):
        registry.heal(store, NAME, by="dora", at=AT)
    return str(caught.value)


def test_nothing_is_promoted_of_a_new_voice(store: Store) -> None:
    assert registry.history(store, NAME) == ()
    assert registry.current(store, NAME) is None
    assert registry.current_folder(store, NAME) is None
    assert withdraw(store) is None
    assert registry.history(store, NAME) == ()


def test_the_last_entry_says_what_is_promoted(used: Store) -> None:
    entries = registry.history(used, NAME)
    assert [(one.seq, one.action, one.release) for one in entries] == [
        (1, "promote", 1),
        (2, "promote", 2),
        (3, "rollback", 1),
        (4, "rollback", 2),
    ]
    assert registry.current(used, NAME) == entries[-1]
    assert entries[-1].at == "2026-06-01T12:03:00Z"
    assert registry.current_folder(used, NAME) == used.release(NAME, 2)
    assert used.promoted(NAME).readlink() == Path("releases/000002")


def test_a_withdrawn_voice_is_not_promoted_and_its_releases_stay(used: Store) -> None:
    entry = withdraw(used, 9)
    assert entry is not None and (entry.action, entry.release, entry.reason) == ("withdraw", None, "asked for it")
    assert registry.current(used, NAME) is None
    assert not used.promoted(NAME).is_symlink()
    assert used.release(NAME, 2).is_dir()
    assert withdraw(used, 10) is None
    assert len(registry.history(used, NAME)) == 5


def test_a_clock_set_back_promotes_nothing_but_withdraws(used: Store) -> None:
    with pytest.raises(VoiceFailure, match=r"verification_failed.*set the clock right"):
        enter(used, "promote", 3, minutes=-60)
    assert len(registry.history(used, NAME)) == 4
    entry = withdraw(used, minutes=-60)
    assert entry is not None and entry.at == "2026-06-01T12:03:00Z"


def test_names_and_reasons_are_one_line(used: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("", " ", "two\nlines", "a" * 201, "\x1b[2J"):
        with pytest.raises(ConfigError):
            registry.withdraw(used, NAME, by=wrong, reason="asked for it", at=AT)
        with pytest.raises(ConfigError):
            registry.withdraw(used, NAME, by="dora", reason=wrong * 20, at=AT)
    assert len(registry.history(used, NAME)) == 4
    monkeypatch.delenv("VOICE_OPERATOR", raising=False)
    assert registry.operator()
    monkeypatch.setenv("VOICE_OPERATOR", "dora")
    assert (registry.operator(), registry.operator("otto")) == ("dora", "otto")


def test_the_documentation_names_every_field() -> None:
    text = (PROJECT / "docs/promotion.md").read_text(encoding="utf-8")
    for name in (*Entry.model_fields, "promote", "rollback", "withdraw"):
        assert f"`{name}`" in text


# -- the file ------------------------------------------------------------------------------------------


def lines_of(store: Store) -> list[bytes]:
    return store.promotions(NAME).read_bytes().splitlines(keepends=True)


def edited(line: bytes, **changes: object) -> bytes:
    value = json.loads(line) | changes
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


EDITS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "the first is removed": lambda lines: lines[1:],
    "one in the middle is removed": lambda lines: [lines[0], *lines[2:]],
    "the last is removed": lambda lines: lines[:-1],
    "all are removed": lambda lines: [],
    "two change places": lambda lines: [lines[0], lines[2], lines[1], lines[3]],
    "one stands twice": lambda lines: [*lines, lines[-1]],
    "a name is edited": lambda lines: [lines[0], edited(lines[1], by="otto"), *lines[2:]],
    "the last release is edited": lambda lines: [*lines[:-1], edited(lines[-1], release=1)],
    "a digest is edited": lambda lines: [edited(lines[0], decision_sha256="f" * 64), *lines[1:]],
    "a key is added": lambda lines: [*lines[:-1], edited(lines[-1], approved=True)],
    "a key is missing": lambda lines: [*lines[:-1], lines[-1].replace(b'"seq":4,', b"")],
    "a value is of another type": lambda lines: [*lines[:-1], edited(lines[-1], seq="4")],
    "a line is spelt otherwise": lambda lines: [*lines[:-1], lines[-1].replace(b",", b", ")],
    "a line is empty": lambda lines: [*lines[:-1], b"\n", lines[-1]],
    "the first line is empty": lambda lines: [b"\n", *lines],
    "a line is no JSON": lambda lines: [*lines, b"{\n"],
    "the last end is taken away": lambda lines: [*lines[:-1], lines[-1].rstrip(b"\n")],
    "a line is too long": lambda lines: [*lines, b"x" * (40 << 10) + b"\n"],
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edited_registry_is_refused(used: Store, edit: Callable[[list[bytes]], list[bytes]]) -> None:
    used.promotions(NAME).write_bytes(b"".join(edit(lines_of(used))))
    assert "changed by hand" in (told := refused(used)) or "registry of promotions" in told


def test_a_damaged_line_is_named(used: Store) -> None:
    lines = lines_of(used)
    used.promotions(NAME).write_bytes(b"".join([lines[0], edited(lines[1], by="otto"), *lines[2:]]))
    assert "promotions.jsonl" in (told := refused(used)) and "line 3" in told  # the first that does not follow


def test_an_entry_forged_by_somebody_who_knows_the_chain_does_not_move_the_link(used: Store) -> None:
    import hashlib

    last = lines_of(used)[-1]
    forged = edited(last, seq=5, release=1, previous=hashlib.sha256(last.rstrip(b"\n")).hexdigest())
    for told in (forged, edited(forged, **facts(1).model_dump())):
        used.promotions(NAME).write_bytes(b"".join([*lines_of(used)[:4], told]))
        refused(used)


def test_a_registry_that_is_a_link_or_no_file_is_refused(used: Store, tmp_path: Path) -> None:
    path, elsewhere = used.promotions(NAME), tmp_path / "elsewhere.jsonl"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    refused(used)
    path.unlink()
    path.mkdir()
    refused(used)
    path.rmdir()
    os.mkfifo(path)
    refused(used)


def test_a_line_torn_by_a_kill_is_passed_over_and_cut(used: Store) -> None:
    path, whole = used.promotions(NAME), used.promotions(NAME).read_bytes()
    for torn in (b"{", b'{"action":"promote"', lines_of(used)[-1].rstrip(b"\n")):
        path.write_bytes(whole + torn)
        assert len(registry.history(used, NAME)) == 4
        assert registry.current_folder(used, NAME) == used.release(NAME, 2)
        enter(used, "rollback", 1, 9)
        assert path.read_bytes().startswith(whole) and len(registry.history(used, NAME)) == 5
        path.write_bytes(whole)
        used.promoted(NAME).unlink()
        used.promoted(NAME).symlink_to("releases/000002")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_entries_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(data)
    try:
        assert read_entries(path, NAME).entries == ()
    except VoiceFailure as failure:
        assert failure.reason == "verification_failed"


def test_a_full_disk_changes_nothing(used: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write = used.promotions(NAME).read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:40]))
    with pytest.raises(VoiceFailure, match="disk_full"):
        enter(used, "rollback", 1, 9)
    monkeypatch.undo()
    assert used.promotions(NAME).read_bytes() == before
    assert registry.current_folder(used, NAME) == used.release(NAME, 2)
    assert enter(used, "rollback", 1, 9).seq == 5


# -- the link ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["releases/000001", "voice_bundle", "../other/releases/000002", "/etc", "releases/2", "releases", "."]
)
def test_a_link_turned_by_hand_is_refused(used: Store, target: str) -> None:
    used.promoted(NAME).unlink()
    used.promoted(NAME).symlink_to(target)
    assert "changed by hand" in refused(used)


def test_a_link_taken_away_is_refused(used: Store) -> None:
    used.promoted(NAME).unlink()
    assert "is missing" in refused(used)


def test_a_folder_in_place_of_the_link_is_refused(used: Store) -> None:
    used.promoted(NAME).unlink()
    shutil.copytree(used.release(NAME, 1), used.promoted(NAME))
    assert "is no link" in refused(used)


def test_a_link_put_back_after_a_withdrawal_is_refused(used: Store) -> None:
    withdraw(used, 9)
    used.promoted(NAME).symlink_to("releases/000002")
    assert "nothing is promoted" in refused(used)


@pytest.mark.parametrize("place", ["release", "releases", "voice"])
def test_a_release_that_is_a_link_is_refused(used: Store, tmp_path: Path, place: str) -> None:
    folder = used.release(NAME, 2)
    moved = {"release": folder, "releases": folder.parent, "voice": folder.parent.parent}[place]
    shutil.move(moved, tmp_path / "elsewhere")
    moved.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VoiceFailure, match=r"verification_failed.*not a folder of this store"):
        registry.current_folder(used, NAME)


def test_a_release_taken_away_is_refused(used: Store) -> None:
    used.release(NAME, 2).rmdir()
    with pytest.raises(VoiceFailure, match="verification_failed"):
        registry.current_folder(used, NAME)


def test_the_folder_of_bundles_may_be_on_another_disk(used: Store, tmp_path: Path) -> None:
    shutil.move(used.root / "bundles", tmp_path / "disk")
    (used.root / "bundles").symlink_to(tmp_path / "disk")
    assert registry.current_folder(used, NAME) == tmp_path / "disk" / NAME / "releases/000002"


def test_withdrawing_takes_the_link_away_though_the_registry_is_damaged(used: Store) -> None:
    used.promotions(NAME).write_bytes(b"{}\n")
    with pytest.raises(VoiceFailure, match="verification_failed"):
        withdraw(used)
    assert not used.promoted(NAME).is_symlink()


@pytest.mark.parametrize("action", ["promote", "rollback", "withdraw"])
def test_a_change_interrupted_before_its_entry_did_not_happen(
    used: Store, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        _ = withdraw(used, 9) if action == "withdraw" else enter(used, action, 3 if action == "promote" else 1, 9)
    monkeypatch.undo()
    assert registry.current_folder(used, NAME) == used.release(NAME, 2)
    assert enter(used, "rollback", 1, 10).seq == 5
    assert not links.next_link(used, NAME).is_symlink()


@pytest.mark.parametrize("action", ["promote", "rollback", "withdraw"])
def test_a_change_interrupted_after_its_entry_has_happened(
    used: Store, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    release = {"promote": 3, "rollback": 1, "withdraw": None}[action]
    monkeypatch.setattr(links, "finish", killed)
    with pytest.raises(KeyboardInterrupt):
        _ = withdraw(used, 9) if action == "withdraw" else enter(used, action, release, 9)
    monkeypatch.undo()
    assert registry.current_folder(used, NAME) == (used.release(NAME, release) if release else None)
    with registry.changing(used, NAME):
        assert len(registry.heal(used, NAME, by="dora", at=AT)) == 5
    assert used.promoted(NAME).is_symlink() == (release is not None)
    assert registry.current_folder(used, NAME) == (used.release(NAME, release) if release else None)
    assert not links.next_link(used, NAME).is_symlink()
