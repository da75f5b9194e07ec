"""The most memory that this process has had."""

from __future__ import annotations

from pathlib import Path


def peak_kib() -> int:
    """KiB, of this program alone: getrusage's figure is never below what the starting process had."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))
