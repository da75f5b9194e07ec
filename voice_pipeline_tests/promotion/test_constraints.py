"""The pack's rules, on the evidence of a voice that may be promoted, spoilt in one way after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voice_pipeline.failures import Blocker
from voice_pipeline.promotion.constraints import PACK_VERSION, Constraint, certified, evaluate
from voice_pipeline.promotion.decision import decide
from voice_pipeline.promotion.evidence import Clock, Evidence, collect
from voice_pipeline.promotion.rules import PACK
from voice_pipeline.store import canonical_json
from voice_pipeline_tests.conftest import PROJECT
from voice_pipeline_tests.ready_voice import TODAY, TRAINED, ReadyVoice

pytestmark = pytest.mark.evaluation

Spoil = Callable[[Evidence], Evidence]
OTHER = "0" * 64


@pytest.fixture(scope="module")
def good(ready_voice: ReadyVoice) -> Evidence:
    return collect(ready_voice.project, ready_voice.voice, ready_voice.store, ready_voice.bundle, today=TODAY)


def within(*path: str, **changes: Any) -> Spoil:
    """Change fields of what lies at ``path``, dataclass or pydantic model."""

    def changed(value: Any, names: tuple[str, ...]) -> Any:
        inner = {names[0]: changed(getattr(value, names[0]), names[1:])} if names else changes
        return value.model_copy(update=inner) if hasattr(value, "model_copy") else replace(value, **inner)

    return lambda evidence: changed(evidence, path)  # type: ignore[no-any-return]


def slow(evidence: Evidence) -> Evidence:
    record = evidence.evaluation.record
    assert record is not None
    return within("evaluation", "record", timing=record.timing.model_copy(update={"real_time_factor": 9.0}))(evidence)


def metric(**figures: float) -> Spoil:
    def spoil(evidence: Evidence) -> Evidence:
        assert evidence.evaluation.evaluation is not None
        metrics = {**evidence.evaluation.evaluation.metrics, **figures}
        return within("evaluation", "evaluation", metrics=metrics)(evidence)

    return spoil


NOT_EVALUATED = within("evaluation", evaluation=None, sha256=None, faults=("the bundle was not evaluated",))
NO_BUNDLE = within("bundle", manifest=None, problems=("manifest_missing: manifest.json: no such file",))

# For each HARD rule: what makes it fail, and what makes it unknown (None: what it reads is always there).
SPOILT: dict[str, tuple[Spoil | None, Spoil | None]] = {
    "lane.production": (within("voice", lane="experimental"), None),
    "lane.agrees": (
        within("dataset", "record", job_type="tts_prod_train"),
        within("bundle", "manifest", "provenance", job_type=None),
    ),
    "clock.not_set_back": (
        within("clock", today=TRAINED.date() - timedelta(days=2)),
        within("clock", fault="the registry is damaged"),
    ),
    "recordings.found": (within(source_blocker=Blocker("missing_audio_path", "no such folder")), None),
    "recordings.preflight": (within("preflight", sha256=OTHER), within(preflight=None)),
    "consent.valid": (within(consent=(Blocker("consent_missing", "revoked"),)), None),
    "dataset.manifest": (within("dataset", manifest_sha256=OTHER), within(dataset=None)),
    "dataset.source": (within("dataset", "record", source_sha256=OTHER), within(preflight=None)),
    "dataset.splits": (within("dataset", "record", validation_count=0), within(dataset=None)),
    "dataset.gates": (within("dataset", blockers=(Blocker("split_leak", "one"),)), within(dataset=None)),
    "training.identity": (within("training", identity=OTHER), within("training", spec=None)),
    "training.features": (within("training", features_fault="other clips"), within("training", spec=None)),
    "training.fastpitch": (within("training", fastpitch_sha256=OTHER), within("training", fastpitch_sha256=None)),
    "training.hifigan": (within("training", hifigan_sha256=OTHER), within(training=None)),
    "training.completed": (within("status", status="running"), within(status=None)),
    "training.loss": (within("status", loss=math.nan), within(status=None)),
    "bundle.whole": (within("bundle", problems=("unlisted_file: x: not listed",)), None),
    "bundle.built": (within("bundle", content_digest=OTHER), within("bundle", record=None)),
    "bundle.models": (within("training", hifigan_sha256=OTHER), NO_BUNDLE),
    "provenance.config": (within(config_sha256=OTHER), within("bundle", "manifest", provenance=None)),
    "provenance.dataset": (within("bundle", "manifest", "provenance", dataset_sha256=OTHER), NO_BUNDLE),
    "provenance.training": (within("bundle", "manifest", "provenance", seed=77), within(training=None)),
    "license.allowed": (within("licences", blockers=("license_unclear: somebody/else",)), None),
    "license.packages": (
        within("licences", blockers=("license_unclear: GPL",), package_blockers=("license_unclear: GPL",)),
        None,
    ),
    "license.documents": (
        within("licences", blockers=("bundle_invalid: NOTICE",), document_blockers=("bundle_invalid: NOTICE",)),
        None,
    ),
    "evaluation.consistent": (within("evaluation", faults=("edited",)), NOT_EVALUATED),
    "evaluation.recorded": (within("evaluation", sha256=OTHER), within("evaluation", record=None)),
    "evaluation.bundle": (within("evaluation", "record", content_digest=OTHER), NOT_EVALUATED),
    "quality.max_wer": (metric(wer=0.5), NOT_EVALUATED),
    "quality.max_wer_above_recordings": (metric(wer_above_recordings=0.5), NOT_EVALUATED),
    "quality.max_cer": (metric(cer=0.5), NOT_EVALUATED),
    "quality.min_words": (metric(words=3.0), NOT_EVALUATED),
    "quality.max_clipping_share": (metric(clipping_share=0.5), NOT_EVALUATED),
    "quality.max_silence_share": (metric(silence_share=0.9), NOT_EVALUATED),
    "quality.max_edge_silence_seconds": (metric(edge_silence_seconds=4.0), NOT_EVALUATED),
    "quality.max_real_time_factor": (slow, within("evaluation", record=None)),
}
ALL_SPOILS = [spoil for pair in SPOILT.values() for spoil in pair if spoil is not None]


def by_id(evidence: Evidence) -> dict[str, Constraint]:
    return {one.id: one for one in evaluate(evidence)}


def test_every_hard_rule_is_tried() -> None:
    assert list(SPOILT) == [rule.id for rule in PACK if rule.severity == "HARD"]
    assert len({rule.id for rule in PACK}) == len(PACK)


def test_a_good_voice_passes_every_hard_rule(good: Evidence) -> None:
    assert [one for one in evaluate(good) if one.blocks] == []
    assert decide(good).go
    assert all(one.detail == "" for one in evaluate(good) if one.status == "pass")


@pytest.mark.parametrize("rule", SPOILT)
def test_a_rule_fails_on_what_contradicts_it(good: Evidence, rule: str) -> None:
    spoil = SPOILT[rule][0]
    assert spoil is not None
    found = by_id(spoil(good))[rule]
    assert found.status == "fail"
    assert found.blockers
    assert found.detail
    assert not decide(spoil(good)).go


@pytest.mark.parametrize("rule", [rule for rule, pair in SPOILT.items() if pair[1] is not None])
def test_a_rule_without_its_evidence_is_unknown_and_blocks(good: Evidence, rule: str) -> None:
    spoil = SPOILT[rule][1]
    assert spoil is not None
    found = by_id(spoil(good))[rule]
    assert (found.status, found.blocks) == ("unknown", True)
    assert found.blockers
    assert not decide(spoil(good)).go


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.sampled_from(range(len(ALL_SPOILS))), max_size=6))
def test_go_is_no_failed_and_no_unknown_hard_constraint(good: Evidence, chosen: list[int]) -> None:
    evidence = good
    for number in chosen:
        try:
            evidence = ALL_SPOILS[number](evidence)
        except (AssertionError, AttributeError, TypeError):
            continue  # what it would spoil is gone already
    decision = decide(evidence)
    hard = [one.status for one in decision.constraints if one.severity == "HARD"]
    assert decision.go == all(status == "pass" for status in hard) == (decision.blockers == ())
    assert decision.go == (evidence == good)
    canonical_json(certified(decision.constraints))  # finite numbers and plain values only
    assert [str(blocker) for blocker in decision.blockers] == list(dict.fromkeys(map(str, decision.blockers)))


def test_nothing_at_all_is_known_about_a_voice(good: Evidence) -> None:
    nothing = replace(good, preflight=None, dataset=None, training=None, status=None)
    evidence = NOT_EVALUATED(NO_BUNDLE(nothing))
    decision = decide(evidence)
    assert {one.status for one in decision.constraints if one.id.startswith(("dataset.", "training.", "quality."))} == {
        "unknown"
    }
    assert len(decision.blockers) < 10  # each thing that is missing is said once


# -- clock ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "status"), [(0, "pass"), (1, "pass"), (2, "fail")])
def test_a_day_of_grace_for_the_time_zone(good: Evidence, days: int, status: str) -> None:
    clock = Clock(TODAY, TODAY + timedelta(days=days), "its training's status")
    found = by_id(replace(good, clock=clock))["clock.not_set_back"]
    assert found.status == status
    if status == "fail":
        assert str(TODAY) in found.detail
        assert str(TODAY + timedelta(days=days)) in found.detail
        assert "its training's status" in found.detail


def test_the_status_of_a_training_proves_a_day(good: Evidence) -> None:
    assert (good.clock.newest, good.clock.what) == (TRAINED.date(), "its training's status")


# -- what the certificate binds ------------------------------------------------------------------------


def test_the_speed_is_bound_by_its_status_only(good: Evidence) -> None:
    record = good.evaluation.record
    assert record is not None
    faster = record.timing.model_copy(update={"real_time_factor": record.timing.real_time_factor / 2})
    other = within("evaluation", "record", timing=faster)(good)
    assert certified(evaluate(other)) == certified(evaluate(good))
    assert certified(evaluate(slow(good))) != certified(evaluate(good))
    bound = next(one for one in certified(evaluate(good)) if one["id"] == "quality.max_real_time_factor")
    assert (bound["value"], bound["limit"]) == (None, 0.7)
    assert by_id(good)["quality.max_real_time_factor"].value == record.timing.real_time_factor


def test_a_later_day_changes_nothing_that_is_bound(good: Evidence) -> None:
    later = replace(good, clock=replace(good.clock, today=date(2026, 12, 31)))
    assert by_id(good)["consent.lasts"].status == "pass"
    assert by_id(later)["consent.lasts"].status == "fail"
    assert certified(evaluate(later)) == certified(evaluate(good))


def test_soft_rules_are_shown_and_block_nothing(good: Evidence) -> None:
    eased = within("voice", gates={"max_wer": 0.3, "max_cer": 0.2})(good)
    found = by_id(eased)["gates.own"]
    assert (found.status, found.value, found.blocks) == ("fail", "max_cer=0.2, max_wer=0.3", False)
    assert decide(eased).go
    assert certified(evaluate(eased)) != certified(evaluate(good))


def test_changed_licence_facts_are_shown(good: Evidence) -> None:
    changed = within("licences", changes=("x: weights_license was MIT, is CC0-1.0",))(good)
    found = by_id(changed)["license.changes"]
    assert (found.status, found.value, found.detail) == ("fail", 1, "x: weights_license was MIT, is CC0-1.0")
    assert certified(evaluate(changed)) == certified(evaluate(good))


def test_a_bundle_of_the_experimental_lane_is_refused_whatever_the_config_says(good: Evidence) -> None:
    renamed = within("bundle", "manifest", "provenance", job_type="tts_voice_train")(good)
    first = str(decide(renamed).blockers[0])
    assert first.startswith("lane_not_promotable: the bundle's provenance says tts_voice_train")


def test_a_rule_that_blocks_without_a_reason_is_a_defect() -> None:
    with pytest.raises(ValueError, match="names no blocker"):
        Constraint("some.rule", "HARD", "unknown", None, None, "")


# -- documentation -------------------------------------------------------------------------------------


def test_the_documented_table_is_the_pack() -> None:
    from voice_pipeline.promotion.verification import ASKED_RULES

    text = (PROJECT / "docs/verification.md").read_text(encoding="utf-8")
    assert f"version {PACK_VERSION}" in text
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    rows = [tuple(row) for row in cells if len(row) == 3 and row[1] in ("HARD", "SOFT")]
    expected = [(f"`{rule.id}`", rule.severity, rule.meaning) for rule in PACK]
    expected += [(f"`{rule}`", "HARD", meaning) for rule, meaning in ASKED_RULES.items()]
    assert rows == expected
