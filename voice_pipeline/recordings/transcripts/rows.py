"""Rows of tables and the audio that they speak of: what is certain becomes a clip's text, all else says why not."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voice_pipeline.recordings.tables import AudioFile, Unmatched
from voice_pipeline.recordings.transcripts.files import CONTROL, one_line, printable, safe_id, without_suffix
from voice_pipeline.recordings.transcripts.model import (
    MAX_CLIP_CHARACTERS,
    ClipText,
    TextProblem,
    TextReason,
    TranscriptError,
)


@dataclass(frozen=True)
class Row:
    """One row, or one small text file. ``key`` is what it says of its audio; ``where`` names it in messages."""

    where: str
    key: str
    text: str
    reading: str
    utterance_id: str | None = None
    problem: TextProblem | None = None


@dataclass(frozen=True)
class Matched:
    """The outcome for a whole table. ``clips`` and ``problems`` are by ``AudioFile.name``."""

    clips: Mapping[str, ClipText]
    problems: Mapping[str, TextProblem]
    unmatched: tuple[Unmatched, ...]


Resolve = Callable[[str], Sequence[str]]  # from a row's key to names of audio; raises TranscriptError for an unsafe one


def checked_row(where: str, key: str, text: str, reading: str = "", utterance_id: str | None = None) -> Row:
    """A row whose text was looked at: empty, too long, or not text at all, it has that problem."""
    problem: tuple[TextReason, str] | None = None
    reading = reading or text
    if CONTROL.search(key) or CONTROL.search(text) or CONTROL.search(reading):
        problem = ("malformed_row", "holds control characters")
    elif not key:
        problem = ("malformed_row", "names no clip")
    elif not text.strip():
        problem = ("transcript_missing", "has no text")
    elif max(len(text), len(reading)) > MAX_CLIP_CHARACTERS:
        problem = ("text_unusable", f"has a text of more than {MAX_CLIP_CHARACTERS} characters")
    return Row(where, key, text, reading, utterance_id, TextProblem(*problem) if problem else None)


def match(rows: Iterable[Row], resolve: Resolve) -> Matched:
    """Give every row to its audio. Of two rows for one clip, or two clips with one id, nobody knows which is meant."""
    by_name: dict[str, list[Row]] = defaultdict(list)
    problems: dict[str, TextProblem] = {}
    unmatched: list[Unmatched] = []
    for row in rows:
        identifier = row.utterance_id or printable(without_suffix(row.key))[:100]
        try:
            names = resolve(row.key) if row.key else ()
        except TranscriptError as error:
            unmatched.append(Unmatched(row.where, one_line(identifier), "unsafe_id", str(error)))
            continue
        if not names:
            why = row.problem or TextProblem("audio_missing", f"there is no clip {one_line(printable(row.key))[:100]}")
            unmatched.append(Unmatched(row.where, one_line(identifier), why.reason, why.detail))
        elif len(names) > 1:
            detail = f"{row.where} can mean more than one clip: {', '.join(names[:5])}"
            problems.update(dict.fromkeys(names, TextProblem("ambiguous_audio", detail)))
        else:
            by_name[names[0]].append(row)
    clips: dict[str, ClipText] = {}
    for name, meant in by_name.items():
        first = meant[0]
        if name in problems:
            continue
        if len(meant) > 1:
            problems[name] = _two_texts(meant)
        elif first.problem is not None:
            problems[name] = TextProblem(first.problem.reason, f"{first.where} {first.problem.detail}")
        else:
            identifier = safe_id(first.utterance_id or without_suffix(first.key).removeprefix("wavs/"))
            clips[name] = ClipText(identifier, first.text.strip(), first.reading.strip())
    _refuse_shared_ids(clips, problems)
    return Matched(clips, problems, tuple(sorted(unmatched, key=lambda one: (one.source, one.utterance_id))))


def by_stem(files: Iterable[AudioFile], folders: Sequence[str] = ("wavs/",)) -> Resolve:
    """Clips by their path without suffix, as LJ Speech's ids name them: wavs/x.wav is x."""

    def stem(name: str) -> str:
        name = without_suffix(name)
        return next((name.removeprefix(folder) for folder in folders if name.startswith(folder)), name)

    known: dict[str, list[str]] = defaultdict(list)
    for file in files:
        known[stem(file.name)].append(file.name)

    def resolve(key: str) -> Sequence[str]:
        check_plain(key)
        return known.get(stem(key), ())

    return resolve


def by_path(files: Iterable[AudioFile], audio_root: Path, folders: Sequence[Path]) -> Resolve:
    """Clips by a path: relative to one of ``folders``, the first that has it, or absolute inside of the source."""
    names = {file.name for file in files}
    top = str(audio_root.absolute())

    def resolve(key: str) -> Sequence[str]:
        if "\0" in key or "\\" in key:
            raise TranscriptError("the path is not a plain one")
        outside = True
        for folder in folders:
            path = os.path.normpath(folder.absolute() / key)
            if os.path.commonpath([path, top]) != top:
                continue
            outside = False
            name = Path(path).relative_to(top).as_posix()
            if name in names:
                return (name,)
        if outside:
            raise TranscriptError("the path is outside of the source")
        return ()

    return resolve


def check_plain(key: str) -> None:
    """Raises TranscriptError for an id that could be a path to somewhere else."""
    parts = key.split("/")
    if key.startswith("/") or ".." in parts or "\\" in key or "\0" in key:
        raise TranscriptError("the id is not a plain name inside the source folder")


def _two_texts(rows: Sequence[Row]) -> TextProblem:
    where = " and ".join(row.where for row in rows[:3]) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")
    one_table = len({row.where.rpartition(":")[0] for row in rows}) == 1 and ":" in rows[0].where
    return TextProblem("duplicate_id" if one_table else "ambiguous_text", f"its text is given twice: {where}")


def _refuse_shared_ids(clips: dict[str, ClipText], problems: dict[str, TextProblem]) -> None:
    names: dict[str, list[str]] = defaultdict(list)
    for name, clip in clips.items():
        names[clip.utterance_id].append(name)
    for identifier, same in names.items():
        if len(same) > 1:
            detail = f"the id {identifier} stands for more than one clip: {', '.join(sorted(same)[:5])}"
            for name in same:
                del clips[name]
                problems[name] = TextProblem("duplicate_id", detail)
