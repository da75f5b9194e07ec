"""A million rows on disk: sorted, joined and grouped there, so that memory stays flat.

    with RowIndex.open(store.root) as index:
        index.add(rows)
        for row in index.rows("kept = 1"): ...     # sorted by utterance id

The database has no name: it is unlinked as soon as it is open, so that a killed process leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from voice_pipeline.failures import VoiceFailure, disk_errors
from voice_pipeline.recordings.dataset.rows import COLUMNS, Reason, Row, reasons_json, row_of, values_of

_CACHE_KIB = 32_768  # of pages in memory
_BATCH = 1_000


class DuplicateIdError(ValueError):
    """Two utterances have the same id; the message names it."""


class RowIndex:
    """Rows in a temporary database. Use as a context manager."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    @classmethod
    def open(cls, folder: Path) -> RowIndex:
        """An empty index on the disk of ``folder``. Raises VoiceFailure ``disk_full`` or ``permission_denied``."""
        connection = unnamed_database(folder)
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        connection.execute(f"CREATE TABLE row ({columns})")
        connection.execute("CREATE UNIQUE INDEX segment_id ON row (utterance_id) WHERE kind = 'utterance'")
        return cls(connection)

    def add(self, rows: Iterable[Row]) -> int:
        """Add rows; how many. Raises DuplicateIdError."""
        count = 0
        statement = f"INSERT INTO row VALUES ({', '.join('?' * len(COLUMNS))})"
        with database_errors():
            for row in rows:
                try:
                    self.connection.execute(statement, values_of(row))
                except sqlite3.IntegrityError as error:
                    raise DuplicateIdError(row.utterance_id) from error
                count += 1
        return count

    def finish_utterances(self) -> None:
        """Make the index that ``has_source`` needs."""
        self.execute("CREATE INDEX by_source ON row (source) WHERE kind = 'utterance'")

    def has_source(self, source: str) -> bool:
        """Whether some utterance is of that source."""
        return self.one("SELECT 1 FROM row WHERE kind = 'utterance' AND source = ? LIMIT 1", source) is not None

    def finish_adding(self) -> None:
        """Make the indices that ``rows`` and the search for duplicates need."""
        with database_errors():
            self.connection.execute("DROP INDEX IF EXISTS by_source")
            self.connection.execute("CREATE INDEX by_id ON row (utterance_id, source, number)")
            self.connection.execute("CREATE INDEX by_sound ON row (sha256) WHERE sha256 <> ''")

    def rows(self, where: str = "1", *values: Any, order: str = "utterance_id, source, number") -> Iterator[Row]:
        """Rows that meet an SQL condition, in order. ``where`` and ``order`` are our own words, never a user's."""
        for found in self.query(f"SELECT * FROM row WHERE {where} ORDER BY {order}", *values):
            yield row_of(found)

    def query(self, statement: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of any query, a batch in memory at a time."""
        with database_errors():
            cursor = self.connection.execute(statement, values)
            while found := cursor.fetchmany(_BATCH):
                yield from found

    def one(self, statement: str, *values: Any) -> Any:
        """The one value of a query; None where it finds nothing."""
        with database_errors():
            found = self.connection.execute(statement, values).fetchone()
        return None if found is None else found[0]

    def utterance(self, utterance_id: str) -> Row | None:
        """The utterance of that id."""
        return next(self.rows("kind = 'utterance' AND utterance_id = ?", utterance_id), None)

    def decide(self, row: Row, *, reasons: tuple[Reason, ...], overruled: tuple[Reason, ...] | None = None) -> None:
        """Replace the reasons of an utterance; it is kept when there is none."""
        overruled = row.overruled if overruled is None else overruled
        self.execute(
            "UPDATE row SET reasons = ?, overruled = ?, kept = ? WHERE kind = 'utterance' AND utterance_id = ?",
            reasons_json(reasons), reasons_json(overruled), int(not reasons), row.utterance_id,
        )  # fmt: skip

    def execute(self, statement: str, *values: Any) -> None:
        """Any statement without an answer."""
        with database_errors():
            self.connection.execute(statement, values)

    def __enter__(self) -> RowIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()


def unnamed_database(folder: Path) -> sqlite3.Connection:
    """A database on the disk of ``folder`` that vanishes with its connection, also when the process is killed."""
    with disk_errors(file=folder), database_errors():
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".rows.")
        os.close(descriptor)
        try:
            connection = sqlite3.connect(name, isolation_level=None)
            # No journal and no syncing: nothing of it outlives the process. One transaction, never committed twice.
            for pragma in (
                f"cache_size = -{_CACHE_KIB}",
                "journal_mode = OFF",
                "synchronous = OFF",
                "locking_mode = EXCLUSIVE",
            ):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("CREATE TABLE opened (at INTEGER)")  # the file is opened now, not at the first insert
            connection.execute("BEGIN")
        finally:
            Path(name).unlink()
    return connection


@contextlib.contextmanager
def database_errors() -> Iterator[None]:
    """A full disk under the database is the failure ``disk_full``."""
    try:
        yield
    except sqlite3.OperationalError as error:
        words = str(error)
        if "full" in words or "disk I/O" in words:
            raise VoiceFailure("disk_full", f"no space left for sorting the dataset ({words})") from error
        if "readonly" in words or "unable to open" in words:
            raise VoiceFailure("permission_denied", words) from error
        raise
