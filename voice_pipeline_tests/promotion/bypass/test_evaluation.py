"""Ways around the judgement of what the bundle says."""

from __future__ import annotations

from pathlib import Path

import pytest

from voice_pipeline.atomic import read_json, write_json
from voice_pipeline_tests.promotion.bypass.attacks import (
    Attack,
    Attacks,
    assert_refused,
    flip,
    forge_evaluation,
)
from voice_pipeline_tests.ready_voice import NAME, ReadyVoice, edit_json

pytestmark = pytest.mark.evaluation
attacks = Attacks()


@attacks.attack("quality_below_threshold", "wer is 0.3")
def voice_that_is_not_understood(ready: ReadyVoice) -> None:
    ready.evaluate(wrong_words=3)


@attacks.attack("verification_failed", "metrics do not follow")
def figures_edited(ready: ReadyVoice) -> None:
    ready.evaluate(wrong_words=3)
    value = read_json(ready.bundle / "evaluation.json")
    value["metrics"] |= {"wer": 0.0, "cer": 0.0, "wer_above_recordings": 0.0}
    forge_evaluation(ready, value)


@attacks.attack("verification_failed", "are not those of what was heard")
def errors_edited_with_figures_that_fit(ready: ReadyVoice) -> None:
    ready.evaluate(wrong_words=3)
    value = read_json(ready.bundle / "evaluation.json")
    value["sentences"] = [{**one, "word_errors": 0, "character_errors": 0} for one in value["sentences"]]
    value["metrics"] |= {"wer": 0.0, "cer": 0.0, "wer_above_recordings": 0.0}
    forge_evaluation(ready, value)


@attacks.attack("verification_failed", "that are to be judged")
def bad_sentences_left_out(ready: ReadyVoice) -> None:
    value = read_json(ready.bundle / "evaluation.json")
    value["sentences"] = value["sentences"][:-1]
    forge_evaluation(ready, value)


@attacks.attack("verification_failed", "is not the sound that was heard")
def spoken_sound_exchanged(ready: ReadyVoice) -> None:
    flip(ready.store.evaluation(NAME) / "spoken/test-003.wav")


@attacks.attack("verification_failed", "the evaluation judged another bundle")
def evaluation_of_another_run(ready: ReadyVoice) -> None:
    value = read_json(ready.bundle / "evaluation.json")
    value["content_digest"] = "0" * 64
    forge_evaluation(ready, value)


@attacks.attack("verification_failed", "the evaluation is of another voice")
def evaluation_of_another_voice(ready: ReadyVoice) -> None:
    value = read_json(ready.bundle / "evaluation.json")
    value["voice_profile_id"] = "other"
    forge_evaluation(ready, value)


@attacks.attack("verification_failed", "not the one that voice_evaluation wrote")
def evaluation_edited_in_the_bundle_only(ready: ReadyVoice) -> None:
    edit_json(ready.bundle / "evaluation.json")
    ready.seal()


@attacks.attack("bundle_invalid", "required_file_missing: evaluation.json")
def evaluation_taken_away(ready: ReadyVoice) -> None:
    (ready.bundle / "evaluation.json").unlink()
    ready.seal()


@attacks.attack("license_unclear", "judge somebody/else")
def judged_by_an_unknown_model(ready: ReadyVoice) -> None:
    value = read_json(ready.bundle / "evaluation.json")
    value["judges"][0]["model_id"] = "somebody/else"
    forge_evaluation(ready, value)


@attacks.attack("weights_checksum_mismatch", "what was used has sha256 0000")
def judged_by_other_weights(ready: ReadyVoice) -> None:
    value = read_json(ready.bundle / "evaluation.json")
    value["judges"][0]["sha256"] = "0" * 64
    forge_evaluation(ready, value)


@attacks.attack("quality_below_threshold", "wer is 0.3")
def reports_and_earlier_decisions_edited(ready: ReadyVoice) -> None:
    """Whatever a stage, a check or a report said earlier is no evidence."""
    ready.evaluate(wrong_words=3)
    store, job_type = ready.store, ready.voice.job_type
    for path in (store.report(NAME, job_type, "json"), store.latest_report(job_type, "json")):
        write_json(path, {"objective_status": "success", "promotion": "GO", "blockers": "none"})
    write_json(store.promotion_decision(NAME), {"go": True, "blockers": []})
    write_json(store.verification(NAME) / "result.json", {"verdict": "PASS", "pass": True})
    write_json(store.verification(NAME) / "certificate.json", {"status": "GREEN", "integrityOk": True})
    write_json(store.record(NAME, "promoted_voice"), {"stage": "promoted_voice", "go": True})
    edit_json(store.record(NAME, "license_gate"), go=True, blockers=[])


@attacks.each
def test_no_way_around(ready_voice: ReadyVoice, tmp_path: Path, reason: str, told: str, act: Attack) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    act(ready)
    assert_refused(ready, reason, told)
