"""The SOFT rules: nothing that blocks, but what a person should look at before a voice goes out."""

from __future__ import annotations

from datetime import timedelta

from voice_pipeline.promotion.constraints import Finding, Rule
from voice_pipeline.promotion.evidence import Evidence

CONSENT_DAYS = 90  # long enough to ask the speaker again, and to train anew


def _look(worth: bool, value: str | None, limit: str | int | None, detail: str) -> Finding:
    return Finding("fail" if worth else "pass", value, limit, detail if worth else "")


def _overrides(values: dict[str, float]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in sorted(values.items())) or "none"


def _gates_own(evidence: Evidence) -> Finding:
    own = evidence.voice.gates
    detail = "the voice's config sets gates of its own: are they still what listeners can bear?"
    return _look(bool(own), _overrides(own), "none", detail)


def _dataset_gates_own(evidence: Evidence) -> Finding:
    own = evidence.voice.dataset_gates
    detail = "the voice's config sets dataset gates of its own: is the dataset still good enough?"
    return _look(bool(own), _overrides(own), "none", detail)


def _commit(evidence: Evidence) -> Finding:
    provenance = evidence.bundle.manifest.provenance if evidence.bundle.manifest else None
    if provenance is None:
        return Finding("unknown", limit="a commit", detail="the bundle names no commit")
    loose = provenance.commit == "unknown" or provenance.commit.endswith("-dirty")
    detail = "the code that built the bundle cannot be found again by its commit"
    return _look(loose, provenance.commit, "a commit", detail)


def _licence_changes(evidence: Evidence) -> Finding:
    changes = evidence.licences.changes
    return Finding("fail" if changes else "pass", len(changes), 0, "; ".join(changes))


def _consent_ends(evidence: Evidence) -> Finding:
    ends = evidence.voice.consent.expires_on
    soon = ends is not None and ends - evidence.clock.today <= timedelta(days=CONSENT_DAYS)
    return _look(
        soon, ends.isoformat() if ends else None, CONSENT_DAYS, f"the consent ends on {ends}: ask the speaker in time"
    )


SOFT_RULES = (
    Rule("gates.own", "SOFT", "The voice's config overrides no gate.", _gates_own),
    Rule("dataset_gates.own", "SOFT", "The voice's config overrides no gate of the dataset.", _dataset_gates_own),
    Rule("provenance.commit", "SOFT", "The code's commit is known, and its tree had no changes.", _commit),
    Rule("license.changes", "SOFT", "No licence facts changed for the same bytes.", _licence_changes, "nothing"),
    Rule("consent.lasts", "SOFT", "The consent holds for 90 more days.", _consent_ends, "nothing"),
)
