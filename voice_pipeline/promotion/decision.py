"""May this bundle be shipped? A pure function of evidence: no file is read here, no clock is asked.

    decision = decide(evidence)
    decision.go, decision.blockers

GO needs every link of one chain to hold: these recordings, of a speaker who agreed, made this dataset; it was trained
to these weights; they are in this bundle; this bundle was judged and is good enough; all with a part in it is licensed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from voice_pipeline.bundle.format import BundleManifest
from voice_pipeline.evaluation.gates import judge
from voice_pipeline.failures import Blocker
from voice_pipeline.promotion.evidence import Evidence, TrainingEvidence
from voice_pipeline.status import PROMOTABLE_JOB_TYPES

SCHEMA = "promotion_decision/1"
_SHOWN = 3  # problems of a bundle that one blocker names


@dataclass(frozen=True)
class Decision:
    """GO, or NO-GO with every blocker in the order of the data's path."""

    blockers: tuple[Blocker, ...]
    evidence: Evidence

    @property
    def go(self) -> bool:
        """Whether the bundle may be promoted."""
        return not self.blockers

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
                "bundle_manifest_sha256": evidence.bundle.manifest_sha256,
                "evaluation_sha256": evidence.evaluation.sha256,
                "evaluation_digest": evaluation.digest if evaluation else None,
                "license_identity": evidence.license_identity,
            },
            "metrics": evidence.metrics(),
            "gates": evidence.gates.model_dump(mode="json"),
            "gate_overrides": dict(sorted(voice.gates.items())),
        }


def decide(evidence: Evidence) -> Decision:
    """The decision on one collection of evidence."""
    blockers = (
        *_lane(evidence),
        *_recordings(evidence),
        *evidence.consent,
        *_dataset(evidence),
        *_training(evidence),
        *_bundle(evidence),
        *evidence.license,
        *_evaluation(evidence),
        *_quality(evidence),
    )
    return Decision(tuple(dict.fromkeys(blockers)), evidence)


def _lane(evidence: Evidence) -> Iterator[Blocker]:
    """The config's word is not enough: what was trained, and under which name, must be of a production lane too."""
    voice, training, dataset = evidence.voice, evidence.training, evidence.dataset
    claimed = {
        "the voice's config": voice.job_type,
        "the dataset's record": dataset.record.job_type if dataset else voice.job_type,
        "the training's spec": training.spec.job_type if training and training.spec else voice.job_type,
        "the training's status": evidence.status.job_type if evidence.status else voice.job_type,
    }
    if voice.lane != "production":
        yield Blocker("lane_not_promotable", f"{voice.voice_profile_id} is of the {voice.lane} lane")
    for where, job_type in claimed.items():
        if job_type not in PROMOTABLE_JOB_TYPES:
            yield Blocker("lane_not_promotable", f"{where} says {job_type}, which is never promoted")
        elif job_type != voice.job_type:
            yield _mismatch(f"{where} says {job_type}, the voice's config {voice.job_type}")


def _recordings(evidence: Evidence) -> Iterator[Blocker]:
    if evidence.source_blocker is not None:
        yield evidence.source_blocker
    if evidence.preflight is None:
        yield _mismatch("there is no record of audio_preflight")
        return
    if evidence.preflight.voice_profile_id != evidence.voice.voice_profile_id:
        yield _mismatch("audio_preflight's record is of another voice")
    if evidence.source_sha256 is not None and evidence.preflight.sha256 != evidence.source_sha256:
        yield _mismatch("the recordings are not those that audio_preflight judged")


def _dataset(evidence: Evidence) -> Iterator[Blocker]:
    if evidence.dataset is None:
        yield _mismatch("there is no record of dataset_manifest")
        return
    record = evidence.dataset.record
    if record.voice_profile_id != evidence.voice.voice_profile_id:
        yield _mismatch("dataset_manifest's record is of another voice")
    if evidence.preflight is not None and record.source_sha256 != evidence.preflight.sha256:
        yield _mismatch("the dataset was made of other recordings than audio_preflight judged")
    if evidence.dataset.manifest_sha256 != record.manifest_sha256:
        yield _mismatch("the dataset manifest is not the one that was recorded")
    if record.train_count < 1 or record.validation_count < 1:
        yield Blocker("empty_dataset", "the dataset has no utterance in one of its splits")
    yield from evidence.dataset.blockers
    yield from record.blockers


def _training(evidence: Evidence) -> Iterator[Blocker]:
    training = evidence.training
    if training is None:
        yield Blocker("checkpoint_missing", "there is no record of nemo_checkpoint")
        return
    if training.spec is None or training.identity is None:
        yield _mismatch("the training's spec or its features cannot be read")
    elif training.identity != training.record.identity:
        yield _mismatch("the training was of other features, another recipe or another base than are recorded")
    if training.spec is not None and training.spec.voice_profile_id != evidence.voice.voice_profile_id:
        yield _mismatch("the training's spec is of another voice")
    if training.features_fault is not None:
        yield _mismatch(training.features_fault)
    for model, now, recorded in (
        ("fastpitch", training.fastpitch_sha256, training.record.fastpitch_sha256),
        ("hifigan", training.hifigan_sha256, training.record.hifigan_sha256),
    ):
        if now is None:
            yield Blocker("checkpoint_missing", f"the trained {model}.nemo cannot be read")
        elif now != recorded:
            yield _mismatch(f"{model}.nemo was altered after its training")
    yield from _status(evidence, training)


def _status(evidence: Evidence, training: TrainingEvidence) -> Iterator[Blocker]:
    status = evidence.status
    if status is None:
        yield _mismatch("there is no train_status of the voice")
        return
    if status.status != "completed" or status.problems():
        yield _mismatch(f"the latest training is {status.status}, not completed")
    elif status.checkpoint_sha256 != training.record.fastpitch_sha256:
        yield _mismatch("train_status names another checkpoint than was trained")
    if status.voice_profile_id != evidence.voice.voice_profile_id:
        yield _mismatch("train_status is of another voice")


def _bundle(evidence: Evidence) -> Iterator[Blocker]:
    bundle = evidence.bundle
    if bundle.problems:
        more = f" (and {len(bundle.problems) - _SHOWN} more)" if len(bundle.problems) > _SHOWN else ""
        yield Blocker("bundle_invalid", "; ".join(bundle.problems[:_SHOWN]) + more)
    if bundle.manifest is None:
        return
    if bundle.record is None:
        yield _mismatch("there is no record of voice_bundle")
    elif bundle.record.content_digest != bundle.content_digest:
        yield _mismatch("the bundle is not the one that voice_bundle built")
    if bundle.manifest.voice_profile_id != evidence.voice.voice_profile_id:
        yield _mismatch("the bundle is of another voice")
    yield from _bundled_models(evidence, bundle.manifest)
    yield from _provenance(evidence, bundle.manifest)


def _bundled_models(evidence: Evidence, manifest: BundleManifest) -> Iterator[Blocker]:
    training = evidence.training
    if training is None:
        return
    for model, trained in (("fastpitch", training.fastpitch_sha256), ("hifigan", training.hifigan_sha256)):
        entry = manifest.entry(f"{model}.nemo")
        if entry is None or entry.sha256 != trained:
            yield _mismatch(f"the bundle's {model}.nemo is not the one that was trained")


def _provenance(evidence: Evidence, manifest: BundleManifest) -> Iterator[Blocker]:
    provenance = manifest.provenance
    if provenance is None:
        return  # validate_bundle has named it
    if provenance.config_sha256 != evidence.config_sha256:
        yield _mismatch("the voice's config was edited after the bundle was built")
    if evidence.dataset is not None and provenance.dataset_sha256 != evidence.dataset.manifest_sha256:
        yield _mismatch("the bundle was built from another dataset")
    training = evidence.training
    if training is None:
        return
    made = (provenance.recipe, provenance.seed, dict(provenance.tensors_sha256))
    record = training.record
    tensors = {"fastpitch": record.fastpitch_tensors_sha256, "hifigan": record.hifigan_tensors_sha256}
    if made != (record.recipe, record.seed, tensors):
        yield _mismatch("the bundle's provenance names another recipe, seed or tensors than the training's")


def _evaluation(evidence: Evidence) -> Iterator[Blocker]:
    found = evidence.evaluation
    for fault in found.faults[:_SHOWN]:
        yield _mismatch(f"evaluation: {fault}")
    if found.evaluation is None:
        return
    if found.record is None:
        yield _mismatch("there is no record of voice_evaluation")
    elif found.record.evaluation_sha256 != found.sha256:
        yield _mismatch("the bundle's evaluation is not the one that voice_evaluation wrote")
    if found.evaluation.content_digest != evidence.bundle.content_digest:
        yield _mismatch("the evaluation judged another bundle")
    if found.evaluation.voice_profile_id != evidence.voice.voice_profile_id:
        yield _mismatch("the evaluation is of another voice")


def _quality(evidence: Evidence) -> Iterator[Blocker]:
    if evidence.evaluation.evaluation is None:
        return  # an unjudged bundle is already blocked
    for failed in judge(evidence.metrics(), evidence.gates):
        yield Blocker("quality_below_threshold", str(failed))


def _mismatch(detail: str) -> Blocker:
    return Blocker("verification_failed", detail)
