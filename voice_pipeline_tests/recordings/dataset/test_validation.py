from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings import manifest
from voice_pipeline.recordings.dataset.validation import MAX_PROBLEMS, clips_of, validate_manifest
from voice_pipeline.store import Store
from voice_pipeline_tests.recordings.dataset.prepared import prepared

Change = Callable[[dict[str, Any]], None]


def entry(number: int = 0) -> dict[str, Any]:
    return {
        "source": "a.wav", "target": f"artifacts/v/dataset/clips/u{number}.wav", "bytes": 10, "sha256": "a" * 64,
        "utterance_id": f"u{number}", "text": "T", "normalized_text": "t", "duration": 1.0, "sample_rate": 22_050,
        "split": "train", "source_sha256": "b" * 64,
    }  # fmt: skip


def document(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"schema": "voice_dataset/1", "mode": "voice_dataset", "count": len(entries), "entries": list(entries)}


def problems(path: Path, value: Any) -> list[str]:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return validate_manifest(path)


def test_a_manifest_of_the_contract(tmp_path: Path) -> None:
    assert problems(tmp_path / "m.json", document(entry(0), entry(1))) == []


def test_other_fields_are_allowed(tmp_path: Path) -> None:
    value = {**document({**entry(), "more": [{"a": 1}]}), "rejected": [{"x": []}], "about": {"schema": "other"}}
    assert problems(tmp_path / "m.json", value) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "../../etc/passwd"}, "leaves the store"),
        ({"target": "/etc/passwd"}, "leaves the store"),
        ({"target": "a\\b"}, "leaves the store"),
        ({"target": ""}, "leaves the store"),
        ({"target": 3}, "target has the wrong type"),
        ({"bytes": -1}, "bytes is -1, not above 0"),
        ({"bytes": 1.5}, "bytes has the wrong type"),
        ({"bytes": True}, "bytes has the wrong type"),
        ({"duration": 0}, "duration is 0"),
        ({"sha256": "A" * 64}, "sha256 is no sha256"),
        ({"source_sha256": "a" * 63}, "source_sha256 is no sha256"),
        ({"split": "test"}, "split is 'test'"),
        ({"utterance_id": "../x"}, "no file's name"),
        ({"utterance_id": None}, "utterance_id has the wrong type"),
        ({"text": None}, "text has the wrong type"),
    ],
)
def test_each_wrong_field(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    (problem,) = problems(tmp_path / "m.json", document(entry(0), {**entry(1), **change}))
    assert problem.startswith("entry 2: ")
    assert words in problem


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({**document(entry()), "schema": "voice_dataset/2"}, "schema is 'voice_dataset/2'"),
        ({**document(entry()), "mode": None}, "mode is None"),
        ({**document(entry()), "count": 2}, "count is 2, but there are 1"),
        ({**document(entry()), "count": True}, "count is True"),
        ({**document(entry()), "count": "1"}, "count is '1'"),
        (document(entry(), entry()), "entry 2: 'u0' is there twice"),
        ({"schema": "voice_dataset/1", "mode": "voice_dataset", "count": 0, "entries": []}, "at least one"),
        ({"schema": "voice_dataset/1", "mode": "voice_dataset", "count": 0}, "has no list of entries"),
        ({"schema": "voice_dataset/1", "mode": "voice_dataset", "entries": {"a": 1}, "count": 1}, "no list of entries"),
        (document(entry()) | {"entries": [3], "count": 1}, "entry 1: is no object"),
        ([], "is no JSON object"),
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ('{"schema": "voice_dataset/1"} x', "is not JSON"),
        ('{"count": 1' + "0" * 10_000 + "}", "is not JSON"),
        ("\xff", "is not JSON"),
        ('{"entries": [' + "[" * 5_000, "more than 1000 values"),
        ('{"entries": [{"a": [' + "1," * 5_000 + "1]}]}", "more than 1000 values"),
    ],
)
def test_each_wrong_document(tmp_path: Path, value: Any, words: str) -> None:
    assert any(words in problem for problem in problems(tmp_path / "m.json", value))


def test_many_problems_are_counted(tmp_path: Path) -> None:
    found = problems(tmp_path / "m.json", document(*({**entry(n), "split": "x"} for n in range(150))))
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1] == "and 50 more problems"


def test_no_such_file(tmp_path: Path) -> None:
    assert validate_manifest(tmp_path / "none.json") == ["cannot be read: No such file or directory"]


ENDLESS = """
import sys; from pathlib import Path
from voice_pipeline.recordings.dataset.validation import validate_manifest
from voice_pipeline_tests.memory import peak_kib
before = peak_kib()
print(validate_manifest(Path(sys.argv[1])))
print(peak_kib() - before)
"""


@pytest.mark.parametrize(("written", "length"), [(0, 2 << 30), (8 << 20, 0)])
def test_one_endless_string_takes_no_memory(tmp_path: Path, written: int, length: int) -> None:
    path = tmp_path / "m.json"
    with path.open("wb") as stream:
        stream.write(b'{"schema": "' + b"a" * written)
        if length:
            stream.truncate(length)  # two gigabytes of zeros, none of them on the disk
    done = subprocess.run(
        [sys.executable, "-c", ENDLESS, str(path)], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    problem, grown = done.stdout.splitlines()
    assert "4 MB" in problem or "JSON" in problem
    assert int(grown) < 200_000  # KiB


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["entries", "count", "schema", "rejected", "utterance_id", "target", "x"]), inner
    ),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_whatever_it_is_handed_it_answers(data: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        found = validate_manifest(Path(file.name))
    assert found
    assert all(isinstance(problem, str) for problem in found)


def test_clips_are_opened_where_there_is_a_store(project: Path, store: Store) -> None:
    record = prepared(project, store, 4).make()
    path = store.resolve(record.manifest)
    assert validate_manifest(path, store) == []
    clip = store.dataset("v") / "clips/u01.wav"
    data = clip.read_bytes()
    clip.unlink()
    clip.write_bytes(data[:-1])
    assert validate_manifest(path, store) == ["entry 2: the clip has 88243 bytes, not 88244"]
    clip.write_bytes(data[:-1] + b"x")
    assert validate_manifest(path, store) == ["entry 2: the clip is not the one that was recorded (its sha256 differs)"]
    clip.unlink()
    assert validate_manifest(path, store) == ["entry 2: the clip cannot be read: No such file or directory"]


# -- the list for the command line -----------------------------------------------------------------


def test_the_list_of_kept_and_rejected(project: Path, store: Store) -> None:
    made = prepared(project, store, 4)
    made.add("bad", "Some words.", snr_db=1.0, clipping_share=0.5)
    made.make()
    everything = manifest.listing(store, "v")
    assert [one.utterance_id for one in everything] == ["bad", "u00", "u01", "u02", "u03"]
    (bad,) = manifest.listing(store, "v", rejected=True)
    assert (bad.kept, bad.split, bad.reasons, bad.snr_db, bad.cer) == (False, "", ("clipped", "low_snr"), 1.0, None)
    assert (bad.text, bad.normalized_text) == ("Some words.", "some words.")
    assert bad.detail.startswith("50 % of its samples")
    kept = manifest.listing(store, "v", rejected=False, limit=2)
    assert [(one.utterance_id, one.kept, one.reasons) for one in kept] == [("u00", True, ()), ("u01", True, ())]
    assert manifest.listing(store, "v", limit=0) == []


def test_no_dataset_no_list(store: Store) -> None:
    with pytest.raises(VoiceFailure, match="empty_dataset"):
        manifest.listing(store, "v")


@pytest.mark.parametrize("data", [None, b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_table_that_cannot_be_read(project: Path, store: Store, data: bytes | None) -> None:
    record = prepared(project, store, 4).make()
    path = store.resolve(record.table)
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(VoiceFailure, match="table_damaged"):
        manifest.listing(store, "v")


def test_a_table_without_the_columns(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="has no column kept"):
        list(clips_of(tmp_path / "t.parquet"))
