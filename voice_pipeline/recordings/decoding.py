"""WAV and FLAC to samples, block by block, with certainty about the end.

    with open_audio(path) as audio:
        for block in audio.blocks():             # float32 [frames, channels], full scale is 1.0
            ...

Only formats whose header says where they end are read, because only there a recording that was cut off can be
told from a short one; ``conversion`` makes one of them of any other. What a file is decides its content, never its
name. Memory is one block, however long the recording.
"""

from __future__ import annotations

import codecs
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

HOPS_PER_SECOND = 10  # a hop is the 100 ms step of every measurement
SAMPLE_RATES = range(8_000, 384_001)  # Hz
MAX_CHANNELS = 32
_BLOCK_SAMPLES = 1 << 22  # at most, of all channels: 16 MiB as float32
_UNKNOWN_FRAMES = 1 << 60  # libsndfile's count for a FLAC stream that does not say its length is above this
_MAX_CHUNKS = 10_000  # of a RIFF file
_STREAMED = 0x7FFF_0000  # a data size from here on, beyond the file's end: written by a program that wrote to a pipe
_HEAD = 512  # bytes that tell what a file is

# What a file's first bytes say it is.
_SIGNATURES = (
    (b"OggS", "an Ogg file"),
    (b"ID3", "an MP3 file"),
    (b"FORM", "an AIFF file"),
    (b"caff", "a CAF file"),
    (b"riff\x2e\x91\xcf\x11", "a Wave64 file"),
    (b".snd", "an AU file"),
    (b"NIST_1A", "a NIST SPHERE file"),
    (b"Creative Voice File", "a VOC file"),
    (b"\x1a\x45\xdf\xa3", "a Matroska file"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file"),
    (b"FLV\x01", "a Flash video"),
    (b"#!AMR", "an AMR file"),
    (b"MAC ", "a Monkey's Audio file"),
    (b"wvpk", "a WavPack file"),
    (b"PAR1", "a Parquet file"),
    (b"version https://git-lfs", "a Git LFS pointer"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP file"),
    (b"\x1f\x8b", "a gzip file"),
)

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

    if not is_native(path):
        raise DecodeError(f"is {what_it_is(path)}, not WAV or FLAC, whatever its name says")
    try:
        with path.open("rb") as stream:
            missing = 0 if stream.read(4) == b"fLaC" else _missing_bytes(stream, path.stat().st_size)
    except OSError as error:
        raise DecodeError(f"cannot be read: {error.strerror or error}") from error
    if missing:
        raise DecodeError(f"is cut off: {missing} bytes of its audio are missing at the end")
    try:
        file = soundfile.SoundFile(path)
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


def is_native(path: Path) -> bool:
    """Whether ``open_audio`` reads this file as it is: WAV, RF64 or FLAC by its first bytes. Raises DecodeError."""
    start = head(path)
    return start.startswith(b"fLaC") or (start[:4] in (b"RIFF", b"RIFX", b"RF64") and start[8:12] == b"WAVE")


def what_it_is(path: Path) -> str:
    """What the first bytes of a file say it is: "an MP3 file". Raises DecodeError for no or no readable bytes."""
    start = head(path)
    for signature, name in _SIGNATURES:
        if start.startswith(signature):
            return name
    if start[4:8] == b"ftyp":
        return "an MP4 file"
    if start[:4] == b"RIFF":
        return "an AVI file" if start[8:12] == b"AVI " else "a RIFF file without sound"
    if len(start) > 1 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0:
        return "an MP3 file" if start[1] & 0x06 else "an AAC file"  # MPEG's layer bits; AAC's ADTS has none
    return "a text file" if _is_text(start) else "a file of another kind"


def _is_text(start: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)  # the last letter may be cut
    except UnicodeDecodeError:
        return False
    return all(letter in "\t\n\r\ufeff" or letter.isprintable() for letter in text)


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


def _missing_bytes(stream: BinaryIO, size: int) -> int:
    """Bytes that the data chunk of a RIFF WAVE (or RF64, EBU Tech 3306) declares and the file does not hold."""
    stream.seek(0)
    order = ">" if stream.read(4) == b"RIFX" else "<"
    stream.seek(12)
    long_size: int | None = None
    for _ in range(_MAX_CHUNKS):
        start = stream.read(8)
        if len(start) < 8:
            return 0  # no data chunk: libsndfile says so in its own words
        name, length = struct.unpack(f"{order}4sI", start)
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
