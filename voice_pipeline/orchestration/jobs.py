"""The jobs, named by the job types that other programs know."""

from __future__ import annotations

import dagster as dg

PREPARATION = ("audio_preflight", "dataset_manifest")
PRODUCTION = (
    *PREPARATION,
    "training_features",
    "nemo_checkpoint",
    "voice_bundle",
    "voice_evaluation",
    "license_gate",
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
    description="Preflight and dataset manifest only: what would be trained on.",
    tags={"job_type": "dataset"},
)

JOBS = (tts_prod_train_nemo, dataset)
