from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.protocol import (
    Artifact,
    Progress,
    ProtocolWriter,
    Stats,
    is_store_relative,
    parse_line,
    read_records,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
stats = st.dictionaries(st.text(max_size=20), st.none() | st.booleans() | st.integers() | finite | st.text(max_size=20))
paths = st.text(min_size=1, max_size=40).filter(is_store_relative)


def test_a_tick_is_progress_then_stats_then_artifact() -> None:
    stream = io.StringIO()
    ProtocolWriter(stream).tick(3, 10, stats={"b": 1, "a": "é"}, artifact="checkpoints/v/x.nemo")
    assert stream.getvalue() == 'PROGRESS 3 10\nSTATS {"a":"é","b":1}\nARTIFACT checkpoints/v/x.nemo\n'


@pytest.mark.parametrize(
    "line",
    [
        "PROGRESS",
        "PROGRESS 1",
        "PROGRESS 2 1",
        "PROGRESS -1 2",
        "PROGRESS 1 2 3",
        "PROGRESS one two",
        "PROGRESS ١ ٢",
        "PROGRESSED 1 2",
        "progress 1 2",
        "STATS",
        "STATS [1]",
        "STATS {",
        'STATS {"a":NaN}',
        "ARTIFACT",
        "ARTIFACT /etc/passwd",
        "ARTIFACT ../up",
        "ARTIFACT a\\b",
        "",
        "loss is falling",
    ],
)
def test_a_half_or_malformed_line_is_ignored(line: str) -> None:
    assert parse_line(line) is None


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_progress_reads_back(one: int, other: int) -> None:
    record = Progress(min(one, other), max(one, other))
    assert parse_line(str(record)) == record


@given(stats)
def test_stats_read_back(values: dict[str, object]) -> None:
    line = str(Stats(values))
    assert "\n" not in line
    assert parse_line(line) == Stats(values)


@given(paths)
def test_artifacts_read_back(path: str) -> None:
    assert parse_line(str(Artifact(path))) == Artifact(path)


@given(st.lists(st.text()))
def test_reading_never_fails(lines: list[str]) -> None:
    list(read_records(lines))


def test_progress_never_falls() -> None:
    writer = ProtocolWriter(io.StringIO())
    writer.tick(5, 10)
    with pytest.raises(ValueError, match="rise"):
        writer.tick(4, 10)
    with pytest.raises(ValueError, match="rise"):
        writer.tick(11, 10)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_stats_hold_finite_numbers_only(bad: float) -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError):
        ProtocolWriter(stream).tick(1, 2, stats={"loss": bad})
    assert stream.getvalue() == ""  # a refused tick leaves no half tick behind


def test_artifacts_stay_in_the_store() -> None:
    with pytest.raises(ValueError, match="relative"):
        ProtocolWriter(io.StringIO()).tick(1, 2, artifact="/abs")
