"""From a dataset manifest to trained models."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import dagster as dg

from voice_pipeline.atomic import exclusive
from voice_pipeline.orchestration.assets.dataset import dataset_manifest
from voice_pipeline.orchestration.partitions import VOICES
from voice_pipeline.orchestration.programs import run_program
from voice_pipeline.orchestration.refusal import refuse, stored
from voice_pipeline.orchestration.shown import figures, picture, picture_of
from voice_pipeline.orchestration.workspace import OWNERS, Workspace
from voice_pipeline.recordings import manifest
from voice_pipeline.store import Store
from voice_pipeline.training import checkpoint, features, spec
from voice_pipeline.training.curves import loss_png
from voice_pipeline.training.launcher import failure_of, require_interpreter, trainer_command, trainer_environment

GROUP = "training"


@dg.asset(
    partitions_def=VOICES,
    deps=[dataset_manifest],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"numpy"},
    code_version=features.VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            "features_usable",
            asset="training_features",
            blocking=True,
            description="Both splits hold utterances long enough for their text, and some frames are voiced.",
        )
    ],
)
def training_features(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """Mel spectrogram, pitch and symbol ids of each utterance, computed once for the same content."""
    name = context.partition_key
    try:
        voice, store = workspace.voice(name), workspace.open_store()
        dataset = _dataset(store, name)
        record = features.run(voice, store, dataset, workspace.frontend(voice), workspace.recipe(voice))
    except Exception as error:
        yield from refuse(error, name, "features_usable")
        return
    yield dg.MaterializeResult(
        metadata=figures(asdict(record)),
        data_version=dg.DataVersion(record.identity),
        check_results=[
            dg.AssetCheckResult(
                check_name="features_usable",
                passed=record.voiced_share > 0,
                metadata={"voiced_share": record.voiced_share, "too_short": len(record.too_short)},
            )
        ],
    )


@dg.asset(
    partitions_def=VOICES,
    deps=[training_features],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"pytorch"},
    code_version=spec.VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            "training_complete",
            asset="nemo_checkpoint",
            blocking=True,
            description="The trainer ended well, its losses are finite, and the models' bytes are those it wrote.",
        )
    ],
)
def nemo_checkpoint(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """FastPitch and HiFi-GAN, trained by NeMo in a process of its own; resumes after any interruption."""
    name = context.partition_key
    reported: dict[str, Any] = {}
    try:
        voice, store, recipe = workspace.voice(name), workspace.open_store(), None
        recipe, frontend = workspace.recipe(voice), workspace.frontend(voice)
        prepared = features.run(voice, store, _dataset(store, name), frontend, recipe)
        plan = checkpoint.plan_training(
            workspace.project_root(), voice, store, recipe, prepared, frontend, context.run.run_id
        )
        record = checkpoint.finished(plan)
        if record is None:
            require_interpreter(name)
            with exclusive(store.training_lock(name), voice=name):
                context.log.info(f"training in {plan.spec.work_dir}; the trainer's log is trainer.log there")
                end = run_program(
                    context,
                    trainer_command(plan.spec_path),
                    log_path=plan.work_dir / "trainer.log",
                    environment=trainer_environment(),
                )
            reported = dict(end.metadata)
            failure = failure_of(end.exit_code, store, plan.spec)
            if failure is not None:
                context.log.error("the trainer's last words:\n" + "\n".join(end.tail))
                raise failure
            record = checkpoint.conclude(plan)
    except Exception as error:
        yield from refuse(error, name, "training_complete")
        return
    curve = loss_png(plan.work_dir / "loss.jsonl")
    yield dg.MaterializeResult(
        metadata={
            **reported,
            **figures(asdict(record)),
            **({"loss curve": picture("loss curve", curve)} if curve else {}),
            **picture_of("alignment", plan.work_dir / "alignment.png"),
        },
        data_version=dg.DataVersion(record.identity),
        check_results=[
            dg.AssetCheckResult(check_name="training_complete", passed=True, metadata={"loss": record.loss})
        ],
    )


def _dataset(store: Store, voice: str) -> manifest.DatasetRecord:
    """The dataset, if it may be trained on: materialized alone, this step must refuse a dataset with blockers too."""
    record = stored(manifest.read_record, store, voice, manifest.STAGE)
    manifest.refuse_blocked(record)
    return record
