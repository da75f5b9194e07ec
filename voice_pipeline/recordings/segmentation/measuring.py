"""Voice activity of all files of a source: measured once, in all processes, kept part by part.

    with MeasuredActivity.open(store, pieces, detector, channel="mix") as activities:
        activities.measure_missing(progress)
        activities.of(piece)

What is kept is found by the sha256 of the audio's bytes. So nothing may be kept that was measured of other bytes: a
file is hashed before its first part is, and its size, its time of change and its place on the disk, taken before the
hash, must still be the same after each part was read. That costs one reading more of the file, some 3 % of the time of
measuring it, where hashing it again after every part would cost more than measuring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition.voice_activity import VoiceActivity
from voice_pipeline.recordings.cache import MeasurementCache
from voice_pipeline.recordings.decoding import DecodeError
from voice_pipeline.recordings.segmentation import activity
from voice_pipeline.recordings.segmentation.activity import Activity, Channel
from voice_pipeline.recordings.tables import AudioFile
from voice_pipeline.recordings.workers import in_processes
from voice_pipeline.store import Store, identity, sha256_file

KIND = "voice_activity"

_State = tuple[int, int, int, int]


@dataclass(frozen=True)
class Piece:
    """One file of the source and the path that it is read from. ``shown`` is its name in messages."""

    voice: str
    file: AudioFile
    path: Path
    shown: str

    @property
    def parts(self) -> int:
        """How many parts it is measured in."""
        return activity.part_count(round(self.file.seconds * self.file.sample_rate), self.file.sample_rate)


@dataclass(frozen=True)
class _Job:
    """Something for another process: to hash a file, to measure one part of it, or, of a short one, both."""

    piece: Piece
    channel: Channel
    part: int | None  # None: hash only
    state: _State | None  # of the file when its hash began; None: begin with the hash


class MeasuredActivity:
    """The voice activity of the pieces of a source. Use as a context manager."""

    def __init__(
        self, cache: MeasurementCache, pieces: Callable[[], Iterable[Piece]], detector: VoiceActivity, channel: Channel
    ) -> None:
        self._cache = cache
        self._pieces = pieces
        self._detector = detector
        self._channel = channel

    @classmethod
    def open(
        cls, store: Store, pieces: Callable[[], Iterable[Piece]], detector: VoiceActivity, *, channel: Channel
    ) -> MeasuredActivity:
        """``pieces()`` yields every usable piece, and is called more than once: a table is read, not held."""
        return cls(MeasurementCache.open(store, KIND), pieces, detector, channel)

    def __enter__(self) -> MeasuredActivity:
        self._cache.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cache.__exit__(kind, error, trace)

    def measure_missing(self, progress: Callable[[float], None] | None = None) -> float:
        """Measure every part that is not known; the seconds of audio that this took. ``progress`` is told seconds.

        Raises VoiceFailure: ``source_changed``, ``audio_undecodable``, ``config_invalid`` for a channel that is not
        there, ``out_of_memory``, ``disk_full``, ``permission_denied``.
        """
        missing = known = 0.0
        for piece in self._pieces():
            for part in range(piece.parts):
                if self._cache.get(self._key(piece, part)) is None:
                    missing += _seconds(piece, part)
                else:
                    known += _seconds(piece, part)
        if progress is not None:
            progress(known)
        if missing:
            jobs = self._jobs()
            for piece, done, data in in_processes(_work, jobs, seconds=missing, initializer=_load):
                if done is not None:
                    self._cache.put(self._key(piece, done), data)
                    if piece.parts > 1:
                        self._cache.commit()  # five minutes of audio are worth a write
                    if progress is not None:
                        progress(_seconds(piece, done))
            self._cache.commit()
        return missing

    def of(self, piece: Piece) -> Activity:
        """The voice activity of one piece; measured here and now where it is not known."""
        return activity.joined([self._part(piece, part) for part in range(piece.parts)])

    def _part(self, piece: Piece, part: int) -> Activity:
        key = self._key(piece, part)
        data = self._cache.get(key)
        if data is not None:
            try:
                return Activity.from_bytes(data)
            except ValueError:
                pass  # measured again
        data = _measured(_Job(piece, self._channel, part, None), self._detector)
        self._cache.put(key, data)
        return Activity.from_bytes(data)

    def _jobs(self) -> Iterator[_Job]:
        for piece in self._pieces():
            missing = [part for part in range(piece.parts) if self._cache.get(self._key(piece, part)) is None]
            if piece.parts == 1:
                yield from (_Job(piece, self._channel, part, None) for part in missing)
            elif missing:
                # The hash comes first and its result is taken first: no part is kept before the bytes are certain.
                state = _state(piece)
                yield _Job(piece, self._channel, None, state)
                yield from (_Job(piece, self._channel, part, state) for part in missing)

    def _key(self, piece: Piece, part: int) -> str:
        return identity(
            kind=KIND, version=activity.VERSION, detector=self._detector.identity, sha256=piece.file.sha256,
            decoded=piece.file.decoded, channel=self._channel, part=part, seconds=activity.PART_SECONDS,
            running_start=activity.RUNNING_START_SECONDS,
        )  # fmt: skip


_detector: VoiceActivity | None = None  # of this process


def _load() -> None:
    global _detector
    _detector = VoiceActivity.load()


def _work(job: _Job) -> tuple[Piece, int | None, bytes]:
    if job.part is None:
        assert job.state is not None
        _check_bytes(job.piece, job.state)
        return job.piece, None, b""
    assert _detector is not None
    return job.piece, job.part, _measured(job, _detector)


def _measured(job: _Job, detector: VoiceActivity) -> bytes:
    piece = job.piece
    state = job.state
    if state is None:
        state = _state(piece)
        _check_bytes(piece, state)
    assert job.part is not None
    try:
        found = activity.measure(piece.path, channel=job.channel, detector=detector, part=job.part)
    except activity.NoSuchChannelError as error:
        detail = f"{error}; correct source.channel in the voice's config"
        raise VoiceFailure("config_invalid", detail, voice=piece.voice, file=piece.shown) from error
    except DecodeError as error:
        _check_state(piece, state)
        raise VoiceFailure("audio_undecodable", str(error), voice=piece.voice, file=piece.shown) from error
    _check_state(piece, state)
    return found.to_bytes()


def _check_bytes(piece: Piece, state: _State) -> None:
    """Of what was decoded from the original, preflight has made sure; its path names the original's digest."""
    if piece.file.decoded is None:
        try:
            digest = sha256_file(piece.path)
        except OSError as error:
            raise _gone(piece, error) from error
        if digest != piece.file.sha256:
            raise VoiceFailure(
                "source_changed", "is not what audio_preflight measured", voice=piece.voice, file=piece.shown
            )
    _check_state(piece, state)


def _check_state(piece: Piece, state: _State) -> None:
    if _state(piece) != state:
        raise VoiceFailure("source_changed", "was written to while it was read", voice=piece.voice, file=piece.shown)


def _state(piece: Piece) -> _State:
    try:
        status = piece.path.stat()
    except OSError as error:
        raise _gone(piece, error) from error
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _gone(piece: Piece, error: OSError) -> VoiceFailure:
    detail = f"cannot be read any more: {error.strerror or error}"
    return VoiceFailure("source_changed", detail, voice=piece.voice, file=piece.shown)


def _seconds(piece: Piece, part: int) -> float:
    first = part * activity.PART_SECONDS
    return max(0.0, min(piece.file.seconds - first, activity.PART_SECONDS))
