from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from voice_pipeline.bundle import export
from voice_pipeline.bundle.export_process import run_export
from voice_pipeline.bundle.export_spec import ExportSpec, Tolerance, read_failure
from voice_pipeline.failures import VoiceFailure
from voice_pipeline_tests.tiny_bundle import TinyBundle


def spec_value(folder: Path, **changes: Any) -> dict[str, Any]:
    """A spec whose two models exist and are no models."""
    models = {}
    for name in ("fastpitch", "hifigan"):
        path = folder / f"{name}.nemo"
        path.write_bytes(name.encode())
        models[name] = {"path": str(path), "sha256": hashlib.sha256(name.encode()).hexdigest()}
    value = {"schema": "bundle_export/1", "voice_profile_id": "tiny_voice", "output": str(folder / "out")}
    value |= models | {"vocabulary_size": 115, "sentences": [{"text": "Hello.", "ids": [0, 7, 0]}]}
    return value | changes


def spec_of(folder: Path, **changes: Any) -> ExportSpec:
    return ExportSpec.model_validate(spec_value(folder, **changes))


def interpreter(path: Path, script: str) -> str:
    """A program in the interpreter's place."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def run(spec: ExportSpec, folder: Path) -> VoiceFailure:
    with pytest.raises(VoiceFailure) as caught:
        run_export(spec, folder / "spec.json", folder / "work" / "export.log")
    return caught.value


def test_a_missing_checkpoint_and_a_changed_one(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    (tmp_path / "hifigan.nemo").write_bytes(b"another one")
    failure = run(spec, tmp_path)
    assert failure.reason == "bundle_invalid" and "the training wrote" in failure.detail
    (tmp_path / "hifigan.nemo").unlink()
    assert run(spec, tmp_path).reason == "checkpoint_missing"


def test_the_failure_travels_as_exit_code_and_file(tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(spec_value(tmp_path)))
    (tmp_path / "fastpitch.nemo").unlink()
    done = subprocess.run([sys.executable, "-m", "voice_pipeline.bundle.export", str(spec)], check=False)
    assert done.returncode == 1
    written = json.loads((tmp_path / "out" / "export_failure.json").read_text())
    assert (written["reason"], written["root_cause_class"]) == ("checkpoint_missing", "train_failed")


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "bundle_export/2"},
        {"sentences": []},
        {"sentences": [{"text": "x", "ids": [-1]}]},
        {"threads": 0},
        {"surprise": 1},
        {"fastpitch": {"path": "a", "sha256": "short"}},
    ],
)
def test_a_wrong_spec_is_wrong_usage(
    tmp_path: Path, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec_value(tmp_path, **changes)))
    assert export.main([str(path)]) == 64
    assert next(iter(changes)) in capsys.readouterr().err


def test_wrong_arguments_are_wrong_usage(tmp_path: Path) -> None:
    assert export.main([]) == export.main(["a", "b"]) == export.main([str(tmp_path / "none.json")]) == 64


def test_no_interpreter_and_one_without_the_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICE_TRAINER_PYTHON", str(tmp_path / "python"))
    assert run(spec_of(tmp_path), tmp_path).reason == "nemo_runtime_unavailable"
    monkeypatch.setenv("VOICE_TRAINER_PYTHON", interpreter(tmp_path / "bare", f'exec {sys.executable} -S -E "$@"'))
    assert run(spec_of(tmp_path), tmp_path).reason == "nemo_runtime_unavailable"


def test_a_runtime_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "onnx.py").write_text("raise ImportError('libonnx.so: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    failure = run(spec_of(tmp_path), tmp_path)
    assert failure.reason == "nemo_runtime_unavailable" and "libonnx.so" in failure.detail
    assert failure.exit_code == 2


def test_a_killed_and_a_crashed_export_name_their_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICE_TRAINER_PYTHON", interpreter(tmp_path / "killed", "kill -9 $$"))
    failure = run(spec_of(tmp_path), tmp_path)
    assert failure.reason == "trainer_killed" and "SIGKILL" in failure.detail
    monkeypatch.setenv("VOICE_TRAINER_PYTHON", interpreter(tmp_path / "crashed", "echo terminate called; exit 134"))
    failure = run(spec_of(tmp_path), tmp_path)
    assert failure.reason == "trainer_exit_nonzero" and "terminate called" in failure.detail
    assert failure.file == str(tmp_path / "work" / "export.log")
    assert "terminate called" in Path(failure.file).read_text()


def test_an_export_without_a_report_and_a_failure_left_from_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(tmp_path)
    spec.output.mkdir()
    (spec.output / "export_failure.json").write_text('{"reason": "disk_full", "detail": "of an earlier run"}')
    monkeypatch.setenv("VOICE_TRAINER_PYTHON", interpreter(tmp_path / "silent", "exit 0"))
    assert run(spec, tmp_path).reason == "bundle_invalid"
    monkeypatch.setenv("VOICE_TRAINER_PYTHON", interpreter(tmp_path / "failing", "exit 2"))
    assert run(spec, tmp_path).reason == "trainer_exit_nonzero"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"reason": "no_such_reason", "detail": ""}', '{"reason": 1}'])
def test_a_failure_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "export_failure.json"
    path.write_text(text)
    assert read_failure(path, voice="tiny_voice", file=path) is None


PARENT = """
import os, subprocess, sys
environment = {**os.environ, "VOICE_EXPORT_PARENT": str(os.getpid())}
child = subprocess.Popen([sys.executable, "-m", "voice_pipeline.bundle.export", sys.argv[1]], env=environment)
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_the_export_ends_with_its_parent(tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(spec_value(tmp_path)))
    with (tmp_path / "endless.nemo").open("wb") as stream:
        stream.truncate(1 << 42)  # a model of holes: the export reads it as long as it lives
    models = json.loads(spec.read_text())
    models["fastpitch"]["path"] = str(tmp_path / "endless.nemo")
    spec.write_text(json.dumps(models))
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(spec)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(2.0)  # the child has started and waits
    assert alive(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.nemo
def test_a_difference_above_the_tolerance_is_bundle_invalid(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    import numpy as np

    from voice_pipeline.bundle import nemo_export

    # The comparison alone, on the real ONNX files, against what torch would have said plus a small error.
    told = json.loads((tiny_bundle.store.bundle_work("tiny_voice") / "export_spec.json").read_text())
    spec = ExportSpec.model_validate(told | {"output": str(tiny_bundle.folder)})
    spec = spec.model_copy(update={"sentences": spec.sentences[:1], "tolerance": Tolerance(mel=1e-3, audio=1e-3)})
    [(mel, audio)] = spoken(tiny_bundle, spec)
    assert nemo_export._compare(spec, [(mel, audio)])[0].mel_max < 1e-5
    for wrong in (
        (mel + np.float32(2e-3), audio),
        (mel, audio + np.float32(2e-3)),
        (mel[:, :, 1:], audio[:, 256:]),
        (np.full_like(mel, np.nan), audio),
    ):
        with pytest.raises(VoiceFailure, match="ONNX does not speak as torch does"):
            nemo_export._compare(spec, [wrong])


def spoken(bundle: TinyBundle, spec: ExportSpec) -> list[Any]:
    import numpy as np
    import onnxruntime

    ids = np.array([spec.sentences[0].ids])
    acoustic = onnxruntime.InferenceSession(str(bundle.folder / "acoustic.onnx"))
    inputs = {"text": ids, "pitch": np.zeros(ids.shape, np.float32), "pace": np.ones(ids.shape, np.float32)}
    mel = acoustic.run(["spect"], inputs)[0]
    audio = onnxruntime.InferenceSession(str(bundle.folder / "vocoder.onnx")).run(["audio"], {"spec": mel})[0]
    return [(mel, audio.reshape(1, -1))]
