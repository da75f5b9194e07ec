from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voice_pipeline.atomic import read_json
from voice_pipeline.failures import ConfigError
from voice_pipeline.recordings.tables import CleanUtterance
from voice_pipeline.store import Store
from voice_pipeline_tests.recordings.dataset.prepared import RATE, Prepared, babble, prepared


def rejected(made: Prepared) -> dict[str, str]:
    made.make()
    value = read_json(made.store.dataset_manifest("v", "tts_prod_train_nemo"))
    return {row["utterance_id"]: row["detail"] for row in value["rejected"]}


def quieter(name: str) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.asarray(babble(name) * 0.8, np.int16)


def test_the_first_by_id_of_the_same_bytes_stays(project: Path, store: Store) -> None:
    made = prepared(project, store, 3)
    for name in ("x3", "x1", "x2"):
        made.add(name, "All the same.", babble("x"))
    assert rejected(made) == {"x2": "the same sound as x1", "x3": "the same sound as x1"}


def test_a_usable_one_stays_even_if_it_is_not_the_first(project: Path, store: Store) -> None:
    made = prepared(project, store, 3)
    made.add("x1", "", babble("x"), problem_of_text="transcript_missing")
    made.add("x2", "Hello over there.", babble("x"))
    assert rejected(made) == {"x1": "its text cannot be used; the same sound as x2"}


def test_of_two_texts_the_one_that_was_heard_stays(project: Path, store: Store) -> None:
    made = prepared(project, store, 3)
    made.add("x1", "These are wrong.", babble("x"), cer=0.35)
    made.add("x2", "These are right.", babble("x"), cer=0.0)
    assert rejected(made) == {"x1": "the same sound as x2, with another text"}


def test_two_rejected_ones_are_no_duplicates_of_each_other(project: Path, store: Store) -> None:
    made = prepared(project, store, 3)
    for name in ("x1", "x2"):
        made.add(name, samples=babble("x"), snr_db=1.0)
    assert all("same sound" not in detail for detail in rejected(made).values())


def test_more_copies_than_one_page(project: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice_pipeline.recordings.dataset.duplicates._PAGE", 3)
    made = prepared(project, store, 3)
    for number in range(10):
        made.add(f"x{number}", "All the same.", babble("x"))
    assert set(rejected(made)) == {f"x{number}" for number in range(1, 10)}


def test_of_near_ones_the_cleanest_stays(project: Path, store: Store) -> None:
    made = prepared(project, store, 3)
    made.add("x1", samples=babble("x"), snr_db=20.0)
    made.add("x2", samples=quieter("x"), snr_db=50.0)
    found = rejected(made)
    assert set(found) == {"x1"}
    assert found["x1"].startswith("the same take as x2 (distance ")


def test_other_takes_are_no_near_duplicates(project: Path, store: Store) -> None:
    made = prepared(project, store, 12)
    assert rejected(made) == {}


def test_many_copies_leave_one(project: Path, store: Store) -> None:
    made = prepared(project, store, 3)
    for number in range(40):
        made.add(
            f"x{number:02d}", samples=np.asarray(babble("x") * (0.5 + number / 100), np.int16), snr_db=20.0 + number
        )
    found = rejected(made)
    assert set(found) == {f"x{number:02d}" for number in range(39)}


def test_a_person_may_keep_both_and_they_stay_together(project: Path, store: Store) -> None:
    made = prepared(project, store, 20)
    for name in [f"u{number:02d}" for number in range(20)]:
        made.add(f"{name}b", samples=quieter(name), snr_db=30.0)
    made.review("keep:\n" + "".join(f"  u{number:02d}b: a take of its own\n" for number in range(20)))
    record = made.make()
    assert (record.count, record.rejected_count, record.figures.leaks) == (40, 0, 0)
    entries = read_json(store.resolve(record.manifest))["entries"]
    split = {entry["utterance_id"]: entry["split"] for entry in entries}
    assert all(split[f"u{number:02d}"] == split[f"u{number:02d}b"] for number in range(20))
    assert {entry["review"]["overruled"][0] for entry in entries if "review" in entry} == {"near_duplicate"}


def test_keep_of_a_copy_names_the_other_one(project: Path, store: Store) -> None:
    made = prepared(project, store, 3)
    made.add("x", samples=babble("u01"))
    made.review("keep:\n  x: please\n")
    with pytest.raises(ConfigError, match=r"keep\.x: is the same sound as u01"):
        made.make()
    made.review("keep:\n  x: please\nreject:\n  u01: the other name is better\n")
    assert made.make().rejected_reasons == {"rejected_by_review": 1}


def test_what_has_no_fingerprint_is_near_nothing(project: Path, store: Store) -> None:
    made = prepared(project, store, 5)
    made.clean = [CleanUtterance(**{**vars(one), "fingerprint": ""}) for one in made.clean]
    assert rejected(made) == {}
    assert RATE == 22_050


def test_no_search_reads_all_rows(tmp_path: Path) -> None:
    """A million rows with ten thousand copies: a search that reads them all takes hours."""
    from voice_pipeline.recordings.dataset import duplicates
    from voice_pipeline.recordings.dataset.index import RowIndex

    with RowIndex.open(tmp_path) as index:
        index.finish_utterances()
        searches = ["SELECT 1 FROM row WHERE kind = 'utterance' AND source = ? LIMIT 1"]
        plans = [index.connection.execute(f"EXPLAIN QUERY PLAN {one}", ("x",)).fetchall() for one in searches]
        index.finish_adding()
        for one in (duplicates._SAME_SOUND, "kind = 'utterance' AND utterance_id = ?"):
            statement = f"EXPLAIN QUERY PLAN SELECT * FROM row WHERE {one}"
            plans.append(index.connection.execute(statement, ("x",)).fetchall())
    assert all("USING INDEX" in plan[0][3] or "USING COVERING INDEX" in plan[0][3] for plan in plans), plans
