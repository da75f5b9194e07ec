"""Tables between stages: the same rows are the same bytes, and come back as they were."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.recordings.tables import CleanUtterance, Segment, TableError, UtteranceText, read_rows, write_rows

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
seconds = st.floats(0, 1e6, allow_nan=False)
segments = st.builds(
    Segment,
    utterance_id=text,
    source=text,
    source_sha256=text,
    start=seconds,
    end=seconds,
    whole=st.booleans(),
    speech=st.lists(st.tuples(seconds, seconds), max_size=4).map(tuple),
)
texts = st.builds(UtteranceText, utterance_id=text, origin=st.just("given"), text=text, cer=st.none() | seconds)


@given(st.lists(segments, max_size=5), st.lists(texts, max_size=5))
def test_rows_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, one: list[Segment], other: list[UtteranceText]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    for rows, kind in ((one, Segment), (other, UtteranceText)):
        count, digest = write_rows(folder / "rows.jsonl", rows)
        assert count == len(rows)
        assert hashlib.sha256((folder / "rows.jsonl").read_bytes()).hexdigest() == digest
        assert list(read_rows(folder / "rows.jsonl", kind)) == rows


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"utterance_id": 3}', '{"utterance_id": "a", "wav": "x", "duration": "long"}', "\xff"],
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "utterances.jsonl"
    good = '{"utterance_id": "a"}'
    path.write_bytes(f"{good}\n{line}\n".encode("latin-1"))
    rows = read_rows(path, CleanUtterance)
    assert next(rows).utterance_id == "a"
    with pytest.raises(TableError, match=r"utterances\.jsonl:2: is no CleanUtterance"):
        next(rows)


def test_a_write_that_fails_leaves_the_old_table(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [CleanUtterance("a")])
    with pytest.raises(ValueError, match="JSON compliant"):
        write_rows(path, [CleanUtterance("b"), CleanUtterance("c", snr_db=float("nan"))])
    assert [row.utterance_id for row in read_rows(path, CleanUtterance)] == ["a"]
    assert list(tmp_path.iterdir()) == [path]
