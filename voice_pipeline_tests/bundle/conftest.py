from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_pipeline_tests.tiny_bundle import TinyBundle, tiny_bundle

__all__ = ["tiny_bundle"]

SERVER_TEXT = "good morning to you, and to the whole house."


@dataclass(frozen=True)
class NemoServer:
    """What a NeMo process made of the bundle, and a second export by the same process."""

    text: str
    ids: NDArray[np.int64]
    mel: NDArray[np.float32]
    audio: NDArray[np.float32]
    second_export: Path


@pytest.fixture(scope="session")
def nemo_server(tiny_bundle: TinyBundle, tmp_path_factory: pytest.TempPathFactory) -> NemoServer:
    work = tmp_path_factory.mktemp("nemo_server")
    told = tiny_bundle.store.bundle_work("tiny_voice") / "export_spec.json"
    spec = work / "export_spec.json"
    spec.write_text(json.dumps(json.loads(told.read_text()) | {"output": str(work / "export")}))
    program = Path(__file__).with_name("nemo_server.py")
    command = [sys.executable, str(program), str(tiny_bundle.folder), SERVER_TEXT, str(work / "out.npz"), str(spec)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    with np.load(work / "out.npz") as arrays:
        return NemoServer(SERVER_TEXT, arrays["ids"], arrays["mel"], arrays["audio"], work / "export")
