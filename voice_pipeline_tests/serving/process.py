"""A real server process on a free port of this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

STARTUP_SECONDS = 30.0


class ServerProcess:
    """Started on entering, and ended on leaving; everything that it writes goes to one file."""

    def __init__(self, project: Path, log: Path, options: dict[str, Any]) -> None:
        self.log = log
        command = [sys.executable, "-m", "voice_pipeline_tests.serving.child", str(project), json.dumps(options)]
        with log.open("ab") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        self.url = ""

    def __enter__(self) -> ServerProcess:
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.url = self.line.split()[-1] if self.line else ""
        if not self.url.startswith("http://"):
            self.process.kill()
            raise AssertionError(f"the server did not start: {self.output()}")
        self.client = httpx.Client(base_url=self.url, timeout=30)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Tell it to end, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=15)

    def output(self) -> str:
        """All that it wrote to the terminal so far."""
        return self.log.read_text()
