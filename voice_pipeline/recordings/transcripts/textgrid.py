"""Praat's TextGrids to cues, read by praatio: the tier of utterances, else of words, else the first of intervals."""

from __future__ import annotations

import math
from typing import Any

from voice_pipeline.recordings.transcripts.files import decode_text, one_line
from voice_pipeline.recordings.transcripts.model import Cue, TranscriptError

_UTTERANCES = (
    "utterance",
    "utterances",
    "sentence",
    "sentences",
    "phrase",
    "phrases",
    "segments",
    "text",
    "transcript",
)
_WORDS = ("words", "word", "orthography", "ort", "ort-mau")
_PHONES = ("phones", "phone", "phonemes", "phoneme", "segment", "mau", "syllables", "syllable")
_SILENCE = frozenset({"", "sil", "sp", "spn", "<sil>", "<eps>", "<p:>", "#", "_", "<p>"})


def parse(data: bytes) -> tuple[tuple[Cue, ...], str]:
    """(the cues in order of time, which tier they are of). Raises TranscriptError for what is no TextGrid."""
    from praatio.utilities.textgrid_io import parseTextgridStr

    text = _decode(data)
    if "TextGrid" not in text[:1_000] and "ooTextFile" not in text[:1_000]:
        raise TranscriptError("is no TextGrid")
    try:
        grid = parseTextgridStr(text)
        tiers = [tier for tier in grid["tiers"] if tier["class"] == "IntervalTier"]
        name, entries = _choose([(str(tier["name"]), tier["entries"]) for tier in tiers])
        found = [_cue(entry) for entry in entries]
    except TranscriptError:
        raise
    except Exception as error:  # praatio parses by position: a damaged file ends in an error of any kind
        raise TranscriptError(f"is no TextGrid that can be read: {one_line(str(error))[:100]}") from error
    cues = tuple(sorted(cue for cue in found if cue.text.lower() not in _SILENCE and _in_order(cue)))
    if not cues:
        raise TranscriptError(f"has no text in its tier {one_line(name)!r}")
    others = f", of {len(tiers)} tiers" if len(tiers) > 1 else ""
    return cues, f"the tier {one_line(name)!r} is read{others}"


def _decode(data: bytes) -> str:
    """Praat itself writes UTF-16 where the text is not ASCII, with a byte order mark."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            raise TranscriptError("is broken UTF-16; save it as UTF-8") from error
    return decode_text(data)


def _choose(tiers: list[tuple[str, Any]]) -> tuple[str, Any]:
    """The tier to read; a name of the Montreal Forced Aligner is ``speaker - words``."""
    if not tiers:
        raise TranscriptError("has no tier of intervals")
    plain = [(name.lower().rpartition(" - ")[2].strip(), name, entries) for name, entries in tiers]
    for wanted in (_UTTERANCES, _WORDS):
        for short, name, entries in plain:
            if short in wanted:
                return name, entries
    return next(((name, entries) for short, name, entries in plain if short not in _PHONES), tiers[0])


def _cue(entry: Any) -> Cue:
    start, end, label = entry
    return Cue(float(start), float(end), one_line(str(label)))


def _in_order(cue: Cue) -> bool:
    return math.isfinite(cue.end) and 0 <= cue.start < cue.end
