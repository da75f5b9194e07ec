"""Text as the dataset of clips takes it: every clip with its text, and why the others have none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.source import Recordings, SourceFile
from voice_pipeline.recordings.tables import AudioFile
from voice_pipeline.recordings.transcripts.files import safe_id, without_suffix
from voice_pipeline.recordings.transcripts.model import TextReason
from voice_pipeline.recordings.transcripts.reading import read_source_text
from voice_pipeline.voice import Voice

RejectionReason = TextReason | Literal["too_short", "too_long", "silent"]


@dataclass(frozen=True, order=True)
class Rejection:
    """An utterance that is not in the dataset. ``source`` is a file of the source, or a line of a table."""

    source: str
    utterance_id: str
    reason: str
    detail: str


@dataclass(frozen=True, order=True)
class Transcript:
    """A clip and its text. ``reading`` is what to normalise."""

    utterance_id: str
    file: SourceFile
    text: str
    reading: str


@dataclass(frozen=True)
class Transcripts:
    """All text of a source, sorted by utterance id."""

    found: tuple[Transcript, ...]
    rejected: tuple[Rejection, ...]
    sha256: str


def read_transcripts(project: Path, voice: Voice, recordings: Recordings, files: Iterable[AudioFile]) -> Transcripts:
    """The text of every clip. Raises VoiceFailure ``transcript_missing`` when no clip has text."""
    files = list(files)
    if recordings.kind == "recording":
        detail = "one long recording has no text for its clips: cut it into clips, each with its text"
        raise VoiceFailure("transcript_missing", detail, voice=recordings.voice, file=recordings.shown)
    text = read_source_text(project, voice, recordings, files)
    by_name = {file.name: file for file in recordings.files}
    found = []
    rejected = [Rejection(one.source, one.utterance_id, one.reason, one.detail) for one in text.unmatched]
    for file in files:
        identifier = safe_id(without_suffix(file.name))
        if file.problem is not None:
            rejected.append(Rejection(file.name, identifier, file.problem, file.detail))
        elif file.name in text.clips:
            clip = text.clips[file.name]
            found.append(Transcript(clip.utterance_id, by_name[file.name], clip.text, clip.reading))
        else:
            problem = text.problems.get(file.name)
            reason, detail = (problem.reason, problem.detail) if problem else ("transcript_missing", "has no text")
            rejected.append(Rejection(file.name, identifier, reason, detail))
    if not found:
        raise VoiceFailure("transcript_missing", "no clip has text", voice=recordings.voice, file=recordings.shown)
    return Transcripts(tuple(sorted(found)), tuple(sorted(rejected)), text.sha256)
