from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.recordings.segmentation.naming import Names
from voice_pipeline.recordings.transcripts import safe_id


def test_a_cut_is_named_by_its_file_and_start() -> None:
    names = Names(["chapter.flac"])
    assert names.made("chapter.flac", 12.345) == "chapter-000012345"
    assert names.made("chapter.flac", None) == "chapter"


def test_ten_hours_in_the_order_of_time() -> None:
    names = Names(["a.wav"])
    made = [names.made("a.wav", start) for start in (0.0, 9.5, 60.0, 35_999.999)]
    assert made == sorted(made)


def test_two_files_that_differ_in_their_suffix_keep_it() -> None:
    names = Names(["a.wav", "a.flac", "b.wav"])
    assert [names.made(name, 1.0) for name in ("a.wav", "a.flac", "b.wav")] == [
        "a.wav-000001000", "a.flac-000001000", "b-000001000",
    ]  # fmt: skip


def test_one_name_in_two_folders_is_two_names() -> None:
    names = Names(["x/a.wav", "y/a.wav"])
    assert names.made("x/a.wav", 0.0) != names.made("y/a.wav", 0.0)


def test_an_id_that_is_given_twice_stands_for_one() -> None:
    names = Names(["a.wav", "b.wav"])
    first, second = names.given("one"), names.given("one")
    assert first == "one"
    assert second.startswith("one_")


@given(st.lists(st.text(min_size=1, max_size=150), min_size=1, max_size=8, unique=True), st.floats(0, 36_000))
def test_ids_are_safe_and_different(files: list[str], start: float) -> None:
    names = Names(files)
    made = [names.made(file, at) for file in files for at in (None, start)]
    assert len(set(made)) == len(made)
    assert all(safe_id(one) == one for one in made)
