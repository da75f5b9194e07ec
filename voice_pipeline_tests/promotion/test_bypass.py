"""Ways around the gate, each tried on a voice that would otherwise be promoted: each is refused, and says why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import yaml

from voice_pipeline.atomic import read_json
from voice_pipeline.bundle.format import content_digest
from voice_pipeline.evaluation.format import digest_of
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.licensing.allowlist import ALLOWLIST_PATH, MANIFESTS_PATH
from voice_pipeline.licensing.gate import installed_frontend
from voice_pipeline.recordings.preparation import prepare
from voice_pipeline.store import sha256_file
from voice_pipeline_tests.ready_voice import CONFIG, NAME, RATE, TODAY, ReadyVoice, build_bundle, edit_json

pytestmark = pytest.mark.evaluation

Attack = Callable[[ReadyVoice], None]
CASES: list[tuple[str, str, str, Attack]] = []  # name, reason, words of the blocker, what is done


def attack(reason: str, told: str) -> Callable[[Attack], Attack]:
    def keep(function: Attack) -> Attack:
        CASES.append((function.__name__, reason, told, function))
        return function

    return keep


def blockers_after(ready: ReadyVoice, today: date = TODAY) -> list[str]:
    with pytest.raises(VoiceFailure) as caught:
        ready.promote(today)
    assert not ready.store.promoted(NAME).exists()
    decision = read_json(ready.store.promotion_decision(NAME))
    assert decision["go"] is False
    assert caught.value.reason == decision["blockers"][0].split(":")[0]
    return [str(blocker) for blocker in decision["blockers"]]


def flip(path: Path) -> None:
    """One bit, in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(bytes(data))


def consent(ready: ReadyVoice, **changes: object) -> None:
    ready.configure(consent={**CONFIG["consent"], **changes})


def forge_evaluation(ready: ReadyVoice, evaluation: dict[str, object]) -> None:
    """Put an evaluation everywhere it is stored, with digests and record that fit it."""
    evaluation["digest"] = digest_of(evaluation)
    text = json.dumps(evaluation, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    stored = ready.store.evaluation(NAME) / "evaluation.json"
    for path in (stored, ready.bundle / "evaluation.json"):
        path.unlink()
        path.write_text(text)
    changes = {"evaluation_sha256": sha256_file(stored), "digest": evaluation["digest"]}
    edit_json(ready.store.record(NAME, "voice_evaluation"), **changes)
    ready.seal()


def forge_bundle_record(ready: ReadyVoice) -> None:
    edit_json(ready.store.record(NAME, "voice_bundle"), content_digest=content_digest(ready.bundle))


# -- recordings, consent, lane -------------------------------------------------------------------------


@attack("missing_audio_path", "no such file")
def recordings_taken_away(ready: ReadyVoice) -> None:
    shutil.rmtree(ready.project / "data")


@attack("verification_failed", "not those that audio_preflight judged")
def recording_exchanged_after_the_training(ready: ReadyVoice) -> None:
    flip(ready.project / "data" / NAME / "wavs/clip3.wav")


@attack("consent_missing", "revoked")
def consent_revoked(ready: ReadyVoice) -> None:
    consent(ready, status="revoked")


@attack("consent_missing", "no consent")
def consent_withdrawn_from_the_config(ready: ReadyVoice) -> None:
    consent(ready, status="missing", granted_on=None, evidence=None)


@attack("consent_missing", "commercial")
def consent_without_commercial_use(ready: ReadyVoice) -> None:
    consent(ready, commercial_use=False)


@attack("consent_missing", "expired")
def consent_expired(ready: ReadyVoice) -> None:
    consent(ready, expires_on="2026-02-01")


@attack("lane_not_promotable", "experimental")
def experimental_lane(ready: ReadyVoice) -> None:
    ready.configure(lane="experimental")


@attack("lane_not_promotable", "the training's spec says tts_voice_train")
def experimental_training_under_a_production_name(ready: ReadyVoice) -> None:
    edit_json(ready.work_dir / "spec.json", job_type="tts_voice_train")


@attack("lane_not_promotable", "the dataset's record says train")
def legacy_dataset_under_a_production_name(ready: ReadyVoice) -> None:
    edit_json(ready.store.record(NAME, "dataset_manifest"), job_type="train")


@attack("verification_failed", "config was edited")
def config_edited_after_the_training(ready: ReadyVoice) -> None:
    ready.configure(seed=99)


@attack("verification_failed", "config was edited")
def gates_lowered_without_building_again(ready: ReadyVoice) -> None:
    ready.configure(gates={"max_wer": 0.99})


# -- dataset and training ------------------------------------------------------------------------------


@attack("verification_failed", "the dataset manifest is not the one")
def dataset_manifest_edited(ready: ReadyVoice) -> None:
    edit_json(ready.store.dataset_manifest(NAME, ready.voice.job_type), count=7)


@attack("verification_failed", "other recordings than audio_preflight")
def dataset_of_other_recordings(ready: ReadyVoice) -> None:
    edit_json(ready.store.record(NAME, "dataset_manifest"), source_sha256="0" * 64)


@attack("verification_failed", "other clips or texts than the dataset's")
def dataset_made_again_and_bundle_built_on_the_old_training(ready: ReadyVoice) -> None:
    metadata = ready.project / "data" / NAME / "metadata.csv"
    metadata.write_text(metadata.read_text().replace("lamp", "loaf"))
    frontend = installed_frontend("en-US")
    assert frontend is not None
    prepare(ready.project, ready.voice, ready.store, frontend, sample_rate=RATE, today=TODAY)
    shutil.rmtree(ready.bundle)
    build_bundle(ready)
    ready.evaluate()


@attack("too_little_speech", "at least 9 are needed")
def dataset_too_small_for_its_gates(ready: ReadyVoice) -> None:
    ready.configure(dataset_gates={**CONFIG["dataset_gates"], "min_minutes": 9})


@attack("too_little_speech", "at least 9 are needed")
def blockers_taken_out_of_the_record_of_the_dataset(ready: ReadyVoice) -> None:
    ready.configure(dataset_gates={**CONFIG["dataset_gates"], "min_minutes": 9})
    edit_json(ready.store.record(NAME, "dataset_manifest"), blockers=[], verdicts=[])


@attack("several_speakers", "somebody else speaks")
def dataset_whose_record_names_a_blocker(ready: ReadyVoice) -> None:
    blocker = {"reason": "several_speakers", "detail": "somebody else speaks"}
    edit_json(ready.store.record(NAME, "dataset_manifest"), blockers=[blocker])


@attack("split_leak", "1 pairs of the same sound")
def utterance_on_both_sides_of_the_split(ready: ReadyVoice) -> None:
    path = ready.store.dataset_manifest(NAME, ready.voice.job_type)
    entries = read_json(path)["entries"]
    one, other = (next(e for e in entries if e["split"] == side) for side in ("train", "validation"))
    other.update(sha256=one["sha256"], target=one["target"])
    edit_json(path, entries=entries)


@attack("verification_failed", "keeps what today's gates reject")
def noisy_utterance_kept(ready: ReadyVoice) -> None:
    path = ready.store.dataset_manifest(NAME, ready.voice.job_type)
    entries = read_json(path)["entries"]
    entries[0]["snr_db"] = 1.0
    edit_json(path, entries=entries)


@attack("verification_failed", "are not those of clean_utterances")
def measurements_taken_away(ready: ReadyVoice) -> None:
    ready.store.utterances(NAME).unlink()
    ready.store.utterances(NAME).touch()


@attack("verification_failed", "other features, another recipe")
def features_edited_after_the_training(ready: ReadyVoice) -> None:
    index = ready.store.features(NAME) / "index.jsonl"
    index.write_text(index.read_text().replace('"frames"', '"frames" ', 1))


@attack("verification_failed", "other features, another recipe")
def recipe_edited_in_the_spec(ready: ReadyVoice) -> None:
    edit_json(ready.work_dir / "spec.json", seed=77)


@attack("verification_failed", "altered after its training")
def checkpoint_altered(ready: ReadyVoice) -> None:
    flip(ready.work_dir / "fastpitch.nemo")


@attack("checkpoint_missing", "hifigan.nemo cannot be read")
def checkpoint_taken_away(ready: ReadyVoice) -> None:
    (ready.work_dir / "hifigan.nemo").unlink()


@attack("verification_failed", "the latest training is error")
def failed_training(ready: ReadyVoice) -> None:
    status = ready.store.train_status(NAME, ready.voice.job_type)
    edit_json(status, status="error", state="error", reason="trainer_killed", root_cause_class="train_failed")


@attack("verification_failed", "another checkpoint than was trained")
def status_of_another_training(ready: ReadyVoice) -> None:
    edit_json(ready.store.train_status(NAME, ready.voice.job_type), checkpoint_sha256="0" * 64)


# -- bundle --------------------------------------------------------------------------------------------


@attack("bundle_invalid", "checksum_mismatch: hifigan.nemo")
def file_of_the_same_size_swapped(ready: ReadyVoice) -> None:
    flip(ready.bundle / "hifigan.nemo")


@attack("verification_failed", "the evaluation judged another bundle")
def file_swapped_and_listed_as_if_it_belonged(ready: ReadyVoice) -> None:
    flip(ready.bundle / "sample.wav")
    ready.seal()
    forge_bundle_record(ready)


@attack("verification_failed", "not the one that voice_bundle built")
def file_swapped_and_evaluated_again(ready: ReadyVoice) -> None:
    flip(ready.bundle / "sample.wav")
    ready.seal()
    ready.evaluate()


@attack("verification_failed", "fastpitch.nemo is not the one that was trained")
def weights_of_another_training(ready: ReadyVoice) -> None:
    (ready.bundle / "fastpitch.nemo").unlink()
    (ready.bundle / "fastpitch.nemo").write_bytes(b"other tensors")
    ready.seal()
    forge_bundle_record(ready)
    ready.evaluate()


@attack("bundle_invalid", "unlisted_file: extra.bin")
def manifest_lists_less(ready: ReadyVoice) -> None:
    (ready.bundle / "extra.bin").write_bytes(b"x")


@attack("verification_failed", "judged another bundle")
def file_left_out_of_folder_and_manifest(ready: ReadyVoice) -> None:
    (ready.bundle / "text/NOTICE.txt").unlink()
    ready.seal()


@attack("bundle_invalid", "path_escape: sample.wav")
def link_out_of_the_bundle(ready: ReadyVoice) -> None:
    outside = ready.project / "outside.wav"
    shutil.move(ready.bundle / "sample.wav", outside)
    (ready.bundle / "sample.wav").symlink_to(outside)


@attack("bundle_invalid", "manifest_missing")
def bundle_taken_away(ready: ReadyVoice) -> None:
    shutil.rmtree(ready.bundle)


@attack("verification_failed", "the bundle is of another voice")
def bundle_of_another_voice(ready: ReadyVoice) -> None:
    edit_json(ready.bundle / "manifest.json", voice_profile_id="other")


@attack("bundle_invalid", "provenance")
def bundle_without_provenance(ready: ReadyVoice) -> None:
    path = ready.bundle / "manifest.json"
    value = read_json(path)
    del value["provenance"]
    path.unlink()
    path.write_text(json.dumps(value))


# -- evaluation ----------------------------------------------------------------------------------------


@attack("quality_below_threshold", "wer is 0.3")
def voice_that_is_not_understood(ready: ReadyVoice) -> None:
    ready.evaluate(wrong_words=3)


@attack("verification_failed", "metrics do not follow")
def figures_edited(ready: ReadyVoice) -> None:
    ready.evaluate(wrong_words=3)
    value = read_json(ready.bundle / "evaluation.json")
    value["metrics"] |= {"wer": 0.0, "cer": 0.0, "wer_above_recordings": 0.0}
    forge_evaluation(ready, value)


@attack("verification_failed", "are not those of what was heard")
def errors_edited_with_figures_that_fit(ready: ReadyVoice) -> None:
    ready.evaluate(wrong_words=3)
    value = read_json(ready.bundle / "evaluation.json")
    value["sentences"] = [{**one, "word_errors": 0, "character_errors": 0} for one in value["sentences"]]
    value["metrics"] |= {"wer": 0.0, "cer": 0.0, "wer_above_recordings": 0.0}
    forge_evaluation(ready, value)


@attack("verification_failed", "that are to be judged")
def bad_sentences_left_out(ready: ReadyVoice) -> None:
    value = read_json(ready.bundle / "evaluation.json")
    value["sentences"] = value["sentences"][:-1]
    forge_evaluation(ready, value)


@attack("verification_failed", "is not the sound that was heard")
def spoken_sound_exchanged(ready: ReadyVoice) -> None:
    flip(ready.store.evaluation(NAME) / "spoken/test-003.wav")


@attack("verification_failed", "the evaluation judged another bundle")
def evaluation_of_another_run(ready: ReadyVoice) -> None:
    value = read_json(ready.bundle / "evaluation.json")
    value["content_digest"] = "0" * 64
    forge_evaluation(ready, value)


@attack("verification_failed", "the evaluation is of another voice")
def evaluation_of_another_voice(ready: ReadyVoice) -> None:
    value = read_json(ready.bundle / "evaluation.json")
    value["voice_profile_id"] = "other"
    forge_evaluation(ready, value)


@attack("verification_failed", "not the one that voice_evaluation wrote")
def evaluation_edited_in_the_bundle_only(ready: ReadyVoice) -> None:
    edit_json(ready.bundle / "evaluation.json")
    ready.seal()


@attack("bundle_invalid", "required_file_missing: evaluation.json")
def evaluation_taken_away(ready: ReadyVoice) -> None:
    (ready.bundle / "evaluation.json").unlink()
    ready.seal()


@attack("license_unclear", "judge somebody/else")
def judged_by_an_unknown_model(ready: ReadyVoice) -> None:
    value = read_json(ready.bundle / "evaluation.json")
    value["judges"][0]["model_id"] = "somebody/else"
    forge_evaluation(ready, value)


@attack("weights_checksum_mismatch", "what was used has sha256 0000")
def judged_by_other_weights(ready: ReadyVoice) -> None:
    value = read_json(ready.bundle / "evaluation.json")
    value["judges"][0]["sha256"] = "0" * 64
    forge_evaluation(ready, value)


# -- licence -------------------------------------------------------------------------------------------


def edit_weights(ready: ReadyVoice, **changes: object) -> None:
    """Edit a weights manifest in the project and in the bundle, and make everything else fit."""
    name = "gruut-lang-en-lexicon.weights-manifest.json"
    edit_json(ready.project / MANIFESTS_PATH / name, **changes)
    shutil.copyfile(ready.project / MANIFESTS_PATH / name, ready.bundle / "weights" / name)
    ready.seal()
    forge_bundle_record(ready)
    ready.evaluate()


@attack("license_noncommercial", "CC-BY-NC-4.0: no commercial use")
def noncommercial_weights(ready: ReadyVoice) -> None:
    edit_weights(ready, weights_license="CC-BY-NC-4.0")


@attack("license_noncommercial", "commercial_use_required")
def weights_that_say_no(ready: ReadyVoice) -> None:
    edit_weights(ready, commercial_use_allowed=False)


@attack("license_unclear", "did you mean Apache-2.0?")
def licence_in_words(ready: ReadyVoice) -> None:
    edit_weights(ready, weights_license="apache 2.0")


@attack("license_unclear", "weights_license: the manifest says CC0-1.0")
def manifest_nicer_than_the_record(ready: ReadyVoice) -> None:
    edit_weights(ready, weights_license="CC0-1.0")


@attack("weights_checksum_mismatch", "lexicon.db")
def manifest_of_other_bytes(ready: ReadyVoice) -> None:
    edit_weights(ready, checksum="sha256:" + "0" * 64)


@attack("license_unclear", "is not in configs/licensing/allowlist.yaml")
def weights_nobody_knows(ready: ReadyVoice) -> None:
    path = ready.project / ALLOWLIST_PATH
    value = yaml.safe_load(path.read_text())
    value["weights"] = [entry for entry in value["weights"] if entry["id"] != "whisper/tiny.en"]
    path.write_text(yaml.safe_dump(value))


@attack("bundle_invalid", "does not carry weights/whisper-tiny.en.weights-manifest.json")
def weights_manifest_left_out_of_the_bundle(ready: ReadyVoice) -> None:
    (ready.bundle / "weights/whisper-tiny.en.weights-manifest.json").unlink()
    ready.seal()


@attack("license_noncommercial", "recordings: CC-BY-NC-4.0")
def noncommercial_recordings(ready: ReadyVoice) -> None:
    ready.configure(source={**CONFIG["source"], "license": "CC-BY-NC-4.0"})


@attack("license_unclear", "not made of the known sources")
def lexicon_of_unknown_origin(ready: ReadyVoice) -> None:
    path = ready.bundle / "text/lexicon.tsv"
    lines = path.read_text().splitlines(keepends=True)
    path.unlink()
    path.write_text("".join(line for line in lines if not line.startswith("zebra\t")))
    ready.seal()
    forge_bundle_record(ready)
    ready.evaluate()


@attack("license_unclear", "unknown/some program")
def synthetic_speaker_of_unknown_weights(ready: ReadyVoice) -> None:
    about = ready.project / "data" / NAME / "about.json"
    about.write_text(json.dumps({"synthetic": True, "speaker": "some program"}))


@pytest.mark.parametrize(("name", "reason", "told", "act"), CASES, ids=[case[0] for case in CASES])
def test_no_way_around(ready_voice: ReadyVoice, tmp_path: Path, name: str, reason: str, told: str, act: Attack) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    act(ready)
    blockers = blockers_after(ready)
    assert any(blocker.startswith(f"{reason}: ") and told in blocker for blocker in blockers), blockers


@pytest.mark.parametrize(
    "stage",
    ["audio_preflight", "dataset_manifest", "training_features", "nemo_checkpoint", "voice_bundle", "voice_evaluation"],
)
def test_a_missing_record_is_no_evidence(ready_voice: ReadyVoice, tmp_path: Path, stage: str) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    ready.store.record(NAME, stage).unlink()
    assert blockers_after(ready)


@pytest.mark.parametrize("stage", ["audio_preflight", "dataset_manifest", "nemo_checkpoint", "voice_evaluation"])
@pytest.mark.parametrize("text", ["", "[]", '{"stage": 1}', "\x00"])
def test_a_damaged_record_is_no_evidence(ready_voice: ReadyVoice, tmp_path: Path, stage: str, text: str) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    ready.store.record(NAME, stage).write_text(text)
    assert blockers_after(ready)


def test_the_clock_does_not_grant_a_consent(ready_voice: ReadyVoice, tmp_path: Path) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    assert any("begins on" in blocker for blocker in blockers_after(ready, date(2025, 12, 31)))
    assert any("expired" in blocker for blocker in blockers_after(ready, date(2027, 1, 2)))


def test_a_flipped_bit_in_any_file_of_the_bundle_is_found(ready_voice: ReadyVoice, tmp_path: Path) -> None:
    from voice_pipeline.bundle.validation import validate_bundle

    bundle = ready_voice.copy(tmp_path / "project").bundle
    files = [path for path in sorted(bundle.rglob("*")) if path.is_file()]
    assert len(files) >= 12
    for path in files:
        kept = path.read_bytes()
        flip(path)
        found = validate_bundle(bundle, production=True)
        if path.name == "manifest.json" and not found:
            assert content_digest(bundle) != content_digest(ready_voice.bundle)  # a digit of a digest, or created_at
        else:
            assert found, path
        path.write_bytes(kept)
