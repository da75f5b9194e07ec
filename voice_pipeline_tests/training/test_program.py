from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.protocol import Artifact, Progress, Stats, read_records
from voice_pipeline.store import Store, sha256_file
from voice_pipeline.training.launcher import PARENT_ENVIRONMENT, failure_of
from voice_pipeline.training.nemo.program import classify
from voice_pipeline.training.recipe import Recipe
from voice_pipeline_tests.training.conftest import VOICE, Prepared, Training, Zygote, make_training, wait_for_line

pytestmark = [pytest.mark.nemo, pytest.mark.slow]
NewTraining = Callable[..., Training]


@pytest.fixture(scope="module")
def unbroken(prepared: Prepared, tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """The program as a user runs it, once, to its end."""
    pytest.importorskip("nemo")
    training = make_training(prepared, tiny, tmp_path_factory.mktemp("unbroken"), "unbroken")
    with training.stdout.open("w") as out, training.stderr.open("w") as err:
        command = [sys.executable, "-m", "voice_pipeline.training.nemo", str(training.spec_path)]
        done = subprocess.run(command, stdout=out, stderr=err, timeout=240, check=False)
    assert done.returncode == 0, training.stderr.read_text()
    return training


def ended(training: Training, code: int, reason: str) -> str:
    """The run ended with this code and reason, in status, log and launcher alike; returns the message."""
    status = training.status()
    assert (status.reason, code) == (reason, code), training.stderr.read_text()
    failure = failure_of(code, training.store, training.spec)
    assert failure is not None
    assert (failure.reason, failure.exit_code) == (reason, code)
    assert reason in training.stderr.read_text()
    assert status.status == ("blocked" if code == 2 else "error")
    return status.message


def test_the_protocol_tells_the_whole_training(unbroken: Training) -> None:
    lines = unbroken.protocol().splitlines()
    records = list(read_records(lines))
    assert len(records) == len(lines)  # nothing but the protocol on stdout
    progress = [record for record in records if isinstance(record, Progress)]
    total = unbroken.spec.recipe.total_steps + 1
    assert [p.current for p in progress] == sorted(p.current for p in progress)
    assert (progress[0].total, progress[-1]) == (total, Progress(total, total))
    stats = [record.values for record in records if isinstance(record, Stats)]
    assert [s["stage"] for s in stats] == ["fastpitch"] * 10 + ["hifigan"] * 6 + ["done"]
    assert all(s["dataset_items"] == 8 for s in stats)
    assert {"loss", "mel_loss", "duration_loss", "pitch_loss", "align_loss", "bin_loss"} <= set(stats[9])
    assert {"loss", "mel_loss", "discriminator_loss", "generator_loss", "feature_loss"} <= set(stats[15])
    artifacts = {Path(record.path).name for record in records if isinstance(record, Artifact)}
    assert artifacts == {"alignment.png", "fastpitch.nemo", "hifigan.nemo", "result.json"}


def test_result_and_status_name_the_files(unbroken: Training) -> None:
    result, status = unbroken.result(), unbroken.status()
    for stage in ("fastpitch", "hifigan"):
        path = unbroken.store.resolve(result["models"][stage]["path"])
        assert path.stat().st_size == result["models"][stage]["bytes"]
        assert sha256_file(path) == result["models"][stage]["sha256"]
        assert len(result["tensors_sha256"][stage]) == 64
    assert (status.status, status.loss) == ("completed", result["loss"])
    assert status.checkpoint == result["models"]["fastpitch"]["path"]
    assert np.isfinite([result["loss"], result["fastpitch_loss"], result["hifigan_loss"]]).all()
    curve = [json.loads(line) for line in (unbroken.work_dir / "loss.jsonl").read_text().splitlines()]
    assert [line["step"] for line in curve] == [*range(1, 11), *range(1, 7)]
    assert (unbroken.work_dir / "alignment.png").read_bytes().startswith(b"\x89PNG")
    left = {path.name for path in unbroken.work_dir.iterdir()}
    expected = {"alignment.png", "fastpitch.nemo", "hifigan.nemo", "loss.jsonl", "phoneme_dict.txt", "result.json"}
    assert left == expected


def test_a_second_run_gives_the_same_bytes(unbroken: Training, new_training: NewTraining, zygote: Zygote) -> None:
    second = new_training("second")
    assert zygote.run(second) == 0, second.stderr.read_text()
    assert second.protocol() == unbroken.protocol()
    assert second.result() == unbroken.result()  # tensors and .nemo digests are in it
    # and a third run of the same spec has nothing left to do
    models = {path: path.stat().st_mtime_ns for path in second.work_dir.glob("*.nemo")}
    assert zygote.run(second) == 0
    assert {path: path.stat().st_mtime_ns for path in second.work_dir.glob("*.nemo")} == models
    assert second.protocol().splitlines()[-1] == unbroken.protocol().splitlines()[-1]


def test_dagster_hears_of_the_figures_through_pipes(
    unbroken: Training, new_training: NewTraining, zygote: Zygote, tmp_path: Path
) -> None:
    pipes = pytest.importorskip("dagster_pipes")
    context, messages = tmp_path / "context.json", tmp_path / "messages.jsonl"
    known = ("asset_keys", "code_version_by_asset_key", "provenance_by_asset_key", "partition_key", "run_id")
    value = dict.fromkeys((*known, "partition_key_range", "partition_time_window", "retry_number", "job_name"))
    value |= {"asset_keys": ["nemo_checkpoint"], "run_id": "r", "retry_number": 0, "extras": {}}
    value |= {
        "code_version_by_asset_key": {"nemo_checkpoint": None},
        "provenance_by_asset_key": {"nemo_checkpoint": None},
    }
    context.write_text(json.dumps(value))
    env = {
        "DAGSTER_PIPES_CONTEXT": pipes.encode_param({"path": str(context)}),
        "DAGSTER_PIPES_MESSAGES": pipes.encode_param({"path": str(messages)}),
    }
    training = new_training("piped")
    shutil.copytree(unbroken.work_dir, training.work_dir)  # trained already: only the telling is left
    assert zygote.run(training, env=env) == 0, training.stderr.read_text()
    told = [json.loads(line) for line in messages.read_text().splitlines()]
    reported = next(m["params"]["metadata"] for m in told if m["method"] == "report_asset_materialization")
    result = unbroken.result()
    assert reported["loss"]["raw_value"] == result["loss"]
    assert reported["steps"] == {"raw_value": result["steps"], "type": "json"}
    assert told[-1]["method"] == "closed"


def test_two_processes_train_together(new_training: NewTraining, tiny: Recipe) -> None:
    """DDP over gloo and bf16 autocast, as the GPU recipe asks for them, on what every machine has."""
    pytest.importorskip("nemo")
    changes = {"devices": 2, "strategy": "ddp", "precision": "bf16"}
    training = new_training("together", recipe=tiny.model_copy(update=changes))
    with training.stdout.open("w") as out, training.stderr.open("w") as err:
        command = [sys.executable, "-m", "voice_pipeline.training.nemo", str(training.spec_path)]
        done = subprocess.run(command, stdout=out, stderr=err, timeout=240, check=False)
    assert done.returncode == 0, training.stderr.read_text()
    result = training.result()
    assert (result["processes"], result["precision"]) == (2, "bf16")
    lines = training.protocol().splitlines()
    assert len(list(read_records(lines))) == len(lines)  # the second process says nothing
    assert lines.count(f"PROGRESS {result['progress_total']} {result['progress_total']}") == 1


def test_killed_runs_resume_and_end_with_the_same_tensors(
    unbroken: Training, new_training: NewTraining, zygote: Zygote
) -> None:
    training = new_training("killed")
    every = training.spec.recipe.checkpoint_every
    for at in (3, 9, 12):  # in the aligner's steps, the whole model's, the vocoder's
        pid = zygote.start(training)
        wait_for_line(training.stdout, f"PROGRESS {at} ")
        os.kill(pid, signal.SIGKILL)
        assert zygote.wait(pid) == -signal.SIGKILL
        failure = failure_of(-9, training.store, training.spec)
        assert failure is not None
        assert failure.reason == "trainer_killed"
    assert zygote.run(training) == 0, training.stderr.read_text()
    first = next(record for record in read_records(training.protocol().splitlines()) if isinstance(record, Progress))
    assert first.current >= 12 - every  # at most `every` steps were lost
    assert training.result() == unbroken.result()
    assert (training.work_dir / "loss.jsonl").read_bytes() == (unbroken.work_dir / "loss.jsonl").read_bytes()


def test_plain_nemo_restores_both_files_and_speaks(unbroken: Training, tmp_path: Path) -> None:
    code = """
import sys, torch
from nemo.collections.tts.models import FastPitchModel, HifiGanModel
acoustic = FastPitchModel.restore_from(sys.argv[1] + "/fastpitch.nemo", map_location="cpu").eval()
vocoder = HifiGanModel.restore_from(sys.argv[1] + "/hifigan.nemo", map_location="cpu").eval()
with torch.no_grad():
    tokens = acoustic.parse("The cat sat on the roof.")
    audio = vocoder.convert_spectrogram_to_audio(spec=acoustic.generate_spectrogram(tokens=tokens))
assert audio.shape[0] == 1 and audio.shape[1] > 2000 and torch.isfinite(audio).all()
assert 100 < float(acoustic.fastpitch.pitch_mean) < 180
print("spoke", audio.shape[1])
"""
    command = [sys.executable, "-c", code, str(unbroken.work_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path)
    assert "spoke" in done.stdout, done.stderr


def test_a_cancelled_run_saves_and_resumes(unbroken: Training, new_training: NewTraining, zygote: Zygote) -> None:
    training = new_training("cancelled")
    pid = zygote.start(training)
    wait_for_line(training.stdout, "PROGRESS 3 ")
    os.kill(pid, signal.SIGINT)
    assert zygote.wait(pid) == 1
    assert "SIGINT" in ended(training, 1, "cancelled")
    done = training.status().progress.current
    assert zygote.run(training) == 0
    first = next(record for record in read_records(training.protocol().splitlines()) if isinstance(record, Progress))
    assert first.current == done + 1  # nothing was lost
    assert training.result() == unbroken.result()


def test_an_orphan_ends_itself(new_training: NewTraining, zygote: Zygote, tiny: Recipe) -> None:
    longer = tiny.model_copy(update={"fastpitch": tiny.fastpitch.model_copy(update={"steps": 100_000})})
    training = new_training("orphan", recipe=longer)
    parent = zygote.start(training, orphan=120)
    wait_for_line(training.stdout, "PROGRESS 3 ")
    os.kill(parent, signal.SIGKILL)
    zygote.wait(parent)
    end = time.monotonic() + 30
    while time.monotonic() < end and training.status().status == "running":
        time.sleep(0.1)
    assert "gone" in ended(training, 1, "cancelled")
    assert (training.work_dir / "resume.pt").exists()


def test_a_parent_that_died_before_the_start_is_noticed(new_training: NewTraining, zygote: Zygote) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    training = new_training("late")
    assert zygote.run(training, env={PARENT_ENVIRONMENT: str(dead.pid)}) == 1
    assert "gone" in ended(training, 1, "cancelled")


def test_a_broken_clip_is_a_non_finite_loss(new_training: NewTraining, zygote: Zygote) -> None:
    training = new_training("broken")
    for path in training.store.root.glob("cache/features/*/*.npz"):
        with np.load(path) as arrays:
            found = dict(arrays)
        found["mel"][:] = np.nan
        np.savez(path, **found)
    assert zygote.run(training) == 1
    assert "fastpitch" in ended(training, 1, "non_finite_loss")
    assert "nan" not in training.store.train_status(VOICE, training.spec.job_type).read_text().replace("nan at", "")


def base_of(training: Training, stage: str) -> dict[str, Any]:
    path = training.work_dir / f"{stage}.nemo"
    return {stage: {"path": path, "sha256": sha256_file(path)}}


def test_training_starts_from_a_base(unbroken: Training, new_training: NewTraining, zygote: Zygote) -> None:
    training = new_training("tuned", base=base_of(unbroken, "fastpitch") | base_of(unbroken, "hifigan"), seed=8)
    assert zygote.run(training) == 0, training.stderr.read_text()

    # The first mel loss of a base lies below the first of a model that knows nothing.
    def first_mel(text: str) -> float:
        found = (record.values for record in read_records(text.splitlines()) if isinstance(record, Stats))
        return float(next(values["mel_loss"] for values in found if "mel_loss" in values))

    assert first_mel(training.protocol()) < first_mel(unbroken.protocol())


def test_a_base_of_another_size_is_incompatible(
    unbroken: Training, new_training: NewTraining, zygote: Zygote, tiny: Recipe
) -> None:
    larger = tiny.model_copy(update={"fastpitch": tiny.fastpitch.model_copy(update={"hidden": 24})})
    training = new_training("larger", recipe=larger, base=base_of(unbroken, "fastpitch"))
    assert zygote.run(training) == 2
    assert "fastpitch.hidden: 16 in the base, 24 in the recipe" in ended(training, 2, "base_checkpoint_incompatible")


def test_a_base_of_another_vocabulary_is_incompatible(
    unbroken: Training, new_training: NewTraining, zygote: Zygote, tmp_path: Path
) -> None:
    path = tmp_path / "other.nemo"
    with tarfile.open(unbroken.work_dir / "fastpitch.nemo") as source, tarfile.open(path, "w:") as target:
        for member in source:
            stream = source.extractfile(member)
            data = stream.read() if stream else b""
            if member.name.endswith("model_config.yaml"):
                data = data.replace(b"stresses: true", b"stresses: false")
                member.size = len(data)
            target.addfile(member, io.BytesIO(data))
    base = {"fastpitch": {"path": path, "sha256": sha256_file(path)}}
    training = new_training("vocabulary", base=base)
    assert zygote.run(training) == 2
    assert "text_tokenizer.stresses: False" in ended(training, 2, "base_checkpoint_incompatible")


def run_program(training: Training, prelude: str = "") -> int:
    """The program in an interpreter of its own, with a line of code before it."""
    spec = str(training.spec_path)
    code = f"import sys; {prelude}\nfrom voice_pipeline.training.nemo.program import run\nsys.exit(run([{spec!r}]))"
    with training.stdout.open("w") as out, training.stderr.open("w") as err:
        return subprocess.run([sys.executable, "-c", code], stdout=out, stderr=err, timeout=120, check=False).returncode


def test_a_missing_base_is_told_before_nemo_is_imported(new_training: NewTraining, tmp_path: Path) -> None:
    base = {"fastpitch": {"path": tmp_path / "none.nemo", "sha256": "0" * 64}}
    training = new_training("missing", base=base)
    assert run_program(training, "sys.modules['nemo'] = None") == 2
    assert "none.nemo" in ended(training, 2, "base_checkpoint_missing")


def test_a_missing_nemo_is_a_blocked_runtime(new_training: NewTraining) -> None:
    training = new_training("without")
    assert run_program(training, "sys.modules['nemo'] = None") == 2
    assert sys.executable in ended(training, 2, "nemo_runtime_unavailable")


def test_a_recipe_for_a_gpu_needs_one(new_training: NewTraining, zygote: Zygote, tiny: Recipe) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    training = new_training("gpu", recipe=tiny.model_copy(update={"accelerator": "gpu"}))
    assert zygote.run(training) == 2
    ended(training, 2, "gpu_required")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_even_though_it_is_full(
    new_training: NewTraining, zygote: Zygote, small_disk: Path
) -> None:
    training = new_training("full", root=small_disk)
    training.work_dir.mkdir(parents=True)
    pid = zygote.start(training)
    wait_for_line(training.stdout, "PROGRESS 2 ")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    code = zygote.wait(pid)
    assert code == 2, training.stderr.read_text()
    ended(training, 2, "disk_full")
    filler.unlink()
    assert zygote.run(training) == 0, training.stderr.read_text()


def test_memory_that_is_not_there_is_out_of_memory() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert classify(caught.value).reason == "out_of_memory"
    assert classify(MemoryError()).reason == "out_of_memory"
    assert classify(ValueError("x")).reason == "trainer_exit_nonzero"
    assert classify(OSError(errno.ENOSPC, "full")).reason == "disk_full"
    wrapped = RuntimeError("saving failed")
    wrapped.__cause__ = OSError(errno.ENOSPC, "full")
    assert classify(wrapped).reason == "disk_full"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["a", "b"], ["none.json"]])
def test_wrong_usage_is_64(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "voice_pipeline.training.nemo", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 64
    assert done.stdout == ""
    assert done.stderr


def test_the_store_keeps_the_status_of_the_last_run(unbroken: Training) -> None:
    store: Store = unbroken.store
    latest = json.loads(store.latest_train_status().read_text())
    assert latest["run_id"] == unbroken.spec.run_id
    assert latest["stats"]["stage"] == "done"


def test_a_cancellation_stays_one_when_it_is_wrapped_or_found_by_writing() -> None:
    try:
        try:
            raise VoiceFailure("cancelled", "the training was told to end by SIGINT")
        except VoiceFailure as failure:
            raise RuntimeError("Error in call to target") from failure  # as hydra does while it builds a model
    except RuntimeError as error:
        assert classify(error).reason == "cancelled"
    assert classify(BrokenPipeError(errno.EPIPE, "Broken pipe")).reason == "cancelled"
