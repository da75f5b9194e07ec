from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from voice_pipeline.recordings.tables import Segment
from voice_pipeline.recordings.texts.borders import Spans, Tie, decided
from voice_pipeline.recordings.texts.hypotheses import Piece
from voice_pipeline.recordings.texts.timing import WordClock
from voice_pipeline.recordings.texts.words import read_words
from voice_pipeline.text.frontend import TextFrontend

TEXT = "Behind the wall she opened the old door and then it began to rain over all of the hills of Zarquonia."


@pytest.fixture(scope="module")
def english() -> TextFrontend:
    return TextFrontend.for_language("en-US")


def test_only_english_is_timed(english: TextFrontend) -> None:
    assert WordClock.load("it-IT", english) is None


@pytest.mark.recordings
@pytest.mark.demo
@pytest.mark.parametrize("said", [8, 9])  # words before the pause: the recogniser swallowed the "and" either way
def test_the_side_of_the_pause_on_which_a_word_was_spoken_is_heard(
    english: TextFrontend, tmp_path: Path, said: int
) -> None:
    from hibari import Hibari

    speaker, words = Hibari(voice="heart"), TEXT.split()
    halves = [np.asarray(speaker(" ".join(part), seed=0), np.float32) for part in (words[:said], words[said:])]
    rate = speaker.sample_rate
    pause = np.random.default_rng(1).normal(0, 1e-4, rate // 2).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", np.concatenate([pause, halves[0], pause, halves[1], pause]), rate)
    middle = 0.5 + len(halves[0]) / rate
    end = middle + 0.5 + len(halves[1]) / rate

    def piece(start: float, end: float) -> Piece:
        segment = Segment("s", "a.wav", "0" * 64, start, end, False)
        return Piece("v", segment, tmp_path / "a.wav", "a.wav", original=True)

    clock = WordClock.load("en-US", english)
    assert clock is not None and not clock.used
    written = read_words(TEXT, english.normalise)
    spoken = [word for one in written for word in one.spoken]
    left, right = piece(0.35, middle + 0.15), piece(middle + 0.35, end)
    middles = clock.middles(left, right, spoken, "mix")
    assert middles is not None and clock.used and clock.model.role == "aligner"
    assert list(middles) == sorted(middles) and middles[0] > 0.35 and middles[-1] < end
    spans: Spans = ((0, 8), (8, len(written)))
    assert decided(written, spans, Tie(0, (8, 9)), middles, middle + 0.25)[0] == (0, said)
    assert clock.middles(left, piece(middle, middle + 90), spoken, "mix") is None
