"""The tensors of a file that torch.save wrote before torch 1.6, read without torch and without trusting the file.

    tensors = read_tensors(path)            # {"model_state": {"linear.bias": float32 [256], …}, …}

Such a file is a row of pickles and then the storages' bytes. The pickles may build dictionaries, lists, numbers and
strings, and name tensors; any other class or function is refused before it is imported. So whoever only needs a few
arrays imports no torch: two seconds and 200 MB less in each process.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_MAGIC = 0x1950A86A20F9469CFC6C  # torch.serialization.MAGIC_NUMBER
_PROTOCOL = 1001
_DTYPES = {"FloatStorage": np.float32, "DoubleStorage": np.float64, "LongStorage": np.int64, "IntStorage": np.int32}
_MOST_BYTES = 1 << 30  # of one file


class TorchFileError(ValueError):
    """This is no such file, or one that holds more than tensors."""


@dataclass
class _Storage:
    dtype: Any
    count: int
    values: NDArray[Any] = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> NDArray[Any]:
        """The tensor's values, checked against its storage's size before anything is looked at."""
        size = self.storage.values.itemsize
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides), default=0) < 0 or last >= len(self.storage.values):
            if 0 not in self.shape:
                raise TorchFileError("a tensor leaves its storage")
            return np.zeros(self.shape, self.storage.dtype)
        strides = tuple(step * size for step in self.strides)
        return np.lib.stride_tricks.as_strided(self.storage.values[self.offset :], self.shape, strides).copy()


def read_tensors(path: Path) -> Any:
    """The saved value with numpy arrays in the place of tensors. Raises OSError, TorchFileError."""
    if path.stat().st_size > _MOST_BYTES:
        raise TorchFileError(f"{path.name} is larger than {_MOST_BYTES >> 20} MiB")
    with path.open("rb") as stream:
        try:
            if _Plain(stream).load() != _MAGIC or _Plain(stream).load() != _PROTOCOL:
                raise TorchFileError(f"{path.name} is no file of this kind")
            if _Plain(stream).load().get("little_endian") is not True:
                raise TorchFileError(f"{path.name} was written by a big-endian machine")
            reader = _WithTensors(stream)
            value = reader.load()
            for key in _Plain(stream).load():
                _fill(reader.storages[key], stream)
            return _resolved(value)
        except TorchFileError:
            raise
        except Exception as error:  # pickle raises what its bytes happen to trip over
            raise TorchFileError(f"{path.name}: {type(error).__name__}: {error}") from error


class _Plain(pickle.Unpickler):
    """Numbers, strings and their containers."""

    def find_class(self, module: str, name: str) -> Any:
        raise TorchFileError(f"it names {module}.{name}, which is no tensor")


class _WithTensors(_Plain):
    """What _Plain reads, and tensors whose storages come later."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        kind, dtype, key, _device, count, view = pid
        if kind != "storage" or view is not None or dtype not in _DTYPES.values() or not isinstance(count, int):
            raise TorchFileError("it names something that is no storage")
        return self.storages.setdefault(str(key), _Storage(dtype, count))


def _rebuild(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_rest: Any) -> _Tensor:
    if not isinstance(storage, _Storage) or len(shape) != len(strides):
        raise TorchFileError("a tensor without a storage")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _fill(storage: _Storage, stream: BinaryIO) -> None:
    count = int.from_bytes(stream.read(8), "little", signed=True)
    size = np.dtype(storage.dtype).itemsize
    if count != storage.count or not 0 <= count * size <= _MOST_BYTES:
        raise TorchFileError("a storage has another size than it should")
    data = stream.read(count * size)
    if len(data) != count * size:
        raise TorchFileError("it ends within a storage")
    storage.values = np.frombuffer(data, np.dtype(storage.dtype).newbyteorder("<")).astype(storage.dtype)


def _resolved(value: Any) -> Any:
    if isinstance(value, _Tensor):
        return value.array()
    if isinstance(value, dict):
        return {key: _resolved(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(item) for item in value]
    return value
