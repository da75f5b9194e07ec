"""The text of clips: LJ Speech's metadata.csv, or one .txt beside each clip.

    transcripts = read_transcripts(recordings, voice.source.text)
    transcripts.found[0].text, transcripts.rejected

What cannot be used is never dropped in silence: it is a ``Rejection`` that says which clip and why.
"""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Literal

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.decoding import AUDIO_SUFFIXES, UNREAD_AUDIO_SUFFIXES
from voice_pipeline.recordings.source import LFS_SIGNATURE, Recordings, SourceFile, leaves
from voice_pipeline.store import canonical_json, inside

METADATA = "metadata.csv"
MAX_TEXT_CHARACTERS = 1_000  # twenty seconds of speech have some 300
_MAX_TEXT_BYTES = 65_536  # of one .txt file
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

TextKind = Literal["ljspeech", "txt"]
RejectionReason = Literal[
    "transcript_missing",
    "audio_missing",
    "ambiguous_audio",
    "malformed_row",
    "unsafe_id",
    "duplicate_id",
    "text_unusable",
    "too_short",
    "too_long",
    "silent",
]


class TranscriptError(ValueError):
    """A text file cannot be read as text; the message says why in a clause."""


@dataclass(frozen=True, order=True)
class Rejection:
    """An utterance that is not in the dataset. ``source`` is a file of the source, or a line of metadata.csv."""

    source: str
    utterance_id: str
    reason: RejectionReason
    detail: str


@dataclass(frozen=True, order=True)
class Transcript:
    """A clip and its text. ``reading`` is what to normalise: LJ Speech's third column where it is given."""

    utterance_id: str
    file: SourceFile
    text: str
    reading: str


@dataclass(frozen=True)
class Transcripts:
    """All text of a source, sorted by utterance id. ``sha256`` is over the text files' content."""

    found: tuple[Transcript, ...]
    rejected: tuple[Rejection, ...]
    sha256: str


@dataclass(frozen=True)
class Row:
    """One line of metadata.csv: ``id|text`` or ``id|text|normalised text``; ``problem`` says why it is unusable."""

    line: int
    identifier: str
    text: str
    reading: str
    problem: tuple[RejectionReason, str] | None = None


def read_transcripts(recordings: Recordings, kind: TextKind | None) -> Transcripts:
    """Find the text of every clip; ``kind`` None means: metadata.csv when it is there.

    Raises VoiceFailure ``transcript_missing``: for a long recording without clips, a metadata.csv that is missing or
    not UTF-8, or when no clip has text; ``lfs_pointer`` for a metadata.csv that was not fetched.
    """
    if recordings.kind == "recording":
        detail = "one long recording has no text for its clips: cut it into clips, each with its text"
        raise VoiceFailure("transcript_missing", detail, voice=recordings.voice, file=recordings.shown)
    path = recordings.root / METADATA
    ljspeech = kind == "ljspeech" or (kind is None and path.exists())
    found, rejected, digest = _from_metadata(recordings, path) if ljspeech else _from_text_files(recordings)
    found, repeated = _without_duplicates(found)
    rejected = sorted([*rejected, *repeated])
    if not found:
        without = [one for one in rejected if one.reason == "transcript_missing"]
        shown = f"{recordings.shown}/{without[0].source}" if without else recordings.shown
        raise VoiceFailure("transcript_missing", "no clip has text", voice=recordings.voice, file=shown)
    return Transcripts(tuple(sorted(found)), tuple(rejected), digest)


def parse_metadata(data: bytes) -> list[Row]:
    """Every line of a metadata.csv that is not blank, in order. Raises TranscriptError for what is not UTF-8."""
    rows = []
    text = decode_text(data).replace("\r\n", "\n").replace("\r", "\n")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            rows.append(_row(number, line))
    return rows


def decode_text(data: bytes) -> str:
    """UTF-8, with or without a byte order mark. Raises TranscriptError."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TranscriptError("is UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TranscriptError(
            f"is not UTF-8 (byte 0x{data[error.start]:02x} in line {line}); save it as UTF-8"
        ) from error


def safe_id(name: str) -> str:
    """An utterance id that can be a file's name: ``name`` itself, or its letters and a digest of it.

    ``safe_id(safe_id(x)) == safe_id(x)``, and two names that need a digest do not get one id.
    """
    if _SAFE_ID.fullmatch(name):
        return name
    letters = _UNSAFE.sub("_", name).strip("._-")[:60] or "clip"
    return f"{letters}_{sha256(name.encode()).hexdigest()[:12]}"


def _row(number: int, line: str) -> Row:
    columns = [column.strip() for column in line.split("|")]
    identifier, text = columns[0], columns[1] if len(columns) > 1 else ""
    reading = columns[2] if len(columns) == 3 and columns[2] else text
    problem: tuple[RejectionReason, str] | None = None
    if _CONTROL.search(line):
        problem = ("malformed_row", "holds control characters")
    elif len(columns) > 3:
        problem = ("malformed_row", f"has {len(columns)} columns; id|text or id|text|normalised text is expected")
    elif not identifier:
        problem = ("malformed_row", "has no id")
    elif not text:
        problem = ("transcript_missing", "has no text")
    elif max(len(text), len(reading)) > MAX_TEXT_CHARACTERS:
        problem = ("text_unusable", f"has a text of more than {MAX_TEXT_CHARACTERS} characters")
    return Row(number, identifier, text, reading, problem)


def _from_metadata(recordings: Recordings, path: Path) -> tuple[list[Transcript], list[Rejection], str]:
    shown = f"{recordings.shown}/{METADATA}"
    try:
        data = _read_inside(path, recordings.root)
        if data.startswith(LFS_SIGNATURE):
            raise VoiceFailure(
                "lfs_pointer", "is a Git LFS pointer: its text was not fetched", voice=recordings.voice, file=shown
            )
        rows = parse_metadata(data)
    except TranscriptError as error:
        raise VoiceFailure("transcript_missing", str(error), voice=recordings.voice, file=shown) from error
    found: list[Transcript] = []
    rejected: list[Rejection] = []
    by_id = _files_by_id(recordings)
    mentioned: set[str] = set()
    for row in rows:
        files = _files_of(row.identifier, by_id)
        mentioned.update(file.name for file in files)
        problem = row.problem or _audio_problem(recordings, row.identifier, files)
        if problem:
            rejected.append(Rejection(f"{METADATA}:{row.line}", row.identifier, *problem))
        else:
            found.append(Transcript(safe_id(_without_suffix(row.identifier)), files[0], row.text, row.reading))
    for file in recordings.files:
        if file.name not in mentioned:
            detail = f"{METADATA} has no line for it"
            rejected.append(Rejection(file.name, safe_id(_without_suffix(file.name)), "transcript_missing", detail))
    return found, rejected, sha256(data).hexdigest()


def _audio_problem(
    recordings: Recordings, identifier: str, files: list[SourceFile]
) -> tuple[RejectionReason, str] | None:
    try:
        inside(recordings.root, identifier)
    except ValueError:
        return "unsafe_id", "the id is not a plain name inside the source folder"
    if not files:
        return "audio_missing", f"there is no clip {identifier}.wav or .flac in the folder or in wavs/"
    if len(files) > 1:
        return "ambiguous_audio", f"more than one clip has this id: {', '.join(file.name for file in files)}"
    return None


def _files_by_id(recordings: Recordings) -> dict[str, list[SourceFile]]:
    """Clips by their path without suffix, as LJ Speech's ids name them: wavs/x.wav is x."""
    by_id: dict[str, list[SourceFile]] = {}
    for file in recordings.files:
        by_id.setdefault(_without_suffix(file.name).removeprefix("wavs/"), []).append(file)
    return by_id


def _files_of(identifier: str, by_id: dict[str, list[SourceFile]]) -> list[SourceFile]:
    return by_id.get(_without_suffix(identifier).removeprefix("wavs/"), [])


def _from_text_files(recordings: Recordings) -> tuple[list[Transcript], list[Rejection], str]:
    found: list[Transcript] = []
    rejected: list[Rejection] = []
    contents: list[tuple[str, str]] = []
    for file in recordings.files:
        identifier, path = safe_id(_without_suffix(file.name)), file.path.with_suffix(".txt")
        try:
            data = _read_inside(path, recordings.root)
            contents.append((file.name, sha256(data).hexdigest()))
            text = " ".join(_CONTROL.sub(" ", decode_text(data)).split())
        except TranscriptError as error:
            rejected.append(Rejection(file.name, identifier, "transcript_missing", f"{path.name} {error}"))
            continue
        if not text:
            rejected.append(Rejection(file.name, identifier, "transcript_missing", f"{path.name} is empty"))
        elif len(text) > MAX_TEXT_CHARACTERS:
            detail = f"{path.name} has more than {MAX_TEXT_CHARACTERS} characters"
            rejected.append(Rejection(file.name, identifier, "text_unusable", detail))
        else:
            found.append(Transcript(identifier, file, text, text))
    rejected.extend(_text_without_audio(recordings))
    return found, rejected, sha256(canonical_json(contents)).hexdigest()


def _text_without_audio(recordings: Recordings) -> Iterator[Rejection]:
    clips = {_without_suffix(file.name) for file in recordings.files}
    for path in sorted(recordings.root.rglob("*.txt")):
        relative = path.relative_to(recordings.root)
        name = relative.as_posix().encode("utf-8", "backslashreplace").decode()
        if relative.with_suffix("").as_posix() not in clips and not any(
            part.startswith(".") for part in relative.parts
        ):
            yield Rejection(name, safe_id(name.removesuffix(".txt")), "audio_missing", "there is no clip beside it")


def _read_inside(path: Path, root: Path) -> bytes:
    """A text file's bytes. Raises TranscriptError for what is missing, no file, outside of the source or too long."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise TranscriptError("is not a regular file")
        if leaves(root, path):
            raise TranscriptError("is a link that leaves the source folder")
        if path.name != METADATA and status.st_size > _MAX_TEXT_BYTES:
            raise TranscriptError(f"has {status.st_size} bytes, too many for the text of one clip")
        return path.read_bytes()
    except FileNotFoundError:
        raise TranscriptError("is missing") from None
    except OSError as error:
        raise TranscriptError(f"cannot be read: {error.strerror or error}") from error


def _without_duplicates(found: list[Transcript]) -> tuple[list[Transcript], list[Rejection]]:
    """Nobody can know which of two lines or clips with one id is meant: all of them are rejected."""
    counts = Counter(one.utterance_id for one in found)
    detail = "the id stands for more than one utterance"
    repeated = [
        Rejection(one.file.name, one.utterance_id, "duplicate_id", f"{detail}: {one.text[:40]!r}")
        for one in found
        if counts[one.utterance_id] > 1
    ]
    return [one for one in found if counts[one.utterance_id] == 1], repeated


def _without_suffix(name: str) -> str:
    path = PurePosixPath(name)
    return name[: -len(path.suffix)] if path.suffix.lower() in AUDIO_SUFFIXES | UNREAD_AUDIO_SUFFIXES else name
