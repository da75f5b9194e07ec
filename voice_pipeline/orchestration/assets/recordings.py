"""From source recordings to a dataset manifest."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from voice_pipeline.orchestration.partitions import VOICES
from voice_pipeline.orchestration.refusal import refuse
from voice_pipeline.orchestration.shown import figures, picture_of, table
from voice_pipeline.orchestration.workspace import OWNERS, Workspace
from voice_pipeline.recordings import manifest, preflight
from voice_pipeline.store import read_json

GROUP = "recordings"
_SHOWN_UTTERANCES = 20


@dg.asset(
    partitions_def=VOICES,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"audio"},
    code_version=preflight.VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            "recordings_usable",
            asset="audio_preflight",
            blocking=True,
            description="The recordings exist, are real audio, large enough and whole, and their speaker agreed.",
        )
    ],
)
def audio_preflight(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """Whether the speaker's recordings can be used at all, and what they are like."""
    name = context.partition_key
    try:
        voice, store = workspace.voice(name), workspace.open_store()
        record = preflight.run(workspace.project_root(), voice, store)
    except Exception as error:
        yield from refuse(error, name, "recordings_usable")
        return
    yield dg.MaterializeResult(
        metadata={
            **figures(record.model_dump(mode="json", exclude={"waveform", "spectrogram"})),
            **picture_of("waveform", store.resolve(record.waveform.path)),
            **picture_of("spectrogram", store.resolve(record.spectrogram.path)),
        },
        data_version=dg.DataVersion(record.sha256),
        check_results=[dg.AssetCheckResult(check_name="recordings_usable", passed=True)],
    )


@dg.asset(
    partitions_def=VOICES,
    deps=[audio_preflight],
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
        dg.AssetCheckSpec(
            "nothing_rejected",
            asset="dataset_manifest",
            description="Every clip became an utterance; the rejected ones are listed with their reasons.",
        ),
    ],
)
def dataset_manifest(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """The utterances: staged clips with their text, their split, and every rejected one with its reason."""
    name = context.partition_key
    try:
        voice, store = workspace.voice(name), workspace.open_store()
        project = workspace.project_root()
        checked = preflight.run(project, voice, store)
        recipe = workspace.recipe(voice)
        record = manifest.run(
            project, voice, store, workspace.frontend(voice), checked, sample_rate=recipe.audio.sample_rate
        )
        written = read_json(store.dataset_manifest(name, voice.job_type))
    except Exception as error:
        yield from refuse(error, name, "dataset_usable")
        return
    rejected = written.get("rejected", [])
    yield dg.MaterializeResult(
        metadata={
            **figures(record.model_dump(mode="json")),
            "utterances": table(
                written["entries"][:_SHOWN_UTTERANCES], ("utterance_id", "split", "duration", "text", "normalized_text")
            ),
            "rejected_utterances": table(rejected[:_SHOWN_UTTERANCES], ("utterance_id", "reason", "detail")),
        },
        data_version=dg.DataVersion(record.identity),
        check_results=[
            dg.AssetCheckResult(check_name="dataset_usable", passed=True, metadata={"count": written["count"]}),
            dg.AssetCheckResult(
                check_name="nothing_rejected",
                passed=not rejected,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"rejected": len(rejected)},
            ),
        ],
    )
