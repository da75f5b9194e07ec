"""May this bundle be shipped? A pure function of evidence: no file is read here, no clock is asked.

    decision = decide(evidence)
    decision.go, decision.blockers, decision.constraints

The rules are those of the constraint pack ``voice-promotion``: GO means that no HARD constraint failed or is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from voice_pipeline.failures import Blocker
from voice_pipeline.promotion.constraints import Constraint, evaluate
from voice_pipeline.promotion.evidence import Evidence

SCHEMA = "promotion_decision/2"


@dataclass(frozen=True)
class Decision:
    """GO, or NO-GO with every blocker in the order of the data's path."""

    constraints: tuple[Constraint, ...]
    evidence: Evidence

    @property
    def go(self) -> bool:
        """Whether the bundle may be promoted."""
        return not any(one.blocks for one in self.constraints)

    @property
    def blockers(self) -> tuple[Blocker, ...]:
        """Everything that stands in the way, each said once; () for a GO."""
        return tuple(dict.fromkeys(blocker for one in self.constraints if one.blocks for blocker in one.blockers))

    def to_json(self) -> dict[str, Any]:
        """decision.json: holds no clock time, host or path, so that the same evidence gives the same bytes."""
        evidence, voice = self.evidence, self.evidence.voice
        training, evaluation = evidence.training, evidence.evaluation.evaluation
        return {
            "schema": SCHEMA,
            "voice_profile_id": voice.voice_profile_id,
            "job_type": voice.job_type,
            "go": self.go,
            "blockers": [str(blocker) for blocker in self.blockers],
            "evidence": {
                "source_sha256": evidence.source_sha256,
                "config_sha256": evidence.config_sha256,
                "dataset_sha256": evidence.dataset.manifest_sha256 if evidence.dataset else None,
                "training_identity": training.identity if training else None,
                "fastpitch_sha256": training.fastpitch_sha256 if training else None,
                "hifigan_sha256": training.hifigan_sha256 if training else None,
                "content_digest": evidence.bundle.content_digest,
                "evaluation_sha256": evidence.evaluation.sha256,
                "evaluation_digest": evaluation.digest if evaluation else None,
                "license_identity": evidence.license_identity,
            },
            "metrics": evidence.figures(),
            "gates": evidence.gates.model_dump(mode="json"),
            "gate_overrides": dict(sorted(voice.gates.items())),
        }


def decide(evidence: Evidence, also: Iterable[Constraint] = ()) -> Decision:
    """The decision on one collection of evidence, and on constraints ``also`` found outside of it."""
    return Decision((*evaluate(evidence), *also), evidence)
