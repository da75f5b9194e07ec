"""What the text of a source is, whatever form it was written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from voice_pipeline.recordings.tables import Unmatched
from voice_pipeline.voice import TextKind

MAX_CLIP_CHARACTERS = 1_000  # twenty seconds of speech have some 300

TextReason = Literal[
    "transcript_missing",
    "audio_missing",
    "ambiguous_audio",
    "ambiguous_text",
    "malformed_row",
    "unsafe_id",
    "duplicate_id",
    "text_unusable",
]


class TranscriptError(ValueError):
    """A text file cannot be read as what it is; the message says why in a clause."""


@dataclass(frozen=True, order=True)
class ClipText:
    """The text of one clip. ``reading`` is what to normalise: LJ Speech's third column where it is given."""

    utterance_id: str
    text: str
    reading: str


@dataclass(frozen=True, order=True)
class Cue:
    """A text with times: a subtitle, an interval of a TextGrid, a segment of Kaldi. Seconds from the start."""

    start: float
    end: float
    text: str
    utterance_id: str | None = None


@dataclass(frozen=True)
class WholeText:
    """One text that is read in one or more recordings, in the order of their names. Its lines are kept."""

    files: tuple[str, ...]
    path_shown: str
    text: str


@dataclass(frozen=True)
class TextProblem:
    """Why a clip has no text although something of the source speaks of it."""

    reason: TextReason
    detail: str


@dataclass(frozen=True)
class SourceText:
    """All text of a source. ``clips``, ``cues`` and ``problems`` are by ``AudioFile.name``.

    Audio that is in none of them has no text. ``sha256`` is over the bytes of all text files, by name.
    """

    clips: Mapping[str, ClipText]
    cues: Mapping[str, tuple[Cue, ...]]
    whole: tuple[WholeText, ...]
    problems: Mapping[str, TextProblem]
    unmatched: tuple[Unmatched, ...]  # text without audio
    kind: TextKind
    sha256: str
    notes: tuple[str, ...] = ()  # what was chosen where there was a choice, such as a TextGrid's tier
