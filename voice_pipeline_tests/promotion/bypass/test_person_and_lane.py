"""Ways around what a person agreed to, what was recorded, and the lane."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from voice_pipeline.atomic import read_json
from voice_pipeline_tests.promotion.bypass.attacks import (
    Attack,
    Attacks,
    assert_refused,
    blockers_of,
    consent,
    flip,
)
from voice_pipeline_tests.ready_voice import NAME, ReadyVoice, edit_json

pytestmark = pytest.mark.evaluation
attacks = Attacks()


@attacks.attack("missing_audio_path", "no such file")
def recordings_taken_away(ready: ReadyVoice) -> None:
    shutil.rmtree(ready.project / "data")


@attacks.attack("verification_failed", "not those that audio_preflight judged")
def recording_exchanged_after_the_training(ready: ReadyVoice) -> None:
    flip(ready.project / "data" / NAME / "wavs/clip3.wav")


@attacks.attack("consent_missing", "revoked")
def consent_revoked(ready: ReadyVoice) -> None:
    consent(ready, status="revoked")


@attacks.attack("consent_missing", "no consent")
def consent_withdrawn_from_the_config(ready: ReadyVoice) -> None:
    consent(ready, status="missing", granted_on=None, evidence=None)


@attacks.attack("consent_missing", "commercial")
def consent_without_commercial_use(ready: ReadyVoice) -> None:
    consent(ready, commercial_use=False)


@attacks.attack("consent_missing", "expired")
def consent_expired(ready: ReadyVoice) -> None:
    consent(ready, expires_on="2026-02-01")


@attacks.attack("lane_not_promotable", "experimental")
def experimental_lane(ready: ReadyVoice) -> None:
    ready.configure(lane="experimental")


@attacks.attack("lane_not_promotable", "the training's spec says tts_voice_train")
def experimental_training_under_a_production_name(ready: ReadyVoice) -> None:
    edit_json(ready.work_dir / "spec.json", job_type="tts_voice_train")


@attacks.attack("lane_not_promotable", "the dataset's record says train")
def legacy_dataset_under_a_production_name(ready: ReadyVoice) -> None:
    edit_json(ready.store.record(NAME, "dataset_manifest"), job_type="train")


@attacks.attack("verification_failed", "config was edited")
def config_edited_after_the_training(ready: ReadyVoice) -> None:
    ready.configure(seed=99)


@attacks.attack("verification_failed", "config was edited")
def gates_lowered_without_building_again(ready: ReadyVoice) -> None:
    ready.configure(gates={"max_wer": 0.99})


@attacks.attack("lane_not_promotable", "tts_voice_train")
def experimental_voice_under_a_new_name(ready: ReadyVoice) -> None:
    """Everything says what it is, but for the config."""
    edit_json(ready.work_dir / "spec.json", job_type="tts_voice_train")
    edit_json(ready.store.record(NAME, "dataset_manifest"), job_type="tts_voice_train")
    path = ready.bundle / "manifest.json"
    edit_json(path, provenance={**read_json(path)["provenance"], "job_type": "tts_voice_train"})


@attacks.attack("lane_not_promotable", "tts_voice_train")
def bundle_of_an_experimental_training(ready: ReadyVoice) -> None:
    path = ready.bundle / "manifest.json"
    edit_json(path, provenance={**read_json(path)["provenance"], "job_type": "tts_voice_train"})


@attacks.each
def test_no_way_around(ready_voice: ReadyVoice, tmp_path: Path, reason: str, told: str, act: Attack) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    act(ready)
    assert_refused(ready, reason, told)


def test_the_clock_does_not_grant_a_consent(ready_voice: ReadyVoice, tmp_path: Path) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    assert any("begins on" in blocker for blocker in blockers_of(ready, date(2025, 12, 31)))
    assert any("expired" in blocker for blocker in blockers_of(ready, date(2027, 1, 2)))
