"""Writing files so that a reader sees the old one or the new one, and locks that end with their process.

    write_json(path, value)
    with atomic_folder(path) as folder: ...

Every write goes to a temporary name in the same folder, is synced, and takes its place by a rename.

This module needs the standard library only, so that a trainer in another environment can use it as it is.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from voice_pipeline.failures import VoiceFailure, disk_errors

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h
_LOCK_POLL = 0.05  # seconds


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that becomes ``path`` when the block succeeds, and goes when it fails.

    Raises VoiceFailure ``disk_full`` or ``permission_denied`` when the disk refuses.
    """
    with disk_errors(file=path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=f".tmp{path.suffix}")
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people and programs: sorted keys, two spaces, a final newline; NaN raises ValueError."""
    write_text(path, json.dumps(value, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises OSError, or ValueError for what is not JSON."""
    try:
        return json.loads(read_bytes(path).decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading. Raises OSError for anything else: a FIFO would wait for its writer for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as stream:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        yield stream


def read_bytes(path: Path, *, most: int | None = None) -> bytes:
    """A regular file's bytes. Raises OSError, and ValueError for one of more than ``most`` bytes."""
    with open_regular(path) as stream:
        data = stream.read() if most is None else stream.read(most + 1)
    if most is not None and len(data) > most:
        raise ValueError(f"larger than {most} bytes")
    return data


@contextlib.contextmanager
def atomic_folder(path: Path, *, linked: str | None = None) -> Iterator[Path]:
    """A temporary folder beside ``path`` that takes its place, whole, when the block succeeds.

    An existing folder is exchanged in one system call (renameat2), so that a reader sees the old folder or
    the new one, never a mixture; then the old one is removed.

    ``linked`` names a subfolder that was filled by ``link_file``: its files are on the disk already, so that only the
    folder itself is synced. A million of them take no memory.
    """
    with disk_errors(file=path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield temporary
            temporary.chmod(0o755)
            _sync_folder(temporary, None if linked is None else temporary / linked)
            if path.exists():
                exchange(temporary, path)
            else:
                temporary.rename(path)
            sync(path.parent)
        finally:
            with contextlib.suppress(OSError):
                _remove_folder(temporary)


def link_file(source: Path, target: Path) -> None:
    """Put a file that was written atomically at ``target`` too: a hard link, which costs no space.

    Where the file system has no links, or no more of them, it is a synced copy. Raises OSError.
    """
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
        target.chmod(0o644)
        sync(target)


def _sync_folder(folder: Path, linked: Path | None) -> None:
    """Sync a folder's files and the folder, subfolders first."""
    if folder != linked:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    _sync_folder(Path(entry.path), linked)
                elif entry.is_file(follow_symlinks=False):
                    Path(entry.path).chmod(0o644)
                    sync(Path(entry.path))
    sync(folder)


def _remove_folder(folder: Path) -> None:
    """Remove a folder of any size in flat memory; of a link, the link."""
    if folder.is_symlink():
        folder.unlink()
        return
    while folder.is_dir():
        removed = False
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    _remove_folder(Path(entry.path))
                else:
                    Path(entry.path).unlink()
                removed = True
        if not removed:
            folder.rmdir()


@contextlib.contextmanager
def exclusive(path: Path, *, voice: str, wait: float = 0.0, doing: str = "training") -> Iterator[None]:
    """Hold the lock file ``path``; the kernel gives it back however this process ends.

    Raises VoiceFailure ``voice_busy`` when another process holds it for longer than ``wait`` seconds; ``doing`` says
    in the message what that process is at.
    """
    with disk_errors(voice=voice, file=path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("w")
    end = time.monotonic() + wait
    with stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    detail = f"another process is {doing} this voice"
                    raise VoiceFailure("voice_busy", detail, voice=voice) from None
                time.sleep(_LOCK_POLL)
        yield


def exchange(one: Path, other: Path) -> None:
    """Let two paths of one file system, files, folders or links, take each other's place in one system call."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "renameat2"):
        result = libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
        if result == 0:
            return
    # File systems without the exchange (some network mounts): the gap between the two renames is the best there is.
    aside = one.with_name(one.name + ".old")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def sync(path: Path) -> None:
    """Have the disk hold what was written to a file or a folder. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if path.is_dir() and error.errno in (22, 95):  # EINVAL, EOPNOTSUPP: folders cannot be synced everywhere
            return
        raise
    finally:
        os.close(descriptor)
