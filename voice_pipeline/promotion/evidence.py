"""What is known about a voice's bundle, read and hashed now: the input of the promotion decision.

    evidence = collect(project, voice, store, bundle_folder)

Records say what a stage found; nothing here takes a record's word for the bytes that it names. Every file with a part
in the chain is hashed again: recordings, dataset manifest, feature index, checkpoints, bundle, sounds. What is missing
or cannot be read is None, or a fault: collecting never raises for wrong evidence, so that a NO-GO can list all of it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from voice_pipeline import consent
from voice_pipeline.atomic import read_json
from voice_pipeline.bundle.build import BundleRecord
from voice_pipeline.bundle.format import (
    EVALUATION_NAME,
    MANIFEST_NAME,
    BundleManifest,
    ManifestError,
    content_digest,
    read_manifest,
)
from voice_pipeline.bundle.validation import validate_bundle
from voice_pipeline.evaluation.format import Evaluation, read_evaluation
from voice_pipeline.evaluation.gates import Gates, load_gates
from voice_pipeline.evaluation.run import EvaluationRecord
from voice_pipeline.evaluation.run import read_finished as read_evaluation_record
from voice_pipeline.evaluation.verification import timing_faults, verify
from voice_pipeline.failures import Blocker, ConfigError, VoiceFailure
from voice_pipeline.licensing import gate
from voice_pipeline.licensing.allowlist import load_allowlist
from voice_pipeline.promotion.entries import read_entries
from voice_pipeline.recordings import preflight
from voice_pipeline.recordings.dataset.recount import recount
from voice_pipeline.recordings.manifest import DatasetRecord
from voice_pipeline.recordings.manifest import read_record as read_dataset_record
from voice_pipeline.recordings.preflight import PreflightRecord
from voice_pipeline.recordings.source import content_digest as source_digest
from voice_pipeline.recordings.source import find_recordings
from voice_pipeline.recordings.thresholds import DatasetGates, load_dataset_gates
from voice_pipeline.status import TrainStatus, read_status
from voice_pipeline.store import Store, canonical_json, identity, sha256_file
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.training import features, mel, pitch
from voice_pipeline.training.checkpoint import CheckpointRecord
from voice_pipeline.training.checkpoint import load_record as load_checkpoint_record
from voice_pipeline.training.spec import TrainingSpec, read_spec, training_identity
from voice_pipeline.voice import Voice

Record = TypeVar("Record", CheckpointRecord, BundleRecord, TrainStatus)


@dataclass(frozen=True)
class DatasetEvidence:
    """The dataset's record, and its manifest as it is now."""

    record: DatasetRecord
    manifest_sha256: str | None
    blockers: tuple[Blocker, ...]  # of the verdicts, counted again from the manifest


@dataclass(frozen=True)
class TrainingEvidence:
    """The training's record, its spec, and its files as they are now."""

    record: CheckpointRecord
    spec: TrainingSpec | None
    identity: str | None  # computed again from the spec, the features and the frontend
    fastpitch_sha256: str | None
    hifigan_sha256: str | None
    features_fault: str | None  # why the features are not those of the dataset


@dataclass(frozen=True)
class BundleEvidence:
    """The bundle in one folder, every byte read again."""

    problems: tuple[str, ...]
    manifest: BundleManifest | None
    manifest_sha256: str | None
    content_digest: str | None
    record: BundleRecord | None  # what the stage that built it left


@dataclass(frozen=True)
class EvaluationEvidence:
    """The evaluation inside the bundle, and the stage's record of it."""

    evaluation: Evaluation | None
    sha256: str | None  # of evaluation.json in the bundle
    record: EvaluationRecord | None
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Clock:
    """The day that the decision is made for, and the newest day that something stored proves to have been."""

    today: date
    newest: date | None
    what: str  # proves it
    fault: str | None = None  # why it cannot be known


@dataclass(frozen=True)
class Evidence:
    """All that the decision looks at. Two collections of the same files on the same day are equal."""

    voice: Voice
    clock: Clock
    config_sha256: str
    gates: Gates
    source_sha256: str | None
    source_blocker: Blocker | None
    consent: tuple[Blocker, ...]
    preflight: PreflightRecord | None
    dataset: DatasetEvidence | None
    training: TrainingEvidence | None
    status: TrainStatus | None
    bundle: BundleEvidence
    evaluation: EvaluationEvidence
    licences: gate.LicenseRecord
    frontend_identity: str | None = None  # of the text frontend that is installed here

    @property
    def license_identity(self) -> str:
        """Of the licence gate's decision, made again."""
        return self.licences.identity

    def figures(self) -> dict[str, float]:
        """The figures that the same bundle always has: those of what was heard, and the training's loss."""
        found = dict(self.evaluation.evaluation.metrics) if self.evaluation.evaluation else {}
        if self.training is not None and math.isfinite(self.training.record.loss):
            found["loss"] = self.training.record.loss
        return found

    def metrics(self) -> dict[str, float]:
        """Every figure of the bundle's evaluation that a gate may limit; the speed is the record's."""
        found = self.evaluation
        if found.evaluation is None:
            return {}
        return dict(found.evaluation.metrics) if found.record is None else found.record.gate_metrics(found.evaluation)


def collect(project: Path, voice: Voice, store: Store, bundle_folder: Path, *, today: date) -> Evidence:
    """Read and hash everything for ``today``. Raises ConfigError for a wrong gates, policy or allowlist file only."""
    name = voice.voice_profile_id
    gates = load_gates(project, voice)
    frontend = gate.installed_frontend(voice.language)
    source_sha256, source_blocker = _source(project, voice)
    dataset = _dataset(store, name, load_dataset_gates(project, voice), frontend)
    return Evidence(
        voice=voice,
        clock=_clock(project, voice, store, today),
        config_sha256=hashlib.sha256(canonical_json(voice.model_dump(mode="json"))).hexdigest(),
        gates=gates,
        source_sha256=source_sha256,
        source_blocker=source_blocker,
        consent=consent.blockers(project, voice, store, today),
        preflight=preflight.read_record(store, name),
        dataset=dataset,
        training=_training(store, name, dataset, frontend),
        status=_status(store, voice),
        bundle=_bundle(store, name, bundle_folder),
        evaluation=_evaluation(store, name, bundle_folder, dataset, frontend),
        licences=gate.judge(project, voice, store, bundle_folder, today=today),
        frontend_identity=frontend.identity if frontend is not None else None,
    )


def _clock(project: Path, voice: Voice, store: Store, today: date) -> Clock:
    """The newest of the days that stored evidence proves: none of them can lie after today."""
    name, proven = voice.voice_profile_id, []
    try:
        last = read_entries(store.promotions(name), name).last
    except VoiceFailure as failure:
        return Clock(today, None, "", failure.detail)
    if last is not None:
        proven.append((last.time.date(), f"its last promotion's entry, {last.action}"))
    try:
        proven.append((_trained_on(store, voice), "its training's status"))
    except FileNotFoundError:
        pass  # the rules on the status say so
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return Clock(today, None, "", "the training's status has no timestamp")
    checked = max((one.checked_on for one in load_allowlist(project).weights if one.checked_on), default=None)
    if checked is not None:
        proven.append((checked, "the allowlist's latest check of a licence"))
    if voice.consent.granted_on is not None:
        proven.append((voice.consent.granted_on, "its speaker's consent"))
    newest = max(proven, default=None)
    return Clock(today, None, "") if newest is None else Clock(today, *newest)


def _trained_on(store: Store, voice: Voice) -> date:
    value = read_json(store.train_status(voice.voice_profile_id, voice.job_type))["timestamp"]
    return datetime.fromtimestamp(value, UTC).date()


def _source(project: Path, voice: Voice) -> tuple[str | None, Blocker | None]:
    """The recordings' digest now. Finding them asks preflight's first three questions again."""
    try:
        return source_digest(find_recordings(project, voice))[0], None
    except VoiceFailure as failure:
        return None, Blocker(failure.reason, failure.detail)


def _dataset(store: Store, voice: str, limits: DatasetGates, frontend: TextFrontend | None) -> DatasetEvidence | None:
    record = read_dataset_record(store, voice)
    if record is None:
        return None
    try:
        found = recount(store.resolve(record.manifest), store.utterances(voice), store.root, limits, frontend).blockers
    except ValueError as error:
        found = (Blocker("verification_failed", f"the dataset manifest is no file of the store: {error}"),)
    return DatasetEvidence(record, _sha256(store, record.manifest), found)


def _training(
    store: Store, voice: str, dataset: DatasetEvidence | None, frontend: TextFrontend | None
) -> TrainingEvidence | None:
    try:
        record = _checked(load_checkpoint_record(store, voice))
        spec = read_spec(store.resolve(record.work_dir) / "spec.json")
    except (VoiceFailure, ValidationError):
        return None
    except (ConfigError, OSError, ValueError):
        return TrainingEvidence(record, None, None, _sha256(store, record.fastpitch), None, None)
    index, statistics = _sha256(store, spec.features_index), _sha256(store, spec.statistics)
    known = index is not None and statistics is not None and frontend is not None
    return TrainingEvidence(
        record=record,
        spec=spec,
        identity=training_identity(spec, index or "", statistics or "", frontend.identity if frontend else "")
        if known
        else None,
        fastpitch_sha256=_sha256(store, record.fastpitch),
        hifigan_sha256=_sha256(store, record.hifigan),
        features_fault=_features_fault(store, spec, dataset, frontend),
    )


def _features_fault(
    store: Store, spec: TrainingSpec, dataset: DatasetEvidence | None, frontend: TextFrontend | None
) -> str | None:
    """Whether the features that were trained on are those of the dataset's clips and texts."""
    if dataset is None or frontend is None:
        return "there is nothing to compare the features with"
    try:
        entries = read_json(store.resolve(dataset.record.manifest))["entries"]
        lines = store.resolve(spec.features_index).read_text(encoding="utf-8").splitlines()
        used = {str(item["utterance_id"]): (str(item["split"]), Path(item["features"]).stem) for item in _json(lines)}
        left_out = set(read_json(store.record(spec.voice_profile_id, features.STAGE))["too_short"])
        wanted = {str(entry["utterance_id"]): _feature_key(entry, spec, frontend) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"the features cannot be read: {type(error).__name__}"
    if set(used) | left_out != set(wanted):
        return "the features are of other utterances than the dataset's"
    if any(used[utterance] != wanted[utterance] for utterance in used):
        return "the features are of other clips or texts than the dataset's"
    return None


def _feature_key(entry: Mapping[str, Any], spec: TrainingSpec, frontend: TextFrontend) -> tuple[str, str]:
    """(split, key of the cached features), as ``training.features`` computes it from a clip and its text."""
    key = identity(
        features=features.VERSION,
        mel=mel.VERSION,
        pitch=pitch.VERSION,
        audio=spec.recipe.audio.model_dump(),
        clip=entry["sha256"],
        ids=list(frontend.encode(entry["normalized_text"])),
    )
    return str(entry["split"]), key


def _status(store: Store, voice: Voice) -> TrainStatus | None:
    try:
        status = read_status(store.train_status(voice.voice_profile_id, voice.job_type))
        return None if status is None else _checked(status)
    except (OSError, ValueError):
        return None


def _bundle(store: Store, voice: str, folder: Path) -> BundleEvidence:
    problems = tuple(str(problem) for problem in validate_bundle(folder, production=True))
    try:
        record: BundleRecord | None = _checked(BundleRecord.from_json(read_json(store.record(voice, "voice_bundle"))))
    except (OSError, ValueError):
        record = None
    try:
        manifest = read_manifest(folder)
    except (OSError, ManifestError):
        return BundleEvidence(problems, None, None, None, record)
    return BundleEvidence(problems, manifest, sha256_file(folder / MANIFEST_NAME), content_digest(manifest), record)


def _evaluation(
    store: Store, voice: str, folder: Path, dataset: DatasetEvidence | None, frontend: TextFrontend | None
) -> EvaluationEvidence:
    record = read_evaluation_record(store, voice)
    path = folder / EVALUATION_NAME
    try:
        evaluation, sha256 = read_evaluation(path), sha256_file(path)
    except FileNotFoundError:
        return EvaluationEvidence(None, None, record, ("the bundle was not evaluated",))
    except (OSError, ValueError) as error:
        return EvaluationEvidence(None, None, record, (str(error),))
    faults = timing_faults(evaluation, record) if record is not None else ()
    if dataset is None or frontend is None:
        return EvaluationEvidence(evaluation, sha256, record, (*evaluation.problems(), *faults))
    found = verify(evaluation, store, dataset.record, frontend, frontend.language.code)
    return EvaluationEvidence(evaluation, sha256, record, (*found, *faults))


def _checked(record: Record) -> Record:
    """A record whose every field has the type that it should have: JSON can hold anything. Raises ValidationError."""
    for name, kind in get_type_hints(type(record)).items():
        TypeAdapter(kind).validate_python(getattr(record, name), strict=True)
    return record


def _sha256(store: Store, relative: str) -> str | None:
    """sha256 of a file of the store; None where it is missing, unreadable, or a way out of the store."""
    try:
        return sha256_file(store.resolve(relative))
    except (OSError, ValueError):
        return None


def _json(lines: list[str]) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in lines)
