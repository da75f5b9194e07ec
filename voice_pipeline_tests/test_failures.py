from __future__ import annotations

import pickle
import re

import pytest

from voice_pipeline.failures import REASONS, RootCause, VoiceFailure

CONTRACT = {
    "environment_blocked": "docker_unavailable docker_build_failed docker_run_failed disk_full gpu_required",
    "runtime_blocked": "nemo_runtime_unavailable espnet_runtime_unavailable base_checkpoint_incompatible "
    "base_checkpoint_unsafe",
    "data_blocked": "missing_audio_path audio_too_small lfs_pointer audio_undecodable empty_dataset "
    "transcript_missing consent_missing",
    "train_failed": "trainer_exit_nonzero trainer_killed out_of_memory non_finite_loss checkpoint_missing cancelled",
    "promotion_blocked": "license_noncommercial license_unclear weights_checksum_mismatch quality_below_threshold "
    "bundle_invalid verification_failed",
}
EXITS = {"environment_blocked": 2, "runtime_blocked": 2, "data_blocked": 2, "train_failed": 1, "promotion_blocked": 3}


@pytest.mark.parametrize(("root", "reasons"), CONTRACT.items())
def test_every_reason_of_the_contract_has_its_class_and_exit_code(root: str, reasons: str) -> None:
    for reason in reasons.split():
        failure = VoiceFailure(reason, "what is wrong", voice="v", file="f.wav")
        assert failure.root_cause_class == root
        assert failure.exit_code == EXITS[root] == RootCause(root).exit_code


@pytest.mark.parametrize("reason", REASONS.values(), ids=lambda reason: reason.code)
def test_every_reason_is_snake_case_and_says_what_to_do_in_a_sentence(reason) -> None:  # type: ignore[no-untyped-def]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason.code)
    action = reason.next_unblock_action
    assert action[0].isupper()
    assert action.endswith(".") or ": " in action
    assert "\n" not in action


def test_a_message_names_voice_file_and_fault() -> None:
    failure = VoiceFailure("lfs_pointer", "a Git LFS pointer", voice="dottie", file="a.flac")
    assert str(failure) == "data_blocked: lfs_pointer: dottie: a.flac: a Git LFS pointer"


def test_a_failure_survives_a_process_border() -> None:
    failure = VoiceFailure("disk_full", "no space", voice="v", file="f")
    copy = pickle.loads(pickle.dumps(failure))
    assert (str(copy), copy.reason, copy.voice, copy.file) == (str(failure), "disk_full", "v", "f")


def test_an_unknown_reason_is_a_defect() -> None:
    with pytest.raises(KeyError):
        VoiceFailure("bad_luck", "")
