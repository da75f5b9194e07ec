"""What a source holds, where its voice's config does not say: long recordings, clips or tables, and text of which form.

    found = detect(root, audio_paths, other_names)
    found.kind, found.text, found.because       # because: short sentences for the person who imports it

The names of the files decide, the first lines of tables, and how long the recordings are. Nothing is decoded.
"""

from __future__ import annotations

import json
import os
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from voice_pipeline.recordings.conversion import LIBSNDFILE_SUFFIXES, NATIVE_SUFFIXES
from voice_pipeline.voice import TextKind

Kind = Literal["recording", "clips", "parquet"]

CLIP_SECONDS = 20.0  # a median up to this is of clips, one utterance each; above, of recordings to be cut
_OF_RECORDINGS: dict[str, TextKind] = {".textgrid": "textgrid", ".srt": "srt", ".vtt": "vtt"}
_OF_CLIPS_BESIDE: dict[str, TextKind] = {".lab": "lab", ".txt": "txt"}
_LONG_ONLY = ("srt", "vtt", "textgrid")
CLIPS_ONLY = ("ljspeech", "piper", "lab", "nemo", "audiofolder")
_SAMPLED = 60  # files whose headers are read for their duration
_HEAD_BYTES = 65_536  # of a table, to see what it is
_BYTES_A_SECOND = 8_000  # of compressed speech whose header is not read: 64 kbit/s


@dataclass(frozen=True)
class Detected:
    """What a source is taken for, and why, in sentences."""

    kind: Kind
    text: TextKind
    because: tuple[str, ...]


class _Because:
    """Collects sentences. Names of files are somebody's: a line stays one line."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        readable = sentence.encode("utf-8", "backslashreplace").decode()
        self.said.append("".join(letter if letter.isprintable() else "?" for letter in readable))


def detect(
    root: Path,
    audio: Sequence[Path],
    others: Sequence[str],
    *,
    kind: Kind | None = None,
    text: TextKind | None = None,
    text_path: Path | None = None,
) -> Detected:
    """What the source at ``root`` is. ``kind`` and ``text`` are what its config says and are kept.

    ``others`` are the names of the files that are no audio, relative to ``root``; of a single recording, those that
    share its stem.
    """
    because = _Because()
    tables = [path for path in audio if path.suffix.lower() == ".parquet"]
    if kind == "parquet" or (kind is None and tables):
        if kind is None:
            because.say(f"it holds a Parquet table ({tables[0].name}): its rows are the clips")
        return Detected("parquet", text or "column", tuple(because.said))
    if text is None:
        text = _text_kind(root, audio, others, text_path, because)
    if kind is None:
        kind = _kind(root, audio, text, text_path or root, because)
    return Detected(kind, text, tuple(because.said))


def _kind(root: Path, audio: Sequence[Path], text: TextKind, text_folder: Path, because: _Because) -> Kind:
    if not root.is_dir():
        because.say("it is one file: a recording that is cut into utterances")
        return "recording"
    if text in CLIPS_ONLY:
        because.say("its text is given clip by clip: one utterance each")
        return "clips"
    if text in _LONG_ONLY:
        because.say("its text has times: recordings that are cut into utterances")
        return "recording"
    if text == "kaldi":
        segments = (text_folder / "segments").exists()
        because.say("its Kaldi folder " + ("has segments" if segments else "has one text a recording: clips"))
        return "recording" if segments else "clips"
    seconds = _typical_seconds(audio)
    clips = seconds <= CLIP_SECONDS
    because.say(
        (f"it lasts {seconds:.1f} s: " if len(audio) == 1 else f"half of its files last up to {seconds:.1f} s: ")
        + ("clips, one utterance each" if clips else "recordings that are cut into utterances")
    )
    return "clips" if clips else "recording"


def _text_kind(
    root: Path, audio: Sequence[Path], others: Sequence[str], text_path: Path | None, because: _Because
) -> TextKind:
    if text_path is not None:
        found = _kind_of_text_path(text_path, audio)
        because.say(f"its text, {text_path.name}, is read as {found}" if found != "none" else "no text was found")
        return found
    if not root.is_dir():
        by_suffix = {Path(name).suffix.lower(): name for name in others}
        for suffix, one in (*_OF_RECORDINGS.items(), (".txt", "txt")):
            if suffix in by_suffix:
                because.say(f"its text stands beside it, in {by_suffix[suffix]}")
                return one
        because.say("there is no text beside it: a recogniser writes it")
        return "none"
    for name, one in _tables(root, others):
        because.say(f"its text is in {name} ({one})")
        return one
    stems = {PurePosixPath(path.relative_to(root).as_posix()).with_suffix("").as_posix() for path in audio}
    beside = Counter(
        PurePosixPath(name).suffix.lower() for name in others if PurePosixPath(name).with_suffix("").as_posix() in stems
    )
    for suffix, one in (*_OF_RECORDINGS.items(), *_OF_CLIPS_BESIDE.items()):
        if beside[suffix]:
            because.say(f"{beside[suffix]} of its {len(audio)} audio files have a {suffix} beside them")
            return one
    texts = [name for name in others if "/" not in name and name.lower().endswith(".txt")]
    if len(texts) == 1 and not _is_note(texts[0]):
        because.say(f"its one text file, {texts[0]}, is the text of all recordings in the order of their names")
        return "txt"
    because.say("no text was found: a recogniser writes it")
    return "none"


def _is_note(name: str) -> bool:
    """Whether a lone .txt is about the recordings, not what they say."""
    return PurePosixPath(name).stem.lower() in ("readme", "license", "licence", "copying", "notes", "note", "about")


def _tables(root: Path, others: Sequence[str]) -> list[tuple[str, TextKind]]:
    """Every table of texts in the folder, the surest first."""
    found: list[tuple[str, TextKind]] = []
    top = [name for name in others if "/" not in name]
    if "wav.scp" in top and "text" in top:
        found.append(("wav.scp and text", "kaldi"))
    for name in others:
        if PurePosixPath(name).name in ("metadata.jsonl", "metadata.csv"):
            one = kind_of_table(root / name)
            if one == "audiofolder" or (one is not None and "/" not in name):
                found.append((name, one))
    for name in top:
        if name.lower().endswith((".jsonl", ".json", ".csv")) and not name.startswith("metadata."):
            one = kind_of_table(root / name)
            if one is not None:
                found.append((name, one))
    return found


def _kind_of_text_path(path: Path, audio: Sequence[Path]) -> TextKind:
    if path.is_dir():
        names = sorted(one.name for one in path.iterdir() if one.is_file())
        tables = _tables(path, names)
        if tables:
            return tables[0][1]
        suffixes = Counter(Path(name).suffix.lower() for name in names)
        for suffix, one in (*_OF_RECORDINGS.items(), *_OF_CLIPS_BESIDE.items()):
            if suffixes[suffix]:
                return one
        return "none"
    suffix = path.suffix.lower()
    if suffix in _OF_RECORDINGS:
        return _OF_RECORDINGS[suffix]
    return kind_of_table(path) or "txt"


def leaves(root: Path, path: Path) -> bool:
    """Whether ``path`` is, through links, outside of ``root``."""
    inner, outer = os.path.realpath(path), os.path.realpath(root)  # Path.resolve raises for a loop of links
    return os.path.commonpath([inner, outer]) != outer


def kind_of_table(path: Path) -> TextKind | None:
    """What form a .jsonl or .csv of texts has, by its first lines; None for a table of something else.

    A metadata.csv that cannot be read as text counts as LJ Speech's: its reader says what is wrong with it.
    """
    data = b""
    try:
        if path.is_file() and not leaves(path.parent, path):  # a pipe would be waited for
            with path.open("rb") as stream:
                data = stream.read(_HEAD_BYTES)
    except OSError:
        pass
    lines = [line for line in data.decode("utf-8-sig", "replace").splitlines() if line.strip()]
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".json"):
        return _kind_of_json(lines[0] if lines else "")
    if suffix == ".csv":
        header = [cell.strip().strip('"').lower() for cell in (lines[0] if lines else "").split(",")]
        if "file_name" in header:
            return "audiofolder"
        if any("|" in line for line in lines[:20]):
            return _kind_of_bars(lines)
        return "ljspeech" if path.name == "metadata.csv" else None
    return None


def _kind_of_json(line: str) -> TextKind | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return "nemo" if "audio_filepath" in value else "audiofolder" if "file_name" in value else None


def _kind_of_bars(lines: Sequence[str]) -> TextKind:
    """LJ Speech's ids have no suffix; Piper's files have one, or a speaker stands in the second of three columns."""
    rows = [[cell.strip() for cell in line.split("|")] for line in lines[:200]]
    suffixes = NATIVE_SUFFIXES | LIBSNDFILE_SUFFIXES
    named = sum(PurePosixPath(row[0]).suffix.lower() in suffixes for row in rows)
    if 2 * named > len(rows):
        return "piper"
    second = [row[1] for row in rows if len(row) == 3]
    few = len(second) == len(rows) > 3 and len(set(second)) <= max(1, len(second) // 4)
    return "piper" if few and not any(" " in speaker for speaker in second) else "ljspeech"


def _typical_seconds(audio: Sequence[Path]) -> float:
    """The median of a sample of the durations."""
    step = max(1, len(audio) // _SAMPLED)
    found = [seconds for path in audio[::step] if (seconds := _declared(path)) is not None]
    return statistics.median(found) if found else 0.0


def declared_seconds(audio: Sequence[Path]) -> float:
    """About how long all of it is, by the headers of a sample."""
    step = max(1, len(audio) // _SAMPLED)
    found = [_declared(path) or 0.0 for path in audio[::step]]
    return sum(found) / len(found) * len(audio) if found else 0.0


def _declared(path: Path) -> float | None:
    """What a header says; where it is not read, estimated by size. None for what cannot be read."""
    import soundfile

    try:
        if path.suffix.lower() in NATIVE_SUFFIXES | LIBSNDFILE_SUFFIXES:
            return float(soundfile.info(str(path)).duration)
        return path.stat().st_size / _BYTES_A_SECOND
    except (soundfile.SoundFileError, OSError, TypeError):
        return None  # what is no audio says nothing about the others
