"""The split of a text into one contiguous piece for each segment, from what a recogniser heard in the segments.

    spans = align(read_words(text, normalise), heard)       # heard: the words of each segment's hypothesis
    spans[4]                                                # (31, 40): words 31 to 39; None: speech without text

Of all splits it is the one of the least cost: Levenshtein's distance, over characters, between every hypothesis and its
piece, so that a misheard word at a border costs no more than its wrong letters. Text that nobody spoke and speech that
nobody wrote may be left out, at the prices below; what a recogniser says again and again counts once where that fits
better. The search is exact within windows that ``find_anchors`` lays around
each segment; with no anchors at all the window is the whole text, as long as that can be computed.

The recurrence is that of connected-word recognition (level building: Myers and Rabiner, 1981) with Levenshtein's local
cost: one pass over the heard characters, in which each cell remembers the border of words where its piece began.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.recordings.texts.anchors import find_anchors
from voice_pipeline.recordings.texts.comparison import without_loops
from voice_pipeline.recordings.texts.words import WrittenWord

Span = tuple[int, int]  # words of the text, half-open
_Ints = NDArray[np.int64]

# Costs, in sixteenths of an edit.
EDIT = 16
# To leave text out: a price for each stretch, which two or three words that a recogniser swallowed do not reach, and a
# small one a character, so that a chapter is left out rather than forced on a segment.
SKIP, SKIPPED_CHARACTER = 12 * EDIT, EDIT // 8
# To leave a heard character without text. Unrelated sentences differ in some 70 % of their characters, badly heard ones
# in 40 %: between the two, speech counts as unwritten.
UNWRITTEN_CHARACTER = EDIT // 2
# A segment in which nothing was heard gets words only where its neighbours cannot have said them.
NOTHING_HEARD = EDIT
# A piece that does not end at a mark of punctuation: decides between borders that are as good as equal.
NO_PAUSE = EDIT // 4

_MARGIN = 400  # characters of text around a segment's anchors that its piece may still reach into
_MAX_CELLS = 3_000_000_000  # of a stretch without anchors: some ten seconds; beyond, the window follows the diagonal
_CACHED_WINDOW = 1 << 16  # characters
_COST = 32  # bits below the cost: the border where the piece began
_NEVER = 1 << 60


@dataclass(frozen=True)
class _Level:
    """What one segment made of each border of words in its window."""

    low: int  # the first border
    entered: _Ints  # [borders]: the border before which nothing is skipped to come here
    began: _Ints  # [borders]: where the piece that ends here began; -1: the segment has no text


def align(written: Sequence[WrittenWord], heard: Sequence[Sequence[str]]) -> tuple[Span | None, ...]:
    """The piece of ``written`` for each segment of ``heard``, in order and without overlap; None for unwritten speech.

    Time is proportional to the characters heard (half a million, ten hours of speech: some ten seconds), memory to the
    longest window.
    """
    if not written:
        return (None,) * len(heard)
    text = "".join(f" {word}" for one in written for word in one.spoken)
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    lengths = [sum(len(word) + 1 for word in one.spoken) for one in written]
    offsets: _Ints = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    pauses = np.array([False, *(one.pause for one in written)])
    ends: _Ints = np.zeros(1, np.int64)  # the cost at each border from ``low`` on
    low = 0
    levels: list[_Level] = []
    for (first, last), words in zip(_windows(written, heard, offsets), heard, strict=True):
        costs, entered = _enter(ends, low, first, last, offsets)
        said = _joined(words)
        matched, began = _match(said, costs, first, codes, offsets[first : last + 1])
        once = _joined(without_loops(words))
        if once != said:  # whatever fits better: a telephone number says "five five five" and means it
            other, other_began = _match(once, costs, first, codes, offsets[first : last + 1])
            matched, began = np.minimum(matched, other), np.where(other < matched, other_began, began)
        matched += np.where(pauses[first : last + 1], 0, NO_PAUSE) + (0 if said else NOTHING_HEARD)
        unwritten = costs + UNWRITTEN_CHARACTER * len(once)
        # Of two takes of one sentence the later one counts: tracing back, a match comes first where both cost the same.
        fits = (matched <= unwritten) & (began < np.arange(first, last + 1))
        levels.append(_Level(first, entered.astype(np.int32), np.where(fits, began, -1).astype(np.int32)))
        ends, low = np.where(fits, matched, unwritten), first
    return _trace(levels, ends, low, len(written), offsets)


def _joined(words: Sequence[str]) -> str:
    return "".join(f" {word}" for word in words)


def _windows(written: Sequence[WrittenWord], heard: Sequence[Sequence[str]], offsets: _Ints) -> list[Span]:
    """The borders of words (first, last) between which each segment's piece is looked for; both rise."""
    owners = [number for number, one in enumerate(written) for _ in one.spoken]
    said = [word for words in heard for word in words]
    anchors = find_anchors(said, [word for one in written for word in one.spoken])
    ours, count = [place for place, _ in anchors], len(written)
    # Segments between the same two anchors share one stretch of text.
    stretches: list[tuple[int, int]] = []
    place = 0
    for words in heard:
        before = bisect_left(ours, place + 1) - 1
        place += len(words)
        after = bisect_left(ours, max(place - 1, 0))
        low = int(offsets[owners[anchors[before][1]]]) - _MARGIN if before >= 0 else 0
        high = int(offsets[owners[anchors[after][1]]]) + _MARGIN if after < len(anchors) else int(offsets[-1])
        stretches.append((max(0, low), max(low, min(high, int(offsets[-1])))))
    windows: list[Span] = []
    first = last = 0
    for low, high in _narrowed(stretches, [sum(len(word) + 1 for word in words) for words in heard]):
        first = max(first, int(np.searchsorted(offsets, low, "right")) - 1)
        last = max(last, min(count, int(np.searchsorted(offsets, high))))
        windows.append((first, last))
    return windows


def _narrowed(stretches: list[tuple[int, int]], sizes: list[int]) -> list[tuple[int, int]]:
    """Where a stretch without anchors is too large to be searched whole, a band along its diagonal."""
    narrowed: list[tuple[int, int]] = []
    start = 0
    while start < len(stretches):
        end = start
        while end < len(stretches) and stretches[end] == stretches[start]:
            end += 1
        (low, high), characters = stretches[start], max(1, sum(sizes[start:end]))
        half = max(_MARGIN, _MAX_CELLS // characters // 2)
        done = 0
        for size in sizes[start:end]:
            if 2 * half >= high - low:
                narrowed.append((low, high))
            else:
                ahead = [low + (high - low) * part // characters for part in (done, done + size)]
                narrowed.append((max(low, ahead[0] - half), min(high, ahead[1] + half)))
            done += size
        start = end
    return narrowed


def _enter(ends: _Ints, low: int, first: int, last: int, offsets: _Ints) -> tuple[_Ints, _Ints]:
    """(cost, border come from) at borders ``first`` to ``last``: from the level before, or over text left out."""
    borders = np.arange(low, max(last, low + len(ends) - 1) + 1)
    known = np.full(len(borders), _NEVER >> _COST, np.int64)
    known[: len(ends)] = ends
    # The least of (cost - what its own offset adds) so far, with the border that has it.
    key = ((known - SKIPPED_CHARACTER * offsets[borders]) << _COST) + borders
    best = np.minimum.accumulate(key)
    skipped = (best >> _COST) + SKIPPED_CHARACTER * offsets[borders] + SKIP
    costs = np.minimum(known, skipped)
    came = np.where(known <= skipped, borders, best & ((1 << _COST) - 1))
    return costs[first - low : last + 1 - low], came[first - low : last + 1 - low]


def _match(said: str, costs: _Ints, first: int, codes: NDArray[np.uint32], offsets: _Ints) -> tuple[_Ints, _Ints]:
    """(cost, border where it began) of the best piece that ends at each border of the window.

    Levenshtein's rows over the window's characters, all words' borders open at the start. Each cell is
    ``cost << 32 | border``, less what as many insertions would cost: the row's recurrence is then a running minimum.
    """
    start = int(offsets[0])
    places = offsets - start
    window = codes[start : int(offsets[-1])]
    edit = EDIT << _COST
    row: _Ints = np.full(len(window) + 1, _NEVER, np.int64)
    row[places] = (costs << _COST) + np.arange(first, first + len(places)) - places * edit
    np.minimum.accumulate(row, out=row)
    above, diagonal = np.empty_like(row), np.empty(len(window), np.int64)
    gains: dict[int, _Ints] = {}
    for code in map(ord, said):
        gain = gains.get(code)
        if gain is None:
            gain = np.where(window == code, edit, 0)
            if len(window) < _CACHED_WINDOW:
                gains[code] = gain
        np.add(row, edit, out=above)
        np.subtract(row[:-1], gain, out=diagonal)
        np.minimum(above[1:], diagonal, out=above[1:])
        np.minimum.accumulate(above, out=row)
    found = row[places] + places * edit
    return found >> _COST, found & ((1 << _COST) - 1)


def _trace(levels: list[_Level], ends: _Ints, low: int, count: int, offsets: _Ints) -> tuple[Span | None, ...]:
    _, came = _enter(ends, low, count, count, offsets)
    at = int(came[0])
    spans: list[Span | None] = []
    for level in reversed(levels):
        began = int(level.began[at - level.low])
        spans.append(None if began < 0 else (began, at))
        at = at if began < 0 else began
        at = int(level.entered[at - level.low])
    return tuple(reversed(spans))
