"""One small text file beside each clip: x.txt or x.lab for x.wav."""

from __future__ import annotations

from collections import defaultdict
from pathlib import PurePosixPath

from voice_pipeline.recordings.transcripts.files import (
    MAX_CLIP_BYTES,
    TextFolder,
    decode_text,
    one_line,
    printable,
    without_suffix,
)
from voice_pipeline.recordings.transcripts.model import TextProblem, TranscriptError
from voice_pipeline.recordings.transcripts.rows import Matched, Row, checked_row, match

SUFFIXES = (".txt", ".lab")


def read(folder: TextFolder) -> Matched:
    """The text of every clip that has a .txt or .lab; a clip with both has two texts and so none."""
    clips: dict[str, list[str]] = defaultdict(list)
    for file in folder.files:
        clips[without_suffix(file.name)].append(file.name)

    def resolve(key: str) -> list[str]:
        return clips.get(key, [])

    return match((_row(folder, name) for name in folder.names(*SUFFIXES)), resolve)


def _row(folder: TextFolder, name: str) -> Row:
    key = PurePosixPath(name).with_suffix("").as_posix()
    try:
        text = one_line(decode_text(folder.read(name, MAX_CLIP_BYTES)))
    except TranscriptError as error:
        return Row(printable(name), key, "", "", problem=TextProblem("transcript_missing", str(error)))
    return checked_row(printable(name), key, text)
