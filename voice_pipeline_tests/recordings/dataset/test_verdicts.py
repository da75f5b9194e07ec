from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from voice_pipeline.failures import REASONS
from voice_pipeline.recordings.dataset.verdicts import DatasetFigures, blockers_of, verdicts
from voice_pipeline_tests.recordings.dataset.prepared import GATES

GOOD = DatasetFigures(
    kept=100, rejected=10, texts_without_audio=0, minutes=10.0, phone_coverage=1.0, missing_phones=(), other_speaker=0,
    leaks=0,
)  # fmt: skip


def test_a_good_dataset_passes_everything() -> None:
    assert all(verdict.passed for verdict in verdicts(GOOD, GATES))
    assert blockers_of(GOOD, GATES) == ()


@pytest.mark.parametrize(
    ("figures", "name", "reason", "words"),
    [
        ({"minutes": 2.99}, "enough_minutes", "too_little_speech", "3.0 minutes are kept; at least 3 are needed"),
        ({"kept": 29}, "enough_utterances", "too_little_speech", "29 utterances are kept; at least 30"),
        ({"rejected": 101}, "rejected_share", "too_many_rejected", "101 of 201 utterances are rejected (50.2 %)"),
        ({"other_speaker": 23}, "one_speaker", "several_speakers", "23 of 110 utterances sound like somebody else"),
        ({"leaks": 1}, "no_leak", "split_leak", "1 pairs of the same sound are on both sides"),
    ],
)
def test_each_blocker(figures: dict[str, Any], name: str, reason: str, words: str) -> None:
    changed = dataclasses.replace(GOOD, **figures)
    (blocker,) = blockers_of(changed, GATES)
    assert blocker.reason == reason
    assert words in blocker.detail
    assert [one.name for one in verdicts(changed, GATES) if not one.passed] == [name]


def test_missing_phones_are_named_and_do_not_block() -> None:
    missing = tuple("ABCDEFGHIJ")
    changed = dataclasses.replace(GOOD, phone_coverage=0.74, missing_phones=missing)
    (failed,) = [one for one in verdicts(changed, GATES) if not one.passed]
    assert (failed.name, failed.blocking, failed.reason) == ("phone_coverage", False, "phones_missing")
    assert failed.detail.endswith("90 % are wanted; missing: A, B, C, D, E, F, G, H and 2 more")
    assert blockers_of(changed, GATES) == ()


def test_the_limits_themselves_pass() -> None:
    at = dataclasses.replace(GOOD, minutes=3.0, kept=30, rejected=30, other_speaker=12, phone_coverage=0.9)
    assert all(verdict.passed for verdict in verdicts(at, GATES))


def test_texts_without_audio_are_no_rejected_utterances() -> None:
    """Somebody records ten of ten thousand sentences: that is no fault of the ten."""
    assert blockers_of(dataclasses.replace(GOOD, texts_without_audio=13_000), GATES) == ()


def test_reasons_are_those_of_the_taxonomy() -> None:
    assert all(REASONS[verdict.reason].root_cause_class == "data_blocked" for verdict in verdicts(GOOD, GATES))


def test_nothing_at_all_is_judged_too() -> None:
    nothing = DatasetFigures(0, 0, 0, 0.0, 0.0, (), 0, 0)
    assert {blocker.reason for blocker in blockers_of(nothing, GATES)} == {"too_little_speech"}
