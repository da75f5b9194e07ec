from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.recordings.dataset.gather import content_of
from voice_pipeline.recordings.dataset.index import RowIndex
from voice_pipeline.recordings.dataset.rows import Row
from voice_pipeline.recordings.dataset.split import VALIDATION_SHARE, assign, split_of
from voice_pipeline.recordings.tables import Segment

digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
names = st.text("abcdefghij", min_size=1, max_size=3)
contents = st.dictionaries(names, digests, min_size=2, max_size=12).filter(lambda one: len(set(one.values())) > 1)
quick = settings(max_examples=60, deadline=None)


def splits(clips: Mapping[str, str], groups: Sequence[Sequence[str]] = ()) -> dict[str, str]:
    with RowIndex.open(Path(tempfile.gettempdir())) as index:
        index.add(Row(name, f"{name}.wav", content=content) for name, content in clips.items())
        assign(index, groups)
        return {row.utterance_id: row.split for row in index.rows()}


@quick
@given(contents)
def test_both_splits_get_something(clips: dict[str, str]) -> None:
    assert set(splits(clips).values()) == {"train", "validation"}


@quick
@given(contents, contents)
def test_adding_clips_never_moves_others(clips: dict[str, str], more: dict[str, str]) -> None:
    before, after = splits(clips), splits(more | clips)
    moved = [name for name in clips if before[name] != after[name]]
    # Only what stood in for an empty split may go back to its own, and only when that split is filled.
    assert len({clips[name] for name in moved}) <= 1
    for name in moved:
        assert before[name] != split_of(clips[name])
    if {split_of(content) for content in clips.values()} == {"train", "validation"}:
        assert not moved


@quick
@given(contents)
def test_order_and_names_do_not_matter(clips: dict[str, str]) -> None:
    backwards = splits(dict(reversed(clips.items())))
    assert backwards == splits(clips)


@quick
@given(contents, contents, st.data())
def test_a_group_stands_together_and_never_goes_from_training_to_validation(
    clips: dict[str, str], more: dict[str, str], data: st.DataObject
) -> None:
    whole = more | clips
    members = data.draw(st.lists(st.sampled_from(sorted(whole)), unique=True, max_size=6))
    both = {"train", "validation"}
    singles = {split_of(content) for name, content in clips.items() if name not in members}
    if singles != both:  # both sides are held by clips of no group: nothing stands in for an empty side
        return
    grown = splits(whole, [members] if members else [])
    assert len({grown[name] for name in members}) <= 1
    before = splits(clips, [[name for name in members if name in clips]] if set(members) & set(clips) else [])
    for name in clips:
        if before[name] != grown[name]:
            assert name in members
            assert (before[name], grown[name]) == ("validation", "train")
        if name not in members:
            assert grown[name] == split_of(whole[name])


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
        splits(dict.fromkeys("a"[:count], "0" * 64))


def test_one_group_alone_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="at least two"):
        splits({"a": "0" * 64, "b": "f" * 64}, [["a", "b"]])


def test_a_cut_has_content_of_its_own_and_a_clip_that_of_its_file() -> None:
    def cut(start: float, end: float, whole: bool = False) -> str:
        return content_of(Segment("u", "a.flac", "7" * 64, start, end, whole))

    assert cut(0, 9, whole=True) == "7" * 64
    assert len({cut(0, 1), cut(1, 2), cut(0, 2)}) == 3
    assert cut(0, 1) == content_of(Segment("other name", "renamed.flac", "7" * 64, 0.0, 1.0, False))
