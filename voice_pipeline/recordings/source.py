"""What a voice's source is on the disk, and which files belong to it.

    recordings = find_recordings(project, voice)
    recordings.kind, recordings.text            # "clips", "ljspeech"; recordings.because says why
    recordings.files[0].name                    # relative to the source, "wavs/001.wav"

Finding makes the first three checks of preflight: the path exists, it is not a Git LFS pointer, and there is enough
of it. In a folder a file that fails one of them is marked with its problem, and the others go on. Hidden files and
folders (a leading dot) are not part of a source. Nothing outside it is followed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings import detection
from voice_pipeline.recordings.conversion import AUDIO_SUFFIXES
from voice_pipeline.recordings.decoding import DecodeError, check_regular
from voice_pipeline.recordings.detection import CLIPS_ONLY, Kind, leaves
from voice_pipeline.recordings.tables import AudioFile
from voice_pipeline.recordings.workers import processes
from voice_pipeline.store import Store, canonical_json, sha256_file
from voice_pipeline.voice import TextKind, Voice

LFS_SIGNATURE = b"version https://git-lfs.github.com/spec/v1"
PARQUET_SUFFIX = ".parquet"
_SUFFIXES = AUDIO_SUFFIXES | {PARQUET_SUFFIX}
_HASHED_AT_ONCE = 16  # files
_NAMED = 5  # files that one message names; it counts the others

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, order=True)
class SourceFile:
    """One audio file, or table of them. ``name`` is its POSIX path relative to the folder; a recording's own name."""

    name: str
    path: Path
    bytes: int
    problem: str | None = None  # why it cannot be part of the source: a reason of the taxonomy
    detail: str = ""


@dataclass(frozen=True)
class Recordings:
    """A voice's source. ``shown`` is its path as the config has it; ``files`` are sorted by name."""

    voice: str
    shown: str
    root: Path  # the folder, or the recording
    kind: Kind
    files: tuple[SourceFile, ...]
    text: TextKind = "none"
    text_path: Path | None = None  # the text's file or folder, where the config names one
    because: tuple[str, ...] = ()  # why it was taken for this kind and this text, where the config does not say

    @property
    def single(self) -> bool:
        """Whether the source is one file, not a folder."""
        return len(self.files) == 1 and self.files[0].path == self.root

    @property
    def usable(self) -> tuple[SourceFile, ...]:
        """The files that are not known to be unusable."""
        return tuple(file for file in self.files if file.problem is None)

    @property
    def bytes(self) -> int:
        """Bytes of all usable files."""
        return sum(file.bytes for file in self.files if file.problem is None)

    def shown_name(self, name: str) -> str:
        """A file as messages name it."""
        return self.shown if self.single else f"{self.shown}/{name}"

    def failure(self, reason: str, names: Iterable[str], detail: str) -> VoiceFailure:
        """A failure of one or more of the files: the first is the failure's file, the next are named."""
        shown = [self.shown_name(name) for name in names]
        rest = ""
        if len(shown) > 1:
            others = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
            rest = f"; so are these: {', '.join(shown[1:_NAMED])}{others}"
        return VoiceFailure(reason, detail + rest, voice=self.voice, file=shown[0])


def find_recordings(project: Path, voice: Voice) -> Recordings:
    """The source of ``voice``, below ``project`` unless its path is absolute.

    Raises VoiceFailure, the first that holds: ``missing_audio_path``, ``lfs_pointer``, ``audio_too_small``
    (CONTRACTS 4; of a folder only when no file of it is usable, or all usable ones are too little), and
    ``config_invalid`` where the config's kind cannot be.
    """
    root, shown, name = project / voice.source.path, voice.source.path.as_posix(), voice.voice_profile_id
    files, others = _look(root, shown, name)
    usable = [file for file in files if file.problem is None]
    if not usable:
        first = files[0]
        same = [file.name for file in files if file.problem == first.problem and file.detail == first.detail]
        unusable = Recordings(name, shown, root, "recording", tuple(files))
        raise unusable.failure(first.problem or "missing_audio_path", same, first.detail)
    text_path = None if voice.source.text_path is None else project / voice.source.text_path
    found = detection.detect(
        root, [file.path for file in usable], others, kind=voice.source.kind, text=voice.source.text,
        text_path=text_path,
    )  # fmt: skip
    recordings = Recordings(name, shown, root, found.kind, tuple(files), found.text, text_path, found.because)
    check_enough(recordings, files, voice.source.min_bytes)
    if problem := _contradiction(recordings):
        raise VoiceFailure("config_invalid", problem, voice=name, file=shown)
    return recordings


def _contradiction(recordings: Recordings) -> str | None:
    """What the config says of the source's kind and text that cannot be."""
    kind, text = recordings.kind, recordings.text
    if kind == "clips" and recordings.single:
        return "is one file, but the voice's config says kind: clips"
    if kind == "parquet" and not any(file.path.suffix.lower() == PARQUET_SUFFIX for file in recordings.usable):
        return "holds no .parquet file, but the voice's config says kind: parquet"
    if kind == "parquet" and text not in ("column", "none"):
        return f"is a table, whose text is in a column; the voice's config says text: {text}"
    if kind != "parquet" and text == "column":
        return "is no Parquet table, but the voice's config says text: column"
    if recordings.single and recordings.text_path is None and text in CLIPS_ONLY:
        return f"is one file, but the voice's config says text: {text}, which is of clips"
    return None


def check_enough(recordings: Recordings, files: Iterable[SourceFile | AudioFile], least: int) -> None:
    """Raises VoiceFailure ``audio_too_small`` unless the usable ones of ``files`` have more than ``least`` bytes."""
    size = count = unusable = 0
    first = ""
    for file in files:
        if file.problem is None:
            size, count = size + file.bytes, count + 1
        else:
            unusable += 1
            first = first or f"{recordings.shown_name(file.name)} {file.detail}"
    if size > least:
        return
    what = "the recording has" if recordings.single else f"the {count} usable files have"
    rest = f"; {unusable} more cannot be used, the first: {first}" if unusable else ""
    detail = f"{what} {size} bytes; more than {least} are needed{rest}"
    raise VoiceFailure("audio_too_small", detail, voice=recordings.voice, file=recordings.shown)


def content_digest(recordings: Recordings) -> tuple[str, dict[str, str]]:
    """(sha256 of the source, sha256 of each file by name).

    A single recording's digest is its file's; a folder's is over the sorted list of [name, sha256], in which a file
    that cannot be read has an empty digest. Raises VoiceFailure ``audio_undecodable`` for a single recording that
    cannot be read.
    """
    if recordings.single:
        file = recordings.files[0]
        try:
            check_regular(file.path)
            digest = sha256_file(file.path)
        except DecodeError as error:
            raise recordings.failure("audio_undecodable", [file.name], str(error)) from error
        except OSError as error:
            detail = f"cannot be read: {error.strerror or error}"
            raise recordings.failure("audio_undecodable", [file.name], detail) from error
        return digest, {file.name: digest}
    files = recordings.files
    chunks = (files[start : start + _HASHED_AT_ONCE] for start in range(0, len(files), _HASHED_AT_ONCE))
    with ThreadPoolExecutor(processes()) as pool:  # threads: hashing holds no lock
        digests = {name: digest for some in pool.map(_digests, chunks) for name, digest in some}
    return hashlib.sha256(canonical_json(sorted(digests.items()))).hexdigest(), digests


def read_from(store: Store, recordings_root: Path, file: AudioFile) -> Path:
    """The WAV or FLAC file to open for a usable piece of audio: the original, or what was decoded from it.

    Raises ValueError for a stored path that leaves the store.
    """
    if file.decoded is not None:
        return store.resolve(file.decoded)
    return recordings_root / file.name if recordings_root.is_dir() else recordings_root


def _look(root: Path, shown: str, voice: str) -> tuple[list[SourceFile], list[str]]:
    """(the audio files, sorted; the names of all other files). Raises VoiceFailure ``missing_audio_path``."""
    try:
        status = root.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise VoiceFailure("missing_audio_path", "there is no such file or folder", voice=voice, file=shown) from None
    except (OSError, ValueError) as error:
        detail = f"cannot be reached: {getattr(error, 'strerror', None) or error}"
        raise VoiceFailure("missing_audio_path", detail, voice=voice, file=shown) from error
    if not stat.S_ISDIR(status.st_mode):
        beside = _beside(root)
        return [_judged(root, root, root.name)], beside
    files, others = list[SourceFile](), list[str]()
    for path, name, is_audio in _walk(root):
        if is_audio:
            files.append(_judged(path, root, name))
        else:
            others.append(name)
    if not files:
        detail = "the folder holds no audio file and no .parquet"
        raise VoiceFailure("missing_audio_path", detail, voice=voice, file=shown)
    return sorted(files), sorted(others)


def _beside(recording: Path) -> list[str]:
    """The files that stand beside a recording and share its stem: its text may be among them."""
    try:
        names = [path.name for path in recording.parent.iterdir()]
    except OSError:
        return []
    return sorted(name for name in names if Path(name).stem == recording.stem and name != recording.name)


def _walk(root: Path) -> Iterator[tuple[Path, str, bool]]:
    """(path, name relative to root, whether it is to be audio) of every file, and of what should be a file."""
    unread = list[str]()
    start = len(str(root).rstrip("/")) + 1
    for folder, subfolders, names in os.walk(root, onerror=lambda error: unread.append(error.filename)):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for is_folder, some in ((True, subfolders), (False, names)):
            for name in some:
                if name.startswith("."):
                    continue
                path = f"{folder.rstrip('/')}/{name}"
                audio = "." in name and f".{name.rpartition('.')[2].lower()}" in _SUFFIXES
                if audio or not is_folder or Path(path).is_symlink():
                    yield Path(path), path[start:], audio or is_folder
    for path in unread:
        yield Path(path), path[start:], True


def _judged(path: Path, root: Path, name: str) -> SourceFile:
    """The file, with the first thing that is wrong with it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        printable = os.fsencode(name).decode("utf-8", "backslashreplace")
        detail = "has a name that is not UTF-8; give it another name"
        return SourceFile(printable, path, 0, "audio_undecodable", detail)

    def bad(reason: str, detail: str) -> SourceFile:
        return SourceFile(name, path, 0, reason, detail)

    if path != root and path.is_symlink():
        if path.is_dir():
            return bad("missing_audio_path", "is a link to a folder; put the clips themselves there")
        if leaves(root, path):
            return bad("missing_audio_path", "is a link that leaves the source folder; put the recording itself there")
    try:
        status = path.stat()
    except OSError as error:
        return bad("missing_audio_path", f"cannot be reached: {error.strerror or error}")
    if stat.S_ISDIR(status.st_mode):
        if path.suffix.lower() in _SUFFIXES:
            return bad("audio_undecodable", "is a folder, not a recording")
        return bad("audio_undecodable", "cannot be read: it is a folder that may not be opened")
    if not stat.S_ISREG(status.st_mode):
        return bad("audio_undecodable", "is not a regular file")
    try:
        with path.open("rb", buffering=0) as stream:
            if stream.read(len(LFS_SIGNATURE)) == LFS_SIGNATURE:
                return bad("lfs_pointer", "is a Git LFS pointer: the audio itself was not fetched")
    except OSError as error:
        return bad("audio_undecodable", f"cannot be read: {error.strerror or error}")
    return SourceFile(name, path, status.st_size)


def _digests(files: Sequence[SourceFile]) -> list[tuple[str, str]]:
    return [(file.name, _digest(file)) for file in files]


def _digest(file: SourceFile) -> str:
    if file.problem not in (None, "lfs_pointer"):
        return ""  # what cannot be read, or lies outside of the source
    try:
        return sha256_file(file.path)
    except OSError:
        return ""
