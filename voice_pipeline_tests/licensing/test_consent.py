from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from voice_pipeline.licensing.consent import consent_blockers
from voice_pipeline.voice import Voice
from voice_pipeline_tests.ready_voice import CONFIG

TODAY = date(2026, 6, 1)
SYNTHETIC = {"speaker_type": "synthetic", "speaker": "a program", "status": "not_applicable", "commercial_use": True}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, None),
        ({"expires_on": None}, None),
        ({"expires_on": "2026-06-01"}, None),  # the last day
        ({"expires_on": "2026-05-31"}, "expired"),
        ({"granted_on": "2026-06-02"}, "not yet"),
        ({"commercial_use": False}, "commercial"),
        ({"status": "revoked"}, "revoked"),
        ({"status": "missing"}, "no consent"),
    ],
)
def test_consent_of_a_person(changes: dict[str, Any], told: str | None) -> None:
    voice = Voice.model_validate({**CONFIG, "consent": {**CONFIG["consent"], **changes}})
    blockers = consent_blockers(voice, TODAY)
    assert [blocker.reason for blocker in blockers] == ([] if told is None else ["consent_missing"])
    assert told is None or told in blockers[0].detail


def test_a_synthetic_speaker_has_nobody_to_ask() -> None:
    assert consent_blockers(Voice.model_validate({**CONFIG, "consent": SYNTHETIC}), TODAY) == ()
