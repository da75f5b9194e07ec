from __future__ import annotations

from pathlib import Path

import pytest

from voice_pipeline.recordings.texts.judging import KIND, Judged, KeptJudgement, judge
from voice_pipeline.store import Store
from voice_pipeline.text.frontend import TextFrontend

PAIRS = (
    ("It cost $3.", "it cost three dollars", Judged("it cost three dollars.", 0.0)),
    ("It cost $3.", None, Judged("it cost three dollars.")),
    ("Nobody slept.", "", Judged("nobody slept.", 1.0)),
    ("Nobody slept.", "nobody wept", Judged("nobody slept.", 0.1667)),
)


@pytest.fixture(scope="module")
def english() -> TextFrontend:
    return TextFrontend.for_language("en-US")


@pytest.mark.parametrize(("reading", "hypothesis", "expected"), PAIRS)
def test_a_text_is_compared_with_what_was_heard(
    english: TextFrontend, reading: str, hypothesis: str | None, expected: Judged
) -> None:
    assert judge(reading, hypothesis, english.normalise) == expected


def test_what_cannot_be_spoken_says_why(english: TextFrontend) -> None:
    assert judge("…", "something", english.normalise).problem
    assert judge("…", "something", english.normalise).cer is None


def test_a_judgement_is_kept_and_a_damaged_one_made_anew(store: Store, english: TextFrontend) -> None:
    for _ in range(2):
        with KeptJudgement.open(store, english) as judgement:
            for reading, hypothesis, expected in PAIRS:
                assert judgement(reading, hypothesis) == expected
    with KeptJudgement.open(store, english) as judgement:
        judgement._normalise = str.upper  # what is known is not read again
        assert judgement(*PAIRS[0][:2]) == PAIRS[0][2]
        assert judgement("new", None) == Judged("NEW")
    path: Path = store.measurements(KIND)
    path.write_bytes(b"no database")
    with KeptJudgement.open(store, english) as judgement:
        assert judgement(*PAIRS[3][:2]) == PAIRS[3][2]
