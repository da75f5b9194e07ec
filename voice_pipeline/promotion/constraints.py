"""The constraint pack ``voice-promotion``: every rule of the promotion decision, each with what it found.

    constraints = evaluate(evidence)
    [one for one in constraints if one.blocks]      # () <=> the bundle may be promoted

A rule is a pure function of evidence. What is missing is ``unknown``, and blocks like a failure. The rules are in
``rules``; docs/verification.md has them as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from voice_pipeline.failures import Blocker
from voice_pipeline.promotion.evidence import Evidence

PACK_ID = "voice-promotion"
PACK_VERSION = "1"

Severity = Literal["HARD", "SOFT"]
Status = Literal["pass", "fail", "unknown"]
Value = str | float | int | None


@dataclass(frozen=True)
class Finding:
    """What one rule found. ``blockers`` say it for a person; a HARD rule that does not pass has at least one."""

    status: Status
    value: Value = None
    limit: Value = None
    detail: str = ""
    blockers: tuple[Blocker, ...] = ()


@dataclass(frozen=True)
class Rule:
    """One rule of the pack. ``hashed`` says what of its finding the certificate binds.

    ``all``: status, value and limit. ``status``: the value varies from run to run, so that only status and limit are.
    ``nothing``: the status too would change while the evidence does not, with the days that pass; SOFT ones only.
    """

    id: str
    severity: Severity
    meaning: str
    check: Callable[[Evidence], Finding]
    hashed: Literal["all", "status", "nothing"] = "all"


@dataclass(frozen=True)
class Constraint:
    """A rule and what it found."""

    id: str
    severity: Severity
    status: Status
    value: Value
    limit: Value
    detail: str
    blockers: tuple[Blocker, ...] = ()
    hashed: Literal["all", "status", "nothing"] = "all"

    def __post_init__(self) -> None:
        if self.blocks and not self.blockers:
            raise ValueError(f"{self.id} does not pass, and names no blocker")

    @property
    def blocks(self) -> bool:
        """Whether it stands in the way of a promotion."""
        return self.severity == "HARD" and self.status != "pass"

    def to_json(self) -> dict[str, Any]:
        """All of it, for people."""
        return {**self.certified(), "value": self.value, "detail": self.detail}

    def certified(self) -> dict[str, Any]:
        """The five fields of the contract, as the certificate binds them."""
        return {
            "id": self.id,
            "severity": self.severity,
            "status": self.status,
            "value": self.value if self.hashed == "all" else None,
            "limit": self.limit,
        }


def evaluate(evidence: Evidence) -> tuple[Constraint, ...]:
    """What every rule of the pack finds, in the order of the data's path."""
    from voice_pipeline.promotion.rules import PACK

    return tuple(constraint(rule, rule.check(evidence)) for rule in PACK)


def constraint(rule: Rule, found: Finding) -> Constraint:
    """A rule with its finding; where the finding has no words, its blockers have."""
    detail = found.detail or "; ".join(blocker.detail for blocker in found.blockers)
    return Constraint(
        rule.id, rule.severity, found.status, found.value, found.limit, detail, found.blockers, rule.hashed
    )


def certified(constraints: Iterable[Constraint]) -> list[dict[str, Any]]:
    """What the certificate binds of them."""
    return [one.certified() for one in constraints if one.hashed != "nothing"]


# -- how rules say what they found -----------------------------------------------------------------


def judged(blockers: Iterable[Blocker], value: Value = None, limit: Value = None) -> Finding:
    """Pass without blockers, fail with some."""
    found = tuple(dict.fromkeys(blockers))
    return Finding("fail" if found else "pass", value, limit, blockers=found)


def unknown(blocker: Blocker, limit: Value = None) -> Finding:
    """The evidence is missing."""
    return Finding("unknown", limit=limit, blockers=(blocker,))


def mismatch(detail: str) -> Blocker:
    """Two pieces of evidence contradict each other, or one is missing."""
    return Blocker("verification_failed", detail)
