from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

from voice_pipeline.atomic import read_json
from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.recordings import manifest
from voice_pipeline.recordings.tables import AudioFile, Unmatched
from voice_pipeline.store import Store, sha256_file
from voice_pipeline_tests.recordings.dataset.prepared import MODELS, Letters, babble, prepared, snapshot

GOLDEN = Path(__file__).with_name("golden_manifest.json")
NEMO = "tts_prod_train_nemo"


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def document(store: Store) -> dict[str, Any]:
    value: dict[str, Any] = read_json(store.dataset_manifest("v", NEMO))
    return value


def lines(store: Store, path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.resolve(path).read_text(encoding="utf-8").splitlines()]


def test_the_manifest_keeps_its_contract(project: Path, store: Store) -> None:
    made = prepared(project, store, 30)
    made.add("bad", snr_db=2.0)
    record = made.make()
    value = document(store)
    assert (value["schema"], value["mode"], value["count"]) == ("voice_dataset/1", "voice_dataset", 30)
    assert len(value["entries"]) == 30
    for entry in value["entries"]:
        target = store.resolve(entry["target"])
        assert (target.stat().st_size, sha256_file(target)) == (entry["bytes"], entry["sha256"])
        info = soundfile.info(target)
        assert (info.samplerate, info.channels, info.subtype) == (22_050, 1, "PCM_16")
        assert entry["duration"] == pytest.approx(info.frames / 22_050, abs=1e-6)
        assert entry["normalized_text"] == entry["text"].lower()
        assert entry["source"] == f"source/{entry['utterance_id']}.wav"
        for name, kind in OLD_KEYS.items():
            assert type(entry[name]) is kind, name
    assert [entry["utterance_id"] for entry in value["entries"]] == [f"u{n:02d}" for n in range(30)]
    assert record.count == record.train_count + record.validation_count == 30
    assert record.duration_seconds == pytest.approx(60)
    assert record.manifest_sha256 == sha256_file(store.resolve(record.manifest))
    assert manifest.validate_manifest(store.resolve(record.manifest), store) == []


OLD_KEYS = {
    "source": str, "target": str, "bytes": int, "sha256": str, "utterance_id": str, "text": str, "normalized_text": str,
    "duration": float, "sample_rate": int, "split": str, "peak_dbfs": float, "loudness_lufs": float,
    "clipping_share": float, "noise_floor_dbfs": float, "source_sha256": str,
}  # fmt: skip


def test_all_copies_are_the_same_bytes(project: Path, store: Store) -> None:
    record = prepared(project, store, 6).make()
    data = store.resolve(record.manifest).read_bytes()
    assert store.latest_dataset_manifest(NEMO).read_bytes() == data
    assert (store.dataset("v") / "clips" / "voice_dataset_manifest.json").read_bytes() == data


def test_nemo_reads_json_lines(project: Path, store: Store) -> None:
    record = prepared(project, store, 30).make()
    by_split = {"train": lines(store, record.train_manifest), "validation": lines(store, record.validation_manifest)}
    assert (len(by_split["train"]), len(by_split["validation"])) == (record.train_count, record.validation_count)
    assert all(by_split.values())
    for entry in document(store)["entries"]:
        (line,) = [one for one in by_split[entry["split"]] if one["utterance_id"] == entry["utterance_id"]]
        assert line == {
            "audio_filepath": entry["target"],
            **{key: entry[key] for key in ("text", "normalized_text", "duration", "sha256", "utterance_id")},
        }


def test_espnet_reads_kaldi_folders(project: Path, store: Store) -> None:
    made = prepared(project, store, 30)
    made.add("Z", "Capital.\tWith a\u2028line.")
    made.texts[-1] = replace(made.texts[-1], normalized="capital. with\u2028a  line.")
    made.make()
    split = {entry["utterance_id"]: entry["split"] for entry in document(store)["entries"]}
    for side in ("train", "validation"):
        folder = store.dataset("v") / "kaldi" / side
        ids = sorted(name for name, where in split.items() if where == side)  # by code point: the C locale
        scp, text, utt2spk = ((folder / name).read_text().split("\n")[:-1] for name in ("wav.scp", "text", "utt2spk"))
        assert scp == [f"{name} artifacts/v/dataset/clips/{name}.wav" for name in ids]
        assert all(store.resolve(line.split(" ", 1)[1]).is_file() for line in scp)
        assert [line.split(" ", 1)[0] for line in text] == ids
        assert utt2spk == [f"{name} v" for name in ids]
        assert (folder / "spk2utt").read_text() == f"v {' '.join(ids)}\n"
    everything = "".join((store.dataset("v") / "kaldi" / side / "text").read_text() for side in ("train", "validation"))
    assert "Z capital. with a line.\n" in everything


def test_the_table_holds_every_row(project: Path, store: Store) -> None:
    import pyarrow.parquet as pq

    made = prepared(project, store, 5)
    made.add("bad", snr_db=2.0, clipping_share=0.5)
    made.unmatched.append(Unmatched("metadata.csv:7", "ghost", "audio_missing", "there is no such clip"))
    record = made.make()
    table = pq.read_table(store.resolve(record.table)).to_pylist()
    assert [row["utterance_id"] for row in table] == ["bad", "ghost", *(f"u{n:02d}" for n in range(5))]
    assert [row["kept"] for row in table] == [False, False, *[True] * 5]
    assert table[0]["reasons"] == ["clipped", "low_snr"]
    assert (table[0]["snr_db"], table[0]["split"], table[1]["duration"]) == (2.0, None, None)
    kept = {entry["utterance_id"]: entry for entry in document(store)["entries"]}
    for row in table[2:]:
        assert all(row[key] == value for key, value in kept[row["utterance_id"]].items())


def test_row_groups_have_a_fixed_size(project: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr("voice_pipeline.recordings.dataset.export._GROUP_ROWS", 4)
    record = prepared(project, store, 10).make()
    about = pq.ParquetFile(store.resolve(record.table)).metadata
    assert [about.row_group(n).num_rows for n in range(about.num_row_groups)] == [4, 4, 2]


def test_two_runs_in_two_places_give_the_same_bytes(project: Path, store: Store, tmp_path: Path) -> None:
    other = prepared(tmp_path / "elsewhere", Store.open(tmp_path / "store 2"), 12)
    for made in (prepared(project, store, 12), other):
        made.add("bad", snr_db=2.0)
        made.make()
    assert snapshot(store.voice_artifacts("v")) == snapshot(other.store.voice_artifacts("v"))
    assert str(tmp_path).encode() not in b"".join(snapshot(store.voice_artifacts("v")).values())


def test_the_order_of_the_tables_does_not_matter(project: Path, store: Store, tmp_path: Path) -> None:
    one, other = prepared(project, store, 12), prepared(tmp_path / "elsewhere", Store.open(tmp_path / "store 2"), 12)
    for rows in (other.segments, other.texts, other.clean):
        rows.reverse()
    one.make()
    other.make()
    assert snapshot(store.dataset("v")) == snapshot(other.store.dataset("v"))


def test_an_absolute_source_leaves_no_absolute_path(project: Path, store: Store) -> None:
    made = prepared(project, store, 4)
    made.write()
    first, *rest = made.stages()
    stages = (replace(first, source=str(project / "source")), *rest)
    record = manifest.run(project, made.voice, store, Letters(), *stages)
    text = store.resolve(record.manifest).read_text()
    assert str(project) not in text
    assert '"source": "u00.wav"' in text


@pytest.mark.parametrize(
    ("source", "name", "shown"),
    [
        ("data/v", "a/b.wav", "data/v/a/b.wav"),
        ("data/long.flac", "long.flac", "data/long.flac"),
        ("data/x.parquet", "x.parquet#17", "data/x.parquet#17"),
        ("/home/me/v", "b.wav", "b.wav"),
        ("long.flac", "long.flac", "long.flac"),
    ],
)
def test_how_a_source_is_shown(store: Store, source: str, name: str, shown: str) -> None:
    from voice_pipeline.recordings.dataset.gather import Inputs

    assert Inputs("v", store, source).shown(name) == shown


def test_the_golden_manifest(project: Path, store: Store) -> None:
    made = prepared(project, store, 3)
    made.add("g3", "Number 3.", babble("g3", 0.2), snr_db=None, origin="recognised", hypothesis="number three")
    made.add("g4", samples=babble("u01"))
    made.add("g5", speaker_similarity=0.3, cer=0.9, hypothesis="who knows")
    made.add("g6", snr_db=5.0)
    made.files.append(AudioFile("zero.wav", "0" * 64, 0, problem="audio_undecodable", detail="holds no audio"))
    made.unmatched.append(Unmatched("metadata.csv:9", "ghost", "audio_missing", "there is no such clip"))
    made.review("keep:\n  g6: the hiss is the sea\ntext:\n  u02: A corrected text.\n")
    data = store.resolve(made.make().manifest).read_bytes()
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.write_bytes(data)
    assert data.decode() == GOLDEN.read_text(encoding="utf-8")


def test_nothing_is_dropped_silently(project: Path, store: Store) -> None:
    made = prepared(project, store, 5)
    made.add("short", "Hi.", babble("short", 0.2))
    made.add("noisy", snr_db=1.0, cer=0.9)
    made.add("mute", "", problem_of_text="transcript_missing")
    made.files.append(AudioFile("pointer.wav", "1" * 64, 130, problem="lfs_pointer", detail="is a pointer"))
    made.files.append(AudioFile("hum.wav", "2" * 64, 9_999, 5.0, 22_050, 1))
    made.unmatched.append(Unmatched("metadata.csv:9", "ghost", "audio_missing", "there is no such clip"))
    record = made.make()
    rows = {row["utterance_id"]: row for row in document(store)["rejected"]}
    assert {name: (row["kind"], row["reasons"]) for name, row in rows.items()} == {
        "short": ("utterance", ["too_short"]),
        "noisy": ("utterance", ["low_snr", "text_mismatch"]),
        "mute": ("utterance", ["transcript_missing"]),
        "pointer": ("file", ["lfs_pointer"]),
        "hum": ("file", ["silent"]),
        "ghost": ("text", ["audio_missing"]),
    }
    assert rows["noisy"]["figures"]["snr_db"] == 1.0
    assert rows["noisy"]["reason"] == "low_snr"
    assert rows["pointer"]["source"] == "source/pointer.wav"
    assert (record.count, record.rejected_count) == (5, 6)
    assert (record.figures.rejected, record.figures.texts_without_audio) == (5, 1)
    assert sum(record.rejected_reasons.values()) == 6


def test_models_are_those_of_all_stages(project: Path, store: Store) -> None:
    made = prepared(project, store, 4)
    made.write()
    first, second, third, fourth = made.stages()
    other = replace(MODELS[0], role="recogniser", model_id="whisper")
    record = manifest.run(
        project, made.voice, store, Letters(), first, second, replace(third, models=(other, *MODELS)), fourth
    )
    assert record.models == (other, *MODELS)
    assert manifest.read_record(store, "v") == record


# -- growth and change -----------------------------------------------------------------------------


def test_an_unchanged_dataset_is_not_written_again(project: Path, store: Store) -> None:
    made = prepared(project, store, 6)
    first = made.make()
    before = times(store.dataset("v"))
    assert made.make() == first
    assert times(store.dataset("v")) == before


@pytest.mark.parametrize("change", ["gates", "review", "upstream", "frontend", "job type"])
def test_what_decides_the_dataset_is_in_its_identity(project: Path, store: Store, change: str) -> None:
    made = prepared(project, store, 6)
    first = made.make()
    more: dict[str, Any] = {}
    if change == "gates":
        made.gates["max_cer"] = 0.39
    elif change == "review":
        made.review("keep:\n  u01: good\n")
    elif change == "upstream":
        made.change("u01", snr_db=39.0)
    elif change == "job type":
        more["job_type"] = "dataset"
    if change == "frontend":
        other = type("Other", (Letters,), {"identity": "1" * 64})
        second = manifest.run(project, made.voice, store, other(), *made.stages())
    else:
        second = made.make(**more)
    assert second.identity != first.identity


def test_another_threshold_touches_no_clip(project: Path, store: Store) -> None:
    made = prepared(project, store, 6)
    made.change("u03", snr_db=20.0)
    made.make()
    before = {path.name: path.stat().st_ino for path in (store.dataset("v") / "clips").glob("*.wav")}
    made.gates["min_snr_db"] = 25.0
    record = made.make()
    after = {path.name: path.stat().st_ino for path in (store.dataset("v") / "clips").glob("*.wav")}
    assert record.gate_overrides["min_snr_db"] == 25.0
    assert set(before) - set(after) == {"u03.wav"}
    assert after.items() <= before.items()


@pytest.mark.parametrize("damage", ["edit", "remove"])
@pytest.mark.parametrize(
    "target",
    ["dataset/train.jsonl", "dataset/dataset.parquet", "dataset/index.html", "dataset/kaldi/train/text",
     "dataset/clips/voice_dataset_manifest.json", f"dataset_manifest.{NEMO}.json"],
)  # fmt: skip
def test_what_was_damaged_is_made_again(project: Path, store: Store, target: str, damage: str) -> None:
    made = prepared(project, store, 6)
    made.make()
    before = snapshot(store.voice_artifacts("v"))
    path = store.voice_artifacts("v") / target
    if damage == "edit":
        path.write_bytes(path.read_bytes()[:-2] + b"xx")
    else:
        path.unlink()
    made.make()
    assert snapshot(store.voice_artifacts("v")) == before


def test_a_removed_clip_is_linked_again(project: Path, store: Store) -> None:
    made = prepared(project, store, 6)
    made.make()
    before = snapshot(store.voice_artifacts("v"))
    (store.dataset("v") / "clips/u02.wav").unlink()
    made.make()
    assert snapshot(store.voice_artifacts("v")) == before


@pytest.mark.parametrize("damage", ["edit", "remove"])
def test_a_damaged_clip_is_never_trained_on(project: Path, store: Store, damage: str) -> None:
    made = prepared(project, store, 6)
    made.write()
    path = store.resolve(made.clean[2].wav)
    if damage == "edit":
        path.write_bytes(path.read_bytes()[:-2] + b"xx")
    else:
        path.unlink()
    with pytest.raises(VoiceFailure, match=r"table_damaged: .*u02") as caught:
        made.make()
    assert caught.value.file == made.clean[2].wav
    assert not store.dataset("v").exists()
    assert not path.exists()  # so that clean_utterances makes it again


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1])
def test_too_little_is_an_empty_dataset(project: Path, store: Store, count: int) -> None:
    made = prepared(project, store, count)
    made.add("noisy", snr_db=1.0)
    with pytest.raises(VoiceFailure, match="empty_dataset") as caught:
        made.make()
    assert f"{count} usable utterances" in caught.value.detail
    assert caught.value.file == "artifacts/v/nothing_kept/index.html"
    assert "at least 12 dB are asked" in store.resolve(caught.value.file).read_text()
    listed = manifest.listing(store, "v", rejected=True)
    assert [(one.utterance_id, one.reasons) for one in listed] == [("noisy", ("low_snr",))]
    assert "low_snr 1; the first is source/noisy.wav: speech is 1.0 dB above the noise" in caught.value.detail
    assert not store.dataset("v").exists()


def test_an_empty_dataset_leaves_the_former_one(project: Path, store: Store) -> None:
    made = prepared(project, store, 4)
    record = made.make()
    before = snapshot(store.dataset("v"))
    made.gates["min_snr_db"] = 99.0
    with pytest.raises(VoiceFailure, match="empty_dataset"):
        made.make()
    assert snapshot(store.dataset("v")) == before
    assert manifest.read_record(store, "v") == record
    assert [one.kept for one in manifest.listing(store, "v")] == [False] * 4  # the latest word, not the former one
    made.gates["min_snr_db"] = 11.0
    made.make()
    assert [one.kept for one in manifest.listing(store, "v")] == [True] * 4
    assert not store.nothing_kept("v").exists()


@pytest.mark.parametrize("table", ["segments", "texts", "utterances", "audio_files"])
@pytest.mark.parametrize("damage", ["missing", "one bit"])
def test_a_table_that_its_stage_did_not_write_is_named(project: Path, store: Store, table: str, damage: str) -> None:
    made = prepared(project, store, 4)
    made.write()
    stages = made.stages()
    path: Path = getattr(store, table)("v")
    if damage == "missing":
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    with pytest.raises(VoiceFailure, match="table_damaged") as caught:
        manifest.run(project, made.voice, store, Letters(), *stages)
    assert caught.value.file == store.relative(path)
    assert not store.dataset("v").exists()


@pytest.mark.parametrize("table", ["segments", "texts", "utterances"])
@pytest.mark.parametrize("damage", ["not json", "cut short", "other row", "a row too many", "a row too few"])
def test_tables_that_do_not_fit_each_other_are_named(project: Path, store: Store, table: str, damage: str) -> None:
    made = prepared(project, store, 4)
    made.write()
    path: Path = getattr(store, table)("v")
    rows = path.read_bytes().splitlines(keepends=True)
    changed = {
        "not json": [*rows[:2], b"{]\n"],
        "cut short": [*rows[:3], rows[3][:20]],
        "other row": [rows[1], rows[0], *rows[2:]],
        "a row too many": [*rows, rows[0].replace(b"u00", b"u99")],
        "a row too few": rows[:3],
    }
    path.write_bytes(b"".join(changed[damage]))
    with pytest.raises(VoiceFailure, match="table_damaged"):
        manifest.run(project, made.voice, store, Letters(), *made.stages())
    assert not store.dataset("v").exists()


def test_two_utterances_of_one_id(project: Path, store: Store) -> None:
    made = prepared(project, store, 4)
    made.add("u01", samples=babble("other"))
    with pytest.raises(VoiceFailure, match="u01 is there twice"):
        made.make()


def test_clips_of_different_rates(project: Path, store: Store) -> None:
    made = prepared(project, store, 4)
    made.change("u01", sample_rate=16_000)
    with pytest.raises(VoiceFailure, match="different sample rates"):
        made.make()


def test_a_wrong_gate_is_a_wrong_config(project: Path, store: Store) -> None:
    made = prepared(project, store, 4)
    made.gates["max_noise"] = 3.0
    with pytest.raises(ConfigError, match=r"dataset_gates\.max_noise"):
        made.make()


def test_a_blocked_dataset_is_written_and_refused(project: Path, store: Store) -> None:
    made = prepared(project, store, 4)
    made.gates.update(min_minutes=3.0, min_utterances=30)
    record = made.make()
    assert [blocker.reason for blocker in record.blockers] == ["too_little_speech", "too_little_speech"]
    assert store.resolve(record.page).is_file()
    with pytest.raises(VoiceFailure, match="too_little_speech") as caught:
        manifest.refuse_blocked(record)
    assert "0.1 minutes are kept; at least 3 are needed; 4 utterances are kept" in caught.value.detail
    assert (caught.value.voice, caught.value.file, caught.value.exit_code) == ("v", record.page, 2)
    made.gates.update(min_minutes=0.1, min_utterances=2)
    manifest.refuse_blocked(made.make())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"blockers": [{"reason": "made up", "detail": ""}]}', "[" * 100_000])
def test_a_record_that_cannot_be_read_is_none(project: Path, store: Store, text: str) -> None:
    record = prepared(project, store, 4).make()
    path = store.record("v", manifest.STAGE)
    value = {**record.model_dump(mode="json"), **json.loads(text)} if text.startswith('{"') else None
    path.write_text(json.dumps(value) if value else text)
    assert manifest.read_record(store, "v") is None
