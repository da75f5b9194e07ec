"""The jobs, named by the job types that other programs know."""

from __future__ import annotations

import dagster as dg

from voice_pipeline.orchestration.operations import OPERATIONS
from voice_pipeline.voice import Voice

PREPARATION = (
    "audio_preflight",
    "utterance_segments",
    "clean_utterances",  # the order in which Dagster runs the two: by name
    "utterance_texts",
    "dataset_manifest",
)
PRODUCTION = (
    *PREPARATION,
    "training_features",
    "nemo_checkpoint",
    "voice_bundle",
    "voice_evaluation",
    "license_gate",
    "verification",
    "promoted_voice",
)

tts_prod_train_nemo = dg.define_asset_job(
    "tts_prod_train_nemo",
    selection=dg.AssetSelection.assets(*PRODUCTION),
    executor_def=dg.in_process_executor,
    description="Recordings to a promoted voice in the primary production lane: NeMo FastPitch and HiFi-GAN.",
    tags={"lane": "production", "job_type": "tts_prod_train_nemo"},
)

dataset = dg.define_asset_job(
    "dataset",
    selection=dg.AssetSelection.assets(*PREPARATION),
    executor_def=dg.in_process_executor,
    description="Recordings to a dataset manifest, and no further: what would be trained on.",
    tags={"job_type": "dataset"},
)

JOBS = (tts_prod_train_nemo, dataset, *OPERATIONS)


def is_about_training(run: dg.DagsterRun) -> bool:
    """Whether a run makes assets: a rollback or a revocation has neither a training's status nor its report."""
    return run.job_name not in {job.name for job in OPERATIONS}


def job_type_of(run: dg.DagsterRun, voice: Voice) -> str:
    """What a run is, for its status and its report: ``dataset`` when it ends before training, else the voice's own."""
    selected = {key.to_user_string() for key in run.asset_selection or ()}
    prepares = run.job_name == dataset.name or (bool(selected) and selected <= set(PREPARATION))
    return dataset.name if prepares else voice.job_type


def trains(run: dg.DagsterRun) -> bool:
    """Whether a run gets as far as the trainer, which is the only one to say that a training is complete."""
    if run.asset_selection is not None:
        return any(key.to_user_string() == "nemo_checkpoint" for key in run.asset_selection)
    return run.job_name == tts_prod_train_nemo.name
