"""promoted_voice: decide from the very bytes, and only then put them where they are served from.

    record = run(project, voice, store)             # VoiceFailure with the first blocker's reason on NO-GO

The bundle is copied first and the copy is judged, so that nothing can change between the judgement and the promotion.
A GO becomes the next release, whole, and then the registry's next entry; a NO-GO leaves everything as it is. All of it
happens under the voice's promotion lock. What a kill leaves is finished, or cleared away, by the next promotion.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from voice_pipeline.atomic import write_json
from voice_pipeline.bundle.validation import validate_bundle
from voice_pipeline.failures import VoiceFailure, disk_errors
from voice_pipeline.promotion import registry, releases
from voice_pipeline.promotion.decision import Decision, decide
from voice_pipeline.promotion.entries import Entry, Facts
from voice_pipeline.promotion.evidence import collect
from voice_pipeline.promotion.releases import BUNDLE as BUNDLE
from voice_pipeline.promotion.releases import DECISION as DECISION
from voice_pipeline.store import Store, identity
from voice_pipeline.voice import Voice

STAGE = "promoted_voice"
VERSION = "2"


class PromotionRecord(BaseModel):
    """What the stage leaves in its record. Paths are relative to the store, and of the release: they stay true."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal["promoted_voice"]
    identity: str
    voice_profile_id: str
    go: Literal[True]
    release: int
    promoted: str
    decision: str
    decision_sha256: str
    content_digest: str
    bundle_manifest_sha256: str
    certificate_hash: str | None
    signed_by: str | None
    metrics: dict[str, float]
    gate_overrides: dict[str, float]


def run(
    project: Path, voice: Voice, store: Store, *, today: date | None = None, by: str | None = None
) -> PromotionRecord:
    """Promote the newest bundle of ``voice``, or refuse. ``today`` is the day for which the consent must hold.

    Promoting what is promoted already changes nothing. ``by`` is who acts; see ``registry.operator``. Writes the
    decision, GO or NO-GO, to the store's artifacts. Raises VoiceFailure with the first blocker's reason and all
    blockers in its text, ``verification_failed`` for a registry that was changed by hand or a clock that was set back,
    ``voice_busy`` when another promotion of the voice takes longer than a minute; ConfigError for a wrong gates,
    policy or allowlist file.
    """
    name = voice.voice_profile_id
    by = registry.operator(by)
    day, at = moment(today)
    with registry.changing(store, name):
        entries = registry.heal(store, name, by=by, at=at)
        registry.checked_time(store, name, entries[-1] if entries else None, at)
        number = releases.next_number(store, name, max((one.release or 0 for one in entries), default=0))
        folder = releases.new_folder(store, name)
        try:
            decision = _judged_copy(project, voice, store, folder, day)
            write_json(folder / DECISION, decision.to_json())
            facts = releases.facts_of(folder)
            entry = _promoted_already(store, name, entries, facts)
            if entry is None:
                releases.publish(folder, store, name, number)
                entry = registry.enter(store, name, "promote", number, facts, by=by, at=at)
        finally:
            releases.remove_tree(folder)
    write_json(store.promotion_decision(name), decision.to_json())
    return _record(store, voice, decision, entry)


def moment(today: date | None) -> tuple[date, datetime]:
    """The day to decide for, and the time that an entry bears: now, or that day's same hour. Both are UTC's."""
    now = datetime.now(UTC)
    return (now.date(), now) if today is None else (today, datetime.combine(today, now.timetz()))


def refusal(store: Store, decision: Decision) -> VoiceFailure:
    """Write a NO-GO to the artifacts, and make the failure that says it."""
    name = decision.evidence.voice.voice_profile_id
    write_json(store.promotion_decision(name), decision.to_json())
    first = decision.blockers[0]
    others = "".join(f"; {blocker}" for blocker in decision.blockers[1:])
    return VoiceFailure(first.reason, f"{first.detail}{others}", voice=name)


def _judged_copy(project: Path, voice: Voice, store: Store, folder: Path, day: date) -> Decision:
    """Copy the newest bundle into ``folder`` and judge the copy: a GO, or VoiceFailure."""
    name = voice.voice_profile_id
    source = store.bundle(name)
    try:
        # What the manifest does not list would not be copied, and so would not be seen in the copy.
        if validate_bundle(source, production=True):
            raise VoiceFailure("bundle_invalid", "it changed while it was judged", voice=name, file=source)
        with disk_errors(voice=name, file=folder):
            releases.copy_bundle(source, folder / BUNDLE, name)
    except VoiceFailure as failure:
        if failure.reason != "bundle_invalid":
            raise
        decision = decide(collect(project, voice, store, source, today=day))  # it is a NO-GO: here are all blockers
        raise (failure if decision.go else refusal(store, decision)) from None
    decision = decide(collect(project, voice, store, folder / BUNDLE, today=day))
    if not decision.go:
        raise refusal(store, decision)
    return decision


def _promoted_already(store: Store, voice: str, entries: tuple[Entry, ...], facts: Facts) -> Entry | None:
    """The last entry, when it promotes the same bytes on the same decision, and they are still whole."""
    last = entries[-1] if entries else None
    if last is None or last.release is None or last.facts() != facts:
        return None
    return None if releases.problems(store, voice, last.release, facts) else last


def _record(store: Store, voice: Voice, decision: Decision, entry: Entry) -> PromotionRecord:
    name = voice.voice_profile_id
    assert entry.release is not None and entry.content_digest and entry.bundle_manifest_sha256 and entry.decision_sha256
    folder = store.release(name, entry.release)
    record = PromotionRecord(
        stage="promoted_voice",
        identity=identity(stage=STAGE, version=VERSION, decision=decision.to_json()),
        voice_profile_id=name,
        go=True,
        release=entry.release,
        promoted=store.relative(folder),
        decision=store.relative(folder / DECISION),
        decision_sha256=entry.decision_sha256,
        content_digest=entry.content_digest,
        bundle_manifest_sha256=entry.bundle_manifest_sha256,
        certificate_hash=entry.certificate_hash,
        signed_by=entry.signed_by,
        metrics=decision.evidence.metrics(),
        gate_overrides=dict(sorted(voice.gates.items())),
    )
    write_json(store.record(name, STAGE), record.model_dump(mode="json"))
    return record
