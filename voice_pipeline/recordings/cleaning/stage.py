"""clean_utterances: every segment as training would hear it, and what was measured of it as it was recorded.

    record = stage.run(project, voice, store, preflight, segments, sample_rate=22_050)
    record.usable_count, record.figures["snr_db"].median

The table has one row a segment, in their order. A segment that no clip can be made of has a problem; nothing is judged
here.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_pipeline.atomic import read_json, write_bytes, write_json
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition.listeners import ListeningModel
from voice_pipeline.recognition.speaker import SpeakerEncoder
from voice_pipeline.recordings.cleaning import chain, fingerprint, speakers
from voice_pipeline.recordings.cleaning.chain import Settings
from voice_pipeline.recordings.cleaning.measuring import EMBEDDING_VERSION, CleanedUtterances, Request
from voice_pipeline.recordings.cleaning.speakers import VoiceCentre, find_voice
from voice_pipeline.recordings.cleaning.summary import Spread, Summary
from voice_pipeline.recordings.preflight import Picture, PreflightRecord
from voice_pipeline.recordings.segmentation.stage import SegmentsRecord
from voice_pipeline.recordings.source import OnProgress, Recordings, find_recordings, read_from
from voice_pipeline.recordings.tables import AudioFile, CleanUtterance, Segment, read_rows, write_rows
from voice_pipeline.recordings.thresholds import load_dataset_gates
from voice_pipeline.recordings.workers import counted
from voice_pipeline.store import Store, identity, sha256_file
from voice_pipeline.voice import Voice

STAGE = "clean_utterances"
VERSION = "1"
PICTURE = "figures.png"  # beside the table
_SIMILARITIES = (0.5, 0.6, 0.7, 0.8)  # for which the record says how many are below


class CleanRecord(BaseModel):
    """What cleaning made and measured. The same segments and settings give the same record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal["clean_utterances"]
    identity: str
    voice_profile_id: str
    table: str  # relative to the store
    sha256: str  # of the table
    count: int
    usable_count: int
    problem_counts: dict[str, int]
    duration_seconds: float  # of all cleaned utterances
    sample_rate: int  # Hz
    loudness_lufs: float  # that utterances were brought to
    true_peak_dbtp: float  # that none is above
    peak_limited_count: int  # utterances that the true peak keeps below the wanted loudness
    figures: dict[str, Spread]
    speaker_share: float | None  # of the utterances that are within 0.75 of the voice's centroid; None: not measured
    similarity_below: dict[str, int]  # how many utterances are less like the speaker than this
    models: tuple[ListeningModel, ...]
    picture: Picture
    computed_clips: int = Field(
        default=0, exclude=True, description="Utterances cleaned by this call; the cache had the others."
    )


def run(
    project: Path,
    voice: Voice,
    store: Store,
    preflight: PreflightRecord,
    segments: SegmentsRecord,
    *,
    sample_rate: int,
    progress: OnProgress | None = None,
) -> CleanRecord:
    """Clean and measure every segment; write the table, a picture and the record. ``sample_rate`` in Hz.

    ``progress(current, total)`` counts seconds of audio. What was cleaned before is not cleaned again. Where the
    voice's ``dataset_gates.min_speaker_similarity`` is -1, nobody asks who speaks, and it is not measured.

    Raises VoiceFailure: ``too_little_speech`` when no segment is usable, ``source_changed``, ``table_damaged``,
    ``speaker_encoder_unavailable``, ``out_of_memory``, ``disk_full``, ``permission_denied``, and what finding the
    source raises. Raises ConfigError for wrong gates.
    """
    name = voice.voice_profile_id
    settings = Settings(sample_rate, voice.cleaning.loudness_lufs, voice.cleaning.true_peak_dbtp)
    asked = load_dataset_gates(project, voice).min_speaker_similarity > -1
    encoder = _load_encoder(name) if asked else None
    key = identity(
        stage=STAGE, version=VERSION, upstream=[preflight.identity, segments.identity], voice=name,
        chain=chain.VERSION, fingerprint=fingerprint.VERSION, channel=voice.source.channel,
        settings=dataclasses.asdict(settings),
        speaker=encoder and [encoder.model_id, encoder.sha256, EMBEDDING_VERSION, speakers.VERSION],
    )  # fmt: skip
    known = read_record(store, name)
    if known is not None and known.identity == key and _complete(store, known):
        return known
    recordings = find_recordings(project, voice)
    _check_tables(store, preflight, segments)

    def requests() -> Iterator[Request]:
        return _requests(store, recordings, name)

    with CleanedUtterances.open(store, requests, settings, encoder, channel=voice.source.channel) as cleaned:
        cleaned.clean_missing(counted(progress, segments.segment_seconds))
        centre = _find_voice(cleaned, requests) if encoder else None
        summary = Summary()
        count, digest = write_rows(store.utterances(name), _rows(cleaned, requests, centre, settings, summary))
        computed = cleaned.computed
    if not summary.usable:
        detail = f"none of {count} segments is usable; the first is {summary.first_problem}"
        raise VoiceFailure("too_little_speech", detail, voice=name, file=recordings.shown)
    similarities = summary.values("speaker_similarity")
    record = CleanRecord(
        stage="clean_utterances",
        identity=key,
        voice_profile_id=name,
        table=store.relative(store.utterances(name)),
        sha256=digest,
        count=count,
        usable_count=summary.usable,
        problem_counts=dict(sorted(summary.problems.items())),
        duration_seconds=round(summary.seconds, 3),
        sample_rate=sample_rate,
        loudness_lufs=settings.loudness_lufs,
        true_peak_dbtp=settings.true_peak_dbtp,
        peak_limited_count=summary.held_back,
        figures=summary.spreads(),
        speaker_share=centre.share if centre else None,
        similarity_below={str(limit): int((similarities < limit).sum()) for limit in _SIMILARITIES if centre},
        models=(ListeningModel("speaker encoder", encoder.model_id, encoder.sha256),) if encoder else (),
        picture=_write_picture(store, name, summary.png()),
    )
    write_json(store.record(name, STAGE), record.model_dump(mode="json"))
    return record.model_copy(update={"computed_clips": computed})


def read_record(store: Store, voice: str) -> CleanRecord | None:
    """The stored record of ``voice``; None where there is none that can be read."""
    try:
        return CleanRecord.model_validate(read_json(store.record(voice, STAGE)))
    except (OSError, ValueError, ValidationError):
        return None


def _load_encoder(voice: str) -> SpeakerEncoder:
    try:
        return SpeakerEncoder.load()
    except VoiceFailure as error:
        hint = "; or set dataset_gates.min_speaker_similarity to -1: then nobody asks who speaks"
        raise VoiceFailure(error.reason, error.detail + hint, voice=voice) from error


def _requests(store: Store, recordings: Recordings, voice: str) -> Iterator[Request]:
    """Every segment with its file: both tables are sorted by the file's name."""
    files = read_rows(store.audio_files(voice), AudioFile)
    file: AudioFile | None = None
    path, shown = Path(), ""
    for segment in read_rows(store.segments(voice), Segment):
        while file is None or file.name != segment.source:
            file = next(files, None)
            if file is None:
                detail = f"{segment.utterance_id} is of {segment.source!r}, which is no file of the source"
                raise VoiceFailure("table_damaged", detail, voice=voice, file=store.segments(voice))
            path, shown = read_from(store, recordings.root, file), recordings.shown_name(file.name)
        yield Request(voice, segment, file, path, shown)


def _find_voice(cleaned: CleanedUtterances, requests: Callable[[], Iterator[Request]]) -> VoiceCentre | None:
    sample = speakers.Sample()
    for request in requests():
        key = cleaned.key(request)
        embedding = cleaned.embedding(key)
        if embedding is not None:
            sample.add(key, embedding)
    found = sample.embeddings()
    return find_voice(found) if len(found) else None


def _rows(
    cleaned: CleanedUtterances,
    requests: Callable[[], Iterator[Request]],
    centre: VoiceCentre | None,
    settings: Settings,
    summary: Summary,
) -> Iterator[CleanUtterance]:
    for request in requests():
        row = cleaned.of(request)
        if centre is not None and not row.problem:
            embedding = cleaned.embedding(cleaned.key(request))
            if embedding is not None:
                row = dataclasses.replace(row, speaker_similarity=round(float(embedding @ centre.centroid), 4))
        wanted = None if row.loudness_lufs is None else settings.loudness_lufs - row.loudness_lufs
        summary.add(row, wanted_gain_db=wanted)
        yield row


def _check_tables(store: Store, preflight: PreflightRecord, segments: SegmentsRecord) -> None:
    for path, digest in ((preflight.files, preflight.files_sha256), (segments.table, segments.sha256)):
        try:
            same = sha256_file(store.resolve(path)) == digest
        except (OSError, ValueError) as error:
            detail = f"cannot be read: {error}"
            raise VoiceFailure("table_damaged", detail, voice=segments.voice_profile_id, file=path) from error
        if not same:
            detail = "is not the table that its stage recorded"
            raise VoiceFailure("table_damaged", detail, voice=segments.voice_profile_id, file=path)


def _write_picture(store: Store, voice: str, data: bytes) -> Picture:
    path = store.utterances(voice).with_name(PICTURE)
    write_bytes(path, data)
    return Picture(path=store.relative(path), sha256=hashlib.sha256(data).hexdigest())


def _complete(store: Store, record: CleanRecord) -> bool:
    """Whether the table and the picture are those of the record, and every WAV is there with its size."""
    try:
        for path, digest in ((record.table, record.sha256), (record.picture.path, record.picture.sha256)):
            if sha256_file(store.resolve(path)) != digest:
                return False
        rows = read_rows(store.resolve(record.table), CleanUtterance)
        return all(row.problem or (store.root / row.wav).stat().st_size == row.bytes for row in rows)
    except (OSError, ValueError):
        return False
