"""The house keeps its order: import directions, file sizes, start time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "voice_pipeline"


def test_imports_point_one_way() -> None:
    linter = [sys.executable, "-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"]
    done = subprocess.run(linter, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_is_a_drawer() -> None:
    names = {path.stem for path in PACKAGE.rglob("*.py")}
    assert not names & {"utils", "helpers", "common", "misc"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_is_past_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_importing_the_package_is_cheap() -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import voice_pipeline"], check=True)
        whole = time.perf_counter() - start
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        seconds.append(whole - (time.perf_counter() - start))
    assert min(seconds) < 0.3


@pytest.mark.parametrize(
    "module", ["voice", "status", "report", "overview", "doctor", "cli", "text.frontend", "bundle.synthesizer"]
)
def test_frameworks_are_not_imported_before_they_are_needed(module: str) -> None:
    code = (
        f"import voice_pipeline.{module}, sys; "
        "heavy = ('dagster', 'torch', 'nemo', 'matplotlib', 'librosa', 'faster_whisper'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
