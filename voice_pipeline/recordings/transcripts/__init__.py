"""The text of recordings: what a source says of its clips and recordings, in any of the forms people write it in.

    text = read_source_text(project, voice, recordings, read_rows(store.audio_files(voice_id), AudioFile))
    text.clips["wavs/001.wav"].reading, text.cues, text.whole, text.unmatched

What cannot be used is never dropped in silence: ``text.problems`` says which clip and why. Text files are
somebody's: their size is bounded, no path leads out of the source, nothing in them is executed.
"""

from voice_pipeline.recordings.transcripts.files import safe_id
from voice_pipeline.recordings.transcripts.model import (
    ClipText,
    Cue,
    SourceText,
    TextProblem,
    TranscriptError,
    WholeText,
)
from voice_pipeline.recordings.transcripts.reading import read_source_text

__all__ = [
    "ClipText",
    "Cue",
    "SourceText",
    "TextProblem",
    "TranscriptError",
    "WholeText",
    "read_source_text",
    "safe_id",
]
