"""The borders between pieces that what was heard leaves open: decided by the clock.

    spans = without_guesses(words, heard, spans)
    spans = with_missed_words(spans, ((one, unheard(one)) for one in missed(words, heard, speech_seconds, spans)))
    for tie in ties(words, heard, spans):
        spans = decided(spans, tie, times, cut)         # times: of the two pieces' words, by forced alignment

Two things a recogniser does at the end of a segment cannot be told from its words alone. It swallows a word or two, or
mishears them, so that they fit behind the border as well as before it: forced alignment of the two pieces' words says
on which side of the cut they were spoken (English only; elsewhere, and where it fails, a mark of punctuation decides,
see ``alignment``). And it drops the rest of a sentence, which then looks as if nobody had read it: where the
recogniser's own times of words leave speech at that end of the segment, as long as the missing words take, they were
spoken in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from voice_pipeline.recordings.texts.alignment import Span
from voice_pipeline.recordings.texts.comparison import without_loops
from voice_pipeline.recordings.texts.words import WrittenWord

Spans = tuple[Span | None, ...]

_REACH = 3  # words on either side of a border that may belong to the other
_NEARLY = 2  # edits; a word that was heard on one side, however short, costs twice its length and two blanks to move
_ALIKE = 0.6  # edits a character; unrelated sentences differ in 0.7, and the best of many in somewhat less
_MOST_MISSED = 40  # words
_LEAST_SECONDS = 0.8  # of speech without heard words: less is slow reading
_FITTING = (0.6, 1.5)  # of the speech left, by what the words take at the reader's usual speed
_ENOUGH = 5  # segments to know the reader's speed from


@dataclass(frozen=True)
class Tie:
    """The border behind segment ``segment``: it is as good at each of ``borders``, numbers of words of the text."""

    segment: int
    borders: tuple[int, ...]


@dataclass(frozen=True)
class Missed:
    """Words of the text between two pieces, that the segment ``segment`` may hold behind (or before) what was heard."""

    segment: int
    behind: bool
    words: Span
    seconds: float  # that they take at the reader's usual speed


def ties(written: Sequence[WrittenWord], heard: Sequence[Sequence[str]], spans: Spans) -> Iterator[Tie]:
    """Borders that lie directly between two pieces and could as well lie some words before or behind."""
    for number in range(len(spans) - 1):
        left, right = spans[number], spans[number + 1]
        if left is None or right is None or left[1] != right[0]:
            continue
        cost = {}
        for border in range(max(left[0] + 1, left[1] - _REACH), min(right[1] - 1, left[1] + _REACH) + 1):
            before = _edits(heard[number], _spoken(written, left[0], border))
            cost[border] = before + _edits(heard[number + 1], _spoken(written, border, right[1]))
        borders = tuple(border for border in sorted(cost) if cost[border] <= cost[left[1]] + _NEARLY)
        if len(borders) > 1:
            yield Tie(number, borders)


def decided(written: Sequence[WrittenWord], spans: Spans, tie: Tie, middles: Sequence[float], cut: float) -> Spans:
    """The border of a tie where the clock has it; times that speak for none of its borders leave it where it was.

    ``middles`` are the times of the spoken words of both pieces, in order, ``cut`` the time between the two segments.
    """
    left, right = spans[tie.segment], spans[tie.segment + 1]
    assert left is not None and right is not None
    before = sum(middle < cut for middle in middles)
    border, count = left[0], 0
    while border < right[1] and count + len(written[border].spoken) <= before:
        count += len(written[border].spoken)
        border += 1
    if border not in tie.borders or not left[0] < border < right[1]:
        return spans
    changed = list(spans)
    changed[tie.segment], changed[tie.segment + 1] = (left[0], border), (border, right[1])
    return tuple(changed)


def without_guesses(written: Sequence[WrittenWord], heard: Sequence[Sequence[str]], spans: Spans) -> Spans:
    """``spans`` without pieces that are nothing like what was heard, and that nothing beside them holds in place.

    Where a stretch of text and a stretch of speech have nothing to do with each other, the cheapest split still gives
    some of the one to some of the other. A badly heard piece between two well heard ones stays: it is where it must be.
    """
    alike = [
        span is not None and _alike(words, _spoken(written, *span)) for words, span in zip(heard, spans, strict=True)
    ]
    kept = list(spans)
    for number, span in enumerate(spans):
        if span is None or alike[number] or len(spans) == 1:
            continue
        before, after = number - 1, number + 1
        held = [span[0] == 0 if before < 0 else alike[before] and (spans[before] or (0, -1))[1] == span[0]]
        held.append(
            span[1] == len(written) if after == len(spans) else alike[after] and (spans[after] or (-1,))[0] == span[1]
        )
        if not all(held):
            kept[number] = None
    return tuple(kept)


def missed(
    written: Sequence[WrittenWord], heard: Sequence[Sequence[str]], speech_seconds: Sequence[float], spans: Spans
) -> Iterator[Missed]:
    """Words that were left out, with each neighbour whose speech is longer than what was heard in it takes."""
    rates = [
        len(" ".join(words)) / seconds
        for words, seconds, span in zip(heard, speech_seconds, spans, strict=True)
        if span is not None and seconds > 0.5
    ]
    if len(rates) < _ENOUGH:
        return
    rate = median(rates)  # characters a second
    placed = [(number, span) for number, span in enumerate(spans) if span is not None]
    for before, after in zip([None, *placed], [*placed, None], strict=True):
        first = before[1][1] if before is not None else 0
        last = after[1][0] if after is not None else len(written)
        if not 0 < last - first <= _MOST_MISSED:
            continue
        needed = len(_spoken(written, first, last)) / rate
        for neighbour, behind in ((before, True), (after, False)):
            if neighbour is not None:
                left = speech_seconds[neighbour[0]] - len(" ".join(heard[neighbour[0]])) / rate
                if left >= _LEAST_SECONDS / 2 and left >= needed / 3:
                    yield Missed(neighbour[0], behind, (first, last), needed)


def with_missed_words(spans: Spans, found: Iterable[tuple[Missed, float]]) -> Spans:
    """``spans`` with words that were left out, where a segment has the time for them.

    With each comes how many seconds of the segment's speech lie behind the last word that was heard in it, or before
    the first. Of two segments the one whose time fits best has them.
    """
    best: dict[Span, tuple[float, Missed]] = {}
    for one, unheard in found:
        if unheard >= _LEAST_SECONDS and _FITTING[0] <= unheard / one.seconds <= _FITTING[1]:
            apart = abs(unheard - one.seconds)
            if one.words not in best or apart < best[one.words][0]:
                best[one.words] = (apart, one)
    changed = list(spans)
    for _, one in best.values():
        span = changed[one.segment]
        assert span is not None
        changed[one.segment] = (span[0], one.words[1]) if one.behind else (one.words[0], span[1])
    return tuple(changed)


def _spoken(written: Sequence[WrittenWord], first: int, last: int) -> str:
    return " ".join(word for one in written[first:last] for word in one.spoken)


def _alike(said: Sequence[str], text: str) -> bool:
    return _edits(said, text) <= _ALIKE * max(len(" ".join(said)), len(text))


def _edits(said: Sequence[str], text: str) -> int:
    from rapidfuzz.distance import Levenshtein

    return min(Levenshtein.distance(" ".join(one), text) for one in {tuple(said), without_loops(said)})
