"""The clips of a dataset: hard links to the cleaned clips in the cache, each checked byte for byte.

    link_clips(store, folder / "clips", rows)

Hashing is what it costs: two seconds for ten thousand clips, on two cores. Nothing less proves that the clip that is
trained on is the one that was measured.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from voice_pipeline.atomic import link_file
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.workers import processes
from voice_pipeline.store import Store, sha256_file

_AHEAD = 64  # clips waiting to be hashed


def link_clips(store: Store, folder: Path, clips: Iterable[tuple[str, str, str]], *, voice: str) -> None:
    """Link each of (utterance id, store-relative WAV, sha256) into ``folder`` as ``<utterance id>.wav``.

    Raises VoiceFailure ``table_damaged`` for a WAV that is not what was recorded.
    """

    def link(clip: tuple[str, str, str]) -> None:
        identifier, wav, sha256 = clip
        try:
            path = store.resolve(wav)
            link_file(path, folder / f"{identifier}.wav")
            same = sha256_file(folder / f"{identifier}.wav") == sha256
        except (FileNotFoundError, ValueError):
            same = False
        if not same:
            with contextlib.suppress(OSError, ValueError):  # what is not there is made again by clean_utterances
                store.resolve(wav).unlink()
            detail = f"the clip of {identifier} is not the one that clean_utterances wrote"
            raise VoiceFailure("table_damaged", detail, voice=voice, file=wav)

    for _ in in_threads(link, clips):
        pass


def all_match(store: Store, files: Iterable[tuple[str, str]]) -> bool:
    """Whether each of (store-relative path, sha256) is there, byte for byte."""

    def matches(file: tuple[str, str]) -> bool:
        try:
            return sha256_file(store.resolve(file[0])) == file[1]
        except (OSError, ValueError):
            return False

    return all(in_threads(matches, files))


def in_threads(function: Any, jobs: Iterable[Any]) -> Iterator[Any]:
    """``function`` of every job in order, on all cores: hashing and system calls let other threads run."""
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(processes()) as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(function, job))
                if len(waiting) >= _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()
