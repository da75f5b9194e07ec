"""PROGRESS, STATS and ARTIFACT: what a training or preparation process says on stdout.

    writer = ProtocolWriter(sys.stdout)
    writer.tick(10, 100, stats={"loss": 0.5}, artifact="checkpoints/…/fastpitch.nemo")

One record a line, flushed at once. ``current`` never decreases. Records hold no clock times, host names,
absolute paths or random ids, so that two runs of the same inputs print the same lines.

This module needs the standard library only, so that a trainer in another environment can use it as it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TextIO

PROTOCOL_VERSION = "1"


@dataclass(frozen=True)
class Progress:
    """``PROGRESS <current> <total>``: 0 <= current <= total."""

    current: int
    total: int

    def __str__(self) -> str:
        return f"PROGRESS {self.current} {self.total}"


@dataclass(frozen=True)
class Stats:
    """``STATS <json object>``: keys sorted, separators ``,`` and ``:``, finite numbers only."""

    values: Mapping[str, Any]

    def __str__(self) -> str:
        body = json.dumps(self.values, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        return f"STATS {body}"


@dataclass(frozen=True)
class Artifact:
    """``ARTIFACT <path>``: relative to the store's root, POSIX separators, no ``..``."""

    path: str

    def __str__(self) -> str:
        return f"ARTIFACT {self.path}"


Record = Progress | Stats | Artifact


def parse_line(line: str) -> Record | None:
    """Read one line; None for anything that is not a whole, well-formed record.

    Law: ``parse_line(str(record)) == record`` for every record that a writer accepts.
    """
    word, _, rest = line.strip("\r\n").partition(" ")
    if word == "PROGRESS":
        parts = rest.split()
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
            return None
        current, total = (int(part) for part in parts)
        return Progress(current, total) if current <= total else None
    if word == "STATS":
        try:
            values = json.loads(rest, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return None
        return Stats(values) if isinstance(values, dict) else None
    if word == "ARTIFACT":
        path = rest.strip()
        return Artifact(path) if is_store_relative(path) else None
    return None


def read_records(lines: Iterable[str]) -> Iterator[Record]:
    """The records among ``lines``, in order; everything else is skipped."""
    for line in lines:
        record = parse_line(line)
        if record is not None:
            yield record


def is_store_relative(path: str) -> bool:
    """Whether ``path`` is a relative POSIX path without ``..``, control characters or backslashes."""
    if not path or "\\" in path or path != path.strip() or any(ord(char) < 32 for char in path):
        return False
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts


class ProtocolWriter:
    """Writes ticks in the order PROGRESS, STATS, ARTIFACT and holds the protocol's rules.

    Raises ValueError when ``current`` decreases or passes ``total``, when a stat is not finite, and when an
    artifact's path is not relative to the store.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._current = 0

    def tick(
        self, current: int, total: int, *, stats: Mapping[str, Any] | None = None, artifact: str | None = None
    ) -> None:
        """Write one update tick and flush it."""
        if not self._current <= current <= total:
            raise ValueError(f"progress must rise within the total: {self._current} -> {current} of {total}")
        records: list[Record] = [Progress(current, total)]
        if stats is not None:
            records.append(Stats(stats))
        if artifact is not None:
            if not is_store_relative(artifact):
                raise ValueError(f"not a path relative to the store: {artifact!r}")
            records.append(Artifact(artifact))
        text = "".join(f"{record}\n" for record in records)
        self._stream.write(text)
        self._stream.flush()
        self._current = current


def finite_or_none(value: float) -> float | None:
    """The value, or None where JSON could not hold it."""
    return value if math.isfinite(value) else None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
