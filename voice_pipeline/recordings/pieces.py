"""The pieces of audio of a source: its files, or the rows of its Parquet tables.

for piece in pieces_of(recordings, digests, store):
    piece.name, piece.work
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voice_pipeline.recordings.measuring import Work
from voice_pipeline.recordings.source import Recordings
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
    """Every piece, sorted by name; ``digests`` are the sha256 of the source's files by name."""
    found = []
    for file in recordings.files:
        sha256 = digests[file.name]
        if file.problem is not None:
            found.append(Piece(file.name, sha256, file.bytes, problem=file.problem, detail=file.detail))
        else:
            work = Work(file.name, file.path, sha256, file.bytes)
            found.append(Piece(file.name, sha256, file.bytes, work))
    return found
