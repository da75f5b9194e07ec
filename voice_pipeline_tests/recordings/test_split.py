from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.recordings.split import VALIDATION_SHARE, assign_splits, split_of

digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
contents = st.dictionaries(st.text(min_size=1), digests, min_size=2)


@given(contents)
def test_both_splits_get_something(clips: dict[str, str]) -> None:
    splits = assign_splits(clips)
    assert splits.keys() == clips.keys()
    assert set(splits.values()) == {"train", "validation"}


@given(contents)
def test_at_most_one_clip_is_moved_by_hand(clips: dict[str, str]) -> None:
    splits = assign_splits(clips)
    assert sum(splits[identifier] != split_of(sha256) for identifier, sha256 in clips.items()) <= 1


@given(contents, contents)
def test_adding_clips_never_moves_others(clips: dict[str, str], more: dict[str, str]) -> None:
    before, after = assign_splits(clips), assign_splits(more | clips)
    moved = [identifier for identifier in clips if before[identifier] != after[identifier]]
    # Only the one that stood in for an empty split may go back to its own, and only when that split is filled.
    assert len(moved) <= 1
    for identifier in moved:
        assert before[identifier] != split_of(clips[identifier])
    if {split_of(sha256) for sha256 in clips.values()} == {"train", "validation"}:
        assert not moved


@given(contents)
def test_order_and_names_do_not_matter(clips: dict[str, str]) -> None:
    backwards = dict(reversed(clips.items()))
    assert assign_splits(backwards) == assign_splits(clips)


def test_the_share_is_what_it_says() -> None:
    validation = sum(split_of(hashlib.sha256(str(n).encode()).hexdigest()) == "validation" for n in range(20_000))
    assert validation / 20_000 == pytest.approx(VALIDATION_SHARE, abs=0.006)


def test_known_digests() -> None:
    assert split_of("0" * 64) == "validation"
    assert split_of("147ae147ae147a" + "0" * 50) == "validation"  # just below 0.08
    assert split_of("147ae147ae147b" + "f" * 50) == "train"
    assert split_of("f" * 64) == "train"


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_split(count: int) -> None:
    with pytest.raises(ValueError, match="at least two"):
        assign_splits(dict.fromkeys("a"[:count], "0" * 64))
