"""Promote an earlier release again, after asking again whatever can have changed since it was promoted.

    entry = run(project, voice, store)              # the release before the current one
    entry = run(project, voice, store, to=3)

A release's quality was judged on its very bytes, and both are in it. What is asked again: whether these are still the
bytes that were promoted, on a GO, in a lane that may be promoted, signed by a trusted key where one is configured; and
what a day can change: the speaker's consent, and the licences by today's policy. Nothing changes on a refusal.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from voice_pipeline import consent
from voice_pipeline.bundle.format import CONSENT_NAME, ManifestError, read_manifest
from voice_pipeline.failures import Blocker, VoiceFailure
from voice_pipeline.licensing import gate
from voice_pipeline.promotion import registry, releases, signing
from voice_pipeline.promotion.entries import Entry, Facts
from voice_pipeline.promotion.promote import moment
from voice_pipeline.promotion.releases import BUNDLE
from voice_pipeline.status import PROMOTABLE_JOB_TYPES
from voice_pipeline.store import Store
from voice_pipeline.voice import Voice


def run(
    project: Path,
    voice: Voice,
    store: Store,
    *,
    to: int | None = None,
    today: date | None = None,
    by: str | None = None,
    reason: str | None = None,
) -> Entry:
    """Go back to release ``to``, by default the newest before the current one. Returns the registry's entry.

    Going to what is promoted already changes nothing. Raises VoiceFailure with the first problem's reason and all
    problems in its text, ``verification_failed`` where there is no such release, ``voice_busy`` when a promotion takes
    longer than a minute; ConfigError for a wrong policy, allowlist or key file.
    """
    name = voice.voice_profile_id
    by = registry.operator(by)
    with registry.changing(store, name):
        day, at = moment(today)
        entries = registry.heal(store, name, by=by, at=at)
        number, facts = _target(store, name, entries, to)
        found = tuple(dict.fromkeys(_blockers(project, voice, store, number, facts, day)))
        if found:
            others = "".join(f"; {blocker}" for blocker in found[1:])
            raise VoiceFailure(found[0].reason, f"release {number}: {found[0].detail}{others}", voice=name)
        if entries[-1].release == number:
            return entries[-1]
        return registry.enter(store, name, "rollback", number, facts, by=by, reason=reason, at=at)


def _target(store: Store, voice: str, entries: tuple[Entry, ...], to: int | None) -> tuple[int, Facts]:
    """The release to go back to, and what identifies it."""
    promoted = {one.release: one.facts() for one in entries if one.action == "promote" and one.release is not None}
    current = entries[-1].release if entries else None
    if current is None:
        what = f"it was withdrawn: {entries[-1].reason}" if entries else "it was never promoted"
        detail = f"there is nothing to go back from, {what}; run: voice-pipeline promote {voice}"
        raise VoiceFailure("verification_failed", detail, voice=voice, file=store.promotions(voice))
    number = max((one for one in promoted if one < current), default=None) if to is None else to
    if number is None or number not in promoted:
        known = ", ".join(str(one) for one in promoted)
        what = f"release {current} is the first" if number is None else f"release {number} was never promoted"
        detail = f"{what} (releases: {known})"
        raise VoiceFailure("verification_failed", detail, voice=voice, file=store.promotions(voice))
    return number, promoted[number]


def _blockers(project: Path, voice: Voice, store: Store, number: int, facts: Facts, today: date) -> Iterator[Blocker]:
    name = voice.voice_profile_id
    if voice.lane != "production":
        yield Blocker("lane_not_promotable", f"{name} is of the {voice.lane} lane")
    yield from consent.blockers(project, voice, store, today)
    found = releases.problems(store, name, number, facts)
    yield from found
    if facts.certificate_hash is None:
        yield Blocker("verification_failed", "it has no certificate: it was promoted before there were any")
    if any(blocker.reason == "bundle_invalid" for blocker in found):
        return  # whatever else such a bundle says, it is not to be believed
    bundle = store.release(name, number) / BUNDLE
    try:
        provenance = read_manifest(bundle).provenance
    except (OSError, ManifestError):
        return  # named above
    trained = provenance.job_type if provenance else None
    if trained is not None and trained not in PROMOTABLE_JOB_TYPES:
        yield Blocker("lane_not_promotable", f"its bundle was trained as {trained}, which is never promoted")
    # The config's consent may have been given after this release, anew; the release stands on its own.
    mark = consent.read_revocation(store, name)
    problem = consent.carried_problem(bundle / CONSENT_NAME, today, voice_id=name, revocation=mark)
    if problem is not None:
        yield Blocker("consent_missing", problem)
    yield from gate.judge_release(project, bundle, today)
    trusted = signing.verification_key(store=store)
    if trusted is not None:
        for fault in signing.attestation_problems(bundle, trusted, validated=True):
            yield Blocker("verification_failed", str(fault))
