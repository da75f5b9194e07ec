"""Where two long sequences of words surely run together: the scaffold of an alignment that could not be computed whole.

    anchors = find_anchors(heard, written)      # [(3, 2), (4, 3), (17, 15), …], both rising

Patience diff: runs of words that occur once on either side are joined where they are the same; of these pairs the
longest rising chain is kept; between two links of it the same is done with shorter runs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

Anchor = tuple[int, int]

# Words in a run. Five words that occur once in ten hours are hardly heard by chance; three do between two anchors.
_RUNS = (5, 3)
_FILL_FROM = 40  # words between two anchors, from which on shorter runs are looked for


def find_anchors(heard: Sequence[str], written: Sequence[str]) -> list[Anchor]:
    """Pairs (place in ``heard``, place in ``written``) of the same word, strictly rising in both."""
    numbers: dict[str, int] = {}
    left = [numbers.setdefault(word, len(numbers)) for word in heard]
    right = [numbers.setdefault(word, len(numbers)) for word in written]
    anchors: list[Anchor] = []
    for run in _RUNS:
        filled: list[Anchor] = []
        before = (-1, -1)
        for after in [*anchors, (len(left), len(right))]:
            if min(after[0] - before[0], after[1] - before[1]) > (_FILL_FROM if anchors else run):
                filled += _between(left, right, before, after, run)
            filled.append(after)
            before = after
        anchors = filled[:-1]
    return anchors


def _between(left: list[int], right: list[int], before: Anchor, after: Anchor, run: int) -> list[Anchor]:
    """Anchors from runs that occur once on either side between two anchors."""
    ours = _once(left, before[0] + 1, after[0], run)
    theirs = _once(right, before[1] + 1, after[1], run)
    starts = _rising([(place, theirs[key]) for key, place in ours.items() if key in theirs])
    pairs: list[Anchor] = []
    for one, other in starts:
        for offset in range(run):
            pair = (one + offset, other + offset)
            if not pairs or (pair[0] > pairs[-1][0] and pair[1] > pairs[-1][1]):
                pairs.append(pair)
    return pairs


def _once(words: list[int], start: int, end: int, run: int) -> dict[tuple[int, ...], int]:
    """The place of every run in ``words[start:end]`` that occurs once there."""
    found: dict[tuple[int, ...], int] = {}
    for place in range(start, end - run + 1):
        key = tuple(words[place : place + run])
        found[key] = -1 if key in found else place
    return {key: place for key, place in found.items() if place >= 0}


def _rising(pairs: list[Anchor]) -> list[Anchor]:
    """The longest chain of ``pairs`` (sorted by their first) that rises in the second too; O(n log n)."""
    tails: list[int] = []  # the least last member of a chain, by the chain's length
    ends: list[int] = []  # the pair that it belongs to
    previous: list[int] = []
    for number, (_, place) in enumerate(pairs):
        length = bisect_left(tails, place)
        previous.append(ends[length - 1] if length else -1)
        if length == len(tails):
            tails.append(place)
            ends.append(number)
        else:
            tails[length], ends[length] = place, number
    chain = []
    at = ends[-1] if ends else -1
    while at >= 0:
        chain.append(pairs[at])
        at = previous[at]
    return chain[::-1]
