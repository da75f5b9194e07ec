"""What was measured once is not measured again: a small database of values by the sha256 of all that decides them.

    with MeasurementCache.open(store, "voice_activity") as cache:
        value = cache.get(key)                  # bytes, or None
        cache.put(key, data)

One SQLite file for each kind of measurement: ten thousand clips are one file, not ten thousand. Values that were put
are kept within a second also when the process is killed. A database that is damaged is measured anew, never trusted:
every value carries its own digest. Only one process writes at a time; others wait.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.store import Store

_COMMIT_SECONDS = 1.0
_BUSY_SECONDS = 60.0
_SCHEMA = "CREATE TABLE IF NOT EXISTS measurement (key TEXT PRIMARY KEY, sha256 BLOB NOT NULL, value BLOB NOT NULL)"


class MeasurementCache:
    """Values by key. Use as a context manager: leaving it commits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._committed = time.monotonic()
        self._connection = self._connect()

    @classmethod
    def open(cls, store: Store, kind: str) -> MeasurementCache:
        """The cache of that kind in the store. Raises VoiceFailure ``disk_full`` or ``permission_denied``."""
        return cls(store.measurements(kind))

    def get(self, key: str) -> bytes | None:
        """The value of ``key``; None where it was never put, or is not what was put."""
        try:
            row = self._connection.execute("SELECT sha256, value FROM measurement WHERE key = ?", (key,)).fetchone()
        except sqlite3.DatabaseError:
            self._start_anew()
            return None
        if row is None or hashlib.sha256(row[1]).digest() != row[0]:
            return None
        return bytes(row[1])

    def put(self, key: str, value: bytes) -> None:
        """Keep ``value``. Raises VoiceFailure ``disk_full`` or ``permission_denied``."""
        with self._disk_errors():
            self._connection.execute(
                "INSERT OR REPLACE INTO measurement VALUES (?, ?, ?)", (key, hashlib.sha256(value).digest(), value)
            )
        if time.monotonic() - self._committed > _COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Keep everything that was put, whatever happens next."""
        with self._disk_errors():
            self._connection.commit()
        self._committed = time.monotonic()

    def __enter__(self) -> MeasurementCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.commit()
        except VoiceFailure:
            if error is None:
                raise
        finally:
            self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        with self._disk_errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS)
            try:
                connection.execute(_SCHEMA)
                connection.commit()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:  # not a database: a cache may always be made anew
                connection.close()
                self._remove()
                connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS)
                connection.execute(_SCHEMA)
        return connection

    def _start_anew(self) -> None:
        self._connection.close()
        self._remove()
        self._connection = self._connect()

    def _remove(self) -> None:
        for suffix in ("", "-journal"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            words = str(error)
            if "full" in words:
                raise VoiceFailure("disk_full", "no space left on the device", file=self._path) from error
            if "readonly" in words or "unable to open" in words:
                raise VoiceFailure("permission_denied", words, file=self._path) from error
            if "locked" in words:
                detail = f"another process has held this cache for {_BUSY_SECONDS:.0f} s"
                raise VoiceFailure("voice_busy", detail, file=self._path) from error
            raise
        except PermissionError as error:
            raise VoiceFailure("permission_denied", error.strerror or "", file=self._path) from error
