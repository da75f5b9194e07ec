"""One file measured once: its levels, its overview and, where it needs one, its decoded form.

    with measured(store, work) as measurements:
        measurements.of(work[0]).levels.figures()

What was measured is kept by the sha256 of the file's bytes: a clip that is added measures one clip, also after a run
that was killed. Files are measured in parallel.
"""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from voice_pipeline.recordings.cache import MeasurementCache
from voice_pipeline.recordings.conversion import NATIVE_SUFFIXES, DecoderMissing, as_native, key_suffix
from voice_pipeline.recordings.decoding import DecodeError, open_audio
from voice_pipeline.recordings.levels import Levels
from voice_pipeline.recordings.pictures import Overview
from voice_pipeline.recordings.workers import in_processes
from voice_pipeline.store import Store, identity, sha256_file

VERSION = "1"
KIND = "levels"
_HEAD = struct.Struct("<III")  # bytes of the description, of the levels, of the overview
_NATIVE_BYTES_A_SECOND, _BYTES_A_SECOND = 40_000, 8_000  # about; how long it all is decides about processes


@dataclass(frozen=True)
class Work:
    """One file to be measured. ``sha256`` is of its bytes."""

    name: str
    path: Path
    sha256: str
    bytes: int

    @cached_property
    def key(self) -> str:
        """Of everything that decides what is measured."""
        return identity(kind=KIND, version=VERSION, sha256=self.sha256, read_as=key_suffix(self.path.name))

    @property
    def seconds_by_size(self) -> float:
        """About how long it is."""
        native = self.path.suffix.lower() in NATIVE_SUFFIXES
        return self.bytes / (_NATIVE_BYTES_A_SECOND if native else _BYTES_A_SECOND)


@dataclass(frozen=True)
class Measured:
    """What a file is; ``problem`` says in a clause why it is no recording, and then nothing else is known."""

    seconds: float = 0.0
    sample_rate: int = 0  # Hz
    channels: int = 0
    decoded: str | None = None  # relative to the store
    decoded_sha256: str | None = None
    problem: str | None = None
    lasting: bool = True  # False: another machine, or another day, may find otherwise
    levels: Levels = field(default_factory=Levels, compare=False)
    overview: Overview | None = field(default=None, compare=False)

    def to_bytes(self) -> bytes:
        """For the cache."""
        said = {
            "seconds": self.seconds, "sample_rate": self.sample_rate, "channels": self.channels,
            "decoded": self.decoded, "decoded_sha256": self.decoded_sha256, "problem": self.problem,
        }  # fmt: skip
        parts = (
            json.dumps(said, allow_nan=False).encode(),
            self.levels.to_bytes(),
            self.overview.to_bytes() if self.overview else b"",
        )
        return _HEAD.pack(*map(len, parts)) + b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes, *, whole: bool = True) -> Measured:
        """The inverse of ``to_bytes``, without levels and overview unless ``whole``. Raises ValueError."""
        first, second, third = _HEAD.unpack_from(data)
        at = _HEAD.size
        said = json.loads(data[at : at + first])
        if not whole:
            return cls(**said)
        levels = Levels.from_bytes(data[at + first : at + first + second])
        overview = Overview.from_bytes(data[at + first + second :]) if third else None
        return cls(**said, levels=levels, overview=overview)


class Measurements:
    """What every file is. In memory are its duration and the like; levels and overview are read when asked for."""

    def __init__(self, store: Store, cache: MeasurementCache, found: dict[str, Measured]) -> None:
        self._store, self._cache, self._found = store, cache, found

    def of(self, one: Work) -> Measured:
        """What ``one`` is, without its levels and its overview."""
        return self._found[one.key]

    def whole(self, one: Work) -> Measured:
        """What ``one`` is, with its levels and its overview."""
        data = self._cache.get(one.key)
        try:
            return measure(self._store, one) if data is None else Measured.from_bytes(data)
        except ValueError:
            return measure(self._store, one)


@contextlib.contextmanager
def measured(
    store: Store, work: Sequence[Work], *, progress: Callable[[float], None] | None = None
) -> Iterator[Measurements]:
    """Measure what was not measured before; ``progress`` is told seconds of audio as they are measured.

    Raises VoiceFailure ``disk_full``, ``permission_denied``, ``out_of_memory``.
    """
    with MeasurementCache.open(store, KIND) as cache:
        found: dict[str, Measured] = {}
        missing: dict[str, Work] = {}
        for one in work:
            if one.key not in found and one.key not in missing:
                known = _known(store, cache, one.key)
                if known is None:
                    missing[one.key] = one
                else:
                    found[one.key] = known
        seconds = sum(one.seconds_by_size for one in missing.values())
        results: Iterator[Measured | bytes]
        if len(missing) == 1:  # one long recording: here, so that its progress is seen
            results = (measure(store, one, progress) for one in missing.values())
        else:
            results = in_processes(partial(_measure_stored, store), missing.values(), seconds=seconds)
        for one, result in zip(missing.values(), results, strict=True):
            data = result if isinstance(result, bytes) else result.to_bytes()
            found[one.key] = Measured.from_bytes(data, whole=False)
            if isinstance(result, bytes) or result.lasting:
                cache.put(one.key, data)
            if progress is not None and len(missing) > 1:
                progress(found[one.key].seconds)
        cache.commit()
        yield Measurements(store, cache, found)


def measure(store: Store, one: Work, progress: Callable[[float], None] | None = None) -> Measured:
    """Decode one file to its end. Raises VoiceFailure ``disk_full`` or ``permission_denied``."""
    try:
        decoded = as_native(store, one.path, one.sha256)
        path = decoded or one.path
        levels = Levels()
        with open_audio(path) as audio:
            frames = audio.frames if audio.frames is not None else sum(len(block) for block in audio.blocks())
        with open_audio(path) as audio:
            overview = Overview(frames / audio.sample_rate)
            for block in levels.follow(audio):
                overview.add(block, audio.sample_rate)
                if progress is not None:
                    progress(len(block) / audio.sample_rate)
            rate, channels = audio.sample_rate, audio.channels
    except DecoderMissing as error:
        return Measured(problem=str(error), lasting=False)
    except DecodeError as error:
        return Measured(problem=str(error), lasting=bool(one.sha256))
    return Measured(
        seconds=levels.figures().seconds,
        sample_rate=rate,
        channels=channels,
        decoded=store.relative(decoded) if decoded else None,
        decoded_sha256=sha256_file(decoded) if decoded else None,
        levels=levels,
        overview=overview,
    )


def _known(store: Store, cache: MeasurementCache, key: str) -> Measured | None:
    """What was measured, if what was decoded is still there byte for byte; without levels and overview."""
    data = cache.get(key)
    if data is None:
        return None
    try:
        known = Measured.from_bytes(data, whole=False)
        if known.decoded is not None:
            path = store.resolve(known.decoded)
            if not path.exists():
                return None
            if sha256_file(path) != known.decoded_sha256:
                path.unlink()  # it is made again
                return None
    except (OSError, ValueError, TypeError, struct.error):
        return None
    return known


def _measure_stored(store: Store, one: Work) -> bytes | Measured:
    measured = measure(store, one)
    return measured.to_bytes() if measured.lasting else measured
