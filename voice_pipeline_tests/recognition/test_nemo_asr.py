"""A NeMo recogniser hears through its program what NeMo hears, and a bad file is refused before NeMo sees it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition import nemo_program
from voice_pipeline.recognition.nemo_asr import NemoRecognizer
from voice_pipeline.recognition.nemo_config import checked_config
from voice_pipeline.recognition.recognizer import load_recognizer
from voice_pipeline.store import sha256_file
from voice_pipeline.voice import Voice
from voice_pipeline_tests.nemo_files import hostile_pickles, torch_zip, weights

Samples = NDArray[np.float32]
MAKER = Path(__file__).with_name("tiny_asr.py")
CONFIG = {"target": "nemo.collections.asr.models.ctc_models.EncDecCTCModel", "sample_rate": 16_000}
PATH = Path("asr.nemo")


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def refused(path: Path) -> str:
    with pytest.raises(VoiceFailure) as caught:
        NemoRecognizer.load(path, model_id="somebody/asr")
    return caught.value.reason


def test_files_that_must_not_be_loaded(tmp_path: Path) -> None:
    config = yaml.safe_dump(CONFIG).encode()
    good = {"./model_config.yaml": config, "./model_weights.ckpt": weights({})}
    assert refused(tmp_path / "missing.nemo") == "recognizer_unavailable"
    (tmp_path / "text.nemo").write_text("not an archive")
    assert refused(tmp_path / "text.nemo") == "base_checkpoint_incompatible"
    assert refused(archive(tmp_path / "a.nemo", {"./model_config.yaml": config})) == "base_checkpoint_incompatible"
    assert refused(archive(tmp_path / "b.nemo", {**good, "../evil": b""})) == "base_checkpoint_unsafe"
    assert refused(archive(tmp_path / "c.nemo", {**good, "sub/model_config.yaml": config})) == "base_checkpoint_unsafe"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": "nemo.collections.tts.models.FastPitchModel"}, "base_checkpoint_incompatible"),
        ({"target": None}, "base_checkpoint_incompatible"),
        ({"target": 3}, "base_checkpoint_incompatible"),
        ({"encoder": {"_target_": "subprocess.Popen", "args": ["true"]}}, "base_checkpoint_unsafe"),
        ({"decoder": [{"layers": [{"_target_": "os.system"}]}]}, "base_checkpoint_unsafe"),
        ({"preprocessor": {"features": "${oc.env:HOME}"}}, "base_checkpoint_unsafe"),
    ],
)
def test_configs_that_must_not_be_built(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(VoiceFailure) as caught:
        checked_config({**CONFIG, **changes}, PATH)
    assert caught.value.reason == reason


def test_what_only_training_needs_is_left_out() -> None:
    encoder = {"_target_": "nemo.collections.asr.modules.ConvASREncoder", "size": "${sample_rate}"}
    config = {**CONFIG, "train_ds": {"_target_": "os.system"}, "optim": {"name": "x"}, "encoder": encoder}
    assert checked_config(config, PATH) == {**CONFIG, "encoder": encoder}


def test_an_interpreter_without_nemo_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = yaml.safe_dump(CONFIG).encode()
    path = archive(tmp_path / "a.nemo", {"model_config.yaml": config, "model_weights.ckpt": weights({})})
    monkeypatch.setenv("VOICE_TRAINER_PYTHON", str(tmp_path / "no-such-python"))
    assert refused(path) == "nemo_runtime_unavailable"
    bare = tmp_path / "bare-python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setenv("VOICE_TRAINER_PYTHON", str(bare))
    assert refused(path) == "nemo_runtime_unavailable"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("nemo")
    folder = tmp_path_factory.mktemp("asr")
    subprocess.run([sys.executable, str(MAKER), str(folder)], check=True, capture_output=True)
    (folder / "asr.json").write_text('{"model_id": "somebody/tiny"}')
    return folder


@pytest.fixture(scope="module")
def recognizer(made: Path) -> Iterator[NemoRecognizer]:
    voice = Voice.model_validate(
        {
            "voice_profile_id": "tester",
            "display_name": "Tester",
            "language": "it-IT",
            "source": {"path": "recordings"},
            "consent": {"speaker_type": "synthetic", "speaker": "nobody", "status": "not_applicable"},
            "recognizer": {"kind": "nemo", "path": "asr.nemo", "manifest": "asr.json"},
        }
    )
    loaded = load_recognizer(made, voice)
    assert isinstance(loaded, NemoRecognizer)
    yield loaded
    loaded.close()


def clip(folder: Path) -> Samples:
    import soundfile

    return np.asarray(soundfile.read(folder / "clip.wav", dtype="float32")[0], np.float32)


@pytest.mark.nemo
@pytest.mark.slow
def test_it_hears_what_nemo_hears(
    recognizer: NemoRecognizer, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, samples = json.loads((made / "heard.json").read_text()), clip(made)
    assert heard
    killed = tmp_path / "killed-python"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("VOICE_TRAINER_PYTHON", str(killed))
        with pytest.raises(VoiceFailure, match="exit code -9") as caught:
            recognizer.transcribe(samples, 16_000)
    assert caught.value.reason == "recognizer_unavailable"
    # The next clip starts another program.
    assert (recognizer.model_id, recognizer.sha256) == ("somebody/tiny", sha256_file(made / "asr.nemo"))
    assert recognizer.transcribe(samples, 16_000) == heard
    nothing = np.zeros(0, np.float32)
    other = samples[: len(samples) // 3]
    many = recognizer.transcribe_many([other, samples, nothing], 16_000)
    assert many == [recognizer.transcribe(other, 16_000), heard, ""]
    assert set(recognizer.settings) == {"nemo", "torch"}
    with pytest.raises(VoiceFailure, match="does not say when"):
        recognizer.words(samples, 16_000)


def test_an_unsafe_pickle_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before an interpreter with NeMo starts; the message names what it would call."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    config, marker = yaml.safe_dump(CONFIG).encode(), tmp_path / "broken-in"
    for data in hostile_pickles(marker).values():
        for state in (data, torch_zip(data)):
            path = archive(tmp_path / "bad.nemo", {"model_config.yaml": config, "model_weights.ckpt": state})
            assert refused(path) == "base_checkpoint_unsafe"
    good = {"model_config.yaml": config, "model_weights.ckpt": weights({})}
    data = hostile_pickles(marker)["reduce"]
    assert refused(archive(tmp_path / "bad.nemo", {**good, "vocab.txt": data})) == "base_checkpoint_unsafe"
    assert not marker.exists()


def test_a_file_exchanged_after_the_check_is_not_loaded(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.nemo", {"model_config.yaml": b"target: x\n", "model_weights.ckpt": weights({})})
    with pytest.raises(VoiceFailure, match="was checked") as caught:
        nemo_program.load(path, "0" * 64)
    assert caught.value.reason == "base_checkpoint_unsafe"


def test_no_program_outlives_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "model.nemo"
    os.mkfifo(path)  # hashing it lasts until somebody writes
    code = (
        "import os, subprocess, sys, time; "
        "from voice_pipeline.recognition.nemo_asr import PROGRAM; "
        "from voice_pipeline.recognition.nemo_config import PARENT_ENVIRONMENT; "
        "os.environ[PARENT_ENVIRONMENT] = str(os.getpid()); "
        f"one = subprocess.Popen([sys.executable, '-m', PROGRAM, {str(path)!r}, '0'], "
        "stdin=subprocess.PIPE, stdout=subprocess.PIPE); "
        "print(one.pid, flush=True); "
        "time.sleep(3); print(one.poll(), flush=True); os._exit(1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    pid, state = done.stdout.split()
    assert state == "None", done.stderr  # it lived as long as its parent
    for _ in range(100):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the program is still there")
