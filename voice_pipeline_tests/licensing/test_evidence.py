"""The age of licence facts, the stored texts, and the ledger that does not forget."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.licensing.allowlist import (
    ALLOWLIST_PATH,
    MANIFESTS_PATH,
    TEXTS_PATH,
    Allowlist,
    KnownWeights,
    load_allowlist,
    manifest_name,
)
from voice_pipeline.licensing.evidence import (
    FactsChange,
    WeightsFacts,
    change_blockers,
    evidence_blockers,
    facts_changes,
    record_facts,
    stored_text,
)
from voice_pipeline.licensing.policy import load_policy
from voice_pipeline.licensing.weights_manifest import read_weights_manifest
from voice_pipeline.store import Store

PROJECT = Path(__file__).parents[2]
POLICY = load_policy(PROJECT)
ID = "silero-vad/16k"
CHECKED = date(2026, 11, 22)
MAX_AGE = timedelta(days=POLICY.evidence.max_age_days)

FACTS = WeightsFacts("sha256:" + "1" * 64, "somebody/base", "MIT", "MIT", True, True, "https://example.org/base")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT / "configs/licensing", tmp_path / "configs/licensing")
    return tmp_path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def entry_of(project: Path, **changes: Any) -> KnownWeights:
    entry = load_allowlist(project).entry(ID)
    assert entry is not None
    return KnownWeights.model_validate({**entry.model_dump(), **changes})


def faults(project: Path, today: date = CHECKED, entry: KnownWeights | None = None, **named: Any) -> str:
    found = evidence_blockers(entry or entry_of(project), project, POLICY, today, **named)
    assert {blocker.reason for blocker in found} <= {"license_unclear"}
    return "; ".join(blocker.detail for blocker in found)


# -- age -----------------------------------------------------------------------------------------------------------


def test_every_known_set_of_weights_has_good_evidence_on_the_day_of_the_check() -> None:
    for entry in load_allowlist(PROJECT).weights:
        assert evidence_blockers(entry, PROJECT, POLICY, CHECKED) == (), entry.id


@pytest.mark.parametrize(
    ("today", "told"),
    [
        (CHECKED - timedelta(days=1), ""),  # a day begins elsewhere earlier
        (CHECKED - timedelta(days=2), "after today"),
        (CHECKED + MAX_AGE, ""),
        (CHECKED + MAX_AGE + timedelta(days=1), "366 days ago, and 365 are allowed"),
        (date(1970, 1, 1), "correct the date, or the clock"),
    ],
)
def test_evidence_ages(project: Path, today: date, told: str) -> None:
    found = faults(project, today)
    assert found == told if told == "" else told in found


def test_without_a_day_the_manifest_says_how_old_the_facts_are(project: Path) -> None:
    undated = entry_of(project, checked_on=None)
    assert faults(project, CHECKED, undated) == ""
    assert "days ago" in faults(project, CHECKED + MAX_AGE + timedelta(days=1), undated)
    (project / MANIFESTS_PATH / manifest_name(ID)).unlink()
    assert "add checked_on to silero-vad/16k in configs/licensing/allowlist.yaml" in faults(project, CHECKED, undated)


def test_a_licence_that_will_be_changed_is_not_changed_yet(project: Path) -> None:
    relicensed = {"on": CHECKED + timedelta(days=30), "reason": "announced", "link": "https://example.org/news"}
    assert "is relicensed from 2026-12-22" in faults(project, CHECKED, entry_of(project, relicensed=relicensed))


# -- stored texts --------------------------------------------------------------------------------------------------


def test_a_stored_text_is_there_and_as_it_was(project: Path) -> None:
    text = stored_text(project, entry_of(project))
    assert text is not None and "Permission is hereby granted" in text
    path = project / TEXTS_PATH / "silero-vad.license.txt"
    good = path.read_bytes()
    path.write_bytes(good.replace(b"hereby granted", b"hereby refused"))
    assert "altered" in faults(project)
    assert stored_text(project, entry_of(project)) is None
    path.unlink()
    assert "cannot be read (FileNotFoundError): put it back" in faults(project)
    path.mkdir()
    assert faults(project)
    path.rmdir()
    elsewhere = project / "elsewhere.txt"
    elsewhere.write_bytes(good)
    path.symlink_to(elsewhere)
    assert "cannot be read (ValueError)" in faults(project)
    path.unlink()
    path.write_bytes(good)
    assert faults(project) == ""


def stored(project: Path, text: bytes, **changes: Any) -> KnownWeights:
    """The entry with another text, digest and all, and without the manifest that names the old one."""
    (project / MANIFESTS_PATH / manifest_name(ID)).unlink(missing_ok=True)
    (project / TEXTS_PATH / "other.txt").write_bytes(text)
    digest = hashlib.sha256(text).hexdigest()
    return entry_of(project, license_text="other.txt", license_text_sha256=digest, **changes)


def test_mit_is_not_put_on_a_text_that_is_another(project: Path) -> None:
    mit = (project / TEXTS_PATH / "silero-vad.license.txt").read_bytes()
    apache = (project / TEXTS_PATH / "resemblyzer.license.txt").read_bytes()
    assert faults(project, entry=stored(project, mit)) == ""
    assert "is not the text of MIT" in faults(project, entry=stored(project, apache))
    assert faults(project, entry=stored(project, apache, weights_license="Apache-2.0")) == ""
    found = faults(project, entry=stored(project, mit + b"\nFor non-commercial use.\n"))
    assert "says 'non-commercial', which MIT does not" in found
    assert "research only" in faults(project, entry=stored(project, mit + b"\nResearch only.\n")).lower()
    unlicense = b"for any purpose, commercial or\nnon-commercial, and by any means"
    assert faults(project, entry=stored(project, unlicense, weights_license="Unlicense")) == ""
    assert "not UTF-8" in faults(project, entry=stored(project, b"\xff" + mit))
    assert "larger than" in faults(project, entry=stored(project, mit + b" " * (1 << 20)))


def manifest_with(project: Path, path: Path, *links: str) -> Path:
    value = json.loads((PROJECT / MANIFESTS_PATH / manifest_name(ID)).read_text())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**value, "evidence_links": ["https://example.org", *links]}))
    return path


def test_a_manifest_names_stored_texts_by_their_digest(project: Path) -> None:
    ours = project / MANIFESTS_PATH / manifest_name(ID)
    digest = hashlib.sha256((project / TEXTS_PATH / "silero-vad.license.txt").read_bytes()).hexdigest()
    for link, told in (
        (f"texts/silero-vad.license.txt#sha256={digest}", ""),
        (f"texts/silero-vad.license.txt#sha256={'0' * 64}", "altered"),
        (f"texts/none.txt#sha256={digest}", "cannot be read"),
        ("texts/silero-vad.license.txt", "is named texts/<name>.txt#sha256=<64 hex>"),
        (f"texts/../allowlist.yaml#sha256={digest}", "is named texts/<name>.txt"),
        (f"texts/silero-vad.license.txt#sha256={digest.upper()}", "is named texts/<name>.txt"),
    ):
        manifest_with(project, ours, link)
        found = faults(project)
        assert found == told if told == "" else told in found, link


def test_the_texts_of_a_manifest_elsewhere_lie_beside_it(project: Path) -> None:
    path = project / "data/base/base.weights-manifest.json"
    text = b"some licence"
    manifest_with(project, path, f"texts/base.txt#sha256={hashlib.sha256(text).hexdigest()}")
    judged = {"manifest": read_weights_manifest(path), "manifest_path": path}
    assert "base.txt cannot be read" in faults(project, **judged)
    (path.parent / "texts").mkdir()
    (path.parent / "texts/base.txt").write_bytes(text)
    assert faults(project, **judged) == ""


# -- the ledger ----------------------------------------------------------------------------------------------------


def changes_to(store: Store, **fields: Any) -> tuple[FactsChange, ...]:
    return facts_changes(store, [replace(FACTS, **fields)])


def blocked(store: Store, allowlist: Allowlist | None = None, **fields: Any) -> list[str]:
    now = [replace(FACTS, **fields)]
    found = change_blockers(facts_changes(store, now), now, allowlist or Allowlist(weights=()), POLICY)
    return [blocker.detail for blocker in found]


def test_the_first_facts_are_no_change(store: Store) -> None:
    assert changes_to(store) == ()
    record_facts(store, [FACTS], CHECKED)
    assert changes_to(store) == ()
    assert changes_to(store, checksum="sha256:" + "2" * 64, weights_license="CC0-1.0") == ()
    (line,) = store.license_facts().read_text().splitlines()
    assert json.loads(line) == {
        "attribution_required": True,
        "checksum": FACTS.checksum,
        "code_license": "MIT",
        "commercial_use_allowed": True,
        "first_seen": "2026-11-22",
        "model_id": "somebody/base",
        "source_url": "https://example.org/base",
        "weights_license": "MIT",
    }


def test_every_fact_told_otherwise_is_a_change(store: Store) -> None:
    record_facts(store, [FACTS], CHECKED)
    for field, after in (
        ("weights_license", "CC-BY-4.0"),
        ("code_license", "BSD-2-Clause"),
        ("commercial_use_allowed", False),
        ("attribution_required", False),
        ("source_url", "https://example.org/other"),
        ("model_id", "somebody/else"),
    ):
        (change,) = changes_to(store, **{field: after})
        assert (change.checksum, change.field, change.before, change.after) == (
            FACTS.checksum, field, getattr(FACTS, field), after,
        )  # fmt: skip
        assert "for the same bytes" in str(change)


@pytest.mark.parametrize(
    ("before", "after", "stops"),
    [
        ({"weights_license": "CC-BY-NC-4.0"}, {"weights_license": "MIT"}, True),  # forbidden becomes allowed
        ({"weights_license": "LicenseRef-NGC-Terms-Of-Use"}, {"weights_license": "CC-BY-4.0"}, True),
        ({"code_license": "GPL-3.0-only"}, {"code_license": "MIT"}, True),
        ({"weights_license": "see the website"}, {"weights_license": "MIT"}, True),
        ({"commercial_use_allowed": False}, {}, True),
        ({"attribution_required": True}, {"attribution_required": False}, True),  # attribution lost on the way
        ({"weights_license": "CC-BY-SA-4.0"}, {"weights_license": "CC-BY-4.0"}, True),  # sharing lost on the way
        ({"weights_license": "CC-BY-4.0"}, {"weights_license": "CC-BY-SA-4.0"}, False),  # more is asked: no harm
        ({"weights_license": "MIT"}, {"weights_license": "CC-BY-NC-4.0"}, False),  # refused for what it says now
        ({"weights_license": "mit"}, {"weights_license": "MIT"}, False),
        ({"weights_license": "MIT"}, {"weights_license": "Apache-2.0"}, False),  # as much is allowed and asked
        ({"source_url": "https://a.example"}, {"source_url": "https://b.example"}, False),
    ],
)
def test_a_change_for_the_better_needs_a_reason(
    store: Store, before: dict[str, Any], after: dict[str, Any], stops: bool
) -> None:
    record_facts(store, [replace(FACTS, **before)], CHECKED)
    assert changes_to(store, **after)
    assert bool(blocked(store, **after)) is stops
    if stops:
        assert "relicensed: on, reason, link" in blocked(store, **after)[0]


def test_recording_a_changed_licence_does_not_wash_it(store: Store) -> None:
    record_facts(store, [replace(FACTS, weights_license="CC-BY-NC-4.0")], CHECKED)
    for _ in range(3):
        assert len(blocked(store)) == 1
        record_facts(store, [FACTS], CHECKED + timedelta(days=1))
    assert len(store.license_facts().read_text().splitlines()) == 2


def test_the_owners_word_explains_a_change(store: Store) -> None:
    record_facts(store, [replace(FACTS, weights_license="CC-BY-NC-4.0")], CHECKED)
    entry = {
        "id": FACTS.model_id,
        "provider": "Somebody",
        "source": FACTS.source_url,
        "weights_license": "MIT",
        "code_license": "MIT",
        "commercial_use_allowed": True,
        "redistribution_allowed": True,
        "attribution_required": True,
        "license_url": "https://example.org/LICENSE",
        "checksums": [FACTS.checksum],
    }
    word = {"on": "2026-11-01", "reason": "released under MIT", "link": "https://example.org/news"}
    for changes, stops in (
        ({}, True),
        ({"relicensed": word}, False),
        ({"relicensed": word, "checksums": ["sha256:" + "3" * 64]}, True),  # said of other bytes
        ({"relicensed": word, "id": "somebody/else"}, True),  # said of other weights
    ):
        allowlist = Allowlist.model_validate({"weights": [{**entry, **changes}]})
        assert bool(blocked(store, allowlist)) is stops, changes
    assert changes_to(store)  # it is shown all the same


def test_facts_of_a_manifest_that_forbids_commercial_use_are_kept_too(project: Path, store: Store) -> None:
    path = project / MANIFESTS_PATH / manifest_name(ID)
    good = WeightsFacts.read(path)
    assert good is not None and good == WeightsFacts.of(read_weights_manifest(path))
    path.write_text(path.read_text().replace('_allowed": true', '_allowed": false'))
    assert WeightsFacts.read(path) == replace(good, commercial_use_allowed=False)
    for broken in ("", "[]", "{}", '{"commercial_use_allowed": false}', "[" * 100_000):
        path.write_text(broken)
        assert WeightsFacts.read(path) is None
    assert WeightsFacts.read(project / "nothing.json") is None


def test_the_ledger_only_grows(store: Store) -> None:
    for number in range(4):
        before = store.license_facts().read_bytes() if number else b""
        record_facts(store, [FACTS, replace(FACTS, source_url=f"https://example.org/{number}")], CHECKED)
        assert store.license_facts().read_bytes().startswith(before)
    assert len(store.license_facts().read_text().splitlines()) == 5


def test_two_gates_at_once_lose_nothing(store: Store) -> None:
    mine = [[replace(FACTS, source_url=f"https://example.org/{who}/{n}") for n in range(5)] for who in range(4)]
    threads = [threading.Thread(target=record_facts, args=(store, facts, CHECKED)) for facts in mine]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.license_facts().read_text().splitlines()) == 20


@pytest.mark.parametrize("damage", [b"half a li", b"[]\n", b'{"checksum": 1}\n', b"\xff\n", b"[" * 100_000 + b"\n"])
def test_a_damaged_ledger_is_told_and_never_written_over(store: Store, damage: bytes) -> None:
    record_facts(store, [FACTS], CHECKED)
    path = store.license_facts()
    path.write_bytes(path.read_bytes() + damage)
    spoilt = path.read_bytes()
    for attempt in (lambda: facts_changes(store, [FACTS]), lambda: record_facts(store, [FACTS], CHECKED)):
        with pytest.raises(VoiceFailure, match="line 2 is no record of licence facts") as caught:
            attempt()
        assert caught.value.reason == "license_unclear"
    assert path.read_bytes() == spoilt


licences = st.sampled_from(["MIT", "CC0-1.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "GPL-3.0-only", "Unknown"])


@settings(deadline=None, max_examples=40)
@given(st.lists(licences, min_size=1, max_size=5))
def test_once_forbidden_never_silently_allowed(tmp_path_factory: pytest.TempPathFactory, told: list[str]) -> None:
    """However often the facts of the same bytes change: after a no, no yes passes without a reason."""
    store = Store(tmp_path_factory.mktemp("ledger"))
    refused = False
    for one in told:
        allowed = POLICY.decide(one).verdict == "allowed"
        if refused and allowed:
            assert blocked(store, weights_license=one)
        record_facts(store, [replace(FACTS, weights_license=one)], CHECKED)
        refused = refused or not allowed


def test_the_allowlist_that_is_named_exists() -> None:
    assert (PROJECT / ALLOWLIST_PATH).is_file()
