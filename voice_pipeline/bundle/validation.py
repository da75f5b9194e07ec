"""Does a folder hold the voice bundle that its manifest describes? Every byte is read again.

    problems = validate_bundle(folder)
    for problem in problems:
        print(problem)                       # checksum_mismatch: sample.wav: sha256 is …, the manifest says …

The folder is untrusted: nothing in it is executed, no link is followed out of it, and nothing that is not a
regular file is opened for reading.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voice_pipeline.bundle.format import (
    EVALUATION_NAME,
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    PRODUCTION_FILES,
    BundleManifest,
    FileEntry,
    ManifestError,
    parse_manifest,
    plain_path_problem,
)
from voice_pipeline.failures import VoiceFailure

Code = Literal[
    "manifest_missing",
    "manifest_invalid",
    "path_escape",
    "required_file_missing",
    "bytes_mismatch",
    "checksum_mismatch",
    "unlisted_file",
    "signature_missing",  # these two are promotion.signing's
    "signature_invalid",
]

_READ_BLOCK = 1 << 20  # bytes


@dataclass(frozen=True, order=True)
class Problem:
    """One way in which a folder is not its bundle. ``path`` is relative to the folder, made printable."""

    code: Code
    path: str
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.path}: {self.detail}"


class _UnreadableError(ValueError):
    """A file that will not be read: the code and detail of its problem."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code: Code = code
        self.detail = detail


def validate_bundle(folder: Path, *, production: bool = False) -> list[Problem]:
    """Every problem of the bundle in ``folder``; empty when it is whole.

    The manifest first: ``manifest_missing``, ``manifest_invalid`` (nothing else is looked at then). After it each
    listed file, in the manifest's order, with the first of ``path_escape``, ``required_file_missing``,
    ``bytes_mismatch``, ``checksum_mismatch`` that holds. Last, in path order, what the manifest does not list:
    ``unlisted_file``, or ``path_escape`` for a link that leaves the folder.

    ``production`` also requires what a production bundle always holds: both .nemo files, sample.wav, the
    evaluation, the provenance block and every weights manifest that it names.
    """
    try:
        root = folder.resolve(strict=True)
        data = read_bounded(root, MANIFEST_NAME, MAX_MANIFEST_BYTES)
        manifest = parse_manifest(data)
    except (FileNotFoundError, NotADirectoryError):
        return [Problem("manifest_missing", MANIFEST_NAME, "no such file")]
    except _UnreadableError as error:
        return [Problem(error.code, MANIFEST_NAME, error.detail)]
    except ManifestError as error:
        return [Problem("manifest_invalid", MANIFEST_NAME, str(error))]
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links; ValueError: NUL in the path
        return [Problem("manifest_missing", MANIFEST_NAME, f"cannot be read: {_reason(error)}")]
    problems = _missing_provenance(manifest) if production else []
    for entry in manifest.files:
        problem = check_file(root, entry)
        if problem is not None:
            problems.append(problem)
    if production:
        problems.extend(_missing_production_files(manifest))
    problems.extend(_unlisted(root, {entry.path for entry in manifest.files}))
    return problems


def require_valid(folder: Path, *, voice: str | None = None, production: bool = False) -> None:
    """Raise VoiceFailure ``bundle_invalid`` naming the first problems, unless the bundle is whole."""
    problems = validate_bundle(folder, production=production)
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        shown = "; ".join(str(problem) for problem in problems[:3])
        raise VoiceFailure("bundle_invalid", shown + more, voice=voice, file=folder)


def read_bounded(root: Path, relative: str, most: int) -> bytes:
    """The bytes of a file of the bundle at ``root``, a resolved path: no link followed out, nothing but a regular file.

    Raises OSError, and ValueError in one line for a link that leaves the bundle or more than ``most`` bytes.
    """
    with _opened(root, relative) as (stream, size):
        if size > most:
            raise _UnreadableError("manifest_invalid", f"larger than {most} bytes")
        chunks = []
        while chunk := os.read(stream, _READ_BLOCK):
            chunks.append(chunk)
            if sum(map(len, chunks)) > most:
                raise _UnreadableError("manifest_invalid", f"larger than {most} bytes")
        return b"".join(chunks)


def check_file(root: Path, entry: FileEntry) -> Problem | None:
    """The first problem of one listed file of the bundle at ``root``, a resolved path; every byte is read."""
    shown = printable(entry.path)
    wrong = plain_path_problem(entry.path)
    if wrong is not None:
        return Problem("path_escape", shown, f"the path {wrong}")
    try:
        with _opened(root, entry.path) as (stream, size):
            if size != entry.bytes:
                return Problem("bytes_mismatch", shown, f"has {size} bytes, the manifest says {entry.bytes}")
            digest, read = hashlib.sha256(), 0
            while chunk := os.read(stream, _READ_BLOCK):
                read += len(chunk)
                if read > entry.bytes:
                    return Problem("bytes_mismatch", shown, "grows while it is read")
                digest.update(chunk)
    except FileNotFoundError:
        return Problem("required_file_missing", shown, "no such file")
    except _UnreadableError as error:
        code: Code = "required_file_missing" if error.code == "manifest_invalid" else error.code
        return Problem(code, shown, error.detail)
    except (OSError, RuntimeError) as error:
        return Problem("required_file_missing", shown, f"cannot be read: {_reason(error)}")
    if digest.hexdigest() != entry.sha256:
        return Problem("checksum_mismatch", shown, f"sha256 is {digest.hexdigest()}, the manifest says {entry.sha256}")
    return None


@contextmanager
def _opened(root: Path, relative: str) -> Iterator[tuple[int, int]]:
    """Open a regular file below ``root`` (already resolved): its descriptor and its size in bytes."""
    real = (root / relative).resolve(strict=True)
    if not real.is_relative_to(root):
        raise _UnreadableError("path_escape", "a link leaves the bundle")
    if not stat.S_ISREG(real.lstat().st_mode):  # opening a device can have effects, opening a FIFO can block
        raise _UnreadableError("manifest_invalid", "not a regular file")
    # Between the two looks the file may have been exchanged: so no link is followed here, and nothing blocks.
    descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _UnreadableError("manifest_invalid", "not a regular file")
        yield descriptor, status.st_size
    finally:
        os.close(descriptor)


def _unlisted(root: Path, listed: set[str]) -> list[Problem]:
    """Everything below ``root`` that is neither listed nor a folder, without following any link."""
    problems = []
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            problems.append(Problem("unlisted_file", printable(folder), f"cannot be listed: {_reason(error)}"))
            continue
        for entry in found:
            relative = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(relative)
            elif relative not in listed and relative != MANIFEST_NAME:
                problems.append(_unlisted_entry(root, relative, entry.is_symlink()))
    return sorted(problems, key=lambda problem: problem.path)


def _unlisted_entry(root: Path, relative: str, is_link: bool) -> Problem:
    if is_link:
        try:
            leaves = not (root / relative).resolve().is_relative_to(root)
        except (OSError, RuntimeError):
            leaves = True
        if leaves:
            return Problem("path_escape", printable(relative), "a link leaves the bundle")
    return Problem("unlisted_file", printable(relative), "not in the manifest")


def _missing_provenance(manifest: BundleManifest) -> list[Problem]:
    if manifest.provenance is not None:
        return []
    return [Problem("manifest_invalid", MANIFEST_NAME, "provenance: a production bundle needs it")]


def _missing_production_files(manifest: BundleManifest) -> list[Problem]:
    listed = {entry.path for entry in manifest.files}
    missing = [path for path in (*PRODUCTION_FILES, EVALUATION_NAME) if path not in listed]
    refs = manifest.provenance.weights_refs if manifest.provenance is not None else ()
    missing.extend(ref for ref in refs if ref not in listed)
    return [Problem("required_file_missing", printable(path), "a production bundle needs it") for path in missing]


def printable(path: str) -> str:
    """``path`` as it can be shown on one line: control characters and undecodable bytes escaped."""
    text = path.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)[:300]


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return errno.errorcode.get(error.errno, str(error.errno))
    return type(error).__name__
