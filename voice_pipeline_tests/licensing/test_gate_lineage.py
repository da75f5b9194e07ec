"""The licence gate on a real bundle: ancestors, evidence, changes of facts, packages, documents, releases."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from voice_pipeline.licensing import gate
from voice_pipeline.licensing.allowlist import ALLOWLIST_PATH
from voice_pipeline.licensing.documents import bundle_documents
from voice_pipeline_tests.licensing.lineages import data, known
from voice_pipeline_tests.licensing.test_packages import install
from voice_pipeline_tests.ready_voice import NAME, TODAY, ReadyVoice

pytestmark = pytest.mark.evaluation
LEXICON = "gruut-lang-en/lexicon"
G2P = "gruut-lang-en/g2p"
RELEASE_LATER = TODAY + timedelta(days=30)


@pytest.fixture
def ready(ready_voice: ReadyVoice, tmp_path: Path) -> ReadyVoice:
    return ready_voice.copy(tmp_path / "project")


def record(ready: ReadyVoice, today: date = TODAY) -> gate.LicenseRecord:
    return gate.judge(ready.project, ready.voice, ready.store, ready.bundle, today=today)


def rebuild(ready: ReadyVoice) -> None:
    """Give the bundle the documents of today's facts, as a build would."""
    for name, value in bundle_documents(ready.project, ready.voice, ready.store).items():
        (ready.bundle / name).write_bytes(value)
    ready.seal()


def released(ready: ReadyVoice, today: date = TODAY) -> list[str]:
    return [str(blocker) for blocker in gate.judge_release(ready.project, ready.bundle, today)]


def edit_allowlist(ready: ReadyVoice, model_id: str, *more: dict[str, Any], datasets: Any = (), **changes: Any) -> None:
    """Change the record of one id, and add records."""
    path = ready.project / ALLOWLIST_PATH
    value = yaml.safe_load(path.read_text())
    for entry in value["weights"]:
        if entry["id"] == model_id:
            entry.update(changes)
    value["weights"].extend(more)
    value["datasets"].extend(datasets)
    path.write_text(yaml.safe_dump(value))


def edit_manifest(ready: ReadyVoice, **changes: Any) -> None:
    """Change what the lexicon's weights manifest says, in the project, in the bundle and in the allowlist."""
    name = "gruut-lang-en-lexicon.weights-manifest.json"
    for path in (ready.project / "configs/licensing/weights" / name, ready.bundle / "weights" / name):
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    edit_allowlist(ready, LEXICON, **{key: value for key, value in changes.items() if key != "created_at"})


def test_go_with_its_lineage(ready: ReadyVoice) -> None:
    found = record(ready)
    assert (found.go, found.blockers, found.changes) == (True, (), ())
    assert found.lineage.verdict == "allowed"
    assert {"recordings", "voice-pipeline", LEXICON, "whisper/tiny.en"} <= {node.name for node in found.lineage.nodes}
    assert gate.LicenseRecord.model_validate_json(found.model_dump_json()) == found
    assert record(ready) == found
    assert released(ready) == []


def test_an_ancestor_that_forbids(ready: ReadyVoice) -> None:
    """A licence that is found out after the build: the built bundle is NO-GO, and so is a release."""
    edit_allowlist(ready, LEXICON, trained_on=["lessac"], datasets=[data("lessac", "LicenseRef-Research-Only")])
    beginning = f"license_noncommercial: {NAME} ← {LEXICON} ← lessac: LicenseRef-Research-Only: research only"
    found = record(ready)
    assert not found.go
    assert found.blockers[0].startswith(beginning)
    assert any(one.startswith("bundle_invalid: NOTICE lacks") and "'* lessac (" in one for one in found.blockers)
    assert found.lineage.verdict == "forbidden"
    rebuild(ready)
    assert [one[: len(beginning)] for one in record(ready).blockers] == [beginning]
    assert [one[: len(beginning)] for one in released(ready)] == [beginning]


def test_ancestors_need_evidence_too(ready: ReadyVoice) -> None:
    old = known("old-lexicon", checked_on=(TODAY - timedelta(days=4000)).isoformat())
    edit_allowlist(ready, LEXICON, old, bases=["old-lexicon"])
    rebuild(ready)
    (blocker,) = record(ready).blockers
    assert blocker.startswith(f"license_unclear: {NAME} ← {LEXICON} ← old-lexicon: its licence was last checked on")
    assert released(ready) == [blocker]


def test_evidence_grows_old(ready: ReadyVoice) -> None:
    late = TODAY + timedelta(days=4000)
    blockers = record(ready, late).blockers
    assert blockers
    assert all("its licence was last checked on" in one for one in blockers)
    assert any(f" {LEXICON}: its licence was last checked on" in one for one in blockers)
    assert all("its licence was last checked on" in one for one in released(ready, late))
    early = record(ready, date(2020, 1, 1)).blockers
    assert any("which is after today" in one for one in early)


def test_facts_that_were_told_otherwise_are_shown_and_must_be_explained(ready: ReadyVoice) -> None:
    """The ledger remembers: an allowed licence that appears where another one stood needs a reason."""
    edit_manifest(ready, weights_license="CC-BY-NC-4.0")
    assert not gate.run(ready.project, ready.voice, ready.store, ready.bundle, today=TODAY).go
    edit_manifest(ready, weights_license="MIT")
    rebuild(ready)
    found = record(ready)
    change = f"{LEXICON}: weights_license was CC-BY-NC-4.0 for the same bytes, now MIT"
    assert change in found.changes
    assert [one.partition(": record in")[0] for one in found.blockers] == [f"license_unclear: {change}"]
    why = {"on": "2026-05-01", "reason": "its makers changed it", "link": "https://example.org/relicensed"}
    edit_allowlist(ready, LEXICON, relicensed=why)
    assert record(ready).blockers == ()
    assert change in record(ready).changes


def test_a_ledger_that_cannot_be_read_is_no_go(ready: ReadyVoice) -> None:
    ready.store.license_facts().write_text("{}\n")
    found = gate.run(ready.project, ready.voice, ready.store, ready.bundle, today=TODAY)
    assert [one.split(" is no")[0] for one in found.blockers] == ["license_unclear: license_facts.jsonl: line 1"]
    assert ready.store.license_facts().read_text() == "{}\n"


def test_share_alike_asks_for_the_voices_licence(ready: ReadyVoice) -> None:
    edit_allowlist(ready, LEXICON, trained_on=["prompts"], datasets=[data("prompts", "CC-BY-SA-4.0")])
    rebuild(ready)
    (blocker,) = record(ready).blockers
    assert blocker.startswith(f"license_unclear: {NAME} ← {LEXICON} ← prompts (CC-BY-SA-4.0): share-alike")
    ready.configure(license="CC-BY-SA-4.0")
    rebuild(ready)
    assert record(ready).blockers == ()
    assert released(ready) == []


def test_gpl_code_beside_a_real_bundle(ready: ReadyVoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "unicode-rbnf", "License-Expression: GPL-3.0-or-later")
    monkeypatch.syspath_prepend(tmp_path / "site")
    rebuild(ready)
    found = record(ready)
    assert found.blockers == found.package_blockers
    beginning = (
        f"license_unclear: {NAME} ← voice-pipeline ← unicode-rbnf: GPL-3.0-or-later: GPL code in the speaking path"
    )
    assert [one[: len(beginning)] for one in found.blockers] == [beginning]
    monkeypatch.undo()
    assert [one[: len(beginning)] for one in released(ready)] == [beginning]  # it was released with that code


@pytest.mark.parametrize("name", ["NOTICE", "MODEL_CARD.md", "lineage.json", "sbom.cdx.json", "consent.json"])
def test_documents_that_were_taken_out_or_altered(name: str, ready: ReadyVoice) -> None:
    path = ready.bundle / name
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"MIT", b"CC0").replace(b"granted", b"gifted!"))
    ready.seal()
    found = record(ready)
    assert found.blockers == found.document_blockers
    assert [one.partition(" ")[2].partition(" ")[0] for one in found.blockers] == [name]
    path.unlink()
    ready.seal()
    assert record(ready).blockers == (f"bundle_invalid: the bundle does not carry {name}: build it again",)
    assert any(name in one for one in released(ready))


def test_a_release_that_speaks_about_another_voice(ready: ReadyVoice) -> None:
    path = ready.bundle / "lineage.json"
    path.write_text(path.read_text().replace(f'"{NAME}"', '"other"').replace(f":{NAME}", ":other"))
    ready.seal()
    assert "bundle_invalid: lineage.json is of the voice other" in released(ready)


def test_a_release_without_a_lineage_that_can_be_read(ready: ReadyVoice) -> None:
    (ready.bundle / "lineage.json").write_text("[]")
    assert [one.partition(":")[0] for one in released(ready)] == ["bundle_invalid"]


def test_a_release_asks_no_records_of_the_store(ready: ReadyVoice) -> None:
    for path in ready.store.voice_artifacts(NAME).rglob("*.json"):
        path.unlink()
    assert released(ready, RELEASE_LATER) == []


def test_a_release_has_the_dates_of_manifests_that_the_project_no_longer_has(ready: ReadyVoice) -> None:
    """Base weights keep their manifest anywhere; an entry with the required keys only is dated by it."""
    path = ready.project / ALLOWLIST_PATH
    value = yaml.safe_load(path.read_text())
    for entry in value["weights"]:
        if entry["id"] == LEXICON:
            for key in ("checked_on", "license_text", "license_text_sha256"):
                del entry[key]
    path.write_text(yaml.safe_dump(value))
    edit_manifest(ready, created_at=f"{TODAY}T00:00:00Z")
    rebuild(ready)
    assert record(ready).blockers == ()
    (ready.project / "configs/licensing/weights/gruut-lang-en-lexicon.weights-manifest.json").unlink()
    assert released(ready) == []
    assert any(LEXICON in one for one in released(ready, TODAY + timedelta(days=400)))
