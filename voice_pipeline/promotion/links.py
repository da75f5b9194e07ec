"""The link ``promoted``, and the one that is about to take its place.

    links = Links.read(store, voice)
    links.agree(entries)                # "agree", "finish" after a kill, or None: somebody changed them by hand

A change prepares the new link beside the old one (``.promoted.next``), appends the registry's entry, and only then
renames it. So a prepared link that fits the last entry tells that the promoted link is late, not wrong.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voice_pipeline.atomic import exchange, sync
from voice_pipeline.failures import disk_errors
from voice_pipeline.promotion.entries import Entry
from voice_pipeline.store import Store

NEXT_NAME = ".promoted.next"
_WITHDRAWN = "withdrawn"  # where the prepared link points when the promoted one is to go
_FOLDER = "\0folder"  # no link at all: before there were releases, promoted was the folder itself


@dataclass(frozen=True)
class Links:
    """Where the two links point, as they are written; None: there is none."""

    promoted: str | None
    next: str | None

    @classmethod
    def read(cls, store: Store, voice: str) -> Links:
        """The links as they are now."""
        return cls(_target(store.promoted(voice)), _target(next_link(store, voice)))

    @property
    def folder(self) -> bool:
        """Whether ``promoted`` is a folder or file, not a link."""
        return self.promoted == _FOLDER

    def agree(self, entries: tuple[Entry, ...]) -> Literal["agree", "finish"] | None:
        """``agree``: with the last entry; ``finish``: a kill left the link one entry late; None: neither."""
        wanted = _wanted(entries)
        if self.promoted == wanted:
            return "agree"
        late = self.promoted == _wanted(entries[:-1]) or (self.folder and len(entries) == 1)
        return "finish" if late and entries and self.next == (wanted or _WITHDRAWN) else None

    def __str__(self) -> str:
        if self.folder:
            return "is no link"
        return "is missing" if self.promoted is None else f"points to {self.promoted}"


def next_link(store: Store, voice: str) -> Path:
    """The link that is about to take the promoted one's place."""
    return store.promoted(voice).with_name(NEXT_NAME)


def prepare(store: Store, voice: str, release: int | None) -> None:
    """Make the link that is to come; None: there is to be none."""
    path = next_link(store, voice)
    with disk_errors(voice=voice, file=path):
        path.parent.mkdir(parents=True, exist_ok=True)
        drop_next(store, voice)
        path.symlink_to(_WITHDRAWN if release is None else _name(release))
        sync(path.parent)


def finish(store: Store, voice: str) -> None:
    """Put the prepared link in its place; a reader sees the old one or the new one."""
    path, promoted = next_link(store, voice), store.promoted(voice)
    with disk_errors(voice=voice, file=promoted):
        if _target(path) == _WITHDRAWN:
            promoted.unlink(missing_ok=True)
            sync(promoted.parent)
        elif _target(promoted) == _FOLDER:
            exchange(path, promoted)
        else:
            path.replace(promoted)
        sync(promoted.parent)
        drop_next(store, voice)


def drop_next(store: Store, voice: str) -> None:
    """Remove what was prepared and is not to come, or was exchanged for it."""
    path = next_link(store, voice)
    with disk_errors(voice=voice, file=path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remove(store: Store, voice: str) -> None:
    """Take the voice out of service, whatever it is that stands there: the link goes, a folder is put out of sight."""
    promoted = store.promoted(voice)
    with disk_errors(voice=voice, file=promoted):
        drop_next(store, voice)
        if promoted.is_symlink():
            promoted.unlink()
        elif promoted.exists():
            promoted.rename(promoted.with_name(f".promoted.withdrawn.{promoted.stat().st_ino}"))
        sync(promoted.parent)


def _wanted(entries: tuple[Entry, ...]) -> str | None:
    release = entries[-1].release if entries else None
    return None if release is None else _name(release)


def _name(release: int) -> str:
    return f"releases/{release:06d}"


def _target(path: Path) -> str | None:
    try:
        return str(path.readlink())
    except FileNotFoundError:
        return None
    except OSError:  # EINVAL: no link
        return _FOLDER
