"""promoted_voice: decide from the very bytes, and only then put them where they are served from.

    record = run(project, voice, store)             # VoiceFailure with the first blocker's reason on NO-GO

The bundle is copied first and the copy is judged, so that nothing can change between the judgement and the promotion.
A GO becomes the next release, whole, and then the registry's next entry; a NO-GO leaves everything as it is. All of it
happens under the voice's promotion lock. What a kill leaves is finished, or cleared away, by the next promotion.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from voice_pipeline import clock
from voice_pipeline.atomic import write_bytes, write_json
from voice_pipeline.bundle.seal import remove_attestation
from voice_pipeline.bundle.validation import validate_bundle
from voice_pipeline.failures import ConfigError, VoiceFailure, disk_errors
from voice_pipeline.promotion import registry, releases, signing, statement
from voice_pipeline.promotion.decision import Decision
from voice_pipeline.promotion.entries import Entry, Facts
from voice_pipeline.promotion.releases import BUNDLE as BUNDLE
from voice_pipeline.promotion.releases import CERTIFICATE, STATEMENT
from voice_pipeline.promotion.releases import DECISION as DECISION
from voice_pipeline.promotion.verification import Verification, verify
from voice_pipeline.store import Store, identity
from voice_pipeline.voice import Voice

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

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
    project: Path,
    voice: Voice,
    store: Store,
    *,
    today: date | None = None,
    by: str | None = None,
    adapter_url: str | None = None,
) -> PromotionRecord:
    """Promote the newest bundle of ``voice``, or refuse. ``today`` is the day for which the consent must hold.

    Promoting what is promoted already changes nothing. ``by`` is who acts; see ``registry.operator``. ``adapter_url``
    is of another adapter whose PASS is needed too. Writes the decision, GO or NO-GO, to the store's artifacts. Raises
    VoiceFailure with the first blocker's reason and all blockers in its text, ``verification_failed`` for a registry
    that was changed by hand or a clock that was set back, ``voice_busy`` when another promotion of the voice takes
    longer than a minute; ConfigError for a wrong gates, policy or allowlist file, URL or key.
    """
    name = voice.voice_profile_id
    by, signer = registry.operator(by), signing.signer_from_environment(store)
    if signer is None and signing.verification_key(store=store) is not None:
        # A server with that key would fall silent at once.
        raise ConfigError(
            "VOICE_VERIFICATION_KEY asks for signed releases, and nothing signs this one: set VOICE_SIGNING_KEY"
        )
    with registry.changing(store, name):
        day, at = moment(today)  # not earlier: another entry may have been made while this waited
        entries = registry.heal(store, name, by=by, at=at)
        registry.checked_time(store, name, entries[-1] if entries else None, at)
        number = releases.next_number(store, name, max((one.release or 0 for one in entries), default=0))
        folder = releases.new_folder(store, name)
        try:
            found = _judged_copy(project, voice, store, folder, day, adapter_url)
            _write_documents(folder, found, signer)
            facts = releases.facts_of(folder, signed_by=str(signer.public_key.keyid) if signer else None)
            entry = _promoted_already(store, name, entries, facts)
            if entry is None:
                releases.publish(folder, store, name, number)
                entry = registry.enter(store, name, "promote", number, facts, by=by, at=at)
        finally:
            releases.remove_tree(folder)
    write_json(store.promotion_decision(name), found.decision.to_json())
    return _record(store, voice, found.decision, entry)


def moment(today: date | None) -> tuple[date, datetime]:
    """The day to decide for, and the time that an entry bears: now, or that day's same hour. Both are UTC's."""
    now = clock.now()
    return (now.date(), now) if today is None else (today, datetime.combine(today, now.timetz()))


def refusal(store: Store, decision: Decision) -> VoiceFailure:
    """Write a NO-GO to the artifacts, and make the failure that says it."""
    name = decision.evidence.voice.voice_profile_id
    write_json(store.promotion_decision(name), decision.to_json())
    first = decision.blockers[0]
    others = "".join(f"; {blocker}" for blocker in decision.blockers[1:])
    return VoiceFailure(first.reason, f"{first.detail}{others}", voice=name)


def _judged_copy(
    project: Path, voice: Voice, store: Store, folder: Path, day: date, adapter_url: str | None
) -> Verification:
    """Copy the newest bundle into ``folder`` and judge the copy: a GO, or VoiceFailure."""
    name = voice.voice_profile_id
    source = judged = store.bundle(name)
    failure: VoiceFailure | None = None
    # What the manifest does not list would not be copied, and so would not be seen in the copy.
    if not validate_bundle(source, production=True):
        judged = folder / BUNDLE
        try:
            with disk_errors(voice=name, file=folder):
                releases.copy_bundle(source, judged, name)
        except VoiceFailure as error:
            if error.reason != "bundle_invalid":
                raise
            failure, judged = error, source
    found = verify(project, voice, store, judged, today=day, source="promote", adapter_url=adapter_url)
    if not found.go:
        raise refusal(store, found.decision)
    if judged == source:
        detail = "it changed while it was judged"
        raise failure or VoiceFailure("bundle_invalid", detail, voice=name, file=source)
    return found


def _write_documents(folder: Path, found: Verification, signer: CryptoSigner | None) -> None:
    """What a release holds beside its bundle; and the bundle's attestation, where a key is configured."""
    certificate = found.certificate.to_json()
    stated = statement.make(found.decision, certificate, folder / BUNDLE)
    write_json(folder / DECISION, found.decision.to_json())
    write_json(folder / CERTIFICATE, certificate)
    write_bytes(folder / STATEMENT, stated)
    if signer is not None:
        signing.attest(folder / BUNDLE, stated, signer)
    else:
        remove_attestation(folder / BUNDLE)  # of the release that it was copied from: this promotion signs nothing


def _promoted_already(store: Store, voice: str, entries: tuple[Entry, ...], facts: Facts) -> Entry | None:
    """The last entry, when it promotes the same bytes on the same decision, and they are still whole."""
    last = entries[-1] if entries else None
    if last is None or last.release is None or _identity(last) != _identity(facts):
        return None
    return None if releases.problems(store, voice, last.release, last.facts()) else last


def _identity(facts: Facts) -> Facts:
    """What two promotions of the same evidence share: the bundle's manifest may have been written at another time."""
    return facts.facts().model_copy(update={"bundle_manifest_sha256": None})


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
