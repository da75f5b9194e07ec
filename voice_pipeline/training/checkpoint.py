"""The checkpoint of a voice: what is to be trained, whether it is there already, and the record of it.

    plan = plan_training(project, voice, store, recipe, features, frontend, run_id)
    record = finished(plan) or (start the program on plan.spec_path, then) conclude(plan)

The training's identity decides its work folder: the same inputs, recipe and seed find their finished weights, or the
checkpoint to resume from.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from voice_pipeline import clock, consent
from voice_pipeline.atomic import read_json, write_json
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.protocol import Progress
from voice_pipeline.status import TrainStatus, write_status
from voice_pipeline.store import Store, sha256_file
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.training.base_check import check_base
from voice_pipeline.training.features import FeaturesRecord
from voice_pipeline.training.recipe import Recipe
from voice_pipeline.training.spec import TrainingSpec, training_identity
from voice_pipeline.voice import Voice

STAGE = "nemo_checkpoint"
MODELS = ("fastpitch", "hifigan")


@dataclass(frozen=True)
class CheckpointRecord:
    """The trained models. Paths are relative to the store."""

    identity: str
    work_dir: str
    fastpitch: str
    fastpitch_sha256: str
    hifigan: str
    hifigan_sha256: str
    fastpitch_tensors_sha256: str
    hifigan_tensors_sha256: str
    loss: float
    fastpitch_loss: float
    hifigan_loss: float
    steps: int
    frontend: str
    recipe: str
    seed: int


@dataclass(frozen=True)
class TrainingPlan:
    """One training: its identity, its spec and where that lies."""

    identity: str
    store: Store
    spec: TrainingSpec
    spec_path: Path

    @property
    def work_dir(self) -> Path:
        """The absolute work folder."""
        return self.store.root / self.spec.work_dir


def plan_training(
    project: Path,
    voice: Voice,
    store: Store,
    recipe: Recipe,
    features: FeaturesRecord,
    frontend: TextFrontend,
    run_id: str,
) -> TrainingPlan:
    """Check the base weights and write the spec of a voice's training. Raises VoiceFailure as ``check_base`` does.

    Whoever trains comes by here, so unfit or unsafe base weights are refused before a trainer starts, and a voice
    whose consent was revoked after its preparation: ``consent_missing``.
    """
    name = voice.voice_profile_id
    stopped = consent.revoked(voice, clock.today(), consent.read_revocation(store, name))
    if stopped is not None:
        raise VoiceFailure("consent_missing", stopped, voice=name)
    base = {model: check_base(project, voice, model, recipe, frontend) for model in voice.base}
    text_folder = store.features(name) / "text"
    frontend.save(text_folder)
    spec = TrainingSpec.model_validate(
        {
            "schema": "nemo_training/1",
            "job_type": voice.job_type,
            "voice_profile_id": name,
            "run_id": run_id,
            "store": store.root,
            "work_dir": "checkpoints",
            "features_index": features.index,
            "statistics": features.statistics,
            "frontend": store.relative(text_folder),
            "recipe": recipe.model_dump(mode="json"),
            "base": {model: file.model_dump(mode="json") for model, file in base.items()},
            "seed": voice.seed,
        }
    )
    identity = training_identity(spec, features.index_sha256, features.statistics_sha256, frontend.identity)
    work_dir = store.checkpoint(name, "nemo", identity)
    spec = spec.model_copy(update={"work_dir": store.relative(work_dir)})
    spec_path = work_dir / "spec.json"
    write_json(spec_path, spec.to_json())
    return TrainingPlan(identity, store, spec, spec_path)


def finished(plan: TrainingPlan) -> CheckpointRecord | None:
    """The record of a training that has ended before with the very bytes that still lie there; else None."""
    try:
        return conclude(plan)
    except VoiceFailure:
        return None


def conclude(plan: TrainingPlan) -> CheckpointRecord:
    """Read the trainer's result, hash its files again, write the stage's record and this run's completed status.

    Raises VoiceFailure ``checkpoint_missing`` when a model is missing or is not what the result says.
    """
    name = plan.spec.voice_profile_id
    try:
        result = read_json(plan.work_dir / "result.json")
        record = CheckpointRecord(
            identity=plan.identity,
            work_dir=plan.spec.work_dir,
            fastpitch=f"{plan.spec.work_dir}/fastpitch.nemo",
            fastpitch_sha256=result["models"]["fastpitch"]["sha256"],
            hifigan=f"{plan.spec.work_dir}/hifigan.nemo",
            hifigan_sha256=result["models"]["hifigan"]["sha256"],
            fastpitch_tensors_sha256=result["models"]["fastpitch"]["tensors_sha256"],
            hifigan_tensors_sha256=result["models"]["hifigan"]["tensors_sha256"],
            loss=result["loss"],
            fastpitch_loss=result["models"]["fastpitch"]["loss"],
            hifigan_loss=result["models"]["hifigan"]["loss"],
            steps=result["progress_total"],
            frontend=plan.spec.frontend,
            recipe=plan.spec.recipe.name,
            seed=plan.spec.seed,
        )
        for model in MODELS:
            if sha256_file(plan.work_dir / f"{model}.nemo") != result["models"][model]["sha256"]:
                raise VoiceFailure("checkpoint_missing", f"{model}.nemo was altered after its training", voice=name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VoiceFailure("checkpoint_missing", f"no complete result: {error!r}", voice=name) from error
    write_json(plan.store.record(name, STAGE), {"stage": STAGE, **asdict(record)})
    write_status(plan.store, _completed(plan, record, result))
    return record


def load_record(store: Store, voice: str) -> CheckpointRecord:
    """The stored record of a finished training. Raises VoiceFailure ``checkpoint_missing``."""
    path = store.record(voice, STAGE)
    try:
        value = read_json(path)
        del value["stage"]
        return CheckpointRecord(**value)
    except (OSError, ValueError, KeyError, TypeError) as error:
        detail = "no finished training; materialize nemo_checkpoint first"
        raise VoiceFailure("checkpoint_missing", detail, voice=voice) from error


def _completed(plan: TrainingPlan, record: CheckpointRecord, result: dict[str, Any]) -> TrainStatus:
    started = TrainStatus.start(plan.spec.job_type, plan.spec.voice_profile_id, plan.spec.run_id)
    return replace(
        started,
        status="completed",
        message="Training complete",
        progress=Progress(record.steps, record.steps),
        stats={"stage": "done", "loss": record.loss, "dataset_items": result["dataset_items"]},
        loss=record.loss,
        checkpoint=record.fastpitch,
        checkpoint_bytes=(plan.work_dir / "fastpitch.nemo").stat().st_size,
        checkpoint_sha256=record.fastpitch_sha256,
        artifacts=(record.fastpitch, record.hifigan),
    )
