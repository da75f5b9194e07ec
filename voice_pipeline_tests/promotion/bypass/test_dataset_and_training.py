"""Ways around the evidence of dataset and training."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from voice_pipeline.atomic import read_json
from voice_pipeline.licensing.gate import installed_frontend
from voice_pipeline.recordings.preparation import prepare
from voice_pipeline_tests.promotion.bypass.attacks import Attack, Attacks, assert_refused, blockers_of, flip
from voice_pipeline_tests.ready_voice import CONFIG, NAME, RATE, TODAY, ReadyVoice, build_bundle, edit_json

pytestmark = pytest.mark.evaluation
attacks = Attacks()


@attacks.attack("verification_failed", "the dataset manifest is not the one")
def dataset_manifest_edited(ready: ReadyVoice) -> None:
    edit_json(ready.store.dataset_manifest(NAME, ready.voice.job_type), count=7)


@attacks.attack("verification_failed", "other recordings than audio_preflight")
def dataset_of_other_recordings(ready: ReadyVoice) -> None:
    edit_json(ready.store.record(NAME, "dataset_manifest"), source_sha256="0" * 64)


@attacks.attack("verification_failed", "other clips or texts than the dataset's")
def dataset_made_again_and_bundle_built_on_the_old_training(ready: ReadyVoice) -> None:
    metadata = ready.project / "data" / NAME / "metadata.csv"
    metadata.write_text(metadata.read_text().replace("lamp", "loaf"))
    frontend = installed_frontend("en-US")
    assert frontend is not None
    prepare(ready.project, ready.voice, ready.store, frontend, sample_rate=RATE, today=TODAY)
    shutil.rmtree(ready.bundle)
    build_bundle(ready)
    ready.evaluate()


@attacks.attack("too_little_speech", "at least 9 are needed")
def dataset_too_small_for_its_gates(ready: ReadyVoice) -> None:
    ready.configure(dataset_gates={**CONFIG["dataset_gates"], "min_minutes": 9})


@attacks.attack("too_little_speech", "at least 9 are needed")
def blockers_taken_out_of_the_record_of_the_dataset(ready: ReadyVoice) -> None:
    ready.configure(dataset_gates={**CONFIG["dataset_gates"], "min_minutes": 9})
    edit_json(ready.store.record(NAME, "dataset_manifest"), blockers=[], verdicts=[])


@attacks.attack("several_speakers", "somebody else speaks")
def dataset_whose_record_names_a_blocker(ready: ReadyVoice) -> None:
    blocker = {"reason": "several_speakers", "detail": "somebody else speaks"}
    edit_json(ready.store.record(NAME, "dataset_manifest"), blockers=[blocker])


@attacks.attack("split_leak", "1 pairs of the same sound")
def utterance_on_both_sides_of_the_split(ready: ReadyVoice) -> None:
    path = ready.store.dataset_manifest(NAME, ready.voice.job_type)
    entries = read_json(path)["entries"]
    one, other = (next(e for e in entries if e["split"] == side) for side in ("train", "validation"))
    other.update(sha256=one["sha256"], target=one["target"])
    edit_json(path, entries=entries)


@attacks.attack("verification_failed", "keeps what today's gates reject")
def noisy_utterance_kept(ready: ReadyVoice) -> None:
    path = ready.store.dataset_manifest(NAME, ready.voice.job_type)
    entries = read_json(path)["entries"]
    entries[0]["snr_db"] = 1.0
    edit_json(path, entries=entries)


@attacks.attack("verification_failed", "are not those of clean_utterances")
def measurements_taken_away(ready: ReadyVoice) -> None:
    ready.store.utterances(NAME).unlink()
    ready.store.utterances(NAME).touch()


@attacks.attack("verification_failed", "other features, another recipe")
def features_edited_after_the_training(ready: ReadyVoice) -> None:
    index = ready.store.features(NAME) / "index.jsonl"
    index.write_text(index.read_text().replace('"frames"', '"frames" ', 1))


@attacks.attack("verification_failed", "other features, another recipe")
def recipe_edited_in_the_spec(ready: ReadyVoice) -> None:
    edit_json(ready.work_dir / "spec.json", seed=77)


@attacks.attack("verification_failed", "altered after its training")
def checkpoint_altered(ready: ReadyVoice) -> None:
    flip(ready.work_dir / "fastpitch.nemo")


@attacks.attack("checkpoint_missing", "hifigan.nemo cannot be read")
def checkpoint_taken_away(ready: ReadyVoice) -> None:
    (ready.work_dir / "hifigan.nemo").unlink()


@attacks.attack("verification_failed", "the latest training is error")
def failed_training(ready: ReadyVoice) -> None:
    status = ready.store.train_status(NAME, ready.voice.job_type)
    edit_json(status, status="error", state="error", reason="trainer_killed", root_cause_class="train_failed")


@attacks.attack("verification_failed", "another checkpoint than was trained")
def status_of_another_training(ready: ReadyVoice) -> None:
    edit_json(ready.store.train_status(NAME, ready.voice.job_type), checkpoint_sha256="0" * 64)


@attacks.each
def test_no_way_around(ready_voice: ReadyVoice, tmp_path: Path, reason: str, told: str, act: Attack) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    act(ready)
    assert_refused(ready, reason, told)


@pytest.mark.parametrize(
    "stage",
    ["audio_preflight", "dataset_manifest", "training_features", "nemo_checkpoint", "voice_bundle", "voice_evaluation"],
)
def test_a_missing_record_is_no_evidence(ready_voice: ReadyVoice, tmp_path: Path, stage: str) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    ready.store.record(NAME, stage).unlink()
    assert blockers_of(ready)


@pytest.mark.parametrize("stage", ["audio_preflight", "dataset_manifest", "nemo_checkpoint", "voice_evaluation"])
@pytest.mark.parametrize("text", ["", "[]", '{"stage": 1}', "\x00"])
def test_a_damaged_record_is_no_evidence(ready_voice: ReadyVoice, tmp_path: Path, stage: str, text: str) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    ready.store.record(NAME, stage).write_text(text)
    assert blockers_of(ready)
