"""``.nemo`` files for tests, good and hostile, made without torch and without NeMo."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import yaml

from voice_pipeline.nemo_archive import CONFIG, WEIGHTS

Shapes = Mapping[str, tuple[int, ...]]
LEGACY_START = (
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00X\r\x00\x00\x00little_endianq\x01\x88s."
)


def state_pickle(shapes: Shapes) -> bytes:
    """What torch.save writes as data.pkl for a state dict of float32 tensors."""
    parts = [b"\x80\x02}("]
    for number, (name, shape) in enumerate(shapes.items()):
        strides = [prod(shape[place + 1 :]) for place in range(len(shape))]
        storage = _text("storage") + b"ctorch\nFloatStorage\n" + _text(str(number)) + _text("cpu") + _int(prod(shape))
        parts += [_text(name), b"ctorch._utils\n_rebuild_tensor_v2\n((", storage, b"tQ", _int(0)]
        parts += [b"(", *map(_int, shape), b"t(", *map(_int, strides), b"t\x89ccollections\nOrderedDict\n)RtR"]
    return b"".join([*parts, b"u."])


def torch_zip(data: bytes, records: Mapping[str, bytes] | None = None) -> bytes:
    """A file as torch.save lays it out: ``data`` as its pickle, then ``records``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in {"data.pkl": data, **(records or {}), "version": b"3\n"}.items():
            archive.writestr(zipfile.ZipInfo(f"model_weights/{name}"), content)
    return buffer.getvalue()


def weights(shapes: Shapes) -> bytes:
    """A state dict of zeros."""
    storages = {f"data/{number}": bytes(4 * prod(shape)) for number, shape in enumerate(shapes.values())}
    return torch_zip(state_pickle(shapes), storages)


def member(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A tar member; ``fields`` overwrite its header's."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: Any = "w:", **options: Any) -> Path:
    """A tar file of exactly these members."""
    with tarfile.open(path, mode, **options) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


def nemo(path: Path, config: Mapping[str, Any], state: bytes, *more: tuple[tarfile.TarInfo, bytes]) -> Path:
    """A ``.nemo`` of a config, weights and whatever else."""
    text = yaml.safe_dump(dict(config)).encode()
    return archive(path, member(f"./{CONFIG}", text), member(f"./{WEIGHTS}", state), *more)


def hostile_pickles(canary: Path) -> dict[str, bytes]:
    """Pickles that create ``canary``, or would load what does; all but the last few run in any Python."""
    command = f"touch {canary}"
    quoted = repr(command).encode()
    binary = struct.pack("<I", len(command)) + command.encode()
    evaluated = f"__import__('os').system({command!r})"
    inner = pickle.dumps(_Runs("os", "system", command), 2)
    return {
        "reduce": b"\x80\x02cos\nsystem\nX" + binary + b"\x85R.",
        "text protocol": b"cos\nsystem\n(S" + quoted + b"\ntR.",
        "without an end": b"cos\nsystem\n(S" + quoted + b"\ntR",
        "inst": b"(S" + quoted + b"\nios\nsystem\n.",
        "obj": b"(cos\nsystem\nS" + quoted + b"\no.",
        "stack global": b"\x80\x04\x8c\x02os\x8c\x06system\x93X" + binary + b"\x85R.",
        "memoised names": b"\x80\x04\x8c\x06system\x94\x8c\x02os\x94h\x01h\x00\x93X" + binary + b"\x85R.",
        "names before a pop": b"\x80\x04\x8c\x02os\x8c\x06system\x8c\x04safe0\x93X" + binary + b"\x85R.",
        "builtins.eval": b"\x80\x02c__builtin__\neval\nX" + _sized(evaluated) + b"\x85R.",
        "builtins.getattr": _getattr(command),
        "a second pickle": b"\x80\x02}.\x80\x02cos\nsystem\nX" + binary + b"\x85R.",
        "in a harmless dictionary": b"\x80\x02}X\x01\x00\x00\x00acos\nsystem\nX" + binary + b"\x85Rs.",
        "a pickle in a pickle": b"\x80\x03c_pickle\nloads\nB" + struct.pack("<I", len(inner)) + inner + b"\x85R.",
        "subprocess": b"\x80\x02csubprocess\ncheck_call\n](X\x05\x00\x00\x00touchX" + _sized(str(canary)) + b"e\x85R.",
        "what no list of dangers has": b"\x80\x02csqlite3\nconnect\nX" + _sized(str(canary)) + b"\x85R.",
    }


# Refused as well, though they do nothing by themselves or need torch to.
SUSPICIOUS_PICKLES = {
    "torch.load": b"\x80\x02ctorch.serialization\nload\nX\x07\x00\x00\x00/x.ckpt\x85R.",
    "numpy": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R.",
    "extension": b"\x80\x02\x82\x01.",
    "module state": b"\x80\x02ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00aK\x01sb.",
    "newobj": b"\x80\x02cargparse\nNamespace\n)\x81.",
    "persistent": b"\x80\x02X\x01\x00\x00\x00aQ.",
}


class _Runs:
    """Unpickling it calls ``module.name(argument)``."""

    def __init__(self, module: str, name: str, argument: str) -> None:
        self._called = getattr(__import__(module), name), (argument,)

    def __reduce__(self) -> Any:
        return self._called


def _getattr(command: str) -> bytes:
    """getattr(importlib.import_module("os"), "system")(command)"""
    module = b"cimportlib\nimport_module\nX" + _sized("os") + b"\x85R"
    return (
        b"\x80\x02c__builtin__\ngetattr\n" + module + b"X" + _sized("system") + b"\x86RX" + _sized(command) + b"\x85R."
    )


def _sized(text: str) -> bytes:
    return struct.pack("<I", len(text.encode())) + text.encode()


def _text(text: str) -> bytes:
    return b"X" + _sized(text)


def _int(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)
