"""The three tables side by side, one row each, judged as they are read.

    gather(index, inputs, review, gates)      # every segment, every bad file, every text without audio

A segment's row is judged at once; duplicates and the split need all of them, and come after.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.recordings.dataset.decisions import is_technical, judge
from voice_pipeline.recordings.dataset.index import DuplicateIdError, RowIndex
from voice_pipeline.recordings.dataset.review import Review
from voice_pipeline.recordings.dataset.rows import Reason, Row
from voice_pipeline.recordings.source import OnProgress
from voice_pipeline.recordings.tables import (
    AudioFile,
    CleanUtterance,
    Segment,
    TableError,
    Unmatched,
    UtteranceText,
    read_rows,
)
from voice_pipeline.recordings.thresholds import DatasetGates
from voice_pipeline.store import Store
from voice_pipeline.text.errors import TextError

UNMATCHED = "unmatched.jsonl"  # beside the table of texts
_BLOCK = 1 << 20  # bytes

Table = TypeVar("Table")
Normalise = Callable[[str], str]


@dataclass(frozen=True)
class Inputs:
    """Where the tables of one voice are, and how its source is shown."""

    voice: str
    store: Store
    source: str  # as the voice's config has it

    def shown(self, name: str) -> str:
        """A piece of audio as the manifest shows it. An absolute path says whose machine it was, not what it is."""
        if self.source.startswith("/"):
            return name
        source = PurePosixPath(self.source)
        if name == source.name or name.startswith(f"{source.name}#"):  # the source is this one file
            return (source.parent / name).as_posix()
        return f"{self.source}/{name}"


def gather(
    index: RowIndex,
    inputs: Inputs,
    review: Review,
    gates: DatasetGates,
    normalise: Normalise,
    progress: OnProgress | None,
) -> None:
    """Fill ``index``. Raises VoiceFailure ``table_damaged``, ``disk_full``; ``normalise`` raises TextError."""
    try:
        index.add(_segments(inputs, review, gates, normalise, progress))
        index.finish_utterances()
        index.add(_unused(index, inputs))
    except DuplicateIdError as error:
        path = inputs.store.segments(inputs.voice)
        raise VoiceFailure("table_damaged", f"{error} is there twice", voice=inputs.voice, file=path) from error
    index.finish_adding()


def judged(row: Row, review: Review, gates: DatasetGates) -> Row:
    """``row`` with its reasons, and what a person says to them."""
    return reviewed(row, judge(row, gates), review)


def reviewed(row: Row, reasons: tuple[Reason, ...], review: Review) -> Row:
    """``row`` with ``reasons``, of which a person's word overrules those that are a matter of judgement."""
    identifier = row.utterance_id
    if row.kind != "utterance":
        return dataclasses.replace(row, reasons=reasons, kept=False)
    if identifier in review.reject:
        why = review.reject[identifier]
        return dataclasses.replace(
            row,
            reasons=(*reasons, Reason("rejected_by_review", f"a person rejected it: {why}")),
            kept=False,
            review=why,
        )
    if identifier not in review.keep:
        return dataclasses.replace(row, reasons=reasons, kept=False) if reasons else row
    staying = tuple(reason for reason in reasons if is_technical(reason, row))
    overruled = tuple(reason for reason in reasons if not is_technical(reason, row))
    return dataclasses.replace(
        row, reasons=staying, overruled=overruled, kept=not staying, review=review.keep[identifier]
    )


def _segments(
    inputs: Inputs, review: Review, gates: DatasetGates, normalise: Normalise, progress: OnProgress | None
) -> Iterator[Row]:
    store, name = inputs.store, inputs.voice
    paths = store.segments(name), store.texts(name), store.utterances(name)
    total = _lines(paths[0], name) if progress is not None else 0
    segments = _read(paths[0], Segment, name)
    texts, clean = _read(paths[1], UtteranceText, name), _read(paths[2], CleanUtterance, name)
    number = 0
    for number, segment in enumerate(segments, start=1):
        text, utterance = next(texts, None), next(clean, None)
        for path, other in ((paths[1], text), (paths[2], utterance)):
            if other is None or other.utterance_id != segment.utterance_id:
                found = "ends" if other is None else f"has {other.utterance_id}"
                detail = f"row {number} of the segments is {segment.utterance_id}, where this table {found}"
                raise VoiceFailure("table_damaged", detail, voice=name, file=path)
        assert text is not None and utterance is not None
        given = None
        if segment.utterance_id in review.text:
            given, text = text.text, corrected(text, review.text[segment.utterance_id], normalise)
        yield judged(_row(inputs, number, segment, text, utterance, given), review, gates)
        if progress is not None and (number % 100 == 0 or number == total):
            progress(number, total)
    for path, rest in ((paths[1], texts), (paths[2], clean)):
        if next(rest, None) is not None:
            raise VoiceFailure("table_damaged", f"has more rows than the {number} segments", voice=name, file=path)


def _row(
    inputs: Inputs, number: int, segment: Segment, text: UtteranceText, clean: CleanUtterance, given: str | None
) -> Row:
    speech = clean.speech_seconds
    problem, detail = text.problem or "", text.detail
    if not problem and not text.normalized:
        problem, detail = "transcript_missing", "there is no text for it"
    return Row(
        utterance_id=segment.utterance_id,
        source=inputs.shown(segment.source),
        number=number,
        source_sha256=segment.source_sha256,
        start=segment.start,
        end=segment.end,
        origin=text.origin,
        text=text.text,
        normalized_text=text.normalized,
        text_as_given=given,
        hypothesis=text.hypothesis,
        cer=text.cer,
        wav=clean.wav if not clean.problem else "",
        sha256=clean.sha256 if not clean.problem else "",
        bytes=clean.bytes,
        duration=clean.duration if clean.wav else None,
        sample_rate=clean.sample_rate,
        peak_dbfs=clean.peak_dbfs,
        loudness_lufs=clean.loudness_lufs,
        gain_db=clean.gain_db,
        clipping_share=clean.clipping_share,
        noise_floor_dbfs=clean.noise_floor_dbfs,
        snr_db=clean.snr_db,
        bandwidth_hz=clean.bandwidth_hz,
        speech_seconds=speech,
        speech_share=round(min(speech / clean.duration, 1.0), 6) if speech is not None and clean.duration else None,
        speech_rate=round(len(text.normalized) / speech, 6) if speech and text.normalized else None,
        speaker_similarity=clean.speaker_similarity,
        fingerprint=clean.fingerprint,
        audio_problem=clean.problem or "",
        audio_detail=clean.detail,
        text_problem=problem,
        text_detail=detail,
        content=content_of(segment),
    )


def content_of(segment: Segment) -> str:
    """The sha256 that decides the split: of the clip's bytes as given, or of the recording's and the range in it.

    Not of the cleaned sound: another loudness or another resampler must not move a clip across the split.
    """
    if segment.whole:
        return segment.source_sha256
    cut = f"{segment.source_sha256} {segment.start:.3f} {segment.end:.3f}"
    return hashlib.sha256(cut.encode()).hexdigest()


def corrected(text: UtteranceText, words: str, normalise: Normalise) -> UtteranceText:
    """The text with a person's words in its place, compared again with what was heard.

    Raises ConfigError for words that cannot be read.
    """
    from voice_pipeline.recordings.texts.comparison import character_error_rate, heard_words

    try:
        normalized = normalise(words)
    except TextError as error:
        raise ConfigError(f"the review's text of {text.utterance_id}: {error}") from error
    cer = None
    if text.hypothesis is not None:
        rate = character_error_rate(heard_words(text.hypothesis, normalise), heard_words(words, normalise))
        cer = None if rate is None else round(rate, 6)
    return UtteranceText(text.utterance_id, "given", words, words, normalized, hypothesis=text.hypothesis, cer=cer)


def _unused(index: RowIndex, inputs: Inputs) -> Iterator[Row]:
    """What of the source is no utterance: files without any, and texts without audio."""
    store, name = inputs.store, inputs.voice
    number = 0
    for file in _read(store.audio_files(name), AudioFile, name):
        source = inputs.shown(file.name)
        if index.has_source(source):
            continue
        reason = Reason("silent", "nobody speaks in it")
        if file.problem is not None:
            reason = Reason(file.problem, file.detail or "it cannot be used")
        number += 1
        yield Row(
            utterance_id=PurePosixPath(file.name).stem,
            source=source,
            number=number,
            kind="file",
            kept=False,
            reasons=(reason,),
            source_sha256=file.sha256,
            bytes=file.bytes,
        )
    for one in _read(store.texts(name).with_name(UNMATCHED), Unmatched, name):
        number += 1
        yield Row(
            utterance_id=one.utterance_id,
            source=one.source,
            number=number,
            kind="text",
            kept=False,
            reasons=(Reason(one.reason, one.detail),),
        )


def _read(path: Path, kind: type[Table], voice: str) -> Iterator[Table]:
    try:
        yield from read_rows(path, kind)
    except FileNotFoundError:
        raise VoiceFailure("table_damaged", "the table is not there", voice=voice, file=path) from None
    except TableError as error:
        raise VoiceFailure("table_damaged", str(error), voice=voice) from error
    except OSError as error:
        raise VoiceFailure("table_damaged", f"cannot be read: {error.strerror}", voice=voice, file=path) from error


def _lines(path: Path, voice: str) -> int:
    try:
        with path.open("rb") as stream:
            return sum(block.count(b"\n") for block in iter(lambda: stream.read(_BLOCK), b""))
    except OSError as error:
        raise VoiceFailure("table_damaged", f"cannot be read: {error.strerror}", voice=voice, file=path) from error
