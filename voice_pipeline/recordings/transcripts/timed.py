"""Text with times beside long recordings: subtitles (.srt, .vtt) and TextGrids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import PurePosixPath

from voice_pipeline.recordings.tables import Unmatched
from voice_pipeline.recordings.transcripts import subtitles, textgrid
from voice_pipeline.recordings.transcripts.files import MAX_LONG_BYTES, TextFolder, printable, safe_id, without_suffix
from voice_pipeline.recordings.transcripts.model import Cue, TextProblem, TranscriptError
from voice_pipeline.recordings.transcripts.rows import Matched

Parsed = tuple[tuple[Cue, ...], str]  # the cues, and what is to be said of how they were read
_PARSERS: dict[str, Callable[[bytes], Parsed]] = {
    "srt": subtitles.parse_srt,
    "vtt": subtitles.parse_vtt,
    "textgrid": textgrid.parse,
}
_LANGUAGE_LETTERS = range(2, 6)  # talk.en.srt and talk.pt-BR.srt are texts of talk.wav


def read(folder: TextFolder, kind: str) -> tuple[Matched, dict[str, tuple[Cue, ...]], tuple[str, ...]]:
    """The cues of every recording. Raises VoiceFailure when there is one recording and its text cannot be read."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for file in folder.files:
        by_stem[without_suffix(file.name)].append(file.name)
    meant: dict[str, list[str]] = defaultdict(list)
    unmatched: list[Unmatched] = []
    for text in folder.names(f".{kind}"):
        names = [folder.files[0].name] if _only(folder) else _names_of(text, by_stem)
        for name in names:
            meant[name].append(text)
        if not names:
            detail = "there is no recording beside it"
            unmatched.append(Unmatched(printable(text), safe_id(printable(text)), "audio_missing", detail))
    cues: dict[str, tuple[Cue, ...]] = {}
    problems: dict[str, TextProblem] = {}
    notes: list[str] = []
    for name, texts in sorted(meant.items()):
        if len(texts) > 1:
            problems[name] = TextProblem("ambiguous_text", f"its text is given twice: {', '.join(texts[:3])}")
            continue
        try:
            cues[name], note = _PARSERS[kind](folder.read(texts[0], MAX_LONG_BYTES))
        except TranscriptError as error:
            if len(folder.files) == 1:
                raise folder.failure(texts[0], error) from error
            problems[name] = TextProblem("text_unusable", f"{printable(texts[0])} {error}")
            continue
        if note:
            notes.append(f"{printable(texts[0])}: {note}")
    return Matched({}, problems, tuple(unmatched)), cues, tuple(notes)


def _only(folder: TextFolder) -> bool:
    """Whether the config names one text for the one recording: their names need not be alike."""
    return folder.one is not None and len(folder.files) == 1


def _names_of(text: str, by_stem: dict[str, list[str]]) -> list[str]:
    stem = PurePosixPath(text).with_suffix("")
    language = stem.suffix.removeprefix(".")
    if stem.as_posix() not in by_stem and len(language) in _LANGUAGE_LETTERS:
        stem = stem.with_suffix("")
    return by_stem.get(stem.as_posix(), [])
