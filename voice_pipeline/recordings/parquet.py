"""Parquet tables whose rows are clips: the audio taken out once into the store's cache, the text read from its columns.

    with open_table(path) as table:
        for number, values in table.rows(["text"]): ...

An audio column holds structs of ``bytes`` and ``path`` (as the datasets of Hugging Face have), bytes, or paths of files
in the source. A table is streamed batch by batch: memory is a few rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from voice_pipeline.atomic import write_bytes
from voice_pipeline.recordings.cache import MeasurementCache
from voice_pipeline.recordings.conversion import AUDIO_SUFFIXES
from voice_pipeline.store import Store, identity, sha256_file

VERSION = "1"
KIND = "parquet"
MAX_ROW_BYTES = 1 << 30  # of the audio of one row
_AUDIO_COLUMNS = ("audio", "speech", "wav", "audio_path", "audio_filepath", "file_name", "path", "file")
_BATCH_ROWS = 8  # of audio
_TEXT_BATCH_ROWS = 4_096


class TableProblem(ValueError):
    """This is no table of clips; the message says why in a clause."""


@dataclass(frozen=True)
class Row:
    """The audio of one row: its bytes in the cache, a path in the source, or why there is none."""

    number: int
    sha256: str = ""
    bytes: int = 0
    suffix: str = ""
    path: str | None = None
    problem: str | None = None

    def stored(self, store: Store) -> Path:
        """Where the bytes of this row stand."""
        return store.cache("pieces", self.sha256, self.suffix)


class Table:
    """An open table. ``columns`` are the names of its columns."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.columns: tuple[str, ...] = tuple(file.schema_arrow.names)

    @property
    def audio_column(self) -> str:
        """The column of audio. Raises TableProblem when there is none."""
        import pyarrow

        types = {name: self._file.schema_arrow.field(name).type for name in self.columns}
        for name in (*_AUDIO_COLUMNS, *self.columns):
            kind = types.get(name)
            if kind is not None and pyarrow.types.is_struct(kind):
                fields = {kind.field(at).name for at in range(kind.num_fields)}
                if fields & {"bytes", "path"}:
                    return name
        for name in _AUDIO_COLUMNS:
            kind = types.get(name)
            if kind is not None and any(
                check(kind)
                for check in (
                    pyarrow.types.is_string, pyarrow.types.is_large_string,
                    pyarrow.types.is_binary, pyarrow.types.is_large_binary,
                )
            ):  # fmt: skip
                return name
        raise TableProblem("has no column of audio: structs of bytes and path, bytes, or paths")

    def rows(self, columns: Sequence[str], *, batch: int = _TEXT_BATCH_ROWS) -> Iterator[tuple[int, dict[str, Any]]]:
        """(number, values by column) of every row, counted from 0. Raises TableProblem for damaged data."""
        import pyarrow

        number = 0
        try:
            for some in self._file.iter_batches(batch_size=batch, columns=list(columns), use_threads=False):
                for values in some.to_pylist():
                    yield number, values
                    number += 1
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise TableProblem(f"breaks off after {number} rows: {_clause(error)}") from error


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """Open a Parquet file. Raises TableProblem."""
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise TableProblem(f"is no Parquet table that can be read: {_clause(error)}") from error
    with file:
        yield Table(file)


def row_name(table: str, number: int) -> str:
    """The name of a row as a piece of audio: ``data/train.parquet#000012``."""
    return f"{table}#{number:06d}"


def extract(store: Store, path: Path, sha256: str) -> list[Row]:
    """Every row's audio of the table at ``path``, whose bytes have ``sha256``; taken out unless it is there already.

    Raises TableProblem, VoiceFailure ``disk_full`` or ``permission_denied``.
    """
    key = identity(kind=KIND, version=VERSION, sha256=sha256)
    with MeasurementCache.open(store, KIND) as cache:
        known = _known(store, cache.get(key))
        if known is not None:
            return known
        with open_table(path) as table:
            column = table.audio_column
            rows = [_row(store, number, values[column]) for number, values in table.rows([column], batch=_BATCH_ROWS)]
        fields = [[row.number, row.sha256, row.bytes, row.suffix, row.path, row.problem] for row in rows]
        cache.put(key, json.dumps(fields).encode())
    return rows


def _known(store: Store, data: bytes | None) -> list[Row] | None:
    """The rows that were taken out, if all of them are still there byte for byte."""
    if data is None:
        return None
    rows = [Row(*fields) for fields in json.loads(data)]
    for row in rows:
        if row.sha256:
            stored = row.stored(store)
            if not stored.exists():
                return None
            if sha256_file(stored) != row.sha256:
                stored.unlink()
                return None
    return rows


def _row(store: Store, number: int, value: Any) -> Row:
    data, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if isinstance(data, str):
        data, path = None, data
    path = path if isinstance(path, str) and path else None
    if not isinstance(data, bytes):
        return Row(number, path=path, problem=None if path else "has no audio")
    if not data:
        return Row(number, problem="is empty (0 bytes)")
    if len(data) > MAX_ROW_BYTES:
        return Row(number, bytes=len(data), problem=f"has {len(data)} bytes of audio; at most {MAX_ROW_BYTES} are read")
    suffix = PurePosixPath(path or "").suffix.lower()
    row = Row(number, hashlib.sha256(data).hexdigest(), len(data), suffix if suffix in AUDIO_SUFFIXES else "")
    if not row.stored(store).exists():
        write_bytes(row.stored(store), data)
    return row


def _clause(error: Exception) -> str:
    return " ".join(str(error).split())[:150].rstrip(".") or type(error).__name__
