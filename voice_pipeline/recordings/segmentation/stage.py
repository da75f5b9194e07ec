"""utterance_segments: every recording cut into utterances, every clip taken whole, with where somebody speaks in it.

    record = stage.run(project, voice, store, preflight)
    record.count, record.speech_seconds

The table has one row a segment, sorted by source name and start. A file with a problem has none.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from voice_pipeline.atomic import read_json, write_bytes, write_json
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition.listeners import ListeningModel
from voice_pipeline.recognition.voice_activity import VoiceActivity
from voice_pipeline.recordings.preflight import Picture, PreflightRecord
from voice_pipeline.recordings.segmentation import activity
from voice_pipeline.recordings.segmentation.cues import DEFAULT_CUES, as_given, cut_at_cues
from voice_pipeline.recordings.segmentation.cuts import DEFAULT_CUTS, Cut, cut_at_pauses
from voice_pipeline.recordings.segmentation.figures import Figures
from voice_pipeline.recordings.segmentation.measuring import MeasuredActivity, Piece
from voice_pipeline.recordings.segmentation.naming import Names
from voice_pipeline.recordings.segmentation.speech import DEFAULT_SPEECH, pauses_between, speech_intervals
from voice_pipeline.recordings.source import OnProgress, Recordings, find_recordings, read_from
from voice_pipeline.recordings.tables import AudioFile, Segment, TableError, read_rows, write_rows
from voice_pipeline.recordings.transcripts import Cue, SourceText, read_source_text
from voice_pipeline.recordings.workers import counted
from voice_pipeline.store import Store, canonical_json, identity, sha256_file
from voice_pipeline.voice import Voice

STAGE = "utterance_segments"
VERSION = "1"
PICTURE = "segments.png"  # beside the table


class SegmentsRecord(BaseModel):
    """What segmentation found. The same recordings give the same record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal["utterance_segments"]
    identity: str
    voice_profile_id: str
    table: str  # relative to the store
    sha256: str  # of the table
    count: int
    whole_count: int  # segments that are clips, not cuts
    file_count: int  # that were listened to
    silent_count: int  # of these, how many nobody speaks in
    silent_files: tuple[str, ...]  # the first of them
    source_seconds: float  # of all files that were listened to
    segment_seconds: float  # of all segments
    speech_seconds: float  # in the segments
    silence_seconds: float  # in the segments: pauses and margins
    left_out_seconds: float  # in no segment: long pauses, noise
    min_seconds: float  # of the segments
    median_seconds: float
    max_seconds: float
    short_count: int  # segments under 1 s
    long_count: int  # segments over 15 s: clips, or speech without a pause
    models: tuple[ListeningModel, ...]
    picture: Picture


def run(
    project: Path,
    voice: Voice,
    store: Store,
    preflight: PreflightRecord,
    *,
    progress: OnProgress | None = None,
) -> SegmentsRecord:
    """Find the speech of every usable file and cut it into segments; write the table, a picture and the record.

    ``progress(current, total)`` counts seconds of audio. What was measured before is not measured again.

    Raises VoiceFailure: ``too_little_speech`` when nobody speaks in any file, ``source_changed``,
    ``audio_undecodable``, ``config_invalid``, ``voice_activity_unavailable``, ``out_of_memory``, ``disk_full``,
    ``permission_denied``, and what finding the source and its text raises.
    """
    name = voice.voice_profile_id
    detector = VoiceActivity.load(voice=name)
    recordings = find_recordings(project, voice)
    files = _usable_files(store, name, preflight)
    text = read_source_text(project, voice, recordings, files)
    key = identity(
        stage=STAGE, version=VERSION, upstream=preflight.identity, kind=preflight.kind, text=_text_digest(text),
        channel=voice.source.channel, detector=detector.identity, activity=activity.VERSION,
        settings=[dataclasses.asdict(one) for one in (DEFAULT_SPEECH, DEFAULT_CUTS, DEFAULT_CUES)],
    )  # fmt: skip
    known = read_record(store, name)
    if known is not None and known.identity == key and _complete(store, known):
        return known
    pieces = tuple(_piece(store, recordings, name, file) for file in files)
    figures = Figures(DEFAULT_CUTS.min_seconds, DEFAULT_CUTS.max_seconds)
    with MeasuredActivity.open(store, lambda: pieces, detector, channel=voice.source.channel) as activities:
        activities.measure_missing(counted(progress, sum(file.seconds for file in files)))
        rows = _segments(pieces, activities, text, whole=preflight.kind != "recording", figures=figures)
        table = store.segments(name)
        count, digest = write_rows(table, rows)
    if not figures.speech_seconds:
        what = "the recording" if len(files) == 1 else f"any of the {len(files)} files"
        detail = f"nobody was heard to speak in {what}: noise, music or silence"
        raise VoiceFailure("too_little_speech", detail, voice=name, file=recordings.shown)
    record = SegmentsRecord(
        stage="utterance_segments",
        identity=key,
        voice_profile_id=name,
        table=store.relative(table),
        sha256=digest,
        count=count,
        models=(ListeningModel("voice activity", detector.model_id, detector.sha256),),
        picture=_write_picture(store, name, figures.png()),
        **figures.summary(),
    )
    write_json(store.record(name, STAGE), record.model_dump(mode="json"))
    return record


def read_record(store: Store, voice: str) -> SegmentsRecord | None:
    """The stored record of ``voice``; None where there is none that can be read."""
    try:
        return SegmentsRecord.model_validate(read_json(store.record(voice, STAGE)))
    except (OSError, ValueError, ValidationError):
        return None


def _usable_files(store: Store, voice: str, preflight: PreflightRecord) -> tuple[AudioFile, ...]:
    table = store.audio_files(voice)
    try:
        if sha256_file(table) != preflight.files_sha256:
            raise VoiceFailure("source_changed", "is not the table that audio_preflight wrote", voice=voice, file=table)
        return tuple(file for file in read_rows(table, AudioFile) if file.problem is None)
    except (OSError, TableError) as error:
        detail = f"the table of audio_preflight cannot be read: {error}"
        raise VoiceFailure("source_changed", detail, voice=voice, file=table) from error


def _segments(
    pieces: tuple[Piece, ...], activities: MeasuredActivity, text: SourceText, *, whole: bool, figures: Figures
) -> Iterator[Segment]:
    names = Names(piece.file.name for piece in pieces)
    for piece in pieces:
        file = piece.file
        found = activities.of(piece)
        cues = text.cues.get(file.name, ())
        if cues:
            cuts = _from_cues(cues, found, file.seconds)
        elif whole:
            speech = speech_intervals(found.probabilities, found.levels, file.seconds, DEFAULT_SPEECH)
            clip = text.clips.get(file.name)
            cuts = [(clip.utterance_id if clip else None, Cut(0.0, file.seconds, speech))]
        else:
            at_pauses = cut_at_pauses(found.probabilities, found.levels, file.seconds, DEFAULT_CUTS, DEFAULT_SPEECH)
            cuts = [(None, cut) for cut in at_pauses]
        is_whole = whole and not cues
        figures.add_file(file, found, [cut for _, cut in cuts], whole=is_whole)
        for given, cut in cuts:
            utterance = names.given(given) if given else names.made(file.name, None if is_whole else cut.start)
            yield Segment(utterance, file.name, file.sha256, cut.start, cut.end, is_whole, cut.speech)


def _from_cues(cues: tuple[Cue, ...], found: activity.Activity, seconds: float) -> list[tuple[str | None, Cut]]:
    speech = speech_intervals(found.probabilities, found.levels, seconds, DEFAULT_SPEECH)
    if any(cue.utterance_id for cue in cues):
        given = ((cue.utterance_id, as_given(cue.start, cue.end, speech, seconds)) for cue in cues)
        return [(identifier, cut) for identifier, cut in given if cut is not None]
    pauses = pauses_between(speech, found.levels, seconds)
    return [(None, cut) for cut in cut_at_cues(cues, speech, pauses, seconds, DEFAULT_CUES)]


def _text_digest(text: SourceText) -> str:
    """sha256 of what segmentation takes from the text: ids and times. A corrected word cuts nothing anew."""
    digest = hashlib.sha256()
    for name in sorted(text.clips):
        digest.update(canonical_json([name, text.clips[name].utterance_id]))
    for name in sorted(text.cues):
        cues = [[cue.start, cue.end, cue.utterance_id] for cue in text.cues[name]]
        digest.update(canonical_json([name, cues]))
    return digest.hexdigest()


def _piece(store: Store, recordings: Recordings, voice: str, file: AudioFile) -> Piece:
    shown = recordings.shown_name(file.name)
    try:
        return Piece(voice, file, read_from(store, recordings.root, file), shown)
    except ValueError as error:
        raise VoiceFailure("source_changed", str(error), voice=voice, file=shown) from error


def _write_picture(store: Store, voice: str, data: bytes) -> Picture:
    path = store.segments(voice).with_name(PICTURE)
    write_bytes(path, data)
    return Picture(path=store.relative(path), sha256=hashlib.sha256(data).hexdigest())


def _complete(store: Store, record: SegmentsRecord) -> bool:
    try:
        return all(
            sha256_file(store.resolve(path)) == digest
            for path, digest in ((record.table, record.sha256), (record.picture.path, record.picture.sha256))
        )
    except (OSError, ValueError):
        return False
