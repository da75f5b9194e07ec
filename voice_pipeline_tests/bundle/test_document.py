"""docs/bundle-format.md says what the code does: its worked example is run, its tables are compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

from voice_pipeline.bundle.format import BundleManifest, Provenance, content_digest
from voice_pipeline.bundle.validation import Code

DOCUMENT = Path(__file__).parents[2] / "docs/bundle-format.md"
SHELL_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def test_the_worked_example_does_what_it_says(tmp_path: Path) -> None:
    example, digest = SHELL_BLOCK.findall(DOCUMENT.read_text())
    program = tmp_path / "bin" / "voice-pipeline"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m voice_pipeline "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    told = [line[2:] for line in (example + digest).splitlines() if line.startswith("# ")]
    done = subprocess.run(
        ["bash", "-c", example + digest],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == told, done.stderr
    assert told[-1].split()[0] == content_digest(tmp_path / "example")


def test_every_code_and_every_key_is_documented() -> None:
    document = DOCUMENT.read_text()
    for code in get_args(Code):
        assert f"| `{code}` |" in document
    for key in BundleManifest.model_fields:
        assert f"`{key}`" in document or f"`{key}." in document
    for key in Provenance.model_fields:
        assert f"`provenance.{key}`" in document or f"`.{key}`" in document
