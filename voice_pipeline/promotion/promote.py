"""promoted_voice: decide from the very bytes, and only then put them where they are served from.

    record = run(project, voice, store)             # VoiceFailure with the first blocker's reason on NO-GO

The bundle is copied first and the copy is judged, so that nothing can change between the judgement and the promotion.
The promoted folder, {voice_bundle/, decision.json}, is replaced as a whole; a NO-GO leaves an earlier one as it is.
"""

from __future__ import annotations

import os
import shutil
import stat
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from voice_pipeline.atomic import atomic_folder, write_json
from voice_pipeline.bundle.format import MANIFEST_NAME, read_manifest
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.promotion.decision import Decision, decide
from voice_pipeline.promotion.evidence import collect
from voice_pipeline.store import Store, identity, inside, sha256_file
from voice_pipeline.voice import Voice

STAGE = "promoted_voice"
VERSION = "1"
BUNDLE = "voice_bundle"
DECISION = "decision.json"


class PromotionRecord(BaseModel):
    """What the stage leaves in its record. Paths are relative to the store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal["promoted_voice"]
    identity: str
    voice_profile_id: str
    go: Literal[True]
    promoted: str
    decision: str
    decision_sha256: str
    content_digest: str
    bundle_manifest_sha256: str
    metrics: dict[str, float]
    gate_overrides: dict[str, float]


def run(project: Path, voice: Voice, store: Store, *, today: date | None = None) -> PromotionRecord:
    """Promote the newest bundle of ``voice``, or refuse. ``today`` is the day for which the consent must hold.

    Writes the decision, GO or NO-GO, to the store's artifacts. Raises VoiceFailure with the first blocker's reason
    and all blockers in its text, ConfigError for a wrong gates, policy or allowlist file.
    """
    name, day = voice.voice_profile_id, today or date.today()
    decision = decide(collect(project, voice, store, store.bundle(name), today=day))
    if not decision.go:
        raise refusal(store, decision)
    target = store.promoted(name)
    with atomic_folder(target) as folder:
        _copy_bundle(store.bundle(name), folder / BUNDLE, name)
        decision = decide(collect(project, voice, store, folder / BUNDLE, today=day))
        if not decision.go:
            raise refusal(store, decision)
        write_json(folder / DECISION, decision.to_json())
    write_json(store.promotion_decision(name), decision.to_json())
    return _record(store, voice, decision)


def refusal(store: Store, decision: Decision) -> VoiceFailure:
    """Write a NO-GO to the artifacts, and make the failure that says it."""
    name = decision.evidence.voice.voice_profile_id
    write_json(store.promotion_decision(name), decision.to_json())
    first = decision.blockers[0]
    others = "".join(f"; {blocker}" for blocker in decision.blockers[1:])
    return VoiceFailure(first.reason, f"{first.detail}{others}", voice=name)


def _copy_bundle(source: Path, target: Path, voice: str) -> None:
    """Copy the manifest and what it lists; no link is followed. The copy is validated, so that haste cannot harm it."""
    try:
        entries = [MANIFEST_NAME, *(entry.path for entry in read_manifest(source).files)]
        for relative in entries:
            path = target / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            _copy_file(inside(source, relative), path)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.filename is None:
            raise  # the disk's, not the bundle's
        raise VoiceFailure("bundle_invalid", f"it changed while it was copied: {error}", voice=voice) from error


def _copy_file(source: Path, target: Path) -> None:
    descriptor = os.open(source.resolve(strict=True), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as reader:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{source.name} is not a regular file")
        with target.open("xb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)


def _record(store: Store, voice: Voice, decision: Decision) -> PromotionRecord:
    name = voice.voice_profile_id
    folder, bundle = store.promoted(name), decision.evidence.bundle
    evaluation = decision.evidence.evaluation.evaluation
    assert bundle.content_digest is not None and bundle.manifest_sha256 is not None and evaluation is not None
    record = PromotionRecord(
        stage="promoted_voice",
        identity=identity(stage=STAGE, version=VERSION, decision=decision.to_json()),
        voice_profile_id=name,
        go=True,
        promoted=store.relative(folder),
        decision=store.relative(folder / DECISION),
        decision_sha256=sha256_file(folder / DECISION),
        content_digest=bundle.content_digest,
        bundle_manifest_sha256=bundle.manifest_sha256,
        metrics=decision.evidence.metrics(),
        gate_overrides=dict(sorted(voice.gates.items())),
    )
    write_json(store.record(name, STAGE), record.model_dump(mode="json"))
    return record
