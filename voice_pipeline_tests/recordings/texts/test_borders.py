from __future__ import annotations

import pytest

from voice_pipeline.recordings.texts.alignment import align
from voice_pipeline.recordings.texts.borders import (
    Missed,
    Spans,
    Tie,
    decided,
    missed,
    ties,
    with_missed_words,
    without_guesses,
)
from voice_pipeline.recordings.texts.words import read_words

TEXT = "She opened the old door and then it began to rain over all of the hills."
WORDS = read_words(TEXT, str)


def _heard(*hypotheses: str) -> list[list[str]]:
    return [one.split() for one in hypotheses]


def test_a_piece_is_not_kept_for_having_been_cheap() -> None:
    heard = _heard("pack my box with jugs", "zebras vex us", "then it began to rain", "over all of the hills")
    guessed: Spans = ((0, 3), (3, 6), (6, 11), (11, 16))
    assert without_guesses(WORDS, heard, guessed) == (None, None, (6, 11), (11, 16))
    heard[1] = ["the", "old", "door", "and"]
    assert without_guesses(WORDS, heard, guessed)[:2] == ((0, 3), (3, 6))  # held in place from both sides
    assert without_guesses(WORDS, heard, ((0, 2), *guessed[1:]))[0] is None
    assert without_guesses(WORDS, heard[:1], guessed[:1]) == guessed[:1]


def test_a_border_that_was_heard_on_both_sides_is_no_tie() -> None:
    heard = _heard("she opened the old door", "and then it began to rain over all of the hills")
    spans = align(WORDS, heard)
    assert spans == ((0, 5), (5, 16))
    assert list(ties(WORDS, heard, spans)) == []


def test_a_word_that_neither_side_heard_ties_the_border() -> None:
    heard = _heard("she opened the old door", "then it began to rain over all of the hills")
    assert list(ties(WORDS, heard, align(WORDS, heard))) == [Tie(0, (5, 6))]


def test_the_clock_decides_a_tie() -> None:
    spans: Spans = ((0, 5), (5, 16))
    tie = Tie(0, (5, 6))
    middles = [0.5 * number for number in range(16)]
    assert decided(WORDS, spans, tie, middles, 2.25) == ((0, 5), (5, 16))
    assert decided(WORDS, spans, tie, middles, 2.75) == ((0, 6), (6, 16))
    assert decided(WORDS, spans, tie, middles, 6.0) == spans  # what was heard says otherwise: believed


def test_a_written_word_of_several_spoken_ones_is_not_cut() -> None:
    words = read_words("It cost $23 to go", lambda text: text.replace("$23", "twenty three dollars"))
    spans: Spans = ((0, 2), (2, 5))
    middles = [float(number) for number in range(7)]
    assert decided(words, spans, Tie(0, (2, 3)), middles, 4.5) == ((0, 3), (3, 5))
    assert decided(words, spans, Tie(0, (2, 3)), middles, 3.5) == spans


def test_no_tie_across_text_that_was_left_out() -> None:
    heard = _heard("she opened the old door", "over all of the hills")
    spans: Spans = ((0, 5), (11, 16))
    assert list(ties(WORDS, heard, spans)) == []
    assert list(ties(WORDS, heard, ((0, 5), None))) == []


def _long(missing: slice) -> tuple[str, list[list[str]], list[float]]:
    """Six segments of ten words, 12 characters a second; of one, the words ``missing`` were not heard."""
    sentences = [[f"{chr(97 + number)}{chr(97 + place)}xyz" for place in range(10)] for number in range(6)]
    heard = [list(words) for words in sentences]
    del heard[2][missing]
    return "\n".join(" ".join(words) for words in sentences), heard, [59 / 12] * 6


def test_words_that_were_dropped_go_to_the_segment_that_has_the_time_for_them() -> None:
    for dropped, span, behind in ((slice(5, 10), (20, 25), True), (slice(0, 5), (25, 30), False)):
        text, heard, seconds = _long(dropped)
        words = read_words(text, str)
        spans = align(words, heard)
        assert spans[2] == span
        (found,) = missed(words, heard, seconds, spans)
        assert (found.segment, found.behind, found.words[1] - found.words[0]) == (2, behind, 5)
        assert found.seconds == pytest.approx(29 / 12, rel=0.1)
        assert with_missed_words(spans, [(found, 2.2)])[2] == (20, 30)
        assert with_missed_words(spans, [(found, 0.3)]) == spans  # slow reading, and words that nobody spoke
        assert with_missed_words(spans, [(found, 9.0)]) == spans  # something else was said there


def test_of_two_segments_with_time_the_one_that_fits_has_the_words() -> None:
    spans: Spans = ((0, 5), (10, 16))
    found = [(Missed(0, True, (5, 10), 2.0), 2.9), (Missed(1, False, (5, 10), 2.0), 2.1)]
    assert with_missed_words(spans, found) == ((0, 5), (5, 16))
    assert with_missed_words(spans, found[:1]) == ((0, 10), (10, 16))


def test_words_that_nobody_spoke_are_not_looked_for() -> None:
    text, heard, seconds = _long(slice(5, 10))
    words = read_words(text, str)
    seconds[2] = 29 / 12
    assert list(missed(words, heard, seconds, align(words, heard))) == []


def test_without_enough_segments_the_speed_is_not_known() -> None:
    text, heard, seconds = _long(slice(5, 10))
    words = read_words(text, str)
    assert list(missed(words, heard[:4], seconds[:4], align(words, heard[:4]))) == []
