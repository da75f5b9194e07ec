"""The dataset: every utterance kept or rejected with its reasons, and whether what is kept will do."""

import shutil
from collections.abc import Iterator
from typing import Any

import dagster as dg

from voice_pipeline.atomic import atomic_path
from voice_pipeline.orchestration.assets.recordings import GROUP, clean_utterances, utterance_texts
from voice_pipeline.orchestration.jobs import dataset as dataset_job
from voice_pipeline.orchestration.partitions import VOICES
from voice_pipeline.orchestration.progress import StageProgress
from voice_pipeline.orchestration.refusal import refuse, stored
from voice_pipeline.orchestration.shown import figures, rows_of, table
from voice_pipeline.orchestration.workspace import OWNERS, Workspace
from voice_pipeline.recordings import manifest, preflight
from voice_pipeline.recordings.cleaning import stage as cleaning
from voice_pipeline.recordings.dataset.record import DatasetRecord, refuse_blocked
from voice_pipeline.recordings.segmentation import stage as segmentation
from voice_pipeline.recordings.texts import stage as texts
from voice_pipeline.store import Store

_SHOWN = 20
_CHECKS = {
    "enough_minutes": "What is kept is long enough to train on.",
    "enough_utterances": "What is kept is utterances enough to train on and to validate on.",
    "rejected_share": "Most of the recordings were good: what was rejected is not a fault of all of them.",
    "one_speaker": "One person speaks: few utterances were rejected for their speaker.",
    "no_leak": "No utterance, and none that sounds like it, is on both sides of the split.",
    "phone_coverage": "The training split holds the phones of the language; what is missing is listed.",
}
_WARNINGS = frozenset({"phone_coverage"})


@dg.asset(
    partitions_def=VOICES,
    deps=[utterance_texts, clean_utterances],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"json", "audio"},
    code_version=manifest.VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            "dataset_usable",
            asset="dataset_manifest",
            blocking=True,
            description="There are utterances to train on and others to validate on, each with its text.",
        ),
        *(
            dg.AssetCheckSpec(name, asset="dataset_manifest", blocking=name not in _WARNINGS, description=description)
            for name, description in _CHECKS.items()
        ),
        dg.AssetCheckSpec(
            "nothing_rejected",
            asset="dataset_manifest",
            description="Every clip became an utterance; the rejected ones are listed with their reasons.",
        ),
    ],
)
def dataset_manifest(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """The utterances: which are kept, which are rejected and why, their split, and a page to look at them all."""
    name = context.partition_key
    try:
        voice, store = workspace.voice(name), workspace.open_store()
        record = manifest.run(
            workspace.project_root(),
            voice,
            store,
            workspace.frontend(voice),
            stored(preflight.read_record, store, name, preflight.STAGE),
            stored(segmentation.read_record, store, name, segmentation.STAGE),
            stored(texts.read_record, store, name, texts.STAGE),
            stored(cleaning.read_record, store, name, cleaning.STAGE),
            progress=StageProgress(context, store, voice),
        )
        if context.run.job_name == dataset_job.name:
            _copy(store, record)
        kept = manifest.listing(store, name, rejected=False, limit=_SHOWN)
        rejected = manifest.listing(store, name, rejected=True, limit=_SHOWN)
    except Exception as error:
        yield from refuse(error, name, "dataset_usable")
        return
    failed_verdicts = [verdict for verdict in record.verdicts if not verdict.passed and verdict.blocking]
    yield dg.MaterializeResult(
        metadata={
            **figures(record.model_dump(mode="json")),
            "models": table(rows_of(record.models), ("role", "model_id", "sha256")),
            "utterances": table(rows_of(kept), ("utterance_id", "split", "duration", "text", "normalized_text")),
            "rejected_utterances": table(rows_of(rejected), ("utterance_id", "reasons", "detail", "text")),
            "page": dg.MetadataValue.path(store.resolve(record.page)),
            "table": dg.MetadataValue.path(store.resolve(record.table)),
        },
        data_version=dg.DataVersion(record.identity),
        check_results=[
            dg.AssetCheckResult(
                check_name="dataset_usable",
                passed=not failed_verdicts,
                metadata={"count": record.count},
                description="; ".join(verdict.detail for verdict in failed_verdicts),
            ),
            *(
                dg.AssetCheckResult(
                    check_name=verdict.name,
                    passed=verdict.passed,
                    severity=dg.AssetCheckSeverity.ERROR if verdict.blocking else dg.AssetCheckSeverity.WARN,
                    description=verdict.detail,
                    metadata={"figure": verdict.figure, "limit": verdict.limit, "reason": verdict.reason},
                )
                for verdict in record.verdicts
            ),
            dg.AssetCheckResult(
                check_name="nothing_rejected",
                passed=record.rejected_count == 0,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"rejected": record.rejected_count},
            ),
        ],
    )
    try:
        refuse_blocked(record)
    except Exception as error:
        yield from refuse(error, name)


def _copy(store: Store, record: DatasetRecord) -> None:
    """The manifest under the name of the job that prepares only, for those who look for it there."""
    target = store.dataset_manifest(record.voice_profile_id, dataset_job.name)
    for path in (target, store.latest_dataset_manifest(dataset_job.name)):
        with atomic_path(path) as temporary:
            shutil.copyfile(store.resolve(record.manifest), temporary)
