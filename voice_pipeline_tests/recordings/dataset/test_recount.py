from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voice_pipeline.recordings.dataset.recount import Recount, recount
from voice_pipeline.recordings.manifest import DatasetRecord
from voice_pipeline.recordings.thresholds import load_dataset_gates
from voice_pipeline.store import Store
from voice_pipeline_tests.recordings.dataset.prepared import Letters, Prepared, babble, prepared


def counted(made: Prepared, record: DatasetRecord) -> Recount:
    store, gates = made.store, load_dataset_gates(made.project, made.voice)
    return recount(store.resolve(record.manifest), store.utterances("v"), store.root, gates, Letters())


def whole(project: Path, store: Store) -> Prepared:
    made = prepared(project, store, 20)
    made.add("bad", snr_db=1.0)
    made.add("other", speaker_similarity=0.1)
    made.add("twin", samples=babble("u03"))
    made.add("hiss", snr_db=2.0)
    made.add("u05b", samples=np.asarray(babble("u05") * 0.8, np.int16), snr_db=30.0)
    made.review("keep:\n  hiss: it is the sea\n  u05b: a take of its own\n")
    return made


def test_an_honest_dataset_counts_the_same(project: Path, store: Store) -> None:
    made = whole(project, store)
    record = made.make()
    found = counted(made, record)
    assert found.figures == record.figures
    assert found.blockers == record.blockers == ()


def edited(made: Prepared, record: DatasetRecord, change: Callable[[dict[str, Any]], None]) -> Recount:
    path = made.store.resolve(record.manifest)
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    return counted(made, record)


def _all_short(value: dict[str, Any]) -> None:
    for entry in value["entries"]:
        entry["duration"] = 0.1


def _noisy(value: dict[str, Any]) -> None:
    value["entries"][0]["snr_db"] = 3.0


def _leak(value: dict[str, Any]) -> None:
    near = next(entry for entry in value["entries"] if entry["utterance_id"] == "u05b")
    near["split"] = "validation" if near["split"] == "train" else "train"


def _same(value: dict[str, Any]) -> None:
    one = next(entry for entry in value["entries"] if entry["split"] == "train")
    other = next(entry for entry in value["entries"] if entry["split"] == "validation")
    other["sha256"] = one["sha256"]


def _foreign(value: dict[str, Any]) -> None:
    value["entries"][0]["sha256"] = "0" * 64


def _others(value: dict[str, Any]) -> None:
    value["rejected"] += [{**value["rejected"][0], "reasons": ["other_speaker"]}] * 20


def _rejected(value: dict[str, Any]) -> None:
    value["rejected"] += [value["rejected"][0]] * 40


def _no_field(value: dict[str, Any]) -> None:
    del value["entries"][0]["cer"]


def _no_rows(value: dict[str, Any]) -> None:
    value["entries"] = {}


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        (_all_short, "too_little_speech", "minutes are kept"),
        (_noisy, "verification_failed", "hiss (low_snr)"),
        (_leak, "split_leak", "1 pairs"),
        (_same, "split_leak", "1 pairs"),
        (_foreign, "verification_failed", "1 of the dataset's clips are not those of clean_utterances"),
        (_others, "several_speakers", "sound like somebody else"),
        (_rejected, "too_many_rejected", "are rejected"),
        (_no_field, "verification_failed", "cannot be counted again: KeyError"),
        (_no_rows, "too_little_speech", "0 utterances"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_lie_is_a_blocker(
    project: Path, store: Store, change: Callable[[dict[str, Any]], None], reason: str, words: str
) -> None:
    made = whole(project, store)
    if change is _noisy:
        made.review("")  # nobody overrules it

        def change(value: dict[str, Any]) -> None:
            value["entries"].append({**value["entries"][0], "utterance_id": "hiss", "snr_db": 3.0})

    if change is _leak:
        assert edited(made, made.make(), lambda value: None).blockers == ()
    found = edited(made, made.make(), change)
    assert any(blocker.reason == reason and words in blocker.detail for blocker in found.blockers), found.blockers


def test_stricter_gates_are_asked_today(project: Path, store: Store) -> None:
    made = whole(project, store)
    record = made.make()
    made.gates["min_snr_db"] = 45.0
    found = counted(made, record)
    assert any(
        "keeps what today's gates reject: twin (low_snr); u00 (low_snr)" in blocker.detail for blocker in found.blockers
    )


@pytest.mark.parametrize("damage", ["no manifest", "half a manifest", "no table", "half a table"])
def test_what_cannot_be_read_is_a_blocker(project: Path, store: Store, damage: str) -> None:
    made = whole(project, store)
    record = made.make()
    path = store.resolve(record.manifest) if "manifest" in damage else store.utterances("v")
    data = path.read_bytes()
    path.unlink()
    if "half" in damage:
        path.write_bytes(data[: len(data) // 2 + 7])
    found = counted(made, record)
    assert [blocker.reason for blocker in found.blockers] == ["verification_failed"]


def test_without_a_frontend_phones_are_not_asked(project: Path, store: Store) -> None:
    made = whole(project, store)
    record = made.make()
    gates = load_dataset_gates(project, made.voice)
    found = recount(store.resolve(record.manifest), store.utterances("v"), store.root, gates, None)
    assert found.blockers == ()
