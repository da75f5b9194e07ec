"""The file of a voice's promotions: JSON Lines, only ever added to, each line bound to the one before it.

    file = read_entries(path, voice)
    append(path, voice, entry)

Each entry carries ``previous``, the sha256 of the line before, so that an edited, removed or inserted line shows. The
file is untrusted: it is read strictly, with limits of size, and anything that this module would not have written is
refused by line. Only a last line without its end is passed over: a kill tore it, and so it never was an entry.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from voice_pipeline.atomic import sync
from voice_pipeline.bundle.format import is_rfc3339
from voice_pipeline.failures import VoiceFailure, disk_errors
from voice_pipeline.store import canonical_json

MAX_BYTES = 32 << 20  # of a registry; one entry takes some 700
MAX_LINE_BYTES = 32 << 10
_SHA256 = r"^[0-9a-f]{64}$"

Action = Literal["promote", "rollback", "withdraw"]


class Facts(BaseModel):
    """What identifies a release. All None: there is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    content_digest: str | None = Field(default=None, pattern=_SHA256)
    bundle_manifest_sha256: str | None = Field(default=None, pattern=_SHA256)
    decision_sha256: str | None = Field(default=None, pattern=_SHA256)
    certificate_hash: str | None = Field(default=None, pattern=_SHA256)
    statement_sha256: str | None = Field(default=None, pattern=_SHA256)
    signed_by: str | None = Field(default=None, min_length=1, max_length=200)

    def facts(self) -> Facts:
        """What identifies the release, alone."""
        return Facts(**{name: getattr(self, name) for name in Facts.model_fields})


class Entry(Facts):
    """One line of the registry."""

    seq: int = Field(ge=1)
    action: Action
    release: int | None = Field(ge=1, le=999_999)
    at: str = Field(description="RFC 3339, UTC.")
    by: str = Field(min_length=1, max_length=200)
    reason: str | None = Field(min_length=1, max_length=2000)
    previous: str | None = Field(pattern=_SHA256, description="sha256 of the line before; null in the first.")

    @field_validator("at")
    @classmethod
    def _checked_time(cls, value: str) -> str:
        if not (is_rfc3339(value) and value.endswith("Z")):
            raise ValueError("not an RFC 3339 date and time in UTC, such as 2026-02-23T00:00:00Z")
        return value

    @property
    def time(self) -> datetime:
        """``at`` as a time."""
        return datetime.fromisoformat(self.at)


@dataclass(frozen=True)
class Entries:
    """What the file held at one moment."""

    entries: tuple[Entry, ...]
    last_sha256: str | None  # of the last line: the next entry's ``previous``
    whole_bytes: int  # up to here the lines are whole; what follows was torn by a kill

    @property
    def last(self) -> Entry | None:
        """The last entry."""
        return self.entries[-1] if self.entries else None

    @property
    def promoted(self) -> dict[int, Facts]:
        """What identifies each release that was ever promoted, in their order."""
        return {one.release: one.facts() for one in self.entries if one.action == "promote" and one.release is not None}


def read_entries(path: Path, voice: str) -> Entries:
    """Read and check the whole file; a missing one is empty. Raises VoiceFailure ``verification_failed``."""
    data = _read(path, voice)
    lines = data.split(b"\n")[:-1]  # what stands after the last line's end is torn, or nothing
    entries: list[Entry] = []
    promoted: dict[int, Facts] = {}
    previous: str | None = None
    for number, line in enumerate(lines, start=1):
        entry = _parsed(line, voice, path, number)
        problem = "is not the successor of the line before" if entry.previous != previous else None
        problem = problem or _out_of_order(entry, entries[-1] if entries else None, promoted)
        if problem is not None:
            raise _wrong(voice, path, f"line {number} {problem}: a line was edited, removed or inserted")
        entries.append(entry)
        if entry.action == "promote" and entry.release is not None:
            promoted[entry.release] = entry.facts()
        previous = hashlib.sha256(line).hexdigest()
    return Entries(tuple(entries), previous, sum(len(line) + 1 for line in lines))


def append(path: Path, voice: str, entry: Entry) -> None:
    """Add one line, synced; the caller holds the lock. Where the disk is full the file stays as it was.

    Raises VoiceFailure ``disk_full`` or ``permission_denied``.
    """
    data = canonical_json(entry.model_dump(mode="json")) + b"\n"
    with disk_errors(voice=voice, file=path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            before = os.fstat(descriptor).st_size
            try:
                if os.write(descriptor, data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(descriptor)
            except BaseException:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)
        sync(path.parent)


def cut_torn_end(path: Path, voice: str, whole_bytes: int) -> None:
    """Cut what a kill left of an unfinished line; the caller holds the lock. Raises VoiceFailure when refused."""
    with disk_errors(voice=voice, file=path):
        if path.is_file() and path.stat().st_size > whole_bytes:
            os.truncate(path, whole_bytes)
            sync(path)


def problem_of(entry: Entry, before: Entries) -> str | None:
    """Why ``entry`` cannot be the next one; None when it can."""
    if entry.previous != before.last_sha256:
        return "is not the successor of the line before"
    return _out_of_order(entry, before.last, before.promoted)


def _out_of_order(entry: Entry, last: Entry | None, promoted: dict[int, Facts]) -> str | None:
    """Why ``entry`` cannot follow ``last``, after these releases were promoted; None when it can."""
    expected = 1 if last is None else last.seq + 1
    if entry.seq != expected:
        return f"has seq {entry.seq}, expected {expected}"
    if last is not None and entry.time < last.time:
        return "is of an earlier time than the line before"
    if entry.action == "withdraw":
        return None if entry.release is None and entry.facts() == Facts() else "withdraws, and names a release"
    if entry.release is None or None in (entry.content_digest, entry.bundle_manifest_sha256, entry.decision_sha256):
        return "promotes, and does not say what"
    if entry.action == "promote":
        newest = next(reversed(promoted), 0)  # they only rise
        return None if entry.release > newest else f"promotes release {entry.release} after release {newest}"
    if promoted.get(entry.release) != entry.facts():
        return f"goes back to release {entry.release}, which was never promoted as such"
    return None


def _read(path: Path, voice: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _wrong(voice, path, f"cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            raise _wrong(voice, path, f"is not a regular file of at most {MAX_BYTES} bytes")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(MAX_BYTES)
    finally:
        os.close(descriptor)


def _parsed(line: bytes, voice: str, path: Path, number: int) -> Entry:
    if len(line) > MAX_LINE_BYTES:
        raise _wrong(voice, path, f"line {number} has more than {MAX_LINE_BYTES} bytes")
    try:
        entry = Entry.model_validate_json(line)
        same = canonical_json(entry.model_dump(mode="json")) == line
    except ValidationError as error:
        item = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in item["loc"]) or "line"
        raise _wrong(voice, path, f"line {number} is no entry: {where}: {item['msg']}") from None
    except ValueError:  # text that UTF-8 cannot write
        same = False
    if not same:
        raise _wrong(voice, path, f"line {number} is not spelt as an entry is")
    return entry


def _wrong(voice: str, path: Path, detail: str) -> VoiceFailure:
    detail = f"the registry of promotions {detail}; put back the copy of it that you keep, or promote in a new store"
    return VoiceFailure("verification_failed", detail, voice=voice, file=path)
