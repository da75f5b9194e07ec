"""The rules of the pack ``voice-promotion``, in the order of the data's path. Each reads evidence, and nothing else.

    for rule in PACK: rule.id, rule.severity, rule.meaning, rule.check(evidence)

One chain has to hold: these recordings, of a speaker who agreed, made this dataset; it was trained to these weights;
they are in this bundle; this bundle was judged and is good enough; all with a part in it is licensed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

from voice_pipeline.bundle.build import facts_digest
from voice_pipeline.bundle.format import BundleManifest, Provenance
from voice_pipeline.bundle.provenance import recipe_digest
from voice_pipeline.failures import Blocker
from voice_pipeline.promotion.constraints import Finding, Rule, judged, mismatch, unknown
from voice_pipeline.promotion.evidence import DatasetEvidence, Evidence, TrainingEvidence
from voice_pipeline.promotion.quality_rules import EVALUATION_RULES, QUALITY_RULES
from voice_pipeline.promotion.soft_rules import SOFT_RULES
from voice_pipeline.status import PROMOTABLE_JOB_TYPES

_SHOWN = 3  # problems of a bundle that one blocker names
_GRACE = timedelta(days=1)  # the day is UTC's; people write dates of where they are
_NO_PREFLIGHT = mismatch("there is no record of audio_preflight")
_NO_DATASET = mismatch("there is no record of dataset_manifest")
_NO_TRAINING = Blocker("checkpoint_missing", "there is no record of nemo_checkpoint")
_NO_STATUS = mismatch("there is no train_status of the voice")


# -- lane and clock --------------------------------------------------------------------------------


def _claimed(evidence: Evidence) -> dict[str, str]:
    """Who says by which job type the voice was made: the config's word is not enough."""
    voice, training, dataset = evidence.voice, evidence.training, evidence.dataset
    found = {"the voice's config": voice.job_type}
    if dataset is not None:
        found["the dataset's record"] = dataset.record.job_type
    if training is not None and training.spec is not None:
        found["the training's spec"] = training.spec.job_type
    if evidence.status is not None:
        found["the training's status"] = evidence.status.job_type
    provenance = _provenance_of(evidence)
    if provenance is not None and provenance.job_type is not None:
        found["the bundle's provenance"] = provenance.job_type
    return found


def _lane(evidence: Evidence) -> Finding:
    return judged(_lane_blockers(evidence), evidence.voice.job_type, "production")


def _lane_blockers(evidence: Evidence) -> Iterator[Blocker]:
    voice = evidence.voice
    if voice.lane != "production":
        yield Blocker("lane_not_promotable", f"{voice.voice_profile_id} is of the {voice.lane} lane")
    for where, job_type in _claimed(evidence).items():
        if job_type not in PROMOTABLE_JOB_TYPES:
            yield Blocker("lane_not_promotable", f"{where} says {job_type}, which is never promoted")


def _lane_agrees(evidence: Evidence) -> Finding:
    claimed, expected = _claimed(evidence), evidence.voice.job_type
    wrong = [
        mismatch(f"{where} says {job_type}, the voice's config {expected}")
        for where, job_type in claimed.items()
        if job_type != expected
    ]
    if wrong:
        return judged(wrong, len(claimed), expected)
    for where, blocker in (
        ("the dataset's record", _NO_DATASET),
        ("the training's spec", _NO_TRAINING if evidence.training is None else _NO_SPEC),
        ("the training's status", _NO_STATUS),
        ("the bundle's provenance", _bundle_unknown(evidence) or mismatch(_NO_LANE)),
    ):
        if where not in claimed:
            return unknown(blocker, expected)
    return judged((), len(claimed), expected)


_NO_SPEC = mismatch("the training's spec or its features cannot be read")
_NO_LANE = "the bundle does not say by which job type it was made; build it again"


def _clock(evidence: Evidence) -> Finding:
    clock = evidence.clock
    if clock.fault is not None:
        return unknown(mismatch(f"whether the clock was set back cannot be known: {clock.fault}"))
    if clock.newest is None or clock.newest <= clock.today + _GRACE:
        return judged(())
    return judged([mismatch(f"the clock says {clock.today}, but {clock.what} is of {clock.newest}: it was set back")])


# -- recordings, consent, dataset ------------------------------------------------------------------


def _found(evidence: Evidence) -> Finding:
    if evidence.source_blocker is not None:
        return judged([evidence.source_blocker])
    return judged((), evidence.source_sha256)


def _preflight(evidence: Evidence) -> Finding:
    preflight = evidence.preflight
    if preflight is None:
        return unknown(_NO_PREFLIGHT)
    blockers = []
    if preflight.voice_profile_id != evidence.voice.voice_profile_id:
        blockers.append(mismatch("audio_preflight's record is of another voice"))
    if evidence.source_sha256 is not None and preflight.sha256 != evidence.source_sha256:
        blockers.append(mismatch("the recordings are not those that audio_preflight judged"))
    if blockers or evidence.source_blocker is None:
        return judged(blockers, preflight.sha256, evidence.source_sha256)
    return unknown(evidence.source_blocker)


def _consent(evidence: Evidence) -> Finding:
    return judged(evidence.consent, evidence.voice.consent.status)


def _dataset(evidence: Evidence) -> Finding:
    if evidence.dataset is None:
        return unknown(_NO_DATASET)
    record, now = evidence.dataset.record, evidence.dataset.manifest_sha256
    blockers = []
    if record.voice_profile_id != evidence.voice.voice_profile_id:
        blockers.append(mismatch("dataset_manifest's record is of another voice"))
    if now != record.manifest_sha256:
        blockers.append(mismatch("the dataset manifest is not the one that was recorded"))
    return judged(blockers, now, record.manifest_sha256)


def _dataset_source(evidence: Evidence) -> Finding:
    if evidence.dataset is None:
        return unknown(_NO_DATASET)
    if evidence.preflight is None:
        return unknown(_NO_PREFLIGHT)
    made_of = evidence.dataset.record.source_sha256
    if made_of == evidence.preflight.sha256:
        return judged((), made_of)
    return judged([mismatch("the dataset was made of other recordings than audio_preflight judged")], made_of)


def _dataset_splits(evidence: Evidence) -> Finding:
    if evidence.dataset is None:
        return unknown(_NO_DATASET, 1)
    least = min(evidence.dataset.record.train_count, evidence.dataset.record.validation_count)
    empty = Blocker("empty_dataset", "the dataset has no utterance in one of its splits")
    return judged([empty] if least < 1 else (), least, 1)


def _dataset_gates(evidence: Evidence) -> Finding:
    found: DatasetEvidence | None = evidence.dataset
    if found is None:
        return unknown(_NO_DATASET, 0)
    blockers = tuple(dict.fromkeys((*found.blockers, *found.record.blockers)))
    return judged(blockers, len(blockers), 0)


# -- training --------------------------------------------------------------------------------------


def _training(evidence: Evidence) -> Finding:
    training = evidence.training
    if training is None:
        return unknown(_NO_TRAINING)
    if training.spec is None or training.identity is None:
        return unknown(_NO_SPEC)
    blockers = []
    if training.identity != training.record.identity:
        blockers.append(
            mismatch("the training was of other features, another recipe or another base than are recorded")
        )
    if training.spec.voice_profile_id != evidence.voice.voice_profile_id:
        blockers.append(mismatch("the training's spec is of another voice"))
    return judged(blockers, training.identity)


def _features(evidence: Evidence) -> Finding:
    training = evidence.training
    if training is None:
        return unknown(_NO_TRAINING)
    if training.spec is None:
        return unknown(_NO_SPEC)
    return judged([mismatch(training.features_fault)] if training.features_fault is not None else ())


def _fastpitch(evidence: Evidence) -> Finding:
    training = evidence.training
    return _model("fastpitch", training, training.fastpitch_sha256 if training else None)


def _hifigan(evidence: Evidence) -> Finding:
    training = evidence.training
    return _model("hifigan", training, training.hifigan_sha256 if training else None)


def _model(model: str, training: TrainingEvidence | None, now: str | None) -> Finding:
    if training is None:
        return unknown(_NO_TRAINING)
    if now is None:
        return unknown(Blocker("checkpoint_missing", f"the trained {model}.nemo cannot be read"))
    recorded: str = getattr(training.record, f"{model}_sha256")
    return judged([] if now == recorded else [mismatch(f"{model}.nemo was altered after its training")], now, recorded)


def _completed(evidence: Evidence) -> Finding:
    status, training = evidence.status, evidence.training
    if status is None:
        return unknown(_NO_STATUS, "completed")
    blockers = []
    if status.status != "completed" or status.problems():
        blockers.append(mismatch(f"the latest training is {status.status}, not completed"))
    elif training is not None and status.checkpoint_sha256 != training.record.fastpitch_sha256:
        blockers.append(mismatch("train_status names another checkpoint than was trained"))
    if status.voice_profile_id != evidence.voice.voice_profile_id:
        blockers.append(mismatch("train_status is of another voice"))
    if training is None and not blockers:
        return unknown(_NO_TRAINING, "completed")
    return judged(blockers, status.status, "completed")


def _loss(evidence: Evidence) -> Finding:
    """A loss of NaN or infinity is no training; JSON reads both."""
    if evidence.training is None:
        return unknown(_NO_TRAINING, "finite")
    if evidence.status is None:
        return unknown(_NO_STATUS, "finite")
    record, status = evidence.training.record.loss, evidence.status.loss
    finite = all(isinstance(loss, int | float) and math.isfinite(loss) for loss in (record, status))
    if not finite:
        return judged([Blocker("non_finite_loss", "the training's loss is not a finite number")], None, "finite")
    differs = record != status
    return judged([mismatch("train_status has another loss than was recorded")] if differs else (), record, "finite")


# -- bundle and provenance -------------------------------------------------------------------------


def _bundle_unknown(evidence: Evidence) -> Blocker | None:
    """Why there is no manifest, or no provenance in it, to look at; None when there are both."""
    bundle = evidence.bundle
    if bundle.manifest is None or bundle.manifest.provenance is None:
        return Blocker("bundle_invalid", _problems(bundle.problems) or "the bundle's manifest cannot be read")
    return None


def _problems(problems: tuple[str, ...]) -> str:
    more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
    return "; ".join(problems[:_SHOWN]) + more


def _provenance_of(evidence: Evidence) -> Provenance | None:
    return evidence.bundle.manifest.provenance if evidence.bundle.manifest else None


def _bundle(evidence: Evidence) -> Finding:
    problems = evidence.bundle.problems
    return judged([Blocker("bundle_invalid", _problems(problems))] if problems else (), len(problems), 0)


def _bundle_record(evidence: Evidence) -> Finding:
    bundle = evidence.bundle
    if bundle.manifest is None:
        return unknown(_bundle_unknown(evidence) or mismatch("the bundle cannot be read"))
    blockers = []
    if bundle.manifest.voice_profile_id != evidence.voice.voice_profile_id:
        blockers.append(mismatch("the bundle is of another voice"))
    if bundle.manifest.display_name != evidence.voice.display_name:
        blockers.append(mismatch("the bundle's display name is not the voice's"))
    if bundle.record is None:
        return Finding("unknown", blockers=(mismatch("there is no record of voice_bundle"), *blockers))
    if bundle.record.content_digest != bundle.content_digest:
        blockers.insert(0, mismatch("the bundle is not the one that voice_bundle built"))
    elif bundle.record.facts_digest != facts_digest(bundle.manifest):
        blockers.insert(0, mismatch("the bundle's manifest is not the one that voice_bundle wrote"))
    return judged(blockers, bundle.content_digest, bundle.record.content_digest)


def _bundle_models(evidence: Evidence) -> Finding:
    manifest, training = evidence.bundle.manifest, evidence.training
    if manifest is None:
        return unknown(_bundle_unknown(evidence) or mismatch("the bundle cannot be read"))
    if training is None:
        return unknown(_NO_TRAINING)
    return judged(_wrong_models(manifest, training))


def _wrong_models(manifest: BundleManifest, training: TrainingEvidence) -> Iterator[Blocker]:
    for model, trained in (("fastpitch", training.fastpitch_sha256), ("hifigan", training.hifigan_sha256)):
        entry = manifest.entry(f"{model}.nemo")
        if entry is None or entry.sha256 != trained:
            yield mismatch(f"the bundle's {model}.nemo is not the one that was trained")


def _provenance_config(evidence: Evidence) -> Finding:
    provenance = _provenance_of(evidence)
    if provenance is None:
        return unknown(_bundle_unknown(evidence) or mismatch("the bundle cannot be read"))
    if provenance.config_sha256 == evidence.config_sha256:
        return judged((), evidence.config_sha256)
    edited = mismatch("the voice's config was edited after the bundle was built")
    return judged([edited], evidence.config_sha256, provenance.config_sha256)


def _provenance_dataset(evidence: Evidence) -> Finding:
    provenance = _provenance_of(evidence)
    if provenance is None:
        return unknown(_bundle_unknown(evidence) or mismatch("the bundle cannot be read"))
    if evidence.dataset is None:
        return unknown(_NO_DATASET)
    same = provenance.dataset_sha256 == evidence.dataset.manifest_sha256
    return judged(() if same else [mismatch("the bundle was built from another dataset")], provenance.dataset_sha256)


def _provenance_training(evidence: Evidence) -> Finding:
    provenance = _provenance_of(evidence)
    if provenance is None:
        return unknown(_bundle_unknown(evidence) or mismatch("the bundle cannot be read"))
    if evidence.training is None:
        return unknown(_NO_TRAINING)
    record, spec = evidence.training.record, evidence.training.spec
    if spec is not None and provenance.recipe_sha256 != recipe_digest(spec.recipe):
        return judged([mismatch("the bundle's provenance has another digest of the recipe than the training's")])
    if evidence.frontend_identity not in (None, provenance.frontend_identity):
        return judged([mismatch("the bundle's provenance names another text frontend than is installed")])
    made = (provenance.recipe, provenance.seed, dict(provenance.tensors_sha256))
    tensors = {"fastpitch": record.fastpitch_tensors_sha256, "hifigan": record.hifigan_tensors_sha256}
    if made == (record.recipe, record.seed, tensors):
        return judged((), record.recipe)
    return judged(
        [mismatch("the bundle's provenance names another recipe, seed or tensors than the training's")],
        provenance.recipe,
        record.recipe,
    )


def _licence(evidence: Evidence) -> Finding:
    found = evidence.licences
    apart = {*found.document_blockers, *found.package_blockers}
    blockers = [blocker for blocker in found.found() if str(blocker) not in apart]
    return judged(blockers, found.identity)


def _packages(evidence: Evidence) -> Finding:
    return _kept(evidence, evidence.licences.package_blockers)


def _documents(evidence: Evidence) -> Finding:
    return _kept(evidence, evidence.licences.document_blockers)


def _kept(evidence: Evidence, kind: tuple[str, ...]) -> Finding:
    return judged([blocker for blocker in evidence.licences.found() if str(blocker) in kind], len(kind), 0)


PACK: tuple[Rule, ...] = (
    Rule("lane.production", "HARD", "The config and everything stored is of a job type that may be promoted.", _lane),
    Rule("lane.agrees", "HARD", "Dataset, training, status and bundle are of the config's job type.", _lane_agrees),
    Rule("clock.not_set_back", "HARD", "Today is not before a day that stored evidence proves.", _clock),
    Rule("recordings.found", "HARD", "The recordings are there, are real files, and are large enough.", _found),
    Rule("recordings.preflight", "HARD", "They are those that audio_preflight judged.", _preflight),
    Rule("consent.valid", "HARD", "The speaker agreed to what the voice is for, today, and revoked nothing.", _consent),
    Rule("dataset.manifest", "HARD", "The dataset manifest has the recorded bytes.", _dataset),
    Rule("dataset.source", "HARD", "The dataset was made of the judged recordings.", _dataset_source),
    Rule("dataset.splits", "HARD", "Both splits have an utterance.", _dataset_splits),
    Rule("dataset.gates", "HARD", "Counted again, the dataset passes today's gates.", _dataset_gates),
    Rule("training.identity", "HARD", "Spec, features and frontend are those that were trained from.", _training),
    Rule("training.features", "HARD", "The features are of the dataset's clips and texts.", _features),
    Rule("training.fastpitch", "HARD", "The trained fastpitch.nemo has the recorded bytes.", _fastpitch),
    Rule("training.hifigan", "HARD", "The trained hifigan.nemo has the recorded bytes.", _hifigan),
    Rule("training.completed", "HARD", "The voice's latest training completed, with this checkpoint.", _completed),
    Rule("training.loss", "HARD", "The training's loss is a finite number.", _loss),
    Rule("bundle.whole", "HARD", "Every file of the bundle is there as listed, and no other.", _bundle),
    Rule("bundle.built", "HARD", "The bundle is the one that voice_bundle built for this voice.", _bundle_record),
    Rule("bundle.models", "HARD", "The bundle's .nemo files are the trained ones.", _bundle_models),
    Rule("provenance.config", "HARD", "The bundle was built with today's config of the voice.", _provenance_config),
    Rule("provenance.dataset", "HARD", "The bundle was built from this dataset.", _provenance_dataset),
    Rule("provenance.training", "HARD", "Recipe, seed and tensors are the training's.", _provenance_training),
    Rule("license.allowed", "HARD", "All with a part in the voice may be sold and handed on, on evidence.", _licence),
    Rule("license.packages", "HARD", "So may the packages that run when the bundle speaks.", _packages),
    Rule("license.documents", "HARD", "The bundle carries the notices and documents that follow.", _documents),
    *EVALUATION_RULES,
    *QUALITY_RULES,
    *SOFT_RULES,
)
