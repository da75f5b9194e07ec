"""``voice-pipeline revoke``: a person takes the consent back, and the voice stops speaking.

    done = revoke(project, "ada", store, by="Ada", reason="Ada wrote to us", today=date(2026, 6, 1))
    done.lines()

The mark in the store comes first: from then on nothing prepares, trains, promotes or speaks with this voice, wherever
this process is killed. Then what is promoted is withdrawn, and the voice's config says that it is revoked. Each step is
done whatever became of the one before, and all can be done again.

The mark is never taken away. A consent given anew, on that day or later and with other evidence, lifts it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from voice_pipeline import clock
from voice_pipeline.atomic import read_json, write_json
from voice_pipeline.bundle.format import CONSENT_NAME
from voice_pipeline.consent import MARK_SCHEMA, Mark, evidence_file, read_revocation, revoked
from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.project import VOICES_FOLDER, voice_ids
from voice_pipeline.promotion import registry
from voice_pipeline.promotion.entries import Entry
from voice_pipeline.promotion.revoked_config import write_revoked
from voice_pipeline.store import Store, profile_id, sha256_file
from voice_pipeline.voice import Voice, load_voice

MAX_RECORD_BYTES = 64 << 10  # of a bundle's consent.json


@dataclass(frozen=True)
class Revoked:
    """What a revocation did."""

    voice_profile_id: str
    revoked_on: date
    marked: bool  # False: the mark was there already
    withdrawn: Entry | None  # the registry's new entry; None: nothing was promoted
    left: str | None  # what a person still has to edit in the voice's config
    others: tuple[str, ...]  # voices whose config names the same evidence: they are not revoked by this

    def lines(self) -> tuple[str, ...]:
        """The same in short sentences."""
        name = self.voice_profile_id
        said = [f"{name} is revoked since {self.revoked_on}: it is not trained, promoted or spoken with any more."]
        if not self.marked:
            said[0] = f"{name} was revoked already, on {self.revoked_on}."
        said.append("Nothing was promoted." if self.withdrawn is None else "What was promoted is withdrawn.")
        said.append(f"Still to do by hand: {self.left}." if self.left else "Its config says so.")
        if self.others:
            said.append(f"On the same consent stand, and are not revoked by this: {', '.join(self.others)}.")
        said.append("Copies that were handed out are not reached by this: see docs/consent.md.")
        return tuple(said)

    def __str__(self) -> str:
        return " ".join(self.lines())


def revoke(
    project: Path,
    voice_id: str,
    store: Store,
    *,
    by: str,
    reason: str,
    today: date | None = None,
    now: datetime | None = None,
) -> Revoked:
    """Mark the voice as revoked, withdraw what is promoted, and edit its config. Its config may be broken, or gone.

    ``today`` is the revocation's day, by default that of ``now`` in UTC. Raises ConfigError for a voice of which there
    is nothing and for a wrong ``by`` or ``reason``; VoiceFailure, after every step was tried, when the mark could not
    be written or what is promoted could not be withdrawn. It says which of both holds.
    """
    name, by, reason = profile_id(voice_id), registry.checked_operator(by), _checked(reason)
    now = now or clock.now()
    day = today or now.astimezone(UTC).date()
    _known(project, name, store)
    mark_fault: Exception | None = None
    try:
        marked, day = _mark(project, name, store, by, reason, day, now)
    except (VoiceFailure, OSError) as error:
        marked, mark_fault = False, error
    withdrawal_fault: Exception | None = None
    withdrawn = None
    try:
        withdrawn = registry.withdraw(store, name, by=by, reason=reason, at=now)
    except (VoiceFailure, OSError) as error:
        withdrawal_fault = error
    left = write_revoked(project, name, day)
    if mark_fault is not None:
        held = "what was promoted is withdrawn" if withdrawal_fault is None else "nothing was withdrawn either"
        if read_revocation(store, name) is not None:
            held = "what lies in its place counts as one"
        raise _failure(name, f"the mark of the revocation cannot be written; {held}", mark_fault)
    if withdrawal_fault is not None:
        held = "the revocation is marked, so nothing speaks or trains; but the registry cannot say so"
        raise _failure(name, held, withdrawal_fault)
    return Revoked(name, day, marked, withdrawn, left, _on_the_same_evidence(project, name, store))


def _mark(project: Path, name: str, store: Store, by: str, reason: str, day: date, now: datetime) -> tuple[bool, date]:
    """Write the mark unless one holds: (whether it was written anew, the day of the mark)."""
    before = read_revocation(store, name)
    old = before.mark if before is not None else None
    voice = _config(project, name)
    known, seen = _evidence(project, name, store, voice), set(old.evidence_sha256 if old is not None else ())
    if old is None:
        holds = False
    elif voice is None:  # it may have named a consent given anew, which nobody can read now
        holds = day <= old.revoked_on and known <= seen
    else:
        holds = revoked(_granted(voice), day, before) is not None
    if old is not None and holds and (old.evidence_known or voice is None):
        return False, old.revoked_on
    earliest = day if old is None else old.revoked_on if holds else max(day, old.revoked_on)
    said = {
        "schema": MARK_SCHEMA,
        "voice_profile_id": name,
        "revoked_on": earliest,
        "at": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "by": by,
        "reason": reason,
        "evidence_known": voice is not None or bool(known) or (old is not None and old.evidence_known),
        "evidence_sha256": tuple(sorted(known | seen)),
    }
    mark = Mark.model_validate(said)
    write_json(store.revocation(name), mark.model_dump(mode="json", by_alias=True))
    return True, mark.revoked_on


def _granted(voice: Voice) -> Voice:
    """The voice as if its config did not say revoked: whether the mark alone holds against its consent."""
    if voice.consent.speaker_type == "synthetic" or voice.consent.granted_on is None:
        return voice
    consent = voice.consent.model_copy(update={"status": "granted", "revoked_on": None})
    return voice.model_copy(update={"consent": consent})


def _evidence(project: Path, name: str, store: Store, voice: Voice | None) -> set[str]:
    """The digests of everything that shows the consent that is revoked: no consent given anew can be one of them."""
    records = [store.bundle(name), *sorted(store.release(name, 1).parent.glob("*/voice_bundle"))]
    found = {_recorded(folder / CONSENT_NAME) for folder in records}
    if voice is not None:
        found.add(voice.consent.evidence_sha256)
        paper = evidence_file(project, voice.consent.evidence) if voice.consent.evidence else None
        with contextlib.suppress(OSError):  # the digest in the config is what counts
            found.add(sha256_file(paper) if paper is not None else None)
    return {digest for digest in found if digest is not None}


def _on_the_same_evidence(project: Path, name: str, store: Store) -> tuple[str, ...]:
    """Other voices that stand on what was revoked: another id is not noticed by the mark."""
    revocation = read_revocation(store, name)
    digests = set(revocation.mark.evidence_sha256) if revocation is not None and revocation.mark is not None else set()
    found = []
    for other in voice_ids(project):
        voice = _config(project, other) if other != name else None
        if voice is not None and voice.consent.status == "granted" and voice.consent.evidence_sha256 in digests:
            found.append(other)
    return tuple(found)


def _recorded(path: Path) -> str | None:
    """The digest of the evidence that a bundle's consent.json names; None where it names none that can be read."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_RECORD_BYTES:
            return None
        value: Any = read_json(path)
    except (OSError, ValueError, RecursionError):
        return None
    digest = value.get("evidence_sha256") if isinstance(value, dict) else None
    return digest if isinstance(digest, str) and len(digest) == 64 else None


def _config(project: Path, name: str) -> Voice | None:
    try:
        return load_voice(project / VOICES_FOLDER / f"{name}.yaml")
    except (ConfigError, OSError, RuntimeError):  # RuntimeError: a loop of links
        return None


def _known(project: Path, name: str, store: Store) -> None:
    """A mistyped name must not pass for a revocation of the voice that was meant."""
    config = project / VOICES_FOLDER / f"{name}.yaml"
    of_it = (config, store.voice_artifacts(name), store.bundle(name).parent)
    if not any(path.exists() or path.is_symlink() for path in of_it):
        known = ", ".join(voice_ids(project)) or "none"
        raise ConfigError(f"no voice {name!r}: neither a config nor anything in the store (voices: {known})")


def _checked(reason: str) -> str:
    said = reason.strip()
    if not said or len(said) > 2000 or not said.isprintable():
        raise ConfigError("a revocation needs its reason: one line of at most 2000 characters")
    return said


def _failure(name: str, said: str, fault: Exception) -> VoiceFailure:
    if isinstance(fault, VoiceFailure):
        failure = VoiceFailure(fault.reason, f"{said}: {fault.detail}; then revoke again", voice=name, file=fault.file)
    else:
        why = getattr(fault, "strerror", None) or str(fault)
        failure = VoiceFailure("permission_denied", f"{said}: {why}; then revoke again", voice=name)
    failure.__cause__ = fault
    return failure
