"""All text of a source, whatever its form: one reader for each, chosen by the source's text kind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from voice_pipeline.recordings.source import Recordings
from voice_pipeline.recordings.tables import AudioFile
from voice_pipeline.recordings.transcripts import (
    audiofolder,
    beside,
    column,
    kaldi,
    ljspeech,
    nemo,
    piper,
    timed,
    whole,
)
from voice_pipeline.recordings.transcripts.files import TextFolder, safe_id, without_suffix
from voice_pipeline.recordings.transcripts.model import ClipText, Cue, SourceText, WholeText
from voice_pipeline.recordings.transcripts.rows import Matched
from voice_pipeline.voice import Voice

_NOTHING = Matched({}, {}, ())


def read_source_text(project: Path, voice: Voice, recordings: Recordings, files: Iterable[AudioFile]) -> SourceText:
    """The text of ``recordings``, matched with their pieces ``files`` (the table that preflight wrote).

    Raises VoiceFailure ``transcript_missing`` for a table of all texts that is missing, too long or no text, and
    ``lfs_pointer`` for one that was not fetched. What is wrong with the text of single clips is in ``problems``.
    """
    folder = TextFolder.of(recordings, files)
    found, cues, whole_texts = _NOTHING, dict[str, tuple[Cue, ...]](), tuple[WholeText, ...]()
    notes: tuple[str, ...] = ()
    match recordings.text:
        case "txt" | "lab" if recordings.kind == "recording":
            whole_texts, unmatched = whole.read(folder)
            found = Matched({}, {}, unmatched)
        case "txt" | "lab":
            found = beside.read(folder)
        case "ljspeech":
            found = ljspeech.read(folder)
        case "piper":
            found, notes = piper.read(folder)
        case "nemo":
            found, cues, notes = nemo.read(folder)
        case "audiofolder":
            found = audiofolder.read(folder)
        case "kaldi":
            found, cues, notes = kaldi.read(folder)
        case "column":
            found, notes = column.read(folder)
        case "srt" | "vtt" | "textgrid":
            found, cues, notes = timed.read(folder, recordings.text)
        case "none":
            pass
    clips = found.clips
    if recordings.kind == "recording":  # what is written of a whole recording is found in it, wherever it was written
        whole_texts += tuple(
            WholeText((name,), f"{recordings.shown_name(name)}, as {recordings.text} has it", clip.reading)
            for name, clip in sorted(clips.items())
        )
        clips = {}
    elif recordings.kind == "clips" and cues:  # a TextGrid of a clip says when each word of it is spoken
        clips = {name: _joined(name, each) for name, each in cues.items()}
        cues = {}
    return SourceText(
        clips=clips,
        cues=cues,
        whole=whole_texts,
        problems=found.problems,
        unmatched=tuple(sorted(found.unmatched, key=lambda one: (one.source, one.utterance_id))),
        kind=recordings.text,
        sha256=folder.sha256,
        notes=notes,
    )


def _joined(name: str, cues: tuple[Cue, ...]) -> ClipText:
    text = " ".join(cue.text for cue in cues)
    return ClipText(safe_id(without_suffix(name)), text, text)
