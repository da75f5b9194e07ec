"""The human voices that Debian packages, in their own languages: readable, and trained for a few steps.

Takes the packages from the folder VOICE_DEBIAN_PACKAGES, filled by ``apt-get download`` (see benchmarks/debian_voices):
tests download nothing.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "debian_voices"

pytestmark = [pytest.mark.nemo, pytest.mark.slow]


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"debian_voices_{name}", BENCHMARK / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("language", "clips"), [("it-IT", 590), ("es-MX", 480), ("fr-CA", 510)])
def test_a_debian_voice_trains_a_step(language: str, clips: int, tmp_path: Path) -> None:
    pytest.importorskip("nemo")
    packages = os.environ.get("VOICE_DEBIAN_PACKAGES")
    if not packages:
        pytest.skip("VOICE_DEBIAN_PACKAGES is not set; the twin of this test trains Italian that a program speaks")
    if missing := [name for name in ("ffmpeg", "dpkg-deb") if shutil.which(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    program("prepare").prepare(language[:2], tmp_path / "recordings", Path(packages))
    figures = program("train_step").train_a_step(language, tmp_path / "recordings", tmp_path)
    assert figures["clips_with_text"] >= clips
    assert figures["others"].get("unsupported_script", 0) == 0
    assert figures["steps"] == {"aligner": 2, "fastpitch": 2, "hifigan": 2}
    assert figures["clips_trained_on"] >= 30
    assert np.isfinite([figures["fastpitch_loss"], figures["hifigan_loss"]]).all()
    assert 8 < figures["symbols_per_second"] < 20
