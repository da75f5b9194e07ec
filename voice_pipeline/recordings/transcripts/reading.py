"""All text of a source, whatever its form: one reader for each, chosen by the source's text kind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from voice_pipeline.recordings.source import Recordings
from voice_pipeline.recordings.tables import AudioFile
from voice_pipeline.recordings.transcripts import beside, ljspeech, whole
from voice_pipeline.recordings.transcripts.files import TextFolder
from voice_pipeline.recordings.transcripts.model import SourceText
from voice_pipeline.voice import Voice


def read_source_text(project: Path, voice: Voice, recordings: Recordings, files: Iterable[AudioFile]) -> SourceText:
    """The text of ``recordings``, matched with their pieces ``files`` (the table that preflight wrote).

    Raises VoiceFailure ``transcript_missing`` for a table of all texts that is missing, too long or no text, and
    ``lfs_pointer`` for one that was not fetched. What is wrong with the text of single clips is in ``problems``.
    """
    folder = TextFolder.of(recordings, files)
    kind = recordings.text
    if kind in ("txt", "lab"):
        if recordings.kind == "recording":
            texts, unmatched = whole.read(folder)
            return SourceText({}, {}, texts, {}, unmatched, kind, folder.sha256)
        found = beside.read(folder)
    elif kind == "ljspeech":
        found = ljspeech.read(folder)
    else:
        return SourceText({}, {}, (), {}, (), kind, folder.sha256)
    return SourceText(found.clips, {}, (), found.problems, found.unmatched, kind, folder.sha256)
