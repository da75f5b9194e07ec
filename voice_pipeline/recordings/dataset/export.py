"""The dataset's files: manifest (CONTRACTS 5), NeMo's JSON Lines, Kaldi's folders, a Parquet table.

    with DatasetWriter(folder, ...) as writer:
        for row in rows: writer.add(row)           # sorted by utterance id

Every file is written as the rows come by, whatever their number; the same rows are the same bytes.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from voice_pipeline.recordings.dataset.rows import FIGURES, Row
from voice_pipeline.recordings.dataset.split import SPLITS

CLIPS = "clips"
OLDER_READERS_NAME = "voice_dataset_manifest.json"
PARQUET = "dataset.parquet"
KALDI = "kaldi"
_GROUP_ROWS = 8_192  # of Parquet: fixed, so that the bytes are
_BUFFER = 1 << 20  # bytes


class TrainerFiles:
    """NeMo's and Kaldi's files of both splits. Use as a context manager; ``add`` kept rows sorted by utterance id.

    Paths in them are relative to the store: trainers run there. Kaldi's files are sorted as its tools ask (C locale),
    its text is the normalised one, and its one speaker is the voice.
    """

    def __init__(self, folder: Path, speaker: str) -> None:
        self._folder, self._speaker = folder, speaker
        self._stack = contextlib.ExitStack()
        self._nemo: dict[str, BinaryIO] = {}
        self._kaldi: dict[str, dict[str, BinaryIO]] = {}

    def __enter__(self) -> TrainerFiles:
        for split in SPLITS:
            self._nemo[split] = self._open(self._folder / f"{split}.jsonl")
            kaldi = self._folder / KALDI / split
            kaldi.mkdir(parents=True)
            self._kaldi[split] = {name: self._open(kaldi / name) for name in ("wav.scp", "text", "utt2spk", "spk2utt")}
            self._kaldi[split]["spk2utt"].write(self._speaker.encode())
        return self

    def add(self, row: Row) -> None:
        """Write one kept row."""
        self._nemo[row.split].write(nemo_line(row).encode())
        files, name = self._kaldi[row.split], row.utterance_id
        files["wav.scp"].write(f"{name} {row.target}\n".encode())
        files["text"].write(f"{name} {' '.join(row.normalized_text.split())}\n".encode())
        files["utt2spk"].write(f"{name} {self._speaker}\n".encode())
        files["spk2utt"].write(f" {name}".encode())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            for split in SPLITS:
                self._kaldi[split]["spk2utt"].write(b"\n")
        self._stack.close()

    def _open(self, path: Path) -> BinaryIO:
        return self._stack.enter_context(path.open("wb", buffering=_BUFFER))


def nemo_line(row: Row) -> str:
    """One line of NeMo's manifest."""
    fields = {
        "audio_filepath": row.target,
        "text": row.text,
        "normalized_text": row.normalized_text,
        "duration": row.duration,
        "sha256": row.sha256,
        "utterance_id": row.utterance_id,
    }
    return json.dumps(fields, ensure_ascii=False, allow_nan=False) + "\n"


def write_manifest(path: Path, about: Mapping[str, Any], entries: Iterable[Row], rejected: Iterable[Row]) -> None:
    """The manifest: one JSON document, its keys sorted, one line an utterance. ``about`` is everything but the rows."""
    parts: dict[str, Any] = {**about, "entries": entries, "rejected": rejected}
    with path.open("wb", buffering=_BUFFER) as stream:
        stream.write(b"{")
        for number, key in enumerate(sorted(parts)):
            stream.write(f"{',' if number else ''}\n  {_json(key)}: ".encode())
            if key == "entries":
                _write_list(stream, (row.entry() for row in entries))
            elif key == "rejected":
                _write_list(stream, (row.rejection() for row in rejected))
            else:
                stream.write(_json(parts[key]).encode())
        stream.write(b"\n}\n")


def _write_list(stream: BinaryIO, values: Iterable[Mapping[str, Any]]) -> None:
    stream.write(b"[")
    empty = True
    for value in values:
        stream.write(f"{'' if empty else ','}\n    {_json(value)}".encode())
        empty = False
    stream.write(b"]" if empty else b"\n  ]")


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


# -- Parquet ---------------------------------------------------------------------------------------

# Columns of the table: name -> Arrow type. ``reasons`` is a list of words.
_STRINGS = ("utterance_id", "split", "source", "source_sha256", "origin", "text", "normalized_text", "hypothesis")
_MORE_STRINGS = ("text_as_given", "review", "reason", "detail", "target", "sha256")
_MORE_FIGURES = ("start", "end", "speech_seconds", "gain_db")
PARQUET_COLUMNS: tuple[tuple[str, str], ...] = (
    ("utterance_id", "string"),
    ("kind", "string"),
    ("kept", "bool"),
    *((name, "string") for name in _STRINGS[1:]),
    *((name, "string") for name in _MORE_STRINGS),
    ("reasons", "list"),
    ("overruled", "list"),
    ("bytes", "int64"),
    ("sample_rate", "int32"),
    *((name, "float64") for name in (*_MORE_FIGURES, *FIGURES)),
)


class ParquetTable:
    """All rows, kept and rejected, with all figures. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: dict[str, list[Any]] = {name: [] for name, _ in PARQUET_COLUMNS}

    def __enter__(self) -> ParquetTable:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {
            "string": pa.string(), "bool": pa.bool_(), "int64": pa.int64(), "int32": pa.int32(),
            "float64": pa.float64(), "list": pa.list_(pa.string()),
        }  # fmt: skip
        self._schema = pa.schema([(name, kinds[kind]) for name, kind in PARQUET_COLUMNS])
        self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd")
        return self

    def add(self, row: Row) -> None:
        """Write one row."""
        waiting = self._waiting
        for name, kind in PARQUET_COLUMNS:
            value = getattr(row, name)
            if kind == "list":
                value = [reason.code for reason in value]
            elif kind == "string" and value == "":
                value = None
            waiting[name].append(value)
        if len(waiting["kept"]) == _GROUP_ROWS:
            self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and self._waiting["kept"]:
                self._flush()
        finally:
            self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        batch = pa.record_batch(
            [pa.array(self._waiting[field.name], field.type) for field in self._schema], self._schema
        )
        self._writer.write_batch(batch, row_group_size=_GROUP_ROWS)
        for values in self._waiting.values():
            values.clear()
