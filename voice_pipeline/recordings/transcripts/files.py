"""Text files that somebody made, read with care: inside the source only, of a bounded size, as UTF-8."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.conversion import AUDIO_SUFFIXES
from voice_pipeline.recordings.detection import leaves
from voice_pipeline.recordings.source import LFS_SIGNATURE, Recordings
from voice_pipeline.recordings.tables import AudioFile
from voice_pipeline.recordings.transcripts.model import TranscriptError
from voice_pipeline.store import canonical_json

MAX_CLIP_BYTES: Final = 65_536  # of the text of one clip
MAX_LONG_BYTES: Final = 32 << 20  # of the text of a long recording: a book has one
MAX_TABLE_BYTES: Final = 512 << 20  # of the text of all clips
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
Parsed = TypeVar("Parsed")
CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass
class TextFolder:
    """The folder that holds a source's text, and the audio that the text may be of. Notes what was read."""

    recordings: Recordings
    files: tuple[AudioFile, ...]  # sorted by name
    root: Path  # of the text: paths in its tables are relative to it
    one: Path | None  # the one text file, where the config names a file
    _digests: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, recordings: Recordings, files: Iterable[AudioFile]) -> TextFolder:
        """The text folder of ``recordings``: where its config says, else the source itself."""
        named = recordings.text_path
        audio = recordings.root.parent if recordings.single else recordings.root
        root = audio if named is None else named if named.is_dir() else named.parent
        one = named if named is not None and not named.is_dir() else None
        return cls(recordings, tuple(sorted(files, key=lambda file: file.name)), root, one)

    @property
    def audio_root(self) -> Path:
        """The folder to which the names of the audio are relative."""
        return self.recordings.root.parent if self.recordings.single else self.recordings.root

    @property
    def sha256(self) -> str:
        """Of all that was read so far, by name."""
        return sha256(canonical_json(sorted(self._digests.items()))).hexdigest()

    def names(self, *suffixes: str, deep: bool = True) -> list[str]:
        """Files of the text folder that end with one of ``suffixes``, sorted; hidden ones are no part of it."""
        if self.one is not None:
            return [self.one.name]
        stem = self.recordings.root.stem if self.recordings.single and self.recordings.text_path is None else None
        found = []
        for folder, subfolders, names in os.walk(self.root):
            subfolders[:] = [name for name in subfolders if deep and not name.startswith(".")]
            for name in names:
                path = PurePosixPath(Path(folder).relative_to(self.root).as_posix()) / name
                if name.startswith(".") or path.suffix.lower() not in suffixes:
                    continue
                if stem is None or (path.stem == stem and path.parent == PurePosixPath(".")):
                    found.append(path.as_posix())
            if stem is not None:
                break
        return sorted(found)

    def shown(self, name: str) -> str:
        """A text file as messages name it."""
        folder = Path(self.recordings.shown)
        if self.recordings.text_path is not None:
            return printable(name)
        return printable((folder.parent if self.recordings.single else folder).joinpath(name).as_posix())

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of a text file. Raises TranscriptError for what is missing, no file, outside, or too long."""
        path = self.root / name
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise TranscriptError("is not a regular file")
            if leaves(self.root, path):
                raise TranscriptError("is a link that leaves the source folder")
            if status.st_size > limit:
                raise TranscriptError(f"has {status.st_size} bytes; at most {limit} are read")
            data = path.read_bytes()
        except FileNotFoundError:
            raise TranscriptError("is missing") from None
        except OSError as error:
            raise TranscriptError(f"cannot be read: {error.strerror or error}") from error
        self._digests[printable(name)] = sha256(data).hexdigest()
        return data

    def note(self, name: str, digest: str) -> None:
        """Count text that was read by other means into the digest of all."""
        self._digests[name] = digest

    def table(self, name: str) -> bytes:
        """The bytes of the table that holds all text. Raises VoiceFailure: without it there is no text at all."""
        try:
            data = self.read(name, MAX_TABLE_BYTES)
        except TranscriptError as error:
            raise self.failure(name, error) from error
        if data.startswith(LFS_SIGNATURE):
            detail = "is a Git LFS pointer: its text was not fetched"
            raise VoiceFailure("lfs_pointer", detail, voice=self.recordings.voice, file=self.shown(name))
        return data

    def parsed(self, name: str, parse: Callable[[str], list[Parsed]]) -> list[Parsed]:
        """``parse`` of a table's text. Raises VoiceFailure ``transcript_missing`` or ``lfs_pointer``."""
        data = self.table(name)
        try:
            return parse(decode_text(data))
        except TranscriptError as error:
            raise self.failure(name, error) from error

    def failure(self, name: str, error: TranscriptError) -> VoiceFailure:
        """The failure of a text file without which nothing has text."""
        return VoiceFailure("transcript_missing", str(error), voice=self.recordings.voice, file=self.shown(name))


def decode_text(data: bytes) -> str:
    """UTF-8, with or without a byte order mark, lines ended by LF. Raises TranscriptError."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TranscriptError("is UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"is not UTF-8 (byte 0x{data[error.start]:02x} in line {line}; it may be Latin-1)"
        raise TranscriptError(f"{what}; save it as UTF-8") from error


def one_line(text: str) -> str:
    """Text without control characters and with single spaces."""
    return " ".join(CONTROL.sub(" ", text).split())


def safe_id(name: str) -> str:
    """An utterance id that can be a file's name: ``name`` itself, or its letters and a digest of it.

    ``safe_id(safe_id(x)) == safe_id(x)``, and two names that need a digest do not get one id.
    """
    if _SAFE_ID.fullmatch(name):
        return name
    letters = _UNSAFE.sub("_", name).strip("._-")[:60] or "clip"
    return f"{letters}_{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def without_suffix(name: str) -> str:
    """A clip's path without the suffix of an audio format."""
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in AUDIO_SUFFIXES else name


def printable(name: str) -> str:
    """A name that can be written, also when it is not UTF-8 on the disk."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
