"""The text of each segment, by where its source's text comes from; nothing here listens.

    rows = Texts(source_text, placed, judgement)
    rows.of(segment, hypothesis)            # UtteranceText
    rows.unused_cues()                      # Unmatched: cues outside of every segment

A segment without text is never dropped: it is a row whose problem says why.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from voice_pipeline.recordings.tables import Origin, Segment, Unmatched, UtteranceText
from voice_pipeline.recordings.texts.alignment import Span
from voice_pipeline.recordings.texts.judging import Judged, Judgement
from voice_pipeline.recordings.texts.words import WrittenWord
from voice_pipeline.recordings.transcripts import Cue, SourceText, WholeText

TRANSCRIPT_MISSING = "transcript_missing"  # a clip, or any audio that nobody gave text for and nobody hears words in
UNWRITTEN = "unwritten"  # speech of a recording that its text does not have
TEXT_UNUSABLE = "text_unusable"
UNSPOKEN = "unspoken"
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Placed:
    """What a whole text came to: the text of each segment that has some, by id; and what nobody spoke."""

    texts: Mapping[str, str]
    unspoken: tuple[Unmatched, ...]
    unspoken_words: int


class Texts:
    """The texts of one source's segments. ``placed`` is the text of the segments of whole readings, by id."""

    def __init__(self, source: SourceText, placed: Mapping[str, str], judge: Judgement) -> None:
        self._source = source
        self._placed = placed
        self._judge = judge
        self._whole = frozenset(name for whole in source.whole for name in whole.files)
        self._written = bool(source.clips or source.cues or source.whole or source.problems)
        self._used: dict[str, set[int]] = {}  # cues by file
        self._longest = {
            name: max((cue.end - cue.start for cue in cues), default=0.0) for name, cues in source.cues.items()
        }

    def of(self, segment: Segment, hypothesis: str | None) -> UtteranceText:
        """The row of one segment; ``hypothesis`` is None where nobody listened."""
        origin, text, reading = self._found(segment)
        if text is None:
            return self._without(segment, hypothesis)
        row = UtteranceText(segment.utterance_id, origin, text=text, reading=reading, hypothesis=hypothesis)
        return _judged(row, self._judge(reading, hypothesis))

    def unused_cues(self) -> Iterator[Unmatched]:
        """The cues that no segment took, after ``of`` was asked for every segment."""
        for name, cues in sorted(self._source.cues.items()):
            used = self._used.get(name, set())
            for number, cue in enumerate(cues):
                if number not in used:
                    where = f"{cue.start:.2f}-{cue.end:.2f} s"
                    detail = f"no speech was found at {where}: {shortened(cue.text)}"
                    yield Unmatched(name, cue.utterance_id or "", UNSPOKEN, detail)

    def _found(self, segment: Segment) -> tuple[Origin, str | None, str]:
        clip = self._source.clips.get(segment.source)
        if clip is not None:
            return "given", clip.text, clip.reading
        cues = self._source.cues.get(segment.source)
        if cues is not None:
            taken = self._taken(segment, cues)
            text = " ".join(" ".join(cues[number].text.split()) for number in taken).strip()
            return "cue", text or None, text
        if segment.source in self._whole:
            text = self._placed.get(segment.utterance_id, "")
            return "aligned", text or None, text
        return "none", None, ""

    def _taken(self, segment: Segment, cues: tuple[Cue, ...]) -> list[int]:
        """The cues of a segment: the one of its id, where cues have ids, else those whose middle is in it."""
        used = self._used.setdefault(segment.source, set())
        # Sorted by their start, and a middle is behind it: none before the first that starts this late can be inside.
        last = bisect_left(cues, segment.end, key=lambda cue: cue.start)
        first = bisect_left(cues, segment.start - self._longest[segment.source], key=lambda cue: cue.start)
        taken: list[int] = []
        for number in range(first, last):
            cue = cues[number]
            if cue.utterance_id is not None:  # an id that stands for two segments has got a digest behind it
                mine = segment.start == max(0.0, cue.start) and segment.utterance_id.startswith(cue.utterance_id)
                mine = mine and number not in used and not taken
            else:
                mine = segment.start <= (cue.start + cue.end) / 2 < segment.end
            if mine:
                taken.append(number)
        used.update(taken)
        return taken

    def _without(self, segment: Segment, hypothesis: str | None) -> UtteranceText:
        row = UtteranceText(segment.utterance_id, "none", hypothesis=hypothesis)
        known = self._source.problems.get(segment.source)
        if known is not None:
            return replace(row, problem=known.reason, detail=known.detail)
        if self._written:
            if segment.whole:
                return replace(row, problem=TRANSCRIPT_MISSING, detail="the source has no text for this clip")
            return replace(row, problem=UNWRITTEN, detail="this was spoken, and the source's text does not have it")
        if not (hypothesis or "").strip():
            why = "nobody listened to it" if hypothesis is None else "the recogniser heard no words"
            return replace(row, problem=TRANSCRIPT_MISSING, detail=f"the source has no text, and {why}")
        assert hypothesis is not None
        text = " ".join(hypothesis.split())
        row = replace(row, origin="recognised", text=text, reading=text)
        return _judged(row, self._judge(text, None))  # compared with itself it says nothing


def _judged(row: UtteranceText, judged: Judged) -> UtteranceText:
    if judged.problem is not None:
        return replace(row, problem=TEXT_UNUSABLE, detail=judged.problem)
    return replace(row, normalized=judged.normalized, cer=judged.cer)


def placed_text(
    whole: WholeText, words: tuple[WrittenWord, ...], spans: Iterable[Span | None], ids: Iterable[str]
) -> Placed:
    """The slices of a whole text, white space made single, and what lies between them."""
    texts: dict[str, str] = {}
    unspoken: list[Unmatched] = []
    missing, at = 0, 0

    def leave_out(first: int, last: int) -> int:
        if first == last:
            return 0
        start, end = words[first].start, words[last - 1].end
        line = whole.text.count("\n", 0, start) + 1
        detail = f"{last - first} words that nobody spoke: {shortened(whole.text[start:end])}"
        unspoken.append(Unmatched(f"{whole.path_shown}:{line}", "", UNSPOKEN, detail))
        return last - first

    for span, identifier in zip(spans, ids, strict=True):
        if span is not None:
            missing += leave_out(at, span[0])
            texts[identifier] = " ".join(whole.text[words[span[0]].start : words[span[1] - 1].end].split())
            at = span[1]
    missing += leave_out(at, len(words))
    return Placed(texts, tuple(unspoken), missing)


def shortened(text: str) -> str:
    """The beginning of a text, as a message shows it."""
    text = " ".join(text.split())
    return f"“{text}”" if len(text) <= _SHOWN_CHARACTERS else f"“{text[:_SHOWN_CHARACTERS].rstrip()}…”"
