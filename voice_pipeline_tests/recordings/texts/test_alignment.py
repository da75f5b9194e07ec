from __future__ import annotations

import itertools
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.recordings.texts import alignment
from voice_pipeline.recordings.texts.alignment import Span, align
from voice_pipeline.recordings.texts.anchors import find_anchors
from voice_pipeline.recordings.texts.comparison import without_loops
from voice_pipeline.recordings.texts.words import WrittenWord, read_words


def _story(count: int, seed: int = 0) -> list[str]:
    """Words of a made-up language: varied like those of a text, some of them frequent."""
    choice = random.Random(seed)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = ["".join(choice.choices(syllables, k=choice.randint(1, 4))) for _ in range(800)]
    return choice.choices(words, [1 / (rank + 1) for rank in range(800)], k=count)


def _cut(count: int, seed: int = 0) -> list[Span]:
    choice, borders = random.Random(seed), [0]
    while borders[-1] < count:
        borders.append(min(count, borders[-1] + choice.randint(4, 30)))
    return list(itertools.pairwise(borders))


def _written(words: list[str]) -> tuple[WrittenWord, ...]:
    return read_words(" ".join(words), str)


def _heard(words: list[str], spans: list[Span]) -> list[list[str]]:
    return [words[first:last] for first, last in spans]


def _misheard(words: list[str], rate: float, seed: int = 0) -> list[str]:
    choice, heard = random.Random(seed), list[str]()
    for word in words:
        fate = choice.random() / rate
        if fate > 1:
            heard.append(word)
        elif fate > 0.4:
            heard.append(word[:-1] + choice.choice("xyz"))
        elif fate > 0.2:
            heard += [word, "uh"]
    return heard


@given(st.integers(0, 10_000), st.integers(30, 300))
@settings(max_examples=25, deadline=None)
def test_what_was_heard_exactly_gives_the_exact_pieces(seed: int, count: int) -> None:
    words, spans = _story(count, seed), _cut(count, seed)
    assert list(align(_written(words), _heard(words, spans))) == spans


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_unread_paragraphs_are_left_out(seed: int) -> None:
    words, spans = _story(400, seed), _cut(400, seed)
    silent = random.Random(seed).randrange(len(spans) - 2)
    read = [span for number, span in enumerate(spans) if number not in (silent, silent + 1)]
    assert list(align(_written(words), _heard(words, read))) == read


@given(st.integers(0, 10_000), st.integers(3, 12))
@settings(max_examples=15, deadline=None)
def test_speech_without_text_is_unwritten(seed: int, length: int) -> None:
    words, spans = _story(300, seed), _cut(300, seed)
    heard: list[list[str]] = _heard(words, spans)
    place = random.Random(seed).randrange(len(spans) + 1)
    heard.insert(
        place, ["quh", "wjoh", "xahq", "hyhw", "jyx", "qaho", "vawh", "hixu", "wyq", "zeh", "joj", "hu"][:length]
    )
    expected: list[Span | None] = [*spans]
    expected.insert(place, None)
    assert list(align(_written(words), heard)) == expected


@given(
    st.lists(st.sampled_from(["a", "no", "the", "cat", "sat.", "On", "mats,", "$3", "—"]), max_size=40),
    st.lists(st.lists(st.sampled_from(["a", "no", "the", "cut", "sat", "three"]), max_size=9), max_size=9),
)
@settings(max_examples=150, deadline=None)
def test_pieces_are_in_order_and_never_overlap(tokens: list[str], heard: list[list[str]]) -> None:
    written = read_words(" ".join(tokens), str)
    spans = align(written, heard)
    assert len(spans) == len(heard)
    at = 0
    for span in spans:
        if span is not None:
            assert at <= span[0] < span[1] <= len(written)
            at = span[1]


def _cost(written: tuple[WrittenWord, ...], heard: list[list[str]], spans: list[Span | None]) -> int:
    """What a split costs, by the definition."""
    from rapidfuzz.distance import Levenshtein

    total, at = 0, 0

    def text(first: int, last: int) -> str:
        return "".join(f" {word}" for one in written[first:last] for word in one.spoken)

    def skipped(first: int, last: int) -> int:
        return alignment.SKIP + alignment.SKIPPED_CHARACTER * len(text(first, last)) if last > first else 0

    for words, span in zip(heard, spans, strict=True):
        said = ["".join(f" {word}" for word in one) for one in (words, without_loops(words))]
        if span is None:
            total += alignment.UNWRITTEN_CHARACTER * len(said[1])
            continue
        total += skipped(at, span[0]) + alignment.EDIT * min(Levenshtein.distance(one, text(*span)) for one in said)
        total += 0 if written[span[1] - 1].pause else alignment.NO_PAUSE
        total += 0 if words else alignment.NOTHING_HEARD
        at = span[1]
    return total + skipped(at, len(written))


def _splits(count: int, segments: int, at: int = 0) -> list[list[Span | None]]:
    if not segments:
        return [[]]
    found: list[list[Span | None]] = [[None, *rest] for rest in _splits(count, segments - 1, at)]
    for first in range(at, count):
        for last in range(first + 1, count + 1):
            found += [[(first, last), *rest] for rest in _splits(count, segments - 1, last)]
    return found


@given(
    st.lists(st.sampled_from(["a", "nobody,", "thecatsat.", "bananas", "no,"]), min_size=1, max_size=5),
    st.lists(st.lists(st.sampled_from(["a", "nobody", "thecat", "bananas", "no"]), max_size=3), max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_no_other_split_costs_less(tokens: list[str], heard: list[list[str]]) -> None:
    written = read_words(" ".join(tokens), str)
    found = list(align(written, heard))
    best = min(_cost(written, heard, split) for split in _splits(len(written), len(heard)))
    assert _cost(written, heard, found) == best


def test_misheard_words_at_the_borders_do_not_move_them() -> None:
    words, spans = _story(3_000), _cut(3_000)
    heard = [_misheard(words[first:last], 0.1, seed=first) for first, last in spans]
    found = align(_written(words), heard)
    assert sum(one == other for one, other in zip(found, spans, strict=True)) > 0.9 * len(spans)
    assert all(
        one and max(abs(one[0] - other[0]), abs(one[1] - other[1])) <= 2
        for one, other in zip(found, spans, strict=True)
    )


def test_of_two_takes_the_later_one_counts() -> None:
    words = _story(60)
    spans = [(0, 20), (20, 40), (40, 60)]
    heard = _heard(words, spans)
    again = [heard[0], heard[1], ["once", "more"], heard[1], heard[2]]
    assert align(_written(words), again) == ((0, 20), None, None, (20, 40), (40, 60))


def test_two_paragraphs_that_changed_places_cost_the_shorter_one() -> None:
    words = _story(200)
    spans = [(0, 20), (20, 40), (40, 52), (52, 82), (82, 110), (110, 200)]
    swapped = words[:40] + words[52:110] + words[40:52] + words[110:]
    assert align(_written(swapped), _heard(words, spans)) == ((0, 20), (20, 40), None, (40, 70), (70, 98), (110, 200))


def test_a_border_that_the_hypotheses_leave_open_lies_at_a_mark() -> None:
    written = read_words("we came to see, a the man himself", str)
    assert align(written, [["we", "came", "to", "see"], ["the", "man", "himself"]]) == ((0, 4), (4, 8))
    written = read_words("we came to see a, the man himself", str)
    assert align(written, [["we", "came", "to", "see"], ["the", "man", "himself"]]) == ((0, 5), (5, 8))


def test_a_loop_takes_no_text_and_what_was_said_again_and_again_keeps_it() -> None:
    written = read_words("the sixtieth Is set to. Dial five five five five now", str)
    heard = [["the", "sixtieth", "sixtieth"], ["is", "that", "two"], ["dial", *["five"] * 4], ["now", "now", "now"]]
    assert align(written, heard) == ((0, 2), (2, 5), (5, 10), (10, 11))


def test_nothing_heard_and_nothing_written() -> None:
    written = _written(["one", "two"])
    assert align((), [["one"], []]) == (None, None)
    assert align(written, []) == ()
    assert align(written, [[], ["one", "two"], []]) == (None, (0, 2), None)


def test_a_wrong_text_fits_nowhere_and_takes_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = _heard(_story(2_000, 1), _cut(2_000, 1))
    written = _written([word[::-1] for word in _story(2_000, 2)])
    assert sum(span is not None for span in align(written, heard)) < 0.05 * len(heard)
    monkeypatch.setattr(alignment, "_MAX_CELLS", 1_000_000)  # what a text of many hours comes to
    assert sum(span is not None for span in align(written, heard)) < 0.05 * len(heard)


def test_the_narrowed_window_still_finds_what_lies_on_the_diagonal(monkeypatch: pytest.MonkeyPatch) -> None:
    words, spans = _story(2_000), _cut(2_000)
    monkeypatch.setattr(alignment, "find_anchors", lambda *_: [])
    monkeypatch.setattr(alignment, "_MAX_CELLS", 10_000_000)
    assert list(align(_written(words), _heard(words, spans))) == spans


def test_an_hour_is_aligned_in_seconds() -> None:
    words, spans = _story(10_000), _cut(10_000)
    heard = [_misheard(words[first:last], 0.1, seed=first) for first, last in spans]
    written, start = _written(words), time.perf_counter()
    align(written, heard)
    assert time.perf_counter() - start < 20  # 0.8 s on one core of a quiet machine


@given(st.lists(st.sampled_from("abcdef"), max_size=80), st.lists(st.sampled_from("abcdef"), max_size=80))
@settings(max_examples=100, deadline=None)
def test_anchors_join_equal_words_and_rise(left: list[str], right: list[str]) -> None:
    before = (-1, -1)
    for one, other in find_anchors(left, right):
        assert left[one] == right[other]
        assert one > before[0] and other > before[1]
        before = (one, other)


def test_anchors_pass_over_what_only_one_side_has() -> None:
    words = _story(2_000)
    left, right = words[:500] + words[700:], words[:1_200] + ["x"] * 300 + words[1_200:]
    anchors = dict(find_anchors(left, right))
    assert len(anchors) > 1_500
    for one, other in anchors.items():
        assert other == (one if one < 500 else one + 200) + (300 if one >= 1_000 else 0)
