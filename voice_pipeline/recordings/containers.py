"""What the first bytes of a file say it is, and whether the file goes as far as its header says.

what_it_is(b"OggS...")          # "an Ogg file"
missing_bytes(stream, size)     # bytes of audio that the header declares and the file does not hold

Formats whose header tells their length: RIFF and RF64 (EBU Tech 3306), AIFF, CAF, Sony Wave64, AU.
"""

from __future__ import annotations

import codecs
import struct
from typing import BinaryIO

_MAX_CHUNKS = 10_000
_STREAMED = 0x7FFF_0000  # a data size from here on, beyond the file's end: written by a program that wrote to a pipe
_W64_RIFF = b"riff\x2e\x91\xcf\x11"

_SIGNATURES = (
    (b"fLaC", "a FLAC file"),
    (b"OggS", "an Ogg file"),
    (b"ID3", "an MP3 file"),
    (b"FORM", "an AIFF file"),
    (b"caff", "a CAF file"),
    (_W64_RIFF, "a Wave64 file"),
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


def is_native(start: bytes) -> bool:
    """Whether these are the first bytes of a WAV, RF64 or FLAC file."""
    return start.startswith(b"fLaC") or (start[:4] in (b"RIFF", b"RIFX", b"RF64") and start[8:12] == b"WAVE")


def is_lengthless(start: bytes) -> bool:
    """Whether these are the first bytes of a FLAC file that was written to a pipe: its header declares no length.

    STREAMINFO (RFC 9639, section 8.2) is the first block, and the number of samples its last 36 bits before the MD5.
    """
    return start.startswith(b"fLaC") and len(start) >= 26 and not (start[21] & 0x0F or any(start[22:26]))


def what_it_is(start: bytes) -> str:
    """What the first bytes of a file say it is: "an MP3 file"."""
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


def missing_bytes(stream: BinaryIO, size: int) -> int:
    """Bytes that a file of ``size`` bytes lacks of the audio that its header declares; 0 where none declares it.

    Raises ValueError for a header that does not end.
    """
    stream.seek(0)
    start = stream.read(24)
    if start[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return _of_riff(stream, size)
    if start[:4] == b"FORM" and len(start) >= 8:
        return max(0, 8 + int(struct.unpack(">I", start[4:8])[0]) - size)
    if start.startswith(_W64_RIFF) and len(start) == 24:
        return max(0, int(struct.unpack("<Q", start[16:24])[0]) - size)
    if start[:4] == b".snd" and len(start) >= 12:
        offset, length = struct.unpack(">II", start[4:12])
        return 0 if length == 0xFFFF_FFFF else max(0, offset + length - size)
    return _of_caf(stream, size) if start[:4] == b"caff" else 0


def _of_riff(stream: BinaryIO, size: int) -> int:
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
    raise ValueError(f"has more than {_MAX_CHUNKS} chunks and no audio among them")


def _of_caf(stream: BinaryIO, size: int) -> int:
    stream.seek(8)
    for _ in range(_MAX_CHUNKS):
        start = stream.read(12)
        if len(start) < 12:
            return 0
        name, length = struct.unpack(">4sq", start)
        position = stream.tell()
        if name == b"data":
            return 0 if length < 0 else max(0, position + int(length) - size)  # -1: to the end of the file
        if length < 0 or position + length > size:
            return 0
        stream.seek(position + length)
    raise ValueError(f"has more than {_MAX_CHUNKS} chunks and no audio among them")


def _is_text(start: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)  # the last letter may be cut
    except UnicodeDecodeError:
        return False
    return all(letter in "\t\n\r\ufeff" or letter.isprintable() for letter in text)
