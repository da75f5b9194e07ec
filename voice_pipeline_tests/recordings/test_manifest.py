from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings import manifest
from voice_pipeline.recordings.manifest import DatasetRecord
from voice_pipeline.store import Store, read_json, sha256_file
from voice_pipeline.voice import Voice
from voice_pipeline_tests.recordings.material import LowerCase, judged, ljspeech, tone, voice, write

GOLDEN = Path(__file__).with_name("golden_manifest.json")


def make(project: Path, store: Store, one: Voice | None = None, **more: Any) -> DatasetRecord:
    one = one or voice()
    return manifest.run(project, one, store, LowerCase(), judged(project, store, one), **more)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lines(store: Store, path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.resolve(path).read_text(encoding="utf-8").splitlines()]


def test_the_manifest_keeps_its_contract(project: Path, store: Store) -> None:
    ljspeech(project / "source", 20)
    record = make(project, store)
    value = read_json(store.dataset_manifest("v", "tts_prod_train_nemo"))
    assert (value["schema"], value["mode"], value["count"]) == ("voice_dataset/1", "voice_dataset", 20)
    assert len(value["entries"]) == 20
    for entry in value["entries"]:
        source, target = project / entry["source"], store.resolve(entry["target"])
        assert sha256_file(source) == entry["source_sha256"]
        assert (target.stat().st_size, sha256_file(target)) == (entry["bytes"], entry["sha256"])
        info = soundfile.info(target)
        assert (info.samplerate, info.channels, info.subtype) == (22_050, 1, "PCM_16")
        assert entry["duration"] == pytest.approx(info.frames / 22_050, abs=1e-6)
        assert entry["normalized_text"] == entry["text"].lower()
        assert entry["split"] in ("train", "validation")
    assert [entry["utterance_id"] for entry in value["entries"]] == [f"c{n:02d}" for n in range(20)]
    assert record.count == record.train_count + record.validation_count == 20
    assert record.duration_seconds == pytest.approx(10)
    assert record.manifest_sha256 == sha256_file(store.resolve(record.manifest))


def test_all_copies_are_the_same_bytes(project: Path, store: Store) -> None:
    ljspeech(project / "source")
    record = make(project, store)
    data = store.resolve(record.manifest).read_bytes()
    assert store.latest_dataset_manifest("tts_prod_train_nemo").read_bytes() == data
    assert (store.dataset("v") / "clips" / "voice_dataset_manifest.json").read_bytes() == data


def test_nemo_reads_json_lines(project: Path, store: Store) -> None:
    ljspeech(project / "source", 20)
    record = make(project, store)
    entries = read_json(store.resolve(record.manifest))["entries"]
    train, validation = lines(store, record.train_manifest), lines(store, record.validation_manifest)
    assert (len(train), len(validation)) == (record.train_count, record.validation_count)
    assert train
    assert validation
    by_split = {"train": train, "validation": validation}
    for entry in entries:
        (line,) = [one for one in by_split[entry["split"]] if one["utterance_id"] == entry["utterance_id"]]
        assert line == {
            "audio_filepath": entry["target"],
            **{key: entry[key] for key in ("text", "normalized_text", "duration", "sha256", "utterance_id")},
        }


def test_two_runs_in_two_places_give_the_same_bytes(project: Path, store: Store, tmp_path: Path) -> None:
    ljspeech(project / "source")
    make(project, store)
    other, second = tmp_path / "elsewhere", Store.open(tmp_path / "store 2")
    ljspeech(other / "source")
    make(other, second)
    assert snapshot(store.voice_artifacts("v")) == snapshot(second.voice_artifacts("v"))
    assert str(tmp_path).encode() not in b"".join(snapshot(store.voice_artifacts("v")).values())


def test_an_absolute_source_leaves_no_absolute_path(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source")
    record = make(project, store, voice(str(folder)))
    text = store.resolve(record.manifest).read_text()
    assert str(project) not in text
    assert '"source": "wavs/c00.wav"' in text


def _golden_source(folder: Path) -> Path:
    """Clips of integers, so that no mathematical library has a say in the bytes."""
    for number in range(3):
        saw = (np.arange(22_050) * (number + 3) % 200 - 100) * 80
        write(folder / "wavs" / f"g{number}.wav", saw.astype(np.int16))
    write(folder / "wavs" / "short.wav", np.full(1_000, 900, np.int16))
    (folder / "metadata.csv").write_text(
        "g0|One.\ng1|Two.|Number Two.\ng2|Dré.\ng2|Three.\nshort|Four.\n", encoding="utf-8"
    )
    return folder


def test_the_golden_manifest(project: Path, store: Store) -> None:
    _golden_source(project / "source")
    data = store.resolve(make(project, store).manifest).read_bytes()
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.write_bytes(data)
    assert data.decode() == GOLDEN.read_text(encoding="utf-8")


def test_what_is_not_in_the_dataset_is_listed_with_its_reason(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 5)
    write(folder / "wavs" / "short.wav", tone(0.25))
    write(folder / "wavs" / "long.wav", tone(20.5))
    write(folder / "wavs" / "silent.wav", tone(1, level=0.0005))
    write(folder / "wavs" / "greek.wav", tone(1))
    write(folder / "wavs" / "mute.wav", tone(1))
    with (folder / "metadata.csv").open("a", encoding="utf-8") as stream:
        stream.write("short|S.\nlong|L.\nsilent|S.\ngreek|Καλημέρα\nmute|\nghost|G.\n")
    seen: list[tuple[int, int]] = []
    record = make(project, store, progress=lambda *at: seen.append(at))
    assert seen == [(number, 9) for number in range(1, 10)]
    rejected = {one["utterance_id"]: one for one in read_json(store.resolve(record.manifest))["rejected"]}
    assert {identifier: one["reason"] for identifier, one in rejected.items()} == {
        "short": "too_short",
        "long": "too_long",
        "silent": "silent",
        "greek": "text_unusable",
        "mute": "transcript_missing",
        "ghost": "audio_missing",
    }
    assert "unsupported_script" in rejected["greek"]["detail"]
    assert "20.50 s" in rejected["long"]["detail"]
    assert (record.count, record.rejected_count) == (5, 6)
    assert sum(record.rejected_reasons.values()) == 6


# -- once for its content --------------------------------------------------------------------------


def test_a_changed_clip_recomputes_one_clip(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 8)
    first = make(project, store)
    assert first.computed_clips == 8
    write(folder / "wavs" / "c03.wav", tone(0.6, hertz=777))
    second = make(project, store)
    assert second.computed_clips == 1
    assert second.identity != first.identity
    assert second.manifest_sha256 != first.manifest_sha256


def test_a_changed_text_recomputes_no_clip(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source")
    first = make(project, store)
    table = folder / "metadata.csv"
    table.write_text(table.read_text().replace("Sentence number a.", "A new text."))
    second = make(project, store)
    assert (second.computed_clips, second.identity == first.identity) == (0, False)
    assert "a new text." in store.resolve(second.manifest).read_text()


def test_an_unchanged_dataset_is_not_written_again(project: Path, store: Store) -> None:
    ljspeech(project / "source")
    first = make(project, store)
    before = {path: path.stat().st_mtime_ns for path in store.voice_artifacts("v").rglob("*")}
    assert make(project, store) == first.model_copy(update={"computed_clips": 0})
    assert {path: path.stat().st_mtime_ns for path in store.voice_artifacts("v").rglob("*")} == before


def test_a_renamed_clip_is_not_staged_again_and_its_old_copy_goes(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source")
    make(project, store)
    (folder / "wavs" / "c00.wav").rename(folder / "wavs" / "new.wav")
    (folder / "metadata.csv").write_text((folder / "metadata.csv").read_text().replace("c00|", "new|"))
    assert make(project, store).computed_clips == 0
    names = {path.stem for path in (store.dataset("v") / "clips").glob("*.wav")}
    assert names == {"new", "c01", "c02", "c03", "c04", "c05"}


@pytest.mark.parametrize("damage", ["edit", "remove"])
@pytest.mark.parametrize(
    "target", ["dataset/clips/c02.wav", "dataset/train.jsonl", "dataset_manifest.tts_prod_train_nemo.json"]
)
def test_what_was_damaged_is_made_again(project: Path, store: Store, target: str, damage: str) -> None:
    ljspeech(project / "source")
    make(project, store)
    before = snapshot(store.voice_artifacts("v"))
    path = store.voice_artifacts("v") / target
    if damage == "edit":
        path.write_bytes(path.read_bytes()[:-2] + b"xx")  # in place: the cache's copy is the same file
    else:
        path.unlink()
    make(project, store)
    assert snapshot(store.voice_artifacts("v")) == before


def test_the_sample_rate_and_the_normaliser_are_part_of_the_identity(project: Path, store: Store) -> None:
    ljspeech(project / "source")

    class Other(LowerCase):
        identity = "1" * 64

    judgement = judged(project, store)
    records = [
        make(project, store),
        make(project, store, sample_rate=16_000),
        manifest.run(project, voice(), store, Other(), judgement),
    ]
    assert len({record.identity for record in records}) == 3
    assert records[1].computed_clips == 6


def test_a_killed_run_goes_on_where_it_stopped(project: Path, store: Store, tmp_path: Path) -> None:
    ljspeech(project / "source", 30, seconds=2)
    judged(project, store)
    program = (
        "import sys; from pathlib import Path\n"
        "from voice_pipeline.recordings import manifest, preflight\n"
        "from voice_pipeline.store import Store\n"
        "from voice_pipeline_tests.recordings.material import LowerCase, voice\n"
        "store = Store(Path(sys.argv[2])); record = preflight.read_record(store, 'v')\n"
        "def progress(current, total): print(current, flush=True)\n"
        "manifest.run(Path(sys.argv[1]), voice(), store, LowerCase(), record, progress=progress)\n"
    )
    command = [sys.executable, "-c", program, str(project), str(store.root)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) == 10:
            child.send_signal(signal.SIGKILL)
            break
    child.wait()
    child.stdout.close()
    assert child.returncode == -signal.SIGKILL
    assert not store.record("v", manifest.STAGE).exists()
    assert not store.dataset("v").exists()
    record = make(project, store)
    assert 0 < record.computed_clips <= 20
    unbroken = Store.open(tmp_path / "unbroken")
    make(project, unbroken)
    assert snapshot(store.voice_artifacts("v")) == snapshot(unbroken.voice_artifacts("v"))


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1])
def test_too_little_is_an_empty_dataset(project: Path, store: Store, count: int) -> None:
    folder = ljspeech(project / "source", count)
    write(folder / "wavs" / "x.wav", tone(0.1))
    with (folder / "metadata.csv").open("a") as stream:
        stream.write("x|Too short.\n")
    with pytest.raises(VoiceFailure) as caught:
        make(project, store)
    assert (caught.value.reason, caught.value.exit_code) == ("empty_dataset", 2)
    assert "too_short 1" in caught.value.detail
    assert "metadata.csv" in caught.value.detail or "wavs/x.wav" in caught.value.detail
    assert not store.dataset_manifest("v", "tts_prod_train_nemo").exists()


def test_recordings_that_changed_after_preflight_are_refused(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source")
    judgement = judged(project, store)
    write(folder / "wavs" / "c00.wav", tone(0.5, hertz=999))
    with pytest.raises(VoiceFailure, match="source_changed"):
        manifest.run(project, voice(), store, LowerCase(), judgement)


def test_a_long_recording_needs_text(project: Path, store: Store) -> None:
    write(project / "a.flac", tone(30))
    with pytest.raises(VoiceFailure, match="transcript_missing"):
        make(project, store, voice("a.flac"))


def test_a_disk_that_refuses_is_named_and_leaves_the_old_dataset(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source")
    make(project, store)
    before = snapshot(store.voice_artifacts("v") / "dataset")
    write(folder / "wavs" / "c00.wav", tone(3))
    judgement = judged(project, store)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # bytes a file may grow to: EFBIG, a cousin of ENOSPC
    try:
        with pytest.raises(OSError, match="File too large"):
            manifest.run(project, voice(), store, LowerCase(), judgement)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert snapshot(store.voice_artifacts("v") / "dataset") == before
    assert make(project, store).computed_clips == 1


# -- staging ---------------------------------------------------------------------------------------


def test_a_clip_at_the_right_rate_is_kept_bit_for_bit(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 3)
    random = np.random.default_rng(0).integers(-32_768, 32_768, 11_025, np.int16)
    write(folder / "wavs" / "c00.wav", random)
    make(project, store)
    staged, _ = soundfile.read(store.dataset("v") / "clips" / "c00.wav", dtype="int16")
    assert np.array_equal(staged, random)


def test_channels_are_mixed_and_rates_converted(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 3)
    left = tone(1.5, rate=48_000, hertz=440, level=0.4)
    write(folder / "wavs" / "c00.wav", np.column_stack([left, 0.5 * left]), 48_000, "PCM_24")
    make(project, store)
    staged, rate = soundfile.read(store.dataset("v") / "clips" / "c00.wav")
    assert (rate, len(staged)) == (22_050, 33_075)
    expected = 0.75 * tone(1.5, hertz=440, level=0.4)
    middle = slice(2_000, 24_000)
    assert np.abs(staged[middle] - expected[middle]).max() < 2e-4


def test_a_stage_that_overshoots_is_limited_not_wrapped(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 3)
    square = np.where(np.arange(48_000) // 100 % 2, 0.999, -0.999)
    write(folder / "wavs" / "c00.wav", square, 48_000)
    make(project, store)
    staged, _ = soundfile.read(store.dataset("v") / "clips" / "c00.wav", dtype="int16")
    assert staged.max() == 32_767
    assert staged.min() == -32_768
    assert np.abs(np.diff(staged.astype(int))).max() < 66_000 - 400


def test_ljspeech(store: Store, ljspeech_32: Path, tmp_path: Path) -> None:
    start = time.perf_counter()
    record = make(ljspeech_32.parent, store, voice("ljspeech_32"))
    assert (record.count, record.rejected_count) == (32, 0)
    assert record.validation_count >= 1
    assert record.duration_seconds / (time.perf_counter() - start) > 5  # times real time, on any machine
