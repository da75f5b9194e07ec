"""The rules on the evaluation: that it is this bundle's, unedited, and that every figure is within its gate."""

from __future__ import annotations

from functools import partial

from voice_pipeline.evaluation.gates import Gates, judge
from voice_pipeline.failures import Blocker
from voice_pipeline.promotion.constraints import Finding, Rule, judged, mismatch, unknown
from voice_pipeline.promotion.evidence import Evidence

_SHOWN = 3  # faults of an evaluation that are named
_VARYING = frozenset({"max_real_time_factor"})  # figures that differ from run to run
_NO_RECORD = mismatch("there is no record of voice_evaluation")
MEANINGS = {
    "max_wer": "Word error rate of what the voice says.",
    "max_wer_above_recordings": "How much worse the voice is understood than its recordings.",
    "max_cer": "Character error rate of what the voice says.",
    "min_words": "Words that the rates are computed on.",
    "max_clipping_share": "Share of samples at full scale.",
    "max_silence_share": "Share of silent frames.",
    "max_edge_silence_seconds": "Longest silence at the start or end of a sentence, in seconds.",
    "max_real_time_factor": "Seconds of computing per second of speech; its value varies and is not certified.",
}


def _faults(evidence: Evidence) -> tuple[Blocker, ...]:
    return tuple(mismatch(f"evaluation: {fault}") for fault in evidence.evaluation.faults[:_SHOWN])


def _not_evaluated(evidence: Evidence) -> Blocker:
    return next(iter(_faults(evidence)), mismatch("evaluation: the bundle was not evaluated"))


def _consistent(evidence: Evidence) -> Finding:
    found = evidence.evaluation
    if found.evaluation is None:
        return unknown(_not_evaluated(evidence))
    return judged(_faults(evidence), found.evaluation.digest)


def _recorded(evidence: Evidence) -> Finding:
    found = evidence.evaluation
    if found.evaluation is None:
        return unknown(_not_evaluated(evidence))
    if found.record is None:
        return unknown(_NO_RECORD)
    same = found.record.evaluation_sha256 == found.sha256
    edited = mismatch("the bundle's evaluation is not the one that voice_evaluation wrote")
    return judged(() if same else [edited], found.sha256, found.record.evaluation_sha256)


def _of_this_bundle(evidence: Evidence) -> Finding:
    found = evidence.evaluation
    if found.evaluation is None:
        return unknown(_not_evaluated(evidence))
    blockers = []
    judged_digests = {found.evaluation.content_digest, *([found.record.content_digest] if found.record else [])}
    if judged_digests != {evidence.bundle.content_digest}:
        blockers.append(mismatch("the evaluation judged another bundle"))
    if found.evaluation.voice_profile_id != evidence.voice.voice_profile_id:
        blockers.append(mismatch("the evaluation is of another voice"))
    return judged(blockers, found.evaluation.content_digest, evidence.bundle.content_digest)


def _gate(gate: str, evidence: Evidence) -> Finding:
    """One figure against its limit; the metric is the gate's name without ``max_`` or ``min_``."""
    metric = gate.removeprefix("max_").removeprefix("min_")
    limit = getattr(evidence.gates, gate)
    if evidence.evaluation.evaluation is None:
        return unknown(_not_evaluated(evidence), limit)
    metrics = evidence.metrics()
    failed = [one for one in judge(metrics, evidence.gates) if one.metric == metric]
    blockers = tuple(Blocker("quality_below_threshold", str(one)) for one in failed)
    if metric not in metrics:
        return Finding("unknown", limit=limit, blockers=blockers)
    return judged(blockers, metrics[metric], limit)


EVALUATION_RULES = (
    Rule("evaluation.consistent", "HARD", "Its figures follow from its sentences, sounds and dataset.", _consistent),
    Rule("evaluation.recorded", "HARD", "It is the one that voice_evaluation wrote.", _recorded),
    Rule("evaluation.bundle", "HARD", "It judged exactly this bundle.", _of_this_bundle),
)
QUALITY_RULES = tuple(
    Rule(f"quality.{gate}", "HARD", MEANINGS[gate], partial(_gate, gate), "status" if gate in _VARYING else "all")
    for gate in Gates.model_fields
)
