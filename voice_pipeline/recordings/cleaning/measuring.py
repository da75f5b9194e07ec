"""Utterances cleaned and measured once, in all processes, and kept by content.

    with CleanedUtterances.open(store, requests, settings, encoder) as cleaned:
        cleaned.clean_missing(progress)
        cleaned.of(request)                  # CleanUtterance without speaker similarity
        cleaned.embedding(request)           # float32 [256], or None

What decides an utterance's bytes and figures is its key: the sha256 of the recording, the stretch of it, where speech
was found in it, and how it is cleaned. A WAV of that key that has the size it was written with is the one: its bytes
are checked where they are used. Nothing is kept that was made of other bytes: before a process reads a file it hashes
it, and the file's size, time of change and place must be the same afterwards.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.atomic import write_bytes
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition.speaker import SpeakerEncoder
from voice_pipeline.recordings.cache import MeasurementCache
from voice_pipeline.recordings.cleaning import chain
from voice_pipeline.recordings.cleaning.chain import Channel, Cleaned, Figures, NotUsable, Settings, clean, read_sound
from voice_pipeline.recordings.cleaning.fingerprint import VERSION as FINGERPRINT_VERSION
from voice_pipeline.recordings.tables import AudioFile, CleanUtterance, Segment
from voice_pipeline.recordings.wav import FULL_SCALE, wav_bytes
from voice_pipeline.recordings.workers import in_processes
from voice_pipeline.store import Store, identity, sha256_file

KIND, EMBEDDINGS = "utterances", "speaker_embeddings"
EMBEDDING_VERSION = "1"
_BATCH_SECONDS, _BATCH_SEGMENTS = 30.0, 16  # of one job: enough to be worth sending, few enough to be seen moving
_LASTING = frozenset({"silent", "no_speech", "not_finite"})  # problems that the same bytes will always have

Embedding = NDArray[np.float32]


@dataclass(frozen=True)
class Request:
    """One segment, and the file that its audio is read from. ``shown`` is the file's name in messages."""

    voice: str
    segment: Segment
    file: AudioFile
    path: Path
    shown: str


@dataclass(frozen=True)
class _Task:
    request: Request
    key: str
    wav: Path


@dataclass(frozen=True)
class _Result:
    key: str
    row: bytes
    lasting: bool
    embedding: bytes | None
    seconds: float  # of audio


class CleanedUtterances:
    """The cleaned utterances of a voice. Use as a context manager."""

    def __init__(
        self,
        store: Store,
        requests: Callable[[], Iterable[Request]],
        settings: Settings,
        channel: Channel,
        encoder: SpeakerEncoder | None,
    ) -> None:
        self.computed = 0
        self._store, self._requests, self._settings, self._channel = store, requests, settings, channel
        self._encoder = encoder
        self._rows = MeasurementCache.open(store, KIND)
        self._embeddings = MeasurementCache.open(store, EMBEDDINGS)
        self._passing: dict[str, bytes] = {}

    @classmethod
    def open(
        cls,
        store: Store,
        requests: Callable[[], Iterable[Request]],
        settings: Settings,
        encoder: SpeakerEncoder | None,
        *,
        channel: Channel,
    ) -> CleanedUtterances:
        """``requests()`` yields every segment, and is called more than once: a table is read, not held."""
        return cls(store, requests, settings, channel, encoder)

    def __enter__(self) -> CleanedUtterances:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._rows.__exit__(kind, error, trace)
        finally:
            self._embeddings.__exit__(kind, error, trace)

    def clean_missing(self, progress: Callable[[float], None] | None = None) -> None:
        """Clean what was not cleaned before; ``progress`` is told seconds of audio as they are done.

        Raises VoiceFailure ``source_changed``, ``speaker_encoder_unavailable``, ``out_of_memory``, ``disk_full``,
        ``permission_denied``.
        """
        seconds = sum(_seconds(task.request) for task in self._missing(None))
        if not seconds:
            if progress is not None:
                progress(sum(_seconds(request) for request in self._requests()))
            return
        work = partial(_clean_batch, self._settings, self._channel)
        batches = _batches(self._missing(progress))
        for results in in_processes(
            work, batches, seconds=seconds, initializer=_load_encoder, initargs=(self._encoder is not None,)
        ):
            for result in results:
                self._keep(result)
                if progress is not None:
                    progress(result.seconds)

    def key(self, request: Request) -> str:
        """What decides the utterance."""
        segment, settings = request.segment, self._settings
        return identity(
            kind=KIND, version=chain.VERSION, fingerprint=FINGERPRINT_VERSION, source_sha256=segment.source_sha256,
            decoded=request.file.decoded, start=segment.start, end=segment.end, speech=segment.speech,
            channel=self._channel, sample_rate=settings.sample_rate, loudness_lufs=settings.loudness_lufs,
            true_peak_dbtp=settings.true_peak_dbtp,
        )  # fmt: skip

    def of(self, request: Request) -> CleanUtterance:
        """The row of a segment that ``clean_missing`` saw. Raises VoiceFailure ``table_damaged`` where it is gone."""
        key = self.key(request)
        row = self._row(key)
        if row is None:
            detail = f"the measurements of {request.segment.utterance_id} vanished while they were used; run again"
            raise VoiceFailure("table_damaged", detail, voice=request.voice, file=self._store.measurements(KIND))
        wav = "" if row.problem else self._store.relative(self._store.cache("clips", key, ".wav"))
        return replace(row, utterance_id=request.segment.utterance_id, wav=wav)

    def embedding(self, key: str) -> Embedding | None:
        """Who speaks in the utterance of that key; None where it was not measured, or has no speech."""
        if self._encoder is None:
            return None
        data = self._embeddings.get(self._embedding_key(key))
        return np.frombuffer(data, "<f4") if data else None

    def _missing(self, progress: Callable[[float], None] | None) -> Iterator[_Task]:
        for request in self._requests():
            key = self.key(request)
            wav = self._store.cache("clips", key, ".wav")
            row = self._row(key)
            if row is not None and (row.problem or (_has_size(wav, row.bytes) and self._is_embedded(key))):
                if progress is not None:
                    progress(_seconds(request))
            else:
                yield _Task(request, key, wav)

    def _keep(self, result: _Result) -> None:
        self.computed += 1
        if result.lasting:
            self._rows.put(result.key, result.row)
        else:
            self._passing[result.key] = result.row
        if result.embedding is not None and self._encoder is not None:
            self._embeddings.put(self._embedding_key(result.key), result.embedding)

    def _row(self, key: str) -> CleanUtterance | None:
        data = self._passing.get(key) or self._rows.get(key)
        try:
            return None if data is None else CleanUtterance(**json.loads(data))
        except (ValueError, TypeError):
            return None

    def _is_embedded(self, key: str) -> bool:
        return self._encoder is None or self._embeddings.get(self._embedding_key(key)) is not None

    def _embedding_key(self, key: str) -> str:
        assert self._encoder is not None
        return identity(version=EMBEDDING_VERSION, utterance=key, encoder=self._encoder.sha256)


_encoder: SpeakerEncoder | None = None  # of this process
_unchanged: dict[Path, tuple[int, int, int, int]] = {}  # files that this process has hashed, as they were then


def _load_encoder(wanted: bool) -> None:
    global _encoder
    _encoder = SpeakerEncoder.load() if wanted else None
    _unchanged.clear()


def _clean_batch(settings: Settings, channel: Channel, tasks: list[_Task]) -> list[_Result]:
    results = []
    for task in tasks:
        request = task.request
        before = _checked(request)
        results.append(_cleaned(task, settings, channel))
        if _state(request) != before:
            raise _changed(request)
    return results


def _cleaned(task: _Task, settings: Settings, channel: Channel) -> _Result:
    segment = task.request.segment
    speech = tuple((start - segment.start, end - segment.start) for start, end in segment.speech)
    try:
        cleaned = clean(read_sound(task.request.path, segment.start, segment.end, channel=channel), speech, settings)
    except NotUsable as error:
        row = CleanUtterance("", problem=error.reason, detail=str(error), **_shared(error.figures))
        return _Result(task.key, _stored(row), error.reason in _LASTING, None, _seconds(task.request))
    data = wav_bytes(cleaned.pcm, settings.sample_rate)
    write_bytes(task.wav, data)
    row = CleanUtterance(
        "",
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        duration=round(len(cleaned.pcm) / settings.sample_rate, 6),
        sample_rate=settings.sample_rate,
        gain_db=cleaned.gain_db,
        fingerprint=cleaned.fingerprint,
        **_shared(cleaned.figures),
    )
    embedding = None if _encoder is None else _embedded(_encoder, cleaned, settings.sample_rate)
    return _Result(task.key, _stored(row), True, embedding, _seconds(task.request))


def _embedded(encoder: SpeakerEncoder, cleaned: Cleaned, sample_rate: int) -> bytes:
    """Of the speech only: silence says nothing about who speaks."""
    parts = [cleaned.pcm[round(start * sample_rate) : round(end * sample_rate)] for start, end in cleaned.speech]
    speech = np.concatenate(parts).astype(np.float32) / np.float32(FULL_SCALE)
    return encoder.embed(speech, sample_rate).astype("<f4").tobytes()


def _shared(figures: Figures | None) -> dict[str, Any]:
    return {} if figures is None else {field.name: getattr(figures, field.name) for field in fields(figures)}


def _stored(row: CleanUtterance) -> bytes:
    return json.dumps({field.name: getattr(row, field.name) for field in fields(row)}, allow_nan=False).encode()


def _batches(tasks: Iterator[_Task]) -> Iterator[list[_Task]]:
    batch, seconds = list[_Task](), 0.0
    for task in tasks:
        batch.append(task)
        seconds += _seconds(task.request)
        if seconds >= _BATCH_SECONDS or len(batch) >= _BATCH_SEGMENTS:
            yield batch
            batch, seconds = [], 0.0
    if batch:
        yield batch


def _checked(request: Request) -> tuple[int, int, int, int]:
    """The file's state, once its bytes were found to be those that preflight judged."""
    state = _state(request)
    if request.file.decoded is None and _unchanged.get(request.path) != state:
        if sha256_file(request.path) != request.file.sha256:
            raise _changed(request)
        if len(_unchanged) > 64:  # clips come once, recordings come again and again
            _unchanged.clear()
        _unchanged[request.path] = state
    return state


def _state(request: Request) -> tuple[int, int, int, int]:
    try:
        status = request.path.stat()
    except OSError as error:
        raise _changed(request) from error
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev


def _changed(request: Request) -> VoiceFailure:
    detail = "is not the file that preflight judged"
    return VoiceFailure("source_changed", detail, voice=request.voice, file=request.shown)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _seconds(request: Request) -> float:
    return request.segment.end - request.segment.start
