"""The pieces of audio of a source: its files, or the rows of its Parquet tables.

for piece in pieces_of(recordings, digests, store):
    piece.name, piece.work
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from voice_pipeline.atomic import atomic_path
from voice_pipeline.recordings.measuring import Work
from voice_pipeline.recordings.parquet import Row, TableProblem, extract, row_name
from voice_pipeline.recordings.source import PARQUET_SUFFIX, Recordings, SourceFile
from voice_pipeline.store import Store


@dataclass(frozen=True)
class Piece:
    """One piece of audio: ``work`` to be measured, or the ``problem`` for which it cannot be."""

    name: str
    sha256: str
    bytes: int
    work: Work | None = None
    stored: str | None = None  # store-relative path of audio that was taken out of a table
    problem: str | None = None
    detail: str = ""


def pieces_of(recordings: Recordings, digests: Mapping[str, str], store: Store) -> list[Piece]:
    """Every piece, sorted by name; ``digests`` are the sha256 of the source's files by name.

    Raises VoiceFailure ``disk_full`` or ``permission_denied``.
    """
    found: list[Piece] = []
    files = {file.name: file for file in recordings.files}
    for file in recordings.files:
        sha256 = digests[file.name]
        if file.problem is not None:
            found.append(Piece(file.name, sha256, file.bytes, problem=file.problem, detail=file.detail))
        elif recordings.kind != "parquet":
            found.append(Piece(file.name, sha256, file.bytes, Work(file.name, file.path, sha256, file.bytes)))
        elif file.path.suffix.lower() == PARQUET_SUFFIX:
            found.extend(_rows(recordings, file, files, digests, store))
    return sorted(found, key=lambda piece: piece.name)


def _rows(
    recordings: Recordings,
    table: SourceFile,
    files: Mapping[str, SourceFile],
    digests: Mapping[str, str],
    store: Store,
) -> Iterator[Piece]:
    sha256 = digests[table.name]
    try:
        rows = extract(store, table.path, sha256)
    except TableProblem as error:
        yield Piece(table.name, sha256, table.bytes, problem="audio_undecodable", detail=str(error))
        return
    for row in rows:
        name = row_name(table.name, row.number)
        if row.problem is not None:
            yield Piece(name, row.sha256, row.bytes, problem="audio_undecodable", detail=row.problem)
        elif row.path is not None:
            yield _referred(recordings, table, row.path, name, files, digests, store)
        else:
            yield _stored(store, row, name)


def _stored(store: Store, row: Row, name: str) -> Piece:
    path = row.stored(store)
    work = Work(name, path, row.sha256, row.bytes)
    return Piece(name, row.sha256, row.bytes, work, stored=store.relative(path))


def _referred(
    recordings: Recordings,
    table: SourceFile,
    path: str,
    name: str,
    files: Mapping[str, SourceFile],
    digests: Mapping[str, str],
    store: Store,
) -> Piece:
    """The piece whose row names a file: relative to the table or to the source, and one of the source's files."""
    folder = PurePosixPath(table.name).parent
    file = None
    if "\0" not in path and "\\" not in path and not recordings.single:
        top = Path(os.path.normpath(recordings.root.absolute()))
        for start in (top / folder, top):
            whole = Path(os.path.normpath(start / path))
            if whole.is_relative_to(top):
                file = file or files.get(whole.relative_to(top).as_posix())
    if file is None:
        detail = "names a file that is not in the source"
        return Piece(name, "", 0, problem="missing_audio_path", detail=detail)
    if file.problem is not None:
        return Piece(name, "", 0, problem=file.problem, detail=f"names {file.name}, which {file.detail}")
    sha256 = digests[file.name]
    if not sha256:
        return Piece(name, "", 0, problem="audio_undecodable", detail=f"names {file.name}, which cannot be read")
    row = Row(0, sha256, file.bytes, file.path.suffix.lower())
    if not row.stored(store).exists():  # under the row's name there is no file in the source
        with atomic_path(row.stored(store)) as temporary:
            shutil.copyfile(file.path, temporary)
    return _stored(store, row, name)
