"""A Kaldi data folder: wav.scp with plain paths, text, and segments and utt2spk where they are.

A line of wav.scp may be a command whose output is the audio (it ends with ``|``). Such a line is refused, never run.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass

from voice_pipeline.recordings.tables import Unmatched
from voice_pipeline.recordings.transcripts.files import TextFolder, one_line, safe_id
from voice_pipeline.recordings.transcripts.model import Cue, TextProblem, TextReason, TranscriptError
from voice_pipeline.recordings.transcripts.rows import Matched, by_path, checked_row, match
from voice_pipeline.recordings.transcripts.tables import speakers_note

_TO_THE_END = -1.0  # Kaldi's end of a segment that goes as far as its recording


@dataclass(frozen=True)
class Line:
    """A line of a Kaldi file: its number, its first word, and the rest."""

    number: int
    first: str
    rest: str


def read(folder: TextFolder) -> tuple[Matched, dict[str, tuple[Cue, ...]], tuple[str, ...]]:
    """The texts of clips, the cues of recordings, and what is to be said. Raises VoiceFailure without its files."""
    scp: list[Line] = folder.parsed("wav.scp", parse)
    texts: list[Line] = folder.parsed("text", parse)
    has_segments = (folder.root / "segments").exists()
    segments: list[Line] = folder.parsed("segments", parse) if has_segments else []
    speakers: list[Line] = folder.parsed("utt2spk", parse) if (folder.root / "utt2spk").exists() else []
    note = speakers_note({line.rest for line in speakers if line.rest})
    names, unmatched = _audio(folder, scp)
    if not has_segments:
        rows = [checked_row(f"text:{line.number}", line.first, one_line(line.rest), "", line.first) for line in texts]
        found = match(rows, lambda key: names.get(key, ()))
        return Matched(found.clips, found.problems, (*unmatched, *found.unmatched)), {}, note
    cues, left = _cues(folder, segments, texts, names)
    return Matched({}, {}, (*unmatched, *left)), cues, note


def parse(text: str) -> list[Line]:
    """Every line that is not blank, split at its first white space."""
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        parts = line.split(maxsplit=1)
        if parts:
            found.append(Line(number, parts[0], parts[1].strip() if len(parts) > 1 else ""))
    return found


def _audio(folder: TextFolder, scp: list[Line]) -> tuple[dict[str, tuple[str, ...]], list[Unmatched]]:
    """Names of audio by the id in wav.scp, and the lines that name none."""
    resolve = by_path(folder.files, folder.audio_root, [folder.root, folder.audio_root])
    names: dict[str, tuple[str, ...]] = {}
    unmatched = []
    repeated = {first for first, count in Counter(line.first for line in scp).items() if count > 1}
    for line in scp:
        problem: tuple[TextReason, str] | None = None
        found: tuple[str, ...] = ()
        if line.rest.endswith("|"):
            problem = ("unsafe_id", "is a command, which is never run; name the audio file itself")
        elif line.first in repeated:
            problem = ("duplicate_id", "the id stands for more than one recording")
        else:
            try:
                found = tuple(resolve(line.rest))
            except TranscriptError as error:
                problem = ("unsafe_id", str(error))
            if not found and problem is None:
                problem = ("audio_missing", f"there is no {one_line(line.rest)[:100] or 'path'} in the source")
        if problem is None:
            names[line.first] = found
        else:
            unmatched.append(Unmatched(f"wav.scp:{line.number}", safe_id(line.first), *problem))
    return names, unmatched


def _cues(
    folder: TextFolder, segments: list[Line], texts: list[Line], names: dict[str, tuple[str, ...]]
) -> tuple[dict[str, tuple[Cue, ...]], list[Unmatched]]:
    seconds = {file.name: file.seconds for file in folder.files}
    said: dict[str, list[Line]] = defaultdict(list)
    for line in texts:
        said[line.first].append(line)
    cues: dict[str, list[Cue]] = defaultdict(list)
    unmatched = []
    seen: Counter[str] = Counter(line.first for line in segments)
    for line in segments:
        where, identifier = f"segments:{line.number}", safe_id(line.first)
        parts = line.rest.split()
        text = said.pop(line.first, None) if seen[line.first] == 1 else said.get(line.first)
        name = names.get(parts[0], ("",))[0] if parts else ""
        span = _span(parts, seconds.get(name, 0.0))
        problem = _problem(span, name, text, seen[line.first])
        if problem is not None or span is None or text is None:
            problem = problem or TextProblem("transcript_missing", "has no line in text")
            unmatched.append(Unmatched(where, identifier, problem.reason, problem.detail))
        else:
            cues[name].append(Cue(*span, one_line(text[0].rest), identifier))
    known = set(seen)
    for first, lines in said.items():
        if first not in known:
            where = f"text:{lines[0].number}"
            unmatched.append(Unmatched(where, safe_id(first), "audio_missing", "has no line in segments"))
    return {name: tuple(sorted(each)) for name, each in cues.items()}, unmatched


def _problem(span: tuple[float, float] | None, name: str, text: list[Line] | None, count: int) -> TextProblem | None:
    if count > 1 or (text is not None and len(text) > 1):
        return TextProblem("duplicate_id", "the id stands for more than one utterance")
    if span is None:
        return TextProblem("malformed_row", "is not: utterance recording start end, in seconds")
    if not name:
        return TextProblem("audio_missing", "its recording is not in wav.scp, or not in the source")
    if text is None or not text[0].rest:
        return TextProblem("transcript_missing", "has no text")
    return None


def _span(parts: list[str], seconds: float) -> tuple[float, float] | None:
    try:
        start, end = float(parts[1]), float(parts[2])
    except (ValueError, IndexError):
        return None
    end = seconds if end == _TO_THE_END else end
    return (start, end) if math.isfinite(end) and 0 <= start < end else None
