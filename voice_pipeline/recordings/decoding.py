"""WAV and FLAC to samples, block by block, with certainty about the end.

    with open_audio(path) as audio:
        for block in audio.blocks():             # float32 [frames, channels], full scale is 1.0
            ...

Only formats whose header says where they end are read, because only there a recording that was cut off can be
told from a short one; ``conversion`` makes one of them of any other. What a file is decides its content, never its
name. Memory is one block, however long the recording.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.recordings.containers import is_lengthless, is_native, missing_bytes, what_it_is

HOPS_PER_SECOND = 10  # a hop is the 100 ms step of every measurement
SAMPLE_RATES = range(8_000, 384_001)  # Hz
MAX_CHANNELS = 32
_BLOCK_SAMPLES = 1 << 22  # at most, of all channels: 16 MiB as float32
_UNKNOWN_FRAMES = 1 << 60  # libsndfile's count for a FLAC stream that does not say its length is above this
_HEAD = 512  # bytes that tell what a file is

Samples = NDArray[np.float32]


class DecodeError(ValueError):
    """These bytes are no whole recording; the message says what is wrong in a clause."""


@dataclass(frozen=True)
class Audio:
    """An open recording. ``frames`` is what its header declares, None where it does not."""

    sample_rate: int  # Hz
    channels: int
    frames: int | None
    _file: Any

    @property
    def seconds(self) -> float:
        """The declared duration; 0.0 where it is unknown."""
        return (self.frames or 0) / self.sample_rate

    @property
    def hop(self) -> int:
        """Frames in 100 ms."""
        return self.sample_rate // HOPS_PER_SECOND

    def blocks(self, seconds: int = 10) -> Iterator[Samples]:
        """Blocks of float32 [frames, channels] to the very end; all but the last hold as many whole hops.

        A block has ``10 * seconds`` hops, fewer where many channels at a high rate would fill the memory. Raises
        DecodeError when the data is broken, shorter than declared, empty or not finite.
        """
        import soundfile

        hops = max(1, min(HOPS_PER_SECOND * seconds, _BLOCK_SAMPLES // (self.hop * self.channels)))
        total = 0
        while True:
            try:
                block: Samples = self._file.read(hops * self.hop, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, OSError) as error:
                raise DecodeError(f"breaks off after {total / self.sample_rate:.1f} s: {clause(error)}") from error
            if not len(block):
                break
            if not np.isfinite(block).all():
                raise DecodeError(f"holds samples that are no numbers after {total / self.sample_rate:.1f} s")
            total += len(block)
            yield block
        if self.frames is not None and total != self.frames:
            raise DecodeError(f"declares {self.frames} frames and ends after {total}")
        if not total:
            raise DecodeError("holds a header and no audio")


@contextmanager
def open_audio(path: Path) -> Iterator[Audio]:
    """Open a WAV or FLAC file. Raises DecodeError, with a message that fits behind the file's name."""
    import soundfile

    start = head(path)
    if not is_native(start):
        raise DecodeError(f"is {what_it_is(start)}, not WAV or FLAC, whatever its name says")
    check_whole(path)
    try:
        file = open_stream(path) if is_lengthless(start) else soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise DecodeError(f"cannot be decoded: {clause(error)}") from error
    with file:
        check_shape(file.samplerate, file.channels)
        frames = file.frames if file.frames < _UNKNOWN_FRAMES else None
        yield Audio(file.samplerate, file.channels, frames, file)


def check_shape(sample_rate: int, channels: int) -> None:
    """Raises DecodeError for a rate in Hz, or a number of channels, that no recording of speech has."""
    if sample_rate not in SAMPLE_RATES:
        raise DecodeError(f"has a sample rate of {sample_rate} Hz; 8,000 to 384,000 Hz are read")
    if not 1 <= channels <= MAX_CHANNELS:
        raise DecodeError(f"has {channels} channels; 1 to {MAX_CHANNELS} are read")


def check_regular(path: Path) -> None:
    """Raises DecodeError for a folder, and for a pipe or a device: opening one would wait for ever."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise DecodeError(f"cannot be reached: {error.strerror or error}") from error
    if stat.S_ISDIR(mode):
        raise DecodeError("is a folder, not a recording")
    if not stat.S_ISREG(mode):
        raise DecodeError("is not a regular file")


def check_whole(path: Path) -> None:
    """Raises DecodeError for a file that ends before its header says."""
    try:
        with path.open("rb") as stream:
            missing = missing_bytes(stream, path.stat().st_size)
    except OSError as error:
        raise DecodeError(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DecodeError(str(error)) from error
    if missing:
        raise DecodeError(f"is cut off: {missing} bytes of its audio are missing at the end")


def open_stream(path: Path) -> Any:
    """A soundfile.SoundFile that reads straight ahead.

    soundfile seeks after every read, and libsndfile cannot seek to the end of a file that does not say where that is.
    """
    import soundfile

    class Stream(soundfile.SoundFile):  # type: ignore[misc]
        def seekable(self) -> bool:
            return False

    return Stream(path)


def head(path: Path) -> bytes:
    """The first bytes of a regular file. Raises DecodeError when there are none, or they cannot be read."""
    check_regular(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(_HEAD)
    except OSError as error:
        raise DecodeError(f"cannot be read: {error.strerror or error}") from error
    if not start:
        raise DecodeError("is empty (0 bytes)")
    return start


def clause(error: Exception) -> str:
    """A library's own words, without the path that it repeats."""
    return str(getattr(error, "error_string", "") or error).strip().rstrip(".").removeprefix("Error : ")
