"""From trained models to a bundle that speaks, and to what is measured on its speech."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from voice_pipeline.bundle import build, provenance
from voice_pipeline.evaluation import run as evaluation
from voice_pipeline.evaluation.format import read_evaluation
from voice_pipeline.evaluation.gates import judge, load_gates
from voice_pipeline.licensing.documents import bundle_documents
from voice_pipeline.licensing.parts import parts_of, weights_manifests
from voice_pipeline.orchestration.assets.training import nemo_checkpoint
from voice_pipeline.orchestration.partitions import VOICES
from voice_pipeline.orchestration.refusal import refuse
from voice_pipeline.orchestration.shown import figures, sound, table
from voice_pipeline.orchestration.workspace import OWNERS, Workspace
from voice_pipeline.store import sha256_file
from voice_pipeline.training import checkpoint

GROUP = "speech"
_SHOWN_SENTENCES = 40


@dg.asset(
    partitions_def=VOICES,
    deps=[nemo_checkpoint],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"onnx"},
    code_version=build.VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            "bundle_valid",
            asset="voice_bundle",
            blocking=True,
            description="Every listed file has its size and digest, nothing else is there; ONNX speaks as torch does.",
        )
    ],
)
def voice_bundle(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """The voice as one verified folder: two .nemo files, and ONNX models that speak without NeMo."""
    name = context.partition_key
    try:
        voice, store = workspace.voice(name), workspace.open_store()
        project, recipe, frontend = workspace.project_root(), workspace.recipe(voice), workspace.frontend(voice)
        trained = checkpoint.load_record(store, name)
        parts = parts_of(project, voice, store)
        record = build.run(
            voice,
            store,
            build.TrainedModels.from_result(store.resolve(trained.work_dir), voice=name),
            frontend,
            provenance.provenance_of(project, voice, recipe, sha256_file(store.dataset_manifest(name, voice.job_type))),
            weights_manifests(parts),
            documents=bundle_documents(project, voice, store, parts=parts),
        )
    except Exception as error:
        yield from refuse(error, name, "bundle_valid")
        return
    yield dg.MaterializeResult(
        metadata={
            **figures(record.to_json()),
            **sound("sample", store.resolve(record.sample)),
        },
        data_version=dg.DataVersion(record.content_digest),
        check_results=[
            dg.AssetCheckResult(
                check_name="bundle_valid",
                passed=True,
                metadata={"mel_difference": record.mel_difference, "audio_difference": record.audio_difference},
            )
        ],
    )


@dg.asset(
    partitions_def=VOICES,
    deps=[voice_bundle],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"onnx", "audio"},
    code_version=evaluation.VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            "quality",
            asset="voice_evaluation",
            description="Measured on sentences that it never trained on, the voice is within configs/gates.yaml.",
        )
    ],
)
def voice_evaluation(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """What the bundle's own speech is like: understood by a recogniser, free of clipping and gaps, fast."""
    name = context.partition_key
    try:
        voice, store = workspace.voice(name), workspace.open_store()
        project = workspace.project_root()
        gates = load_gates(project, voice)
        record = evaluation.run(project, voice, store, store.bundle(name), workspace.frontend(voice))
        sentences = list(evaluation.shown_sentences(read_evaluation(store.resolve(record.evaluation))))
    except Exception as error:
        yield from refuse(error, name, "quality")
        return
    failed = judge(record.metrics, gates)
    worst = next((row for row in sentences if row["file"]), None)
    yield dg.MaterializeResult(
        metadata={
            **figures(dict(record.metrics)),
            **figures({f"recordings_{key}": value for key, value in record.recordings_metrics.items()}),
            "judged_bundle": record.content_digest,
            "sentences": table(sentences[:_SHOWN_SENTENCES], ("sentence", "heard", "wer", "file")),
            **(sound("worst sentence", store.evaluation(name) / str(worst["file"])) if worst else {}),
        },
        data_version=dg.DataVersion(record.digest),
        check_results=[
            dg.AssetCheckResult(
                check_name="quality",
                passed=not failed,
                severity=dg.AssetCheckSeverity.ERROR,
                description="; ".join(str(gate) for gate in failed) or "Every figure is within its limit.",
                metadata={gate.metric: str(gate) for gate in failed},
            )
        ],
    )
