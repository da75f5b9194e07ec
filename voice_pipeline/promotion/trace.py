"""artifacts/training-trace.jsonl: one line for each verification of any voice; only ever added to.

    entry = append(store, {"kind": "training-trace", ...})     # with its seq, id and ts
    for line in read(store, 100): ...                          # the last 100 whole lines, as bytes

``seq`` rises by one under a lock on the file itself, which the kernel gives back however a process ends. A line counts
when its end is written: what an interrupted write left is cut off before the next line, and never shown.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voice_pipeline import clock
from voice_pipeline.atomic import sync
from voice_pipeline.failures import VoiceFailure, disk_errors
from voice_pipeline.store import Store, canonical_json

EXPORT_ROUTE = "/api/agi/training-trace/export"
MAX_LINE_BYTES = 1 << 20  # of one entry; a usual one has some 2,000
_BLOCK = 1 << 16  # bytes read at once, from the end
_WAIT = 60.0  # seconds for which another writer is waited for; one takes milliseconds
_POLL = 0.01  # seconds
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # no link is followed, no pipe is waited for


def append(store: Store, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Add one line, synced, and return it with its ``seq``, ``id`` and ``ts``. Where the disk is full nothing is added.

    Raises VoiceFailure ``disk_full``, ``permission_denied``, ``voice_busy`` when another writer holds the file for a
    minute, ``verification_failed`` when it is no regular file; ValueError for an entry that is too large or not JSON.
    """
    path = store.training_trace()
    with disk_errors(file=path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _opened(path, os.O_RDWR | os.O_CREAT) as descriptor:
            _lock(descriptor, path)
            size = _cut_torn_end(descriptor)
            seq = _last_seq(descriptor, size) + 1
            whole = {**entry, "seq": seq, "id": f"training-trace:{seq}", "ts": _now()}
            data = canonical_json(whole) + b"\n"
            if len(data) > MAX_LINE_BYTES:
                raise ValueError(
                    f"an entry of {len(data)} bytes is more than the {MAX_LINE_BYTES} that a line may have"
                )
            _write(descriptor, size, data)
        if size == 0:
            sync(path.parent)
    return whole


def read(store: Store, limit: int | None = None) -> Iterator[bytes]:
    """The last ``limit`` whole lines, the oldest first, each with its line end; None for all. Memory stays flat.

    What is appended meanwhile is left out. Nothing for a file that is not there. Raises VoiceFailure
    ``verification_failed`` when it is no regular file, OSError.
    """
    path = store.training_trace()
    try:
        opened = _opened(path, os.O_RDONLY)
        with opened as descriptor:
            end = _end_of_lines(descriptor, os.fstat(descriptor).st_size)
            start = 0 if limit is None else _start_of_last(descriptor, end, limit)
            with os.fdopen(os.dup(descriptor), "rb") as stream:
                stream.seek(start)
                while start < end:
                    line = stream.readline(end - start)
                    if not line:
                        return  # cut meanwhile
                    start += len(line)
                    yield line
    except FileNotFoundError:
        return


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    try:
        descriptor = os.open(path, flags | _FLAGS, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _irregular(path) from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _irregular(path)
        yield descriptor
    finally:
        os.close(descriptor)


def _irregular(path: Path) -> VoiceFailure:
    return VoiceFailure("verification_failed", "it is no regular file; move it away, then verify again", file=path)


def _lock(descriptor: int, path: Path) -> None:
    end = time.monotonic() + _WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                raise VoiceFailure("voice_busy", "another process holds the trace", file=path) from None
            time.sleep(_POLL)


def _write(descriptor: int, size: int, data: bytes) -> None:
    try:
        written = os.pwrite(descriptor, data, size)
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _cut_torn_end(descriptor: int) -> int:
    """Cut off what stands after the last line's end; the size that is left."""
    size = os.fstat(descriptor).st_size
    end = _end_of_lines(descriptor, size)
    if end != size:
        os.ftruncate(descriptor, end)
    return end


def _end_of_lines(descriptor: int, size: int) -> int:
    """Where the last whole line ends."""
    for start, block in _backwards(descriptor, size):
        found = block.rfind(b"\n")
        if found >= 0:
            return start + found + 1
    return 0


def _start_of_last(descriptor: int, end: int, count: int) -> int:
    """Where the last ``count`` of the lines that end at ``end`` begin."""
    if count <= 0:
        return end
    for start, block in _backwards(descriptor, max(end - 1, 0)):  # the last line's own end is not counted
        here = block.count(b"\n")
        if here < count:
            count -= here
            continue
        at = len(block)
        for _ in range(count):
            at = block.rfind(b"\n", 0, at)
        return start + at + 1
    return 0


def _backwards(descriptor: int, end: int) -> Iterator[tuple[int, bytes]]:
    while end > 0:
        start = max(end - _BLOCK, 0)
        yield start, os.pread(descriptor, end - start, start)
        end = start


def _last_seq(descriptor: int, end: int) -> int:
    """The seq of the last line that has one: a line that somebody spoilt is left alone, and passed over."""
    while end > 0:
        start = _start_of_last(descriptor, end, 1)
        if end - start <= MAX_LINE_BYTES:
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                seq = json.loads(os.pread(descriptor, end - start, start))["seq"]
                if isinstance(seq, int) and not isinstance(seq, bool) and seq > 0:
                    return seq
        end = start
    return 0


def _now() -> str:
    return clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
