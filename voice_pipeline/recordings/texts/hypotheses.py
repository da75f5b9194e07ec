"""What a recogniser hears in each segment: asked once, in all processes, kept by content.

    with Hypotheses.open(store, recognizer, channel="mix") as hypotheses:
        hypotheses.listen(project, voice, pieces, progress)
        hypotheses.of(piece)                    # "The gardener planted three rows of beans…"

This is by far the slowest stage, and its speed is the recogniser's. A segment is found again by the sha256 of its
audio's bytes, its times and the recogniser's identity, so that a run that was killed goes on where it was, and a clip
that is added costs one clip. What is kept was heard in those very bytes: a file is hashed before it is listened to,
and its size, time of change and place on the disk must still be the same afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition.recognizer import Recognizer, Samples, load_recognizer
from voice_pipeline.recordings.cache import MeasurementCache
from voice_pipeline.recordings.tables import Segment
from voice_pipeline.recordings.workers import PARALLEL_FROM, in_processes, processes
from voice_pipeline.store import Store, identity, sha256_file
from voice_pipeline.voice import Voice

VERSION = "1"
KIND = "hypotheses"
MAX_SECONDS = 60.0  # a longer segment is no utterance, and is not listened to
_BATCH = 8  # segments that a recogniser is given at once

Channel = Literal["mix"] | int
_State = tuple[int, int, int, int]


@dataclass(frozen=True)
class Piece:
    """One segment and the file that its audio is read from. ``voice`` and ``shown``, the source, are for messages."""

    voice: str
    segment: Segment
    path: Path
    shown: str
    original: bool  # whether ``path`` has the bytes of the source; else they were decoded from it

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.segment.end - self.segment.start


class Hypotheses:
    """What was heard in segments. Use as a context manager."""

    def __init__(self, cache: MeasurementCache, recognizer: Recognizer, channel: Channel) -> None:
        self._cache = cache
        self.recognizer = recognizer
        self._channel = channel
        self._identity = recognizer.identity

    @classmethod
    def open(cls, store: Store, recognizer: Recognizer, *, channel: Channel) -> Hypotheses:
        """Raises VoiceFailure ``disk_full`` or ``permission_denied``."""
        return cls(MeasurementCache.open(store, KIND), recognizer, channel)

    def __enter__(self) -> Hypotheses:
        self._cache.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cache.__exit__(kind, error, trace)

    def listen(
        self,
        project: Path,
        voice: Voice,
        pieces: Callable[[], Iterable[Piece]],
        progress: Callable[[float], None] | None = None,
    ) -> float:
        """Listen to every piece that is not known; the seconds of audio that this took. ``progress`` is told seconds.

        ``pieces()`` yields all pieces and is called more than once. Other processes load the recogniser of ``voice``.
        Raises VoiceFailure: ``source_changed``, ``audio_undecodable``, ``out_of_memory``, ``disk_full``,
        ``permission_denied``.
        """
        missing = known = 0.0
        for piece in pieces():
            if self._cache.get(self._key(piece)) is None and piece.seconds <= MAX_SECONDS:
                missing += piece.seconds
            else:
                known += piece.seconds
        if progress is not None:
            progress(known)
        if not missing:
            return 0.0
        jobs = self._jobs(pieces())
        heard: Iterator[tuple[_Job, list[str]]]
        if missing < PARALLEL_FROM or processes() == 1:
            heard = (_heard(job, self.recognizer) for job in jobs)
        else:
            arguments = (project, voice, self._identity)
            heard = in_processes(_work, jobs, seconds=missing, initializer=_load, initargs=arguments)
        for job, texts in heard:
            for piece, text in zip(job.pieces, texts, strict=True):
                self._cache.put(self._key(piece), text.encode())
                if progress is not None:
                    progress(piece.seconds)
        self._cache.commit()
        return missing

    def of(self, piece: Piece) -> str | None:
        """What was heard in one piece; listened to here and now where it is not known. None for one too long."""
        if piece.seconds > MAX_SECONDS:
            return None
        key = self._key(piece)
        data = self._cache.get(key)
        if data is None:
            data = _heard(_Job((piece,), self._channel), self.recognizer)[1][0].encode()
            self._cache.put(key, data)
        return data.decode()

    def _jobs(self, pieces: Iterable[Piece]) -> Iterator[_Job]:
        batch: list[Piece] = []
        for piece in pieces:
            if piece.seconds <= MAX_SECONDS and self._cache.get(self._key(piece)) is None:
                batch.append(piece)
            if len(batch) == _BATCH:
                yield _Job(tuple(batch), self._channel)
                batch = []
        if batch:
            yield _Job(tuple(batch), self._channel)

    def _key(self, piece: Piece) -> str:
        segment = piece.segment
        return identity(
            kind=KIND, version=VERSION, recognizer=self._identity, sha256=segment.source_sha256, start=segment.start,
            end=segment.end, channel=self._channel, original=piece.original,
        )  # fmt: skip


def read_piece(
    piece: Piece, channel: Channel, *, start: float | None = None, end: float | None = None
) -> tuple[Samples, int]:
    """(mono float32 [N], Hz) of a segment, or of other seconds of its file: that range only is read.

    Raises VoiceFailure ``audio_undecodable``.
    """
    import soundfile

    first = piece.segment.start if start is None else start
    last = piece.segment.end if end is None else end
    try:
        with soundfile.SoundFile(piece.path) as file:
            frame = round(first * file.samplerate)
            file.seek(min(frame, file.frames))
            samples = file.read(max(0, round(last * file.samplerate) - frame), dtype="float32", always_2d=True)
            rate = int(file.samplerate)
    except (soundfile.SoundFileError, OSError) as error:
        detail = f"cannot be decoded between {first:.1f} and {last:.1f} s: {error}"
        raise VoiceFailure("audio_undecodable", detail, voice=piece.voice, file=piece.shown) from error
    mono = samples.mean(axis=1) if channel == "mix" else samples[:, channel]  # preflight knows that there is one
    return np.ascontiguousarray(mono, np.float32), rate


# -- in other processes ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    pieces: tuple[Piece, ...]
    channel: Channel


_recognizer: Recognizer | None = None  # of this process
_certain: dict[Path, tuple[_State, str]] = {}  # the latest files that this process has hashed


def _load(project: Path, voice: Voice, expected: str) -> None:
    global _recognizer
    _recognizer = load_recognizer(project, voice)
    if _recognizer is None or _recognizer.identity != expected:
        raise ValueError("these recordings are listened to by another recogniser than their voice's")


def _work(job: _Job) -> tuple[_Job, list[str]]:
    assert _recognizer is not None
    return _heard(job, _recognizer)


def _heard(job: _Job, recognizer: Recognizer) -> tuple[_Job, list[str]]:
    clips: list[tuple[int, int, Samples]] = []  # (rate, place, samples)
    for place, piece in enumerate(job.pieces):
        state = _check_bytes(piece)
        samples, rate = read_piece(piece, job.channel)
        if _state(piece) != state:
            raise VoiceFailure(
                "source_changed", "was written to while it was read", voice=piece.voice, file=piece.shown
            )
        clips.append((rate, place, samples))
    texts = [""] * len(clips)
    clips.sort(key=lambda clip: clip[:2])
    for rate, group in groupby(clips, key=lambda clip: clip[0]):
        members = list(group)
        for (_, place, _), text in zip(
            members, recognizer.transcribe_many([samples for _, _, samples in members], rate), strict=True
        ):
            texts[place] = text
    return job, texts


def _check_bytes(piece: Piece) -> _State:
    """The state of the file, which has the bytes that preflight measured; what preflight decoded, it has checked."""
    state = _state(piece)
    if not piece.original or _certain.get(piece.path) == (state, piece.segment.source_sha256):
        return state
    try:
        digest = sha256_file(piece.path)
    except OSError as error:
        raise _gone(piece, error) from error
    if digest != piece.segment.source_sha256:
        raise VoiceFailure(
            "source_changed", "is not what audio_preflight measured", voice=piece.voice, file=piece.shown
        )
    if len(_certain) > _BATCH:
        _certain.clear()
    _certain[piece.path] = (state, digest)
    return state


def _state(piece: Piece) -> _State:
    try:
        status = piece.path.stat()
    except OSError as error:
        raise _gone(piece, error) from error
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _gone(piece: Piece, error: OSError) -> VoiceFailure:
    return VoiceFailure(
        "source_changed", f"cannot be read any more: {error.strerror or error}", voice=piece.voice, file=piece.shown
    )
