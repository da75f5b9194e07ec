"""WAV and FLAC to samples, block by block, with certainty about the end.

    with open_audio(path) as audio:
        for block in audio.blocks(seconds=10):   # float32 [frames, channels], full scale is 1.0
            ...

Only formats whose header says where they end are read, because only there a recording that was cut off can be
told from a short one. Memory is one block, however long the recording.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

AUDIO_SUFFIXES = frozenset({".wav", ".flac"})
UNREAD_AUDIO_SUFFIXES = frozenset({".mp3", ".m4a", ".aac", ".ogg", ".opus", ".wma", ".aif", ".aiff", ".w64", ".caf"})
HOPS_PER_SECOND = 10  # a hop is the 100 ms step of every measurement
SAMPLE_RATES = range(8_000, 384_001)  # Hz
MAX_CHANNELS = 8
_UNKNOWN_FRAMES = 1 << 60  # libsndfile's count for a FLAC stream that does not say its length is above this
_MAX_CHUNKS = 10_000  # of a RIFF file
_STREAMED = 0x7FFF_0000  # a data size from here on, beyond the file's end: written by a program that wrote to a pipe

_SIGNATURES = {
    b"OggS": "an Ogg file",
    b"ID3": "an MP3 file",
    b"\xff\xfb": "an MP3 file",
    b"FORM": "an AIFF file",
    b"version https://git-lfs": "a Git LFS pointer",
}

Samples = NDArray[np.float32]


class DecodeError(ValueError):
    """These bytes are no whole WAV or FLAC recording; the message says what is wrong in a clause."""


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
        """Blocks of float32 [frames, channels] to the very end; all but the last hold ``10 * seconds`` hops.

        Raises DecodeError when the data is broken, shorter than declared, empty or not finite.
        """
        import soundfile

        size = self.hop * HOPS_PER_SECOND * seconds
        total = 0
        while True:
            try:
                block: Samples = self._file.read(size, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, OSError) as error:
                raise DecodeError(f"breaks off after {total / self.sample_rate:.1f} s: {_clause(error)}") from error
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

    _check_container(path)
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise DecodeError(f"cannot be decoded: {_clause(error)}") from error
    with file:
        if file.samplerate not in SAMPLE_RATES:
            raise DecodeError(f"has a sample rate of {file.samplerate} Hz; 8,000 to 384,000 Hz are read")
        if not 1 <= file.channels <= MAX_CHANNELS:
            raise DecodeError(f"has {file.channels} channels; 1 to {MAX_CHANNELS} are read")
        frames = file.frames if file.frames < _UNKNOWN_FRAMES else None
        yield Audio(file.samplerate, file.channels, frames, file)


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


def _check_container(path: Path) -> None:
    """Look at the file's kind, its first bytes, and whether its data goes as far as its header says."""
    check_regular(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(12)
            if not start:
                raise DecodeError("is empty (0 bytes)")
            if start[:4] in (b"RIFF", b"RIFX", b"RF64") and start[8:12] == b"WAVE":
                missing = _missing_bytes(stream, path.stat().st_size)
                if missing:
                    raise DecodeError(f"is cut off: {missing} bytes of its audio are missing at the end")
            elif start[:4] != b"fLaC":
                raise DecodeError(f"is {_kind(start + stream.read(12))}, not WAV or FLAC, whatever its name says")
    except OSError as error:
        raise DecodeError(f"cannot be read: {error.strerror or error}") from error


def _missing_bytes(stream: BinaryIO, size: int) -> int:
    """Bytes that the data chunk of a RIFF WAVE (or RF64, EBU Tech 3306) declares and the file does not hold."""
    stream.seek(0)
    order = ">" if stream.read(4) == b"RIFX" else "<"
    stream.seek(12)
    long_size: int | None = None
    for _ in range(_MAX_CHUNKS):
        head = stream.read(8)
        if len(head) < 8:
            return 0  # no data chunk: libsndfile says so in its own words
        name, length = struct.unpack(f"{order}4sI", head)
        position = stream.tell()
        if name == b"ds64":
            body = stream.read(16)
            long_size = struct.unpack("<QQ", body)[1] if len(body) == 16 else None
        if name == b"data":
            if length == 0xFFFF_FFFF and long_size is not None:
                return max(0, position + long_size - size)
            return 0 if length >= _STREAMED else max(0, position + int(length) - size)
        stream.seek(position + length + (length & 1))
    raise DecodeError(f"has more than {_MAX_CHUNKS} chunks and no audio among them")


def _kind(start: bytes) -> str:
    for signature, name in _SIGNATURES.items():
        if start.startswith(signature):
            return name
    if start[4:8] == b"ftyp":
        return "an MP4 file"
    printable = all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start)
    return "a text file" if printable else "a file of another kind"


def _clause(error: Exception) -> str:
    """The library's own words, without the path that it repeats."""
    return str(getattr(error, "error_string", "") or error).strip().rstrip(".").removeprefix("Error : ")
