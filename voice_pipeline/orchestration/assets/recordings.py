"""From source recordings to cleaned utterances, each stage with what a person can look at."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import dagster as dg

from voice_pipeline.orchestration.partitions import VOICES
from voice_pipeline.orchestration.progress import StageProgress
from voice_pipeline.orchestration.refusal import refuse, stored
from voice_pipeline.orchestration.shown import figures, picture_of, rows_of, table
from voice_pipeline.orchestration.workspace import OWNERS, Workspace
from voice_pipeline.recognition.recognizer import load_recognizer
from voice_pipeline.recordings import preflight
from voice_pipeline.recordings.cleaning import stage as cleaning
from voice_pipeline.recordings.segmentation import stage as segmentation
from voice_pipeline.recordings.tables import AudioFile, CleanUtterance, Segment, Unmatched, UtteranceText, read_rows
from voice_pipeline.recordings.texts import stage as texts

GROUP = "recordings"
_SHOWN = 20  # rows of a table in the UI
_MODEL = ("role", "model_id", "sha256")


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
        ),
        dg.AssetCheckSpec(
            "every_file_usable",
            asset="audio_preflight",
            description="No single file is broken; those that are, are listed with what is wrong and left out.",
        ),
    ],
)
def audio_preflight(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """Whether the speaker's recordings can be used at all, and what they are like."""
    name = context.partition_key
    try:
        voice, store = workspace.voice(name), workspace.open_store()
        progress = StageProgress(context, store, voice)
        record = preflight.run(workspace.project_root(), voice, store, progress=progress)
        files = list(islice(read_rows(store.audio_files(name), AudioFile), _SHOWN))
        broken = [row for row in read_rows(store.audio_files(name), AudioFile) if row.problem]
    except Exception as error:
        yield from refuse(error, name, "recordings_usable", "every_file_usable")
        return
    yield dg.MaterializeResult(
        metadata={
            **figures(record.model_dump(mode="json", exclude={"waveform", "spectrogram"})),
            "files": table(rows_of(files), ("name", "seconds", "sample_rate", "channels", "problem", "detail")),
            **picture_of("waveform", store.resolve(record.waveform.path)),
            **picture_of("spectrogram", store.resolve(record.spectrogram.path)),
        },
        data_version=dg.DataVersion(record.sha256),
        check_results=[
            dg.AssetCheckResult(check_name="recordings_usable", passed=True),
            dg.AssetCheckResult(
                check_name="every_file_usable",
                passed=not broken,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={
                    "broken": len(broken),
                    "broken_files": table(rows_of(broken[:_SHOWN]), ("name", "problem", "detail")),
                },
            ),
        ],
    )


@dg.asset(
    partitions_def=VOICES,
    deps=[audio_preflight],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"audio"},
    code_version=segmentation.VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            "speech_found",
            asset="utterance_segments",
            blocking=True,
            description="There is speech in the recordings, and it was cut, or taken, into utterances.",
        )
    ],
)
def utterance_segments(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """Where each utterance begins and ends: clips as they are, long recordings cut at their pauses."""
    name = context.partition_key
    try:
        voice, store = workspace.voice(name), workspace.open_store()
        record = segmentation.run(
            workspace.project_root(),
            voice,
            store,
            stored(preflight.read_record, store, name, preflight.STAGE),
            progress=StageProgress(context, store, voice),
        )
        rows = list(islice(read_rows(store.segments(name), Segment), _SHOWN))
    except Exception as error:
        yield from refuse(error, name, "speech_found")
        return
    yield dg.MaterializeResult(
        metadata={
            **figures(record.model_dump(mode="json")),
            "segments": table(rows_of(rows), ("utterance_id", "source", "start", "end", "whole")),
            "models": table(rows_of(record.models), _MODEL),
            **picture_of("speech and cuts", store.resolve(record.picture.path)),
        },
        data_version=dg.DataVersion(record.identity),
        check_results=[
            dg.AssetCheckResult(check_name="speech_found", passed=True, metadata={"segments": record.count})
        ],
    )


@dg.asset(
    partitions_def=VOICES,
    deps=[utterance_segments],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"text"},
    code_version=texts.VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            "texts_found",
            asset="utterance_texts",
            blocking=True,
            description="Utterances have their text: given, aligned from a whole reading, or recognised.",
        ),
        dg.AssetCheckSpec(
            "nothing_unmatched",
            asset="utterance_texts",
            description="No text is without its audio, no audio without its text; what is, is listed.",
        ),
    ],
)
def utterance_texts(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """What each utterance says, and what a recogniser heard in it."""
    name = context.partition_key
    try:
        voice, store = workspace.voice(name), workspace.open_store()
        project = workspace.project_root()
        record = texts.run(
            project,
            voice,
            store,
            workspace.frontend(voice),
            stored(preflight.read_record, store, name, preflight.STAGE),
            stored(segmentation.read_record, store, name, segmentation.STAGE),
            load_recognizer(project, voice),
            progress=StageProgress(context, store, voice),
        )
        rows = list(islice(read_rows(store.texts(name), UtteranceText), _SHOWN))
        unmatched = list(islice(read_rows(store.resolve(record.unmatched), Unmatched), _SHOWN))
    except Exception as error:
        yield from refuse(error, name, "texts_found", "nothing_unmatched")
        return
    yield dg.MaterializeResult(
        metadata={
            **figures(record.model_dump(mode="json")),
            "models": table(rows_of(record.models), _MODEL),
            "texts": table(rows_of(rows), ("utterance_id", "origin", "text", "hypothesis", "cer", "problem")),
            "unmatched": table(rows_of(unmatched), ("source", "reason", "detail")),
        },
        data_version=dg.DataVersion(record.identity),
        check_results=[
            dg.AssetCheckResult(check_name="texts_found", passed=True),
            dg.AssetCheckResult(
                check_name="nothing_unmatched",
                passed=record.unmatched_count == 0,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"unmatched": record.unmatched_count},
            ),
        ],
    )


@dg.asset(
    partitions_def=VOICES,
    deps=[utterance_segments],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"audio"},
    code_version=cleaning.VERSION,
    check_specs=[
        dg.AssetCheckSpec(
            "audio_measured",
            asset="clean_utterances",
            blocking=True,
            description="Every utterance was cleaned and measured, or says why it could not be.",
        )
    ],
)
def clean_utterances(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
    """Each utterance as training hears it: mono, resampled, trimmed, level, and measured on the way."""
    name = context.partition_key
    try:
        voice, store = workspace.voice(name), workspace.open_store()
        record = cleaning.run(
            workspace.project_root(),
            voice,
            store,
            stored(preflight.read_record, store, name, preflight.STAGE),
            stored(segmentation.read_record, store, name, segmentation.STAGE),
            sample_rate=workspace.recipe(voice).audio.sample_rate,
            progress=StageProgress(context, store, voice),
        )
        rows = list(islice(read_rows(store.utterances(name), CleanUtterance), _SHOWN))
    except Exception as error:
        yield from refuse(error, name, "audio_measured")
        return
    columns = (
        "utterance_id", "duration", "snr_db", "loudness_lufs", "gain_db", "bandwidth_hz", "clipping_share",
        "speaker_similarity", "problem",
    )  # fmt: skip
    yield dg.MaterializeResult(
        metadata={
            **figures(record.model_dump(mode="json")),
            "utterances": table(rows_of(rows), columns),
            "models": table(rows_of(record.models), _MODEL),
            **picture_of("distributions", store.resolve(record.picture.path)),
        },
        data_version=dg.DataVersion(record.identity),
        check_results=[dg.AssetCheckResult(check_name="audio_measured", passed=True)],
    )
