"""More releases and voices beside a really promoted one, for tests of what is served when it changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from voice_pipeline.atomic import write_bytes, write_json
from voice_pipeline.bundle import build
from voice_pipeline.bundle.format import content_digest, manifest_bytes, read_manifest
from voice_pipeline.promotion import registry
from voice_pipeline.promotion import releases as promoted
from voice_pipeline.promotion.promote import moment
from voice_pipeline.store import Store
from voice_pipeline_tests.ready_voice import NAME, TODAY


def current_bundle(store: Store, voice: str = NAME) -> Path:
    """The folder that speaks."""
    folder = registry.current_folder(store, voice)
    assert folder is not None
    return folder / "voice_bundle"


def another_release(
    store: Store,
    *,
    voice: str = NAME,
    source: str = NAME,
    settings: Mapping[str, Any] | None = None,
    consent: Mapping[str, Any] | None = None,
) -> int:
    """Promote the release of ``source`` again, with other settings of its synthesizer or another consent.

    No gate is asked: these tests are about what is served, and the registry takes it as a promotion.
    """
    template = current_bundle(store, source).parent
    with registry.changing(store, voice):
        entries = registry.heal(store, voice, by="tests", at=_at())
        number = promoted.next_number(store, voice, max((one.release or 0 for one in entries), default=0))
        folder = promoted.new_folder(store, voice)
        folder.rmdir()
        shutil.copytree(template, folder)
        bundle = folder / "voice_bundle"
        for name, changes in (("synthesizer.json", settings), ("consent.json", consent)):
            if changes or name == "consent.json":
                before = json.loads((bundle / name).read_text())
                write_json(bundle / name, before | dict(changes or {}) | _id(name, voice))
        manifest = read_manifest(bundle)
        (bundle / "manifest.json").unlink()
        sealed = manifest.model_copy(update={"voice_profile_id": voice, "files": build._entries(bundle)})
        write_bytes(bundle / "manifest.json", manifest_bytes(sealed))
        decision = json.loads((folder / "decision.json").read_text())
        decision["voice_profile_id"] = voice
        decision["evidence"]["content_digest"] = content_digest(bundle)
        write_json(folder / "decision.json", decision)
        facts = promoted.facts_of(folder)
        promoted.publish(folder, store, voice, number)
        registry.enter(store, voice, "promote", number, facts, by="tests", at=_at())
    return number


def go_back(store: Store, number: int, voice: str = NAME) -> None:
    """Let an earlier release speak again."""
    with registry.changing(store, voice):
        entries = registry.heal(store, voice, by="tests", at=_at())
        facts = next(one.facts() for one in entries if one.action == "promote" and one.release == number)
        registry.enter(store, voice, "rollback", number, facts, by="tests", at=_at())


def withdraw(store: Store, voice: str = NAME) -> None:
    registry.withdraw(store, voice, by="tests", reason="a test", at=_at())


def mark_revoked(store: Store, voice: str = NAME) -> None:
    """The mark alone, as ``revoke`` writes it first."""
    write_json(
        store.revocation(voice),
        {
            "schema": "voice_revocation/1",
            "voice_profile_id": voice,
            "revoked_on": TODAY.isoformat(),
            "at": _at().isoformat(),
            "by": "tests",
            "reason": "a test",
            "evidence_known": False,
            "evidence_sha256": [],
        },
    )


def _id(name: str, voice: str) -> dict[str, str]:
    return {"voice_profile_id": voice} if name == "consent.json" else {}


def _at() -> datetime:
    """This hour of the tests' day: what the promotion's own functions take for it."""
    return moment(TODAY)[1]
