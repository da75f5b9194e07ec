"""NeMo's manifest: JSON Lines with ``audio_filepath`` and ``text``; with ``offset`` and ``duration``, cues."""

from __future__ import annotations

import math
from collections import defaultdict
from functools import partial
from typing import Any

from voice_pipeline.recordings.tables import Unmatched
from voice_pipeline.recordings.transcripts.files import TextFolder, safe_id
from voice_pipeline.recordings.transcripts.model import Cue, TextProblem, TranscriptError
from voice_pipeline.recordings.transcripts.rows import Matched, Row, by_path, checked_row, match
from voice_pipeline.recordings.transcripts.tables import find_tables, json_lines, speakers_note, text_of


def read(folder: TextFolder) -> tuple[Matched, dict[str, tuple[Cue, ...]], tuple[str, ...]]:
    """The texts of clips, the cues of recordings, and what is to be said. Raises VoiceFailure without a manifest."""
    rows: list[Row] = []
    spans: list[tuple[Row, float, float]] = []
    speakers: set[str] = set()
    for name in find_tables(folder, "nemo", ".jsonl", ".json"):
        for row, span, speaker in folder.parsed(name, partial(parse, name)):
            speakers.update({speaker} if speaker else ())
            clip = folder.recordings.kind != "recording"
            if span is None or row.problem is not None or (clip and span[0] == 0):
                rows.append(row)
            elif not clip:
                spans.append((row, *span))
            else:
                detail = "has an offset: it is a stretch of a recording, so source.kind must be recording"
                rows.append(Row(row.where, row.key, "", "", problem=TextProblem("malformed_row", detail)))
    resolve = by_path(folder.files, folder.audio_root, [folder.root, folder.audio_root])
    found = match(rows, resolve)
    cues: dict[str, list[Cue]] = defaultdict(list)
    unmatched = list(found.unmatched)
    for row, start, end in spans:
        try:
            names = resolve(row.key)
        except TranscriptError as error:
            unmatched.append(Unmatched(row.where, safe_id(row.key), "unsafe_id", str(error)))
            continue
        if names:
            cues[names[0]].append(Cue(start, end, row.reading))
        else:
            detail = f"there is no recording {row.key[:100]}"
            unmatched.append(Unmatched(row.where, safe_id(row.key), "audio_missing", detail))
    sorted_cues = {name: tuple(sorted(each)) for name, each in cues.items()}
    return Matched(found.clips, found.problems, tuple(unmatched)), sorted_cues, speakers_note(speakers)


def parse(name: str, text: str) -> list[tuple[Row, tuple[float, float] | None, str]]:
    """(row, its stretch in seconds where it is not all of its audio, speaker) of every line."""
    found: list[tuple[Row, tuple[float, float] | None, str]] = []
    for number, value in json_lines(text):
        where = f"{name}:{number}"
        if value is None:
            problem = TextProblem("malformed_row", "is no JSON object")
            found.append((Row(where, "", "", "", problem=problem), None, ""))
            continue
        written = text_of(value.get("text"))
        reading = text_of(value.get("normalized_text")) or text_of(value.get("text_normalized"))
        row = checked_row(where, path_of(value.get("audio_filepath")), written or reading, reading)
        speaker = value.get("speaker")
        found.append((row, _span(value), str(speaker)[:100] if isinstance(speaker, str | int) else ""))
    return found


def path_of(value: Any) -> str:
    """A path as a table has it; empty for what is none."""
    return value.strip() if isinstance(value, str) else ""


def _span(value: dict[str, Any]) -> tuple[float, float] | None:
    offset, duration = value.get("offset"), value.get("duration")
    if not isinstance(offset, int | float) or not isinstance(duration, int | float):
        return None
    try:
        start, end = float(offset), float(offset) + float(duration)
    except OverflowError:
        return None
    return (start, end) if 0 <= start < end and math.isfinite(end) else None
