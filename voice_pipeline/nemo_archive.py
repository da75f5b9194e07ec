"""A ``.nemo`` from elsewhere, looked at before anything in it is loaded.

    with open_archive(path) as archive:
        archive.config, archive.tensors        # plain data; names, shapes and element types of the weights
        torch.load(archive.weights, weights_only=True)

It is a tar archive with a config, a pickled state dict and files. No member may leave the archive's folder, link, be
of absurd size or stand twice; no member but the weights may be a pickle that names anything; the weights hold tensors
and nothing else (``voice_pipeline.torch_weights``); the config is read as plain data. All of it is looked at through
one opened file, which is also the one that is hashed: whoever exchanges the file in between changes nothing. Nothing
is unpickled here, and no weights are held in memory.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import re
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from voice_pipeline import pickles
from voice_pipeline.failures import VoiceFailure, disk_errors
from voice_pipeline.pickles import Tensor, UnsafePickleError
from voice_pipeline.torch_weights import NotWeightsError, read_tensors

CONFIG = "model_config.yaml"
WEIGHTS = "model_weights.ckpt"
_BLOCK = 512  # bytes of a tar archive's header, and what members are padded to
_READ = 1 << 20
_MOST_MEMBERS = 1000
_MOST_BYTES = 16 * 2**30  # of all members together
_MOST_CONFIG_BYTES = 2**20
_MOST_OTHER_BYTES = 64 * 2**20  # of a member that is not the weights: a lexicon, a tokenizer
_MOST_HEADER_BYTES = 64 * 2**10  # of a member's extended header, which tarfile holds in memory
_MOST_RATIO = 20  # of a compressed archive; weights hardly shrink
_ALWAYS_BYTES = 16 * 2**20  # what any compressed archive may unpack to
_MOST_NODES = 200_000  # on one level of the config, each alias counted as what it stands for
_MOST_DEPTH = 64
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_EXTENDED = (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME)
# Headers that give a member another size or another place than the one that was looked at.
_DECEIVING = ("size", "linkpath", "hdrcharset", "GNU.sparse")
_ARCHIVES = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"7z\xbc\xaf\x27\x1c",
    b"\x28\xb5\x2f\xfd",
)


@dataclass(frozen=True)
class NemoArchive:
    """A checked archive. ``weights`` can be read for as long as it is open."""

    sha256: str
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    weights: BinaryIO


def give_extraction_filters() -> None:
    """Call before NeMo is imported: it unpacks a ``.nemo`` with an extraction filter, which Python has since 3.11.4.

    Older ones (Debian 12 has 3.11.2) get the standard library's newer module from the package backports.tarfile. For
    processes that are there for NeMo only: whatever imports tarfile after this call imports that one.
    """
    if not hasattr(tarfile, "data_filter"):
        from backports import tarfile as newer

        sys.modules["tarfile"] = newer


@contextmanager
def open_archive(path: Path, *, sha256: str | None = None) -> Iterator[NemoArchive]:
    """The archive at ``path``, after every member was looked at. ``sha256``: of the file that is expected.

    Raises VoiceFailure ``base_checkpoint_unsafe`` for what must not be loaded or is another file than expected,
    ``base_checkpoint_incompatible`` for what is no such archive, ``disk_full`` for one whose unpacking fills the disk.
    """
    with ExitStack() as opened:
        try:
            archive = _opened(path, sha256, opened)
        except UnsafeArchiveError as error:
            raise VoiceFailure("base_checkpoint_unsafe", str(error), file=path) from error
        except (
            _OtherFileError,
            tarfile.TarError,
            EOFError,
            OSError,
            ValueError,
            ArithmeticError,
            MemoryError,
        ) as error:
            detail = str(error) if isinstance(error, _OtherFileError) else f"not a .nemo archive: {short(error)}"
            raise VoiceFailure("base_checkpoint_incompatible", detail, file=path) from error
        yield archive


class UnsafeArchiveError(ValueError):
    """An archive that must not be loaded."""


class _OtherFileError(ValueError):
    """No archive of a model."""


def _opened(path: Path, sha256: str | None, opened: ExitStack) -> NemoArchive:
    file = opened.enter_context(path.open("rb"))
    if file.seek(0, io.SEEK_END) > _MOST_BYTES:
        raise UnsafeArchiveError("it is larger than 16 GiB")
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 is not None and digest != sha256:
        raise UnsafeArchiveError(f"its sha256 is {digest[:12]}…, but {sha256[:12]}… was checked")
    file.seek(0)
    stream: BinaryIO = file
    if file.read(2) == b"\x1f\x8b":
        with disk_errors(file=path):
            stream = opened.enter_context(_unpacked(file))
    _check_headers(stream)
    stream.seek(0)
    tar = opened.enter_context(tarfile.TarFile(fileobj=stream))
    members = _members(tar)
    for name in (CONFIG, WEIGHTS):
        if name not in members:
            raise _OtherFileError(f"the archive has no {name}")
    config = None
    for name, member in members.items():
        if name != WEIGHTS:
            content = _content(tar, member)
            if problem := _problem_inside(content):
                raise UnsafeArchiveError(f"member {member.name[:200]!r} {problem}")
            if name == CONFIG:
                config = _config(content)
    assert config is not None
    weights = cast(BinaryIO, tar.extractfile(members[WEIGHTS]))
    try:
        tensors = read_tensors(weights)
    except UnsafePickleError as error:
        raise UnsafeArchiveError(f"{WEIGHTS}: {error}") from error
    except NotWeightsError as error:
        raise _OtherFileError(f"{WEIGHTS}: {error}") from error
    weights.seek(0)
    return NemoArchive(digest, config, tensors, weights)


def short(error: BaseException) -> str:
    """An error on one line of bounded length."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _unpacked(stream: BinaryIO) -> BinaryIO:
    """A compressed archive (NeMo before 1.7) unpacked to a nameless file, unless it unpacks to absurdly much."""
    packed = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    most = min(_MOST_BYTES, max(_ALWAYS_BYTES, _MOST_RATIO * packed))
    target = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115  # the caller closes it
    try:
        with gzip.GzipFile(fileobj=stream, mode="rb") as source:
            written = 0
            while block := source.read(_READ):
                written += len(block)
                if written > most:
                    raise UnsafeArchiveError(f"it unpacks to more than {most >> 20} MiB, from {packed} bytes")
                target.write(block)
    except (zlib.error, gzip.BadGzipFile, EOFError) as error:
        target.close()
        raise _OtherFileError(f"not a .nemo archive: {short(error)}") from error
    except BaseException:
        target.close()
        raise
    return target


def _check_headers(stream: BinaryIO) -> None:
    """Every header as it stands, before tarfile follows what extended ones say: it reads those whole into memory."""
    size = stream.seek(0, io.SEEK_END)
    place, count, total = 0, 0, 0
    while True:
        stream.seek(place)
        block = stream.read(_BLOCK)
        if block in (b"", b"\0" * _BLOCK):
            return
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        count += 1
        if problem := _header_problem(header, count):
            raise UnsafeArchiveError(f"member {header.name[:200]!r} {problem}")
        place += _BLOCK
        length = 0 if header.type == tarfile.DIRTYPE else header.size
        total += length
        if total > _MOST_BYTES:
            raise UnsafeArchiveError(f"member {header.name[:200]!r} makes the archive larger than 16 GiB")
        if place + length > size:
            raise _OtherFileError(f"not a .nemo archive: it ends within member {header.name[:200]!r}")
        if header.type == tarfile.XHDTYPE and (named := _deceiving(stream.read(length))):
            raise UnsafeArchiveError(f"member {header.name[:200]!r} changes {named} by an extended header")
        place += -(-length // _BLOCK) * _BLOCK


def _header_problem(header: tarfile.TarInfo, count: int) -> str | None:
    if header.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        return "is a link"
    if header.type in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        return "is neither a file nor a folder"
    if header.type not in (*_FILES, *_EXTENDED, tarfile.DIRTYPE):
        return f"is of the unknown kind {header.type!r}"
    if header.size < 0 or (header.type == tarfile.DIRTYPE and header.size):
        return "is of an impossible size"
    if header.type in _EXTENDED and header.size > _MOST_HEADER_BYTES:
        return "has an extended header of absurd size"
    return f"is one of more than {_MOST_MEMBERS}" if count > 2 * _MOST_MEMBERS else None


def _deceiving(header: bytes) -> str | None:
    """The first field of an extended header that would move or resize the member: ``<length> <field>=<value>``."""
    fields = [
        record.partition(b"=")[0].rpartition(b" ")[2].decode("utf-8", "replace") for record in header.split(b"\n")
    ]
    return next((field for field in fields if field.startswith(_DECEIVING)), None)


def _members(tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """The files by their path in the archive."""
    found: dict[str, tarfile.TarInfo] = {}
    for count, member in enumerate(tar, start=1):
        pure = PurePosixPath(member.name)
        problem = None
        if count > _MOST_MEMBERS:
            problem = f"is one of more than {_MOST_MEMBERS}"
        elif pure.is_absolute() or ".." in pure.parts or "\\" in member.name or "\0" in member.name:
            problem = "leaves the archive's folder"
        elif member.issparse() or not (member.isreg() or member.isdir()):
            problem = "is neither a file nor a folder"
        elif member.isreg() and any(known.casefold() == str(pure).casefold() for known in found):
            problem = "stands twice"  # who unpacks it would read the other one
        elif member.isreg() and pure.name in (CONFIG, WEIGHTS) and len(pure.parts) > 1:
            problem = f"is a second {pure.name}"
        elif member.isreg() and str(pure) != WEIGHTS and member.size > _MOST_OTHER_BYTES:
            problem = f"is larger than {_MOST_OTHER_BYTES >> 20} MiB"
        if problem:
            raise UnsafeArchiveError(f"member {member.name[:200]!r} {problem}")
        if member.isreg():
            found[str(pure)] = member
    return found


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    assert stream is not None  # it is a file
    return stream.read()


def _problem_inside(content: bytes) -> str | None:
    """Why a member that is not the weights must not be there, by what it holds and not by how it is called."""
    if content.startswith(_ARCHIVES) or content[257:262] == b"ustar" or zipfile.is_zipfile(io.BytesIO(content)):
        return "is an archive within the archive"
    if content.startswith(b"\x93NUMPY"):
        return None if _is_of_numbers(content) else "is an array of something else than numbers"
    return pickles.code_in(content)


def _is_of_numbers(content: bytes) -> bool:
    """Whether a file of numpy says that it holds numbers: objects would follow as a pickle."""
    start = 10 if content[6:7] == b"\x01" else 12
    length = int.from_bytes(content[8:start], "little")
    try:
        kind = ast.literal_eval(content[start : start + min(length, _MOST_HEADER_BYTES)].decode("latin-1"))["descr"]
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        return False
    return isinstance(kind, str) and re.fullmatch("[<>|=]?[biufc][0-9]+", kind) is not None


def _config(content: bytes) -> Mapping[str, Any]:
    import yaml

    if len(content) > _MOST_CONFIG_BYTES:
        raise _OtherFileError("its config: too large")
    try:
        config = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _OtherFileError(f"its config: {short(error)}") from error
    if not isinstance(config, dict):
        raise _OtherFileError("its config: not a mapping")
    # A few lines of aliases stand for billions of nodes, or for themselves.
    level: list[Any] = [config]
    for _depth in range(_MOST_DEPTH):
        inner: list[Any] = []
        for node in level:
            inner += node.values() if isinstance(node, dict) else node
            if len(inner) > _MOST_NODES:
                raise UnsafeArchiveError("its config: far more nodes than lines")
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            return config
    raise UnsafeArchiveError("its config: nested without an end")
