"""The layout of a file that torch.save wrote, checked to the byte before torch sees it.

    tensors = read_tensors(stream)             # {"encoder.weight": Tensor("Float", (384, 80)), …}

Since torch 1.6 it is a zip archive: one pickle, ``<root>/data.pkl``, and the storages, ``<root>/data/<key>``, all
stored as they are. Nothing else is accepted: no compression (a zip bomb), no second pickle, no record twice, none that
lies over another or that says something else in its own header than in the directory, by which two readers of one
archive see two. Older files are a row of pickles and then the storages. No number of a tensor is read here.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

from voice_pipeline import pickles
from voice_pipeline.pickles import ITEM_BYTES, MOST_BYTES, Storage, Tensor, UnsafePickleError

_ZIP = b"PK\x03\x04"
_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # the pickle of torch's magic number
_PROTOCOL = 1001
_MOST_RECORDS = 100_000
_MOST_SMALL_BYTES = 4096  # of a record that is neither the pickle nor a storage
_SMALL = re.compile(r"version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id")
_STORAGE = re.compile(r"data/[0-9]{1,9}")
_LOCAL = struct.Struct("<4sHHHHHLLLHH")  # the header before a record
_END = struct.Struct("<4s4H2LH")  # behind the directory
_LOCATOR = struct.Struct("<4sLQL")  # before _END in an archive of 4 GiB or more, and says where _END64 is
_END64 = struct.Struct("<4sQ2H2L4Q")
_MOST_DIRECTORY_BYTES = 32 * 2**20
_ENCRYPTED = 0x1 | 0x40 | 0x2000


class NotWeightsError(ValueError):
    """The bytes are no file of torch.save."""


def read_tensors(stream: BinaryIO) -> Mapping[str, Tensor]:
    """The tensors of a state dict by name.

    Raises NotWeightsError for what is no such file, UnsafePickleError for one that must not be loaded.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    start = stream.read(len(_LEGACY))
    if start.startswith(_ZIP):
        state, storages = _read_zip(stream, size)
    elif start == _LEGACY:
        state, storages = _read_legacy(stream, size)
    else:
        stream.seek(0)
        if problem := pickles.code_in(stream.read(MOST_BYTES)):
            raise UnsafePickleError(f"the file {problem}")
        raise NotWeightsError("no file of torch.save")
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise UnsafePickleError("it holds something else than tensors by name")
    for name, tensor in state.items():
        storage = tensor.storage
        if storages.get(storage.key) != storage.count * ITEM_BYTES[storage.kind]:
            raise UnsafePickleError(f"the storage of {pickles.shown(name)} has another size than its pickle says")
    return state


def _read_zip(stream: BinaryIO, size: int) -> tuple[Any, dict[str, int]]:
    """What the pickle holds, and the bytes of each storage."""
    try:
        _check_directory(stream, size)
        with zipfile.ZipFile(stream) as archive:
            records = {info.filename: info for info in archive.infolist()}
            if len(records) != len(archive.infolist()):
                raise UnsafePickleError("a record of it stands twice")
            _check_layout(stream, archive)
            root = next(iter(records)).partition("/")[0]
            wanted = f"{root}/data.pkl"
            if wanted not in records:
                raise UnsafePickleError("its first record is no part of a state dict")
            for name, info in records.items():
                _check_record(name.removeprefix(f"{root}/") if name.startswith(f"{root}/") else name, info)
            data = archive.read(wanted)
    except UnsafePickleError:
        raise
    except (zipfile.BadZipFile, RuntimeError, EOFError, struct.error, ValueError, OSError, OverflowError) as error:
        raise UnsafePickleError(f"its zip archive is malformed ({type(error).__name__})") from error
    inside = io.BytesIO(data)
    state = pickles.read_state(inside)
    if inside.tell() != len(data):
        raise UnsafePickleError("something follows its pickle")
    if problem := pickles.scan(data):
        raise UnsafePickleError(f"data.pkl {problem}")
    prefix = f"{root}/data/"
    storages = {name: info.file_size for name, info in records.items() if name.startswith(prefix)}
    return state, {name.removeprefix(prefix): count for name, count in storages.items()}


def _check_record(name: str, info: zipfile.ZipInfo) -> None:
    shown = repr(name[:120])
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise UnsafePickleError(f"its record {shown} is compressed")
    if info.flag_bits & _ENCRYPTED:
        raise UnsafePickleError(f"its record {shown} is encrypted")
    if name == "data.pkl":
        if info.file_size > MOST_BYTES:
            raise UnsafePickleError(f"its pickle is larger than {MOST_BYTES >> 20} MiB")
    elif _SMALL.fullmatch(name):
        if info.file_size > _MOST_SMALL_BYTES:
            raise UnsafePickleError(f"its record {shown} is too large")
    elif not _STORAGE.fullmatch(name):
        raise UnsafePickleError(f"its record {shown} is no part of a state dict")


def _check_directory(stream: BinaryIO, size: int) -> None:
    """The directory lies at the very end, is not too large to be read, and is described in one way only."""
    stream.seek(max(0, size - _END.size - _LOCATOR.size))
    tail = stream.read(_LOCATOR.size + _END.size)
    signature, disk, first_disk, here, count, length, start, comment = _END.unpack(tail[-_END.size :])
    if signature != b"PK\x05\x06" or comment or disk or first_disk or here != count:
        raise UnsafePickleError("its zip archive does not end with its directory")
    end = size - _END.size
    if tail.startswith(b"PK\x06\x07"):
        _, _, place, _ = _LOCATOR.unpack(tail[: _LOCATOR.size])
        end = end - _LOCATOR.size - _END64.size
        if place != end:
            raise UnsafePickleError("its zip archive has two directories")
        stream.seek(place)
        signature, *_rest, here, large_count, large_length, large_start = _END64.unpack(stream.read(_END64.size))
        told = ((count, large_count, 0xFFFF), (length, large_length, 2**32 - 1), (start, large_start, 2**32 - 1))
        if signature != b"PK\x06\x06" or any(short not in (long, full) for short, long, full in told):
            raise UnsafePickleError("its zip archive has two directories")
        count, length, start = large_count, large_length, large_start
        if here != count:
            raise UnsafePickleError("its zip archive has two directories")
    if start + length != end:
        raise UnsafePickleError("its zip archive does not end with its directory")
    if not 0 < count <= _MOST_RECORDS or length > _MOST_DIRECTORY_BYTES:
        raise UnsafePickleError("its zip archive has no records, or too many")


def _check_layout(stream: BinaryIO, archive: zipfile.ZipFile) -> None:
    """Records one after another from the first byte, each with one and the same description, then the directory."""
    end = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if info.header_offset < end or (end == 0 and info.header_offset != 0):
            raise UnsafePickleError("records of its zip archive lie over each other")
        stream.seek(info.header_offset)
        signature, _, flags, method, *_rest, name_bytes, extra_bytes = _LOCAL.unpack(stream.read(_LOCAL.size))
        name = stream.read(name_bytes)
        if signature != _ZIP or name != info.orig_filename.encode() or "\0" in info.orig_filename:
            raise UnsafePickleError("a record of its zip archive has two names")
        if flags != info.flag_bits or method != info.compress_type:
            raise UnsafePickleError("a record of its zip archive has two descriptions")
        end = info.header_offset + _LOCAL.size + name_bytes + extra_bytes + info.compress_size
    if end > archive.start_dir:
        raise UnsafePickleError("records of its zip archive lie over its directory")


def _read_legacy(stream: BinaryIO, size: int) -> tuple[Any, dict[str, int]]:
    """As ``_read_zip``, of a file from before torch 1.6."""
    stream.seek(0)
    head = io.BytesIO(stream.read(MOST_BYTES))
    head.seek(len(_LEGACY))
    if pickles.read_state(head) != _PROTOCOL:
        raise NotWeightsError("a file of torch.save of an unknown version")
    machine = pickles.read_state(head)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise NotWeightsError("a file of torch.save of a big-endian machine")
    state = pickles.read_state(head)
    keys = pickles.read_state(head)
    if not isinstance(state, dict) or not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise UnsafePickleError("it holds something else than tensors by name")
    if problem := pickles.scan(head.getvalue()[: head.tell()]):
        raise UnsafePickleError(problem)
    named: dict[str, Storage] = {
        tensor.storage.key: tensor.storage for tensor in state.values() if isinstance(tensor, Tensor)
    }
    storages: dict[str, int] = {}
    place = head.tell()
    for key in keys:
        storage = named.get(key)
        stream.seek(place)
        count = int.from_bytes(stream.read(8), "little", signed=True)
        if storage is None or key in storages or count != storage.count:
            raise UnsafePickleError("its storages are not those of its pickle")
        storages[key] = count * ITEM_BYTES[storage.kind]
        place += 8 + storages[key]
    if place != size:
        raise UnsafePickleError("its storages end elsewhere than the file")
    return state, storages
