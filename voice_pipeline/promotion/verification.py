"""Verify a voice: decide over its stored evidence, certify it, and add one line to the training trace.

    found = verify(project, voice, store)
    found.go, found.certificate.status, found.result

What a client claims about a voice is compared with the evidence and never replaces it. Another adapter can be asked
too; then its PASS is one more constraint.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from voice_pipeline import clock
from voice_pipeline.atomic import exclusive, read_json, write_json
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.promotion import trace
from voice_pipeline.promotion.asking import AdapterUnreachable, ask
from voice_pipeline.promotion.certificate import (
    Certificate,
    EvidenceFiles,
    certificate_hash,
    certify,
    content_of,
    integrity_faults,
    stored_evidence,
)
from voice_pipeline.promotion.constraints import (
    PACK_ID,
    PACK_VERSION,
    Constraint,
    Finding,
    Rule,
    Status,
    constraint,
    judged,
    mismatch,
)
from voice_pipeline.promotion.decision import Decision, decide
from voice_pipeline.promotion.evidence import Evidence, collect
from voice_pipeline.store import Store
from voice_pipeline.voice import Voice

EVIDENCE = "evidence.json"
CERTIFICATE = "certificate.json"
RESULT = "result.json"
_WAIT = 300.0  # seconds; another verification of the same voice hashes some 300 MB
_SAME = 1e-6  # relative difference up to which a client's figure is the stored one


@dataclass(frozen=True)
class Verification:
    """What a verification came to. ``result`` is the JSON object of CONTRACTS 10."""

    result: Mapping[str, Any]
    decision: Decision
    certificate: Certificate

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Every constraint, with what it found."""
        return self.decision.constraints

    @property
    def go(self) -> bool:
        """PASS: no HARD constraint failed or is unknown, and the evidence is still what was certified."""
        return self.decision.go and self.certificate.status == "GREEN"


def verify(
    project: Path,
    voice: Voice,
    store: Store,
    bundle_folder: Path | None = None,
    *,
    today: date | None = None,
    trace_id: str | None = None,
    source: str = "cli",
    given: Mapping[str, Any] | None = None,
    adapter_url: str | None = None,
) -> Verification:
    """Verify the bundle in ``bundle_folder``, by default the voice's newest, for ``today``.

    Writes ``store.verification(voice)/{evidence,certificate,result}.json`` and one line of the trace, for a PASS and a
    FAIL alike. ``given`` are figures that a client claims; ``adapter_url`` is another adapter whose PASS is needed.
    Raises ConfigError for a wrong gates, policy or allowlist file or a wrong URL, VoiceFailure ``disk_full``,
    ``permission_denied``, ``voice_busy``.
    """
    name = voice.voice_profile_id
    folder, bundle = store.verification(name), bundle_folder or store.bundle(name)
    trace_id = trace_id or f"adapter:{uuid.uuid4().hex}"
    evidence = collect(project, voice, store, bundle, today=today or clock.today())
    also = [_claims(evidence, given or {})]
    if adapter_url is not None:  # outside the lock: the other adapter may be one of this very store
        also.append(_adapter(adapter_url, voice, decide(evidence, also), trace_id))
    with exclusive(folder / ".lock", voice=name, wait=_WAIT, doing="verifying"):
        decision = decide(evidence, also)
        before = _figures_before(folder / EVIDENCE)
        certificate, faults = _certify(EvidenceFiles(store, name, bundle), folder / EVIDENCE, decision)
        if faults:
            decision = decide(evidence, (*also, _integrity(faults)))
        entry = trace.append(store, _entry(decision, certificate, before, trace_id, source, given or {}))
        result = _result(decision, certificate, entry)
        write_json(folder / CERTIFICATE, certificate.to_json())
        write_json(folder / RESULT, result)
    return Verification(result, decision, certificate)


def _certify(files: EvidenceFiles, path: Path, decision: Decision) -> tuple[Certificate, tuple[str, ...]]:
    """Store the evidence, then look at what is on the disk."""
    content = content_of(decision)
    write_json(path, stored_evidence(files, decision))
    faults = integrity_faults(path, certificate_hash(content), files)
    return certify(content, green=decision.go, integrity_ok=not faults), faults


def _integrity(faults: tuple[str, ...]) -> Constraint:
    rule = Rule("evidence.integrity", "HARD", "", lambda evidence: Finding("fail"), "nothing")
    return constraint(rule, judged((mismatch(fault) for fault in faults), len(faults), 0))


# -- what others say -------------------------------------------------------------------------------

CLAIMS_RULE = "metrics.match"
ADAPTER_RULE = "adapter.pass"
ASKED_RULES = {
    CLAIMS_RULE: "No figure that a client claims contradicts the evidence.",
    ADAPTER_RULE: "The other adapter that was asked says PASS; only there when one was asked.",
}


def _claims(evidence: Evidence, given: Mapping[str, Any]) -> Constraint:
    known = _known(evidence)
    wrong = [
        mismatch(f"the client says that {key} is {str(value)[:40]}, the evidence says {known[key]:.6g}")
        for key, value in sorted(given.items())
        if key in known and not _same(value, known[key])
    ]
    rule = Rule(CLAIMS_RULE, "HARD", ASKED_RULES[CLAIMS_RULE], lambda evidence: Finding("pass"))
    return constraint(rule, judged(wrong, len(wrong), 0))


def _known(evidence: Evidence) -> dict[str, float]:
    """Every figure of the evidence that a client may know too."""
    return {**evidence.figures(), **evidence.metrics()}


def _same(claimed: object, known: float) -> bool:
    if isinstance(claimed, bool) or not isinstance(claimed, int | float):
        return False
    return math.isclose(claimed, known, rel_tol=_SAME, abs_tol=1e-9)


def _adapter(url: str, voice: Voice, decision: Decision, trace_id: str) -> Constraint:
    """What the other adapter says of the same evidence, before it is certified."""
    certificate = certify(content_of(decision), green=decision.go, integrity_ok=True)
    rule = Rule(ADAPTER_RULE, "HARD", ASKED_RULES[ADAPTER_RULE], lambda evidence: Finding("pass"))
    try:
        ask(url, voice.voice_profile_id, certificate, trace_id=trace_id)
    except VoiceFailure as failure:
        status: Status = "unknown" if isinstance(failure, AdapterUnreachable) else "fail"
        where = f"{failure.file}: " if failure.file else ""
        return constraint(rule, Finding(status, None, "PASS", blockers=(mismatch(f"{where}{failure.detail}"),)))
    return constraint(rule, Finding("pass", None, "PASS"))


# -- trace and result ------------------------------------------------------------------------------


def _figures_before(path: Path) -> dict[str, Any]:
    """The figures of the voice's previous verification; {} where there was none that can be read."""
    try:
        metrics = read_json(path)["metrics"]
        return dict(metrics)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _deltas(before: Mapping[str, Any], now: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    for key in sorted({*before, *now} if before else ()):
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (old, new))
        yield {"key": key, "from": old, "to": new, "delta": round(new - old, 9) if numbers else None}  # type: ignore[operator]


def _entry(
    decision: Decision,
    certificate: Certificate,
    before: Mapping[str, Any],
    trace_id: str,
    source: str,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    evidence = decision.evidence
    passed = decision.go and certificate.status == "GREEN"
    entry: dict[str, Any] = {
        "kind": "training-trace",
        "version": 1,
        "traceId": trace_id,
        "source": source,
        "voice_profile_id": evidence.voice.voice_profile_id,
        "signal": {
            "kind": "constraint-pack",
            "proxy": certificate.content["proxy"],
            "ladder": {
                "tier": "certified" if passed else "diagnostic",
                "policy": PACK_ID,
                "policyVersion": PACK_VERSION,
            },
        },
        "pass": passed,
        "deltas": list(_deltas(before, evidence.figures())),
        "metrics": evidence.figures(),
        "certificate": certificate.summary(),
    }
    first = next((one for one in decision.constraints if one.blocks), None)
    if first is not None:
        entry["firstFail"] = first.to_json()
    unknown = sorted(str(key)[:100] for key in given if key not in _known(evidence))
    if unknown:
        entry["notes"] = [f"not a figure of the evidence, and not looked at: {key}" for key in unknown[:_NOTED]]
    return entry


_NOTED = 20  # unknown names that a trace's line mentions


def _result(decision: Decision, certificate: Certificate, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "traceId": entry["traceId"],
        "runId": str(entry["seq"]),
        "verdict": "PASS" if entry["pass"] else "FAIL",
        "pass": entry["pass"],
        "firstFail": entry.get("firstFail"),
        "deltas": entry["deltas"],
        "certificate": certificate.summary(),
        "artifacts": [{"kind": "training-trace-export", "ref": trace.EXPORT_ROUTE}],
        "voice_profile_id": entry["voice_profile_id"],
        "constraints": [one.to_json() for one in decision.constraints],
        "blockers": [str(blocker) for blocker in decision.blockers],
        "notes": entry.get("notes", []),
    }
