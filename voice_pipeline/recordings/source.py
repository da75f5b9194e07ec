"""What a voice's source is on the disk: one recording, or a folder of clips, and which files belong to it.

    recordings = find_recordings(project, voice)
    recordings.files[0].name            # relative to the source, "wavs/001.wav"

Finding makes the first three checks of preflight: the path exists, nothing is a Git LFS pointer, and there is
enough of it. Hidden files and folders (a leading dot) are not part of a source. Nothing outside it is followed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.decoding import AUDIO_SUFFIXES, UNREAD_AUDIO_SUFFIXES, DecodeError, check_regular
from voice_pipeline.store import canonical_json, sha256_file
from voice_pipeline.voice import Voice

LFS_SIGNATURE = b"version https://git-lfs.github.com/spec/v1"
_NAMED = 5  # files that one message names; it counts the others

Kind = Literal["recording", "clips"]
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, order=True)
class SourceFile:
    """One audio file. ``name`` is its POSIX path relative to the folder of clips; a recording's own name."""

    name: str
    path: Path
    bytes: int


@dataclass(frozen=True)
class Recordings:
    """A voice's source. ``shown`` is its path as the config has it; ``files`` are sorted by name."""

    voice: str
    shown: str
    root: Path  # the folder of clips, or the recording
    kind: Kind
    files: tuple[SourceFile, ...]

    @property
    def bytes(self) -> int:
        """Bytes of all audio."""
        return sum(file.bytes for file in self.files)

    def failure(self, reason: str, names: Iterable[str], detail: str) -> VoiceFailure:
        """A failure of one or more of the files: the first is the failure's file, the next are named."""
        names = list(names)
        shown = [self.shown if self.kind == "recording" else f"{self.shown}/{name}" for name in names]
        rest = ""
        if len(names) > 1:
            others = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            rest = f"; so do these: {', '.join(shown[1:_NAMED])}{others}"
        return VoiceFailure(reason, detail + rest, voice=self.voice, file=shown[0])


def find_recordings(project: Path, voice: Voice) -> Recordings:
    """The source of ``voice``, below ``project`` unless its path is absolute.

    Raises VoiceFailure, the first that holds: ``missing_audio_path``, ``lfs_pointer``, ``audio_too_small``
    (CONTRACTS 4), and ``audio_undecodable`` for a folder where the config announces a recording, or the reverse.
    """
    root, shown = project / voice.source.path, voice.source.path.as_posix()
    recordings = _look(root, shown, voice)
    pointers = [file.name for file in recordings.files if _is_lfs_pointer(file)]
    if pointers:
        raise recordings.failure("lfs_pointer", pointers, "is a Git LFS pointer: the audio itself was not fetched")
    if recordings.bytes <= voice.source.min_bytes:
        what = "the recording has" if recordings.kind == "recording" else f"the {len(recordings.files)} clips have"
        detail = f"{what} {recordings.bytes} bytes; more than {voice.source.min_bytes} are needed"
        raise VoiceFailure("audio_too_small", detail, voice=voice.voice_profile_id, file=shown)
    if voice.source.kind == "clips" and recordings.kind == "recording":
        detail = "is one file, but the voice's config says kind: clips"
        raise VoiceFailure("audio_undecodable", detail, voice=voice.voice_profile_id, file=shown)
    return recordings


def content_digest(recordings: Recordings) -> tuple[str, dict[str, str]]:
    """(sha256 of the source, sha256 of each file by name).

    A recording's digest is its file's; a folder's is over the sorted list of [name, sha256]. Raises VoiceFailure
    ``audio_undecodable`` for a file that cannot be read.
    """
    digests = {}
    for file in recordings.files:
        try:
            check_regular(file.path)
            digests[file.name] = sha256_file(file.path)
        except DecodeError as error:
            raise recordings.failure("audio_undecodable", [file.name], str(error)) from error
        except OSError as error:
            detail = f"cannot be read: {error.strerror or error}"
            raise recordings.failure("audio_undecodable", [file.name], detail) from error
    if recordings.kind == "recording":
        return digests[recordings.files[0].name], digests
    return hashlib.sha256(canonical_json(sorted(digests.items()))).hexdigest(), digests


def leaves(root: Path, path: Path) -> bool:
    """Whether ``path`` is, through links, outside of ``root``."""
    inner, outer = os.path.realpath(path), os.path.realpath(root)
    return os.path.commonpath([inner, outer]) != outer


def _look(root: Path, shown: str, voice: Voice) -> Recordings:
    name = voice.voice_profile_id
    try:
        status = root.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise VoiceFailure("missing_audio_path", "there is no such file or folder", voice=name, file=shown) from None
    except (OSError, ValueError) as error:
        detail = f"cannot be reached: {getattr(error, 'strerror', None) or error}"
        raise VoiceFailure("missing_audio_path", detail, voice=name, file=shown) from error
    if not stat.S_ISDIR(status.st_mode):
        return Recordings(name, shown, root, "recording", (SourceFile(root.name, root, status.st_size),))
    if voice.source.kind == "recording":
        detail = "is a folder, but the voice's config says kind: recording"
        raise VoiceFailure("audio_undecodable", detail, voice=name, file=shown)
    files = tuple(sorted(_clips(root, shown, name)))
    if not files:
        raise VoiceFailure("missing_audio_path", "the folder holds no WAV or FLAC file", voice=name, file=shown)
    return Recordings(name, shown, root, "clips", files)


def _clips(root: Path, shown: str, voice: str) -> Iterable[SourceFile]:
    """Every audio file below ``root``, other formats too: preflight says of each what is wrong with it."""

    def refuse(error: OSError) -> None:
        raise VoiceFailure("audio_undecodable", f"cannot be read: {error.strerror}", voice=voice, file=error.filename)

    for folder, subfolders, names in os.walk(root, onerror=refuse):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in [*subfolders, *names]:
            path = Path(folder) / name
            audio = path.suffix.lower() in AUDIO_SUFFIXES | UNREAD_AUDIO_SUFFIXES and not name.startswith(".")
            linked_folder = path.is_symlink() and path.is_dir() and not name.startswith(".")
            if not (audio or linked_folder):
                continue
            relative = path.relative_to(root).as_posix()
            yield SourceFile(
                _printable(relative, shown, voice), path, _checked_size(path, root, f"{shown}/{relative}", voice)
            )


def _printable(relative: str, shown: str, voice: str) -> str:
    try:
        relative.encode()
    except UnicodeEncodeError:
        name = os.fsencode(relative).decode("utf-8", "backslashreplace")
        detail = "has a name that is not UTF-8; give it another name"
        raise VoiceFailure("audio_undecodable", detail, voice=voice, file=f"{shown}/{name}") from None
    return relative


def _checked_size(path: Path, root: Path, shown: str, voice: str) -> int:
    if path.is_symlink():
        if path.is_dir():
            detail = "is a link to a folder; put the clips themselves there"
            raise VoiceFailure("missing_audio_path", detail, voice=voice, file=shown)
        if leaves(root, path):
            detail = "is a link that leaves the source folder; put the recording itself there"
            raise VoiceFailure("missing_audio_path", detail, voice=voice, file=shown)
    try:
        status = path.stat()
    except OSError as error:
        detail = f"cannot be reached: {error.strerror or error}"
        raise VoiceFailure("missing_audio_path", detail, voice=voice, file=shown) from error
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _is_lfs_pointer(file: SourceFile) -> bool:
    if not stat.S_ISREG(file.path.stat().st_mode):
        return False
    try:
        with file.path.open("rb") as stream:
            return stream.read(len(LFS_SIGNATURE)) == LFS_SIGNATURE
    except OSError:
        return False  # decoding says why it cannot be read
