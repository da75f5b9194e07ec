"""SubRip (.srt) and WebVTT (.vtt) subtitles to cues, read by pysubs2."""

from __future__ import annotations

import html
import re
import warnings
from typing import Any

from voice_pipeline.recordings.transcripts.files import decode_text, one_line
from voice_pipeline.recordings.transcripts.model import Cue, TranscriptError

_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<\d[\d:.]*>")  # <v Speaker>, <c.class>, and a karaoke time


def parse_srt(data: bytes) -> tuple[tuple[Cue, ...], str]:
    """The cues in order of time. Raises TranscriptError for what is no subtitle file."""
    return _cues(decode_text(data), "srt"), ""


def parse_vtt(data: bytes) -> tuple[tuple[Cue, ...], str]:
    """The cues in order of time. Raises TranscriptError for what is no subtitle file."""
    text = decode_text(data)
    if not text.lstrip().startswith("WEBVTT"):
        raise TranscriptError("does not begin with WEBVTT")
    return _cues(text, "vtt"), ""


def _cues(text: str, form: str) -> tuple[Cue, ...]:
    import pysubs2

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = pysubs2.SSAFile.from_string(text, format_=form)
        found = [_cue(event, form) for event in read]
    except (pysubs2.exceptions.Pysubs2Error, ValueError, OverflowError, IndexError, KeyError) as error:
        raise TranscriptError(f"is no .{form} file: {one_line(str(error))[:100]}") from error
    cues = tuple(sorted(cue for cue in found if cue.text and cue.start < cue.end))
    if not cues:
        raise TranscriptError("holds no text with times")
    return cues


def _cue(event: Any, form: str) -> Cue:
    words = str(event.plaintext)
    if form == "vtt":
        words = html.unescape(_TAG.sub("", words.split("\n\n")[0]))  # behind a blank line: the next cue's name, a note
    start, end = event.start, event.end
    return Cue(start / 1000, end / 1000, one_line(words))
