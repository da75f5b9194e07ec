"""Licences as manifests write them, and the decision that a reading of their texts gives."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from license_expression import get_spdx_licensing

from voice_pipeline.failures import ConfigError
from voice_pipeline.licensing.policy import POLICY_PATH, Policy, load_policy

PROJECT = Path(__file__).parents[2]


@cache
def loaded() -> Policy:
    return load_policy(PROJECT)


@pytest.fixture
def policy() -> Policy:
    return loaded()


CASES = [
    # one licence
    ("Apache-2.0", "allowed"),
    ("apache-2.0", "allowed"),  # SPDX ids are compared without case
    ("MIT", "allowed"),
    ("BSD-3-Clause", "allowed"),
    ("CC0-1.0", "allowed"),
    ("CC-BY-4.0", "allowed"),
    ("CC-BY-SA-3.0", "allowed"),
    ("LicenseRef-NVIDIA-Open-Model-License", "allowed"),
    ("CC-BY-NC-4.0", "forbidden"),
    ("CC-BY-NC-SA-4.0", "forbidden"),
    ("CC-BY-NC-ND-4.0", "forbidden"),
    ("CC-BY-ND-4.0", "forbidden"),
    ("LicenseRef-Coqui-Public-Model-License-1.0.0", "forbidden"),
    ("LicenseRef-Research-Only", "forbidden"),
    ("GPL-3.0-only", "unclear"),
    ("GPL-3.0+", "unclear"),
    ("AGPL-3.0-or-later", "unclear"),
    ("LicenseRef-BigScience-OpenRAIL-M", "unclear"),
    ("LicenseRef-Llama-Community", "unclear"),
    ("LicenseRef-NGC-Terms-Of-Use", "unclear"),
    ("AFL-3.0", "unclear"),  # in SPDX, not in the policy
    ("LicenseRef-Somebody", "unclear"),
    ("LicenseRef-MIT-Bootstrap", "unclear"),  # which the parser's own table takes for MIT
    # expressions
    ("MIT OR CC-BY-NC-4.0", "allowed"),
    ("CC-BY-NC-4.0 OR GPL-3.0-only", "unclear"),
    ("MIT AND CC-BY-NC-4.0", "forbidden"),
    ("MIT AND GPL-3.0-only", "unclear"),
    ("MIT AND (BSD-3-Clause OR CC-BY-NC-4.0)", "allowed"),
    ("MIT AND BSD-3-Clause OR CC-BY-NC-4.0", "allowed"),  # AND binds stronger
    ("CC-BY-NC-4.0 AND (MIT OR Apache-2.0)", "forbidden"),
    ("Apache-2.0 WITH LLVM-exception", "allowed"),
    ("GPL-2.0-only WITH Classpath-exception-2.0", "unclear"),
    ("LicenseRef-Research-Only AND LicenseRef-Somebody", "forbidden"),  # whatever the other says
    # what is no expression
    ("", "unclear"),
    ("   ", "unclear"),
    ("()", "unclear"),
    ("MIT OR", "unclear"),
    ("(MIT", "unclear"),
    ("MIT WITH Apache-2.0", "unclear"),
    ("MIT/Apache-2.0", "unclear"),
    ("NONE", "unclear"),
    ("NOASSERTION", "unclear"),
    ("Unknown", "unclear"),
    ("see the website", "unclear"),
    ("MIT AND " * 100 + "MIT", "unclear"),
]


@pytest.mark.parametrize(("expression", "verdict"), CASES)
def test_verdict(policy: Policy, expression: str, verdict: str) -> None:
    decision = policy.decide(expression)
    assert decision.verdict == verdict
    assert decision.reason


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("apache 2.0", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("MIT License", "MIT"),
        ("CPML", "LicenseRef-Coqui-Public-Model-License-1.0.0"),
        ("CC BY-NC 4.0", "CC-BY-NC-4.0"),
        ("openrail", "LicenseRef-BigScience-OpenRAIL-M"),
        ("GPL 2.0", "GPL-2.0-only"),
        ("MIT/Apache-2.0", None),
        ("Unknown", None),
    ],
)
def test_a_name_is_answered_with_the_id_to_write(policy: Policy, written: str, meant: str | None) -> None:
    decision = policy.decide(written)
    assert (decision.verdict, decision.suggestion) == ("unclear", meant)
    if meant:
        assert f"did you mean {meant}?" in decision.reason


def test_duties_are_those_of_what_is_chosen(policy: Policy) -> None:
    choice = policy.decide("CC-BY-SA-4.0 OR CC0-1.0")
    assert (choice.attribution, choice.share_alike) == (False, False)  # of two that are as good the one with fewer
    both = policy.decide("CC0-1.0 AND CC-BY-SA-4.0")
    assert (both.attribution, both.share_alike, both.redistribution) == (True, True, True)
    assert not policy.decide("LicenseRef-Proprietary-Own-Recording").redistribution


def test_reasons_name_the_licence_and_a_link(policy: Policy) -> None:
    reason = policy.decide("MIT AND CC-BY-NC-4.0").reason
    assert reason.startswith("CC-BY-NC-4.0: no commercial use (https://")
    assert "MIT" not in reason


def test_every_licence_of_the_policy_can_be_written(policy: Policy) -> None:
    for key, facts in policy.licenses.items():
        assert policy.decide(key).verdict == facts.verdict, key


ids = st.sampled_from(["MIT", "Apache-2.0", "CC-BY-NC-4.0", "GPL-3.0-only", "AFL-3.0", "CC0-1.0"])
expressions = st.recursive(
    ids, lambda inner: st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda t: f"({' '.join(t)})")
)


@settings(deadline=None)
@given(expressions, expressions)
def test_and_never_helps_and_or_never_harms(one: str, other: str) -> None:
    policy = loaded()
    order = {"allowed": 0, "unclear": 1, "forbidden": 2}
    if len(one) + len(other) > 480:
        return
    first, second = (order[policy.decide(part).verdict] for part in (one, other))
    assert order[policy.decide(f"{one} AND {other}").verdict] == max(first, second)
    assert order[policy.decide(f"{one} OR {other}").verdict] == min(first, second)


@settings(deadline=None)
@given(st.text(max_size=60) | st.text("MITORANDWH()+- ", max_size=40))
def test_any_text_gets_a_decision(text: str) -> None:
    decision = loaded().decide(text)
    assert decision.verdict in ("allowed", "forbidden", "unclear")
    assert decision.verdict != "allowed" or any(key.lower() in text.lower() for key in loaded().licenses)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("licenses: {Apache 2: {verdict: allowed, reason: x}}", "Apache 2"),
        ("licenses: {LicenseRef-X: {verdict: allowed, reason: x}}", "link"),
        ("licenses: {MIT: {verdict: fine, reason: x}}", "licenses.MIT.verdict"),
        ("licenses: {MIT: {verdict: allowed, reason: x}}\nnames: {a: BSD}", "BSD"),
    ],
)
def test_a_wrong_policy_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / POLICY_PATH
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"policy\.yaml") as caught:
        load_policy(tmp_path)
    assert told in str(caught.value)


def test_an_edited_policy_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / POLICY_PATH
    path.parent.mkdir(parents=True)
    for verdict in ("allowed", "unclear", "allowed"):
        path.write_text(f"licenses: {{MIT: {{verdict: {verdict}, reason: x}}}}")
        assert load_policy(tmp_path).decide("MIT").verdict == verdict
    path.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        load_policy(tmp_path)


def families() -> list[str]:
    symbols = get_spdx_licensing().known_symbols.values()
    keys = {symbol.key for symbol in symbols if not symbol.is_exception}
    return sorted(key for key in keys if re.match(r"(CC-(BY|SA)|A?GPL-|LGPL-)", key) and "GPL-CC" not in key)


@pytest.mark.parametrize("key", families())
def test_no_version_of_a_family_is_forgotten(policy: Policy, key: str) -> None:
    """SPDX's Creative Commons and GNU licences, all versions and ports, are judged by the letters of their names."""
    decision = policy.decide(key)
    elements = set(key.split("-"))
    if key.startswith("CC-"):
        assert decision.verdict == ("forbidden" if elements & {"NC", "ND"} else "allowed")
        assert decision.attribution is ("BY" in elements)
        assert decision.share_alike is ("SA" in elements)
        assert decision.redistribution is ("ND" not in elements)
    else:
        assert (decision.verdict, decision.share_alike) == ("unclear", True)


def test_share_alike_accepts_the_same_elements_and_no_earlier_version(policy: Policy) -> None:
    def version(key: str) -> float:
        return float(re.findall(r"\d\.\d", key)[0])

    for key, facts in policy.licenses.items():
        if key.startswith("CC-BY-SA-"):
            accepted = [other for other in facts.accepts if other.startswith("CC-")]
            assert all(other.startswith("CC-BY-SA-") and version(other) >= version(key) for other in accepted)
            assert ("CC-BY-SA-4.0" in facts.accepts) is (version(key) in (2.0, 2.1, 2.5, 3.0))


def test_the_documented_answers_are_those_that_are_given(policy: Policy) -> None:
    text = (PROJECT / "docs/licensing.md").read_text()
    answers = [line for line in text.splitlines() if line.startswith("'")]
    assert len(answers) == 3
    for answer in answers:
        assert policy.decide(answer.split("'")[1]).reason == answer
    assert f"{policy.evidence.max_age_days} days" in text
