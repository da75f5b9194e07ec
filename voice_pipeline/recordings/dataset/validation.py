"""Datasets read again: a manifest that somebody hands us, and the table of our own.

    for problem in validate_manifest(path): ...          # [] when it is what CONTRACTS 5 says
    listing(store, voice, rejected=True, limit=50)       # rows of dataset.parquet

A manifest is untrusted: it is parsed as a stream, nothing in it is believed before it is checked, and memory is flat,
whatever its size.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.dataset.export import PARQUET
from voice_pipeline.recordings.dataset.index import database_errors, unnamed_database
from voice_pipeline.recordings.dataset.record import read_record
from voice_pipeline.recordings.dataset.split import SPLITS
from voice_pipeline.store import Store, sha256_file

MAX_PROBLEMS = 100  # that are listed; one more line counts the others
MAX_ENTRY_VALUES = 1_000  # of one entry: more is an attack on our memory
_CHUNK = 1 << 16  # bytes
_MAX_SILENT_CHUNKS = 64  # without one whole JSON value: a single value of more than 4 MB is no text of an utterance
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,255}")
_BATCH = 4_096  # rows of Parquet

# What every entry must have, and of which type. Other fields may be there.
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "source": str,
    "target": str,
    "bytes": int,
    "sha256": str,
    "utterance_id": str,
    "text": str,
    "normalized_text": str,
    "duration": (int, float),
    "sample_rate": int,
    "split": str,
    "source_sha256": str,
}


@dataclass(frozen=True)
class Listed:
    """One row of the dataset's table, as the command line lists it."""

    utterance_id: str
    kept: bool
    split: str
    source: str
    text: str
    normalized_text: str
    duration: float | None
    snr_db: float | None
    cer: float | None
    speaker_similarity: float | None
    reasons: tuple[str, ...]
    detail: str
    review: str


def listing(store: Store, voice: str, *, rejected: bool | None = None, limit: int | None = None) -> list[Listed]:
    """Rows of the dataset of ``voice``, sorted by id: the rejected, the kept, or (None) both; at most ``limit``.

    Where the latest preparation kept nothing, its rows are listed, and not those of a former dataset. Raises
    VoiceFailure ``empty_dataset`` where there is no dataset yet, ``table_damaged`` where its table is not what was
    written.
    """
    path = store.nothing_kept(voice) / PARQUET
    if not path.exists():
        record = read_record(store, voice)
        if record is None:
            raise VoiceFailure("empty_dataset", "there is no dataset yet", voice=voice)
        path = store.root / record.table
    found: list[Listed] = []
    try:
        for row in _table_rows(store.resolve(store.relative(path)), list(Listed.__dataclass_fields__)):
            if limit is not None and len(found) >= limit:
                break
            if rejected is None or row["kept"] is not rejected:
                found.append(_listed(row))
    except (OSError, ValueError) as error:
        raise VoiceFailure("table_damaged", f"cannot be read: {error}", voice=voice, file=path) from error
    return found


def _listed(row: dict[str, Any]) -> Listed:
    for name, kind in Listed.__annotations__.items():
        if kind == "str":
            row[name] = row[name] or ""
    return Listed(**{**row, "reasons": tuple(row["reasons"])})


def clips_of(table: Path) -> Iterator[tuple[str, str]]:
    """(store-relative path, sha256) of every kept clip. Raises OSError, or ValueError for what is no such table."""
    for row in _table_rows(table, ["kept", "target", "sha256"]):
        if row["kept"]:
            yield str(row["target"]), str(row["sha256"])


def _table_rows(table: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(table) as file:
            missing = set(columns) - set(file.schema_arrow.names)
            if missing:
                raise ValueError(f"{table}: has no column {sorted(missing)[0]}")
            for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise ValueError(f"{table}: {error}") from error


def validate_manifest(path: Path, store: Store | None = None) -> list[str]:
    """Every problem of a manifest, in a sentence each; [] when there is none.

    With ``store``, every clip is also opened, counted and hashed. Raises VoiceFailure ``disk_full``.
    """
    problems = _Problems()
    try:
        with path.open("rb") as stream:
            _validate(stream, problems, store)
    except OSError as error:
        problems.add(f"cannot be read: {error.strerror or error}")
    except _Malformed as error:
        problems.add(str(error))
    return problems.shown()


class _Malformed(ValueError):
    """The document cannot be read on."""


class _Problems:
    """The first problems, and how many there are."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._count = 0

    def add(self, problem: str) -> None:
        self._count += 1
        if len(self._found) < MAX_PROBLEMS:
            self._found.append(problem)

    def shown(self) -> list[str]:
        more = self._count - len(self._found)
        return [*self._found, f"and {more} more problems"] if more else self._found


def events(stream: Any) -> Iterator[tuple[str, str, Any]]:
    """(prefix, event, value) of a JSON document, as ijson has them. Raises _Malformed, also for a value without end."""
    import ijson

    found = ijson.sendable_list()
    parser = ijson.parse_coro(found, use_float=True)
    silent = 0
    try:
        while chunk := stream.read(_CHUNK):
            parser.send(chunk)
            silent = 0 if found else silent + 1
            if silent > _MAX_SILENT_CHUNKS:
                raise _Malformed("holds a value of more than 4 MB, which nothing in a manifest has")
            yield from found
            del found[:]
        parser.close()
        yield from found
    except (ijson.JSONError, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, _Malformed):
            raise
        raise _Malformed(f"is not JSON: {' '.join(str(error).split())[:200]}") from error


def _validate(stream: Any, problems: _Problems, store: Store | None) -> None:
    top: dict[str, Any] = {}
    count = 0
    connection = unnamed_database(Path(tempfile.gettempdir()) if store is None else store.root)
    try:
        connection.execute("CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
        for kind, value in _parts(events(stream)):
            if kind != "entries":
                if kind != "rejected":
                    top[kind] = value
                continue
            count += 1
            for problem in _entry_problems(value, store):
                problems.add(f"entry {count}: {problem}")
            identifier = value.get("utterance_id") if isinstance(value, dict) else None
            if isinstance(identifier, str):
                with database_errors():
                    if not connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", (identifier[:300],)).rowcount:
                        problems.add(f"entry {count}: {identifier[:100]!r} is there twice")
    finally:
        connection.close()
    if not top.get("is_object"):
        raise _Malformed("is no JSON object")
    for key, wanted in (("schema", "voice_dataset/1"), ("mode", "voice_dataset")):
        if top.get(key) != wanted:
            problems.add(f"{key} is {top.get(key)!r}, not {wanted!r}")
    if not top.get("has_entries"):
        problems.add("has no list of entries")
    elif top.get("count") != count or isinstance(top.get("count"), bool):
        problems.add(f"count is {top.get('count')!r}, but there are {count} entries")
    if not count:
        problems.add("has no entry; at least one is needed")


def manifest_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """("entries", object) and ("rejected", object) for each row of a manifest, as they stand in it.

    Raises OSError, and ValueError for what is not JSON.
    """
    with path.open("rb") as stream:
        yield from (part for part in _parts(events(stream)) if part[0] in ("entries", "rejected"))


def _parts(found: Iterator[tuple[str, str, Any]]) -> Iterator[tuple[str, Any]]:
    """("entries" or "rejected", one row) for each row, (key, value) for simple values at the top; not the rest."""
    from ijson.common import ObjectBuilder

    builder: Any = None
    values = depth = 0
    for prefix, event, value in found:
        if prefix == "" and event == "start_map":
            yield "is_object", True
        elif prefix == "entries" and event == "start_array":
            yield "has_entries", True
        elif prefix in ("entries.item", "rejected.item") or builder is not None:
            builder = builder or ObjectBuilder()
            builder.event(event, value)
            values += 1
            if values > MAX_ENTRY_VALUES:
                raise _Malformed(f"holds an entry of more than {MAX_ENTRY_VALUES} values")
            depth += (event in ("start_map", "start_array")) - (event in ("end_map", "end_array"))
            if depth == 0:
                yield prefix.partition(".")[0], builder.value
                builder, values = None, 0
        elif prefix in ("schema", "mode", "count") and event not in (
            "start_map",
            "start_array",
            "end_map",
            "end_array",
        ):
            yield prefix, value


def _entry_problems(entry: Any, store: Store | None) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield "is no object"
        return
    for name, kinds in _FIELDS.items():
        value = entry.get(name)
        if name not in entry:
            yield f"{name} is missing"
        elif not isinstance(value, kinds) or isinstance(value, bool):
            yield f"{name} has the wrong type"
    numbers = [entry.get(name) for name in ("bytes", "duration", "sample_rate")]
    for name, number in zip(("bytes", "duration", "sample_rate"), numbers, strict=True):
        if isinstance(number, int | float) and not (math.isfinite(number) and number > 0):
            yield f"{name} is {number}, not above 0"
    for name in ("sha256", "source_sha256"):
        if isinstance(entry.get(name), str) and not _SHA256.fullmatch(entry[name]):
            yield f"{name} is no sha256"
    if isinstance(entry.get("split"), str) and entry["split"] not in SPLITS:
        yield f"split is {entry['split'][:40]!r}, neither train nor validation"
    if isinstance(entry.get("utterance_id"), str) and not _ID.fullmatch(entry["utterance_id"]):
        yield "utterance_id has letters that no file's name should have"
    if isinstance(entry.get("target"), str):
        yield from _clip_problems(entry, store or Store(Path("/")))


def _clip_problems(entry: dict[str, Any], store: Store) -> Iterator[str]:
    """Where the clip is, and (where there is a store) whether it is the one."""
    try:
        path = store.resolve(entry["target"][:4_096])
    except (ValueError, OSError):
        yield f"target {entry['target'][:100]!r} leaves the store"
        return
    if store.root == Path("/"):
        return
    try:
        size = path.stat().st_size
        if size != entry.get("bytes"):
            yield f"the clip has {size} bytes, not {entry.get('bytes')}"
        elif sha256_file(path) != entry.get("sha256"):
            yield "the clip is not the one that was recorded (its sha256 differs)"
    except OSError as error:
        yield f"the clip cannot be read: {error.strerror}"
