"""Pickles from elsewhere, looked at and never run.

    state = read_state(stream)                 # {"encoder.weight": Tensor("Float", (384, 80), …), …}
    problem = code_in(data)                    # "a pickle that calls os.system", None for what runs nothing

A pickle is a program. ``read_state`` follows it symbolically, one instruction after another, and knows only what
torch.save writes for a state dict: tensors of plain storages in dictionaries with text as keys. Whatever else it
names or does, it is refused before anything of it is imported, and so are the tricks that cost memory or time.
picklescan, a list of what is known to be dangerous, looks at the same bytes, so that two opinions must agree.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

MOST_BYTES = 16 * 2**20  # of one pickle; that of a large model's state dict has half a megabyte
_MOST_INSTRUCTIONS = 1_000_000  # some seconds
_MOST_DIMENSIONS = 16

# Bytes of an element. The names are those of torch's storage classes without "Storage".
ITEM_BYTES: Mapping[str, int] = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1,
    "ComplexFloat": 8, "ComplexDouble": 16,
}  # fmt: skip
_STORAGE_MODULES = ("torch", "torch.cuda")
_CALLABLE = (
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
)
_IMPORTS = ("GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4")
_CALLS = ("REDUCE", "OBJ", "INST", "NEWOBJ", "NEWOBJ_EX", "BUILD")
_REFERENCES = ("PERSID", "BINPERSID")  # to something outside the pickle: an unpickler that knows none ends here
_BINARY_START = b"\x80"  # the instruction PROTO, with which every pickle since protocol 2 begins


class UnsafePickleError(ValueError):
    """A pickle that must not be loaded: it does more than hold tensors, or cannot be followed."""


class _TooLongError(UnsafePickleError):
    """More instructions than are followed."""


@dataclass(frozen=True)
class Storage:
    """The bytes behind tensors: element type, name within the file, elements."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True)
class Tensor:
    """A tensor's place in its storage. ``kind``: element type, a key of ``ITEM_BYTES``."""

    storage: Storage
    shape: tuple[int, ...]

    @property
    def kind(self) -> str:
        """The element type, a key of ``ITEM_BYTES``."""
        return self.storage.kind


@dataclass(frozen=True)
class _Global:
    module: str
    name: str

    def __str__(self) -> str:
        return shown(f"{self.module}.{self.name}")


class _Mark:
    """Where the items of a tuple, a list or a dictionary begin on the stack."""


def read_state(stream: BinaryIO) -> Any:
    """What the pickle at the stream's position holds, with ``Tensor`` for tensors; the stream stands behind it after.

    Raises UnsafePickleError for a pickle that holds anything else, or more.
    """
    machine = _Machine()
    try:
        for opcode, argument, _position in _instructions(stream):
            if opcode.name == "STOP":
                return machine.result()
            machine.follow(opcode.name, argument)
    except (IndexError, KeyError, TypeError) as error:  # an empty stack, an unknown memo, a value of another kind
        raise UnsafePickleError(f"it is no pickle of tensors ({type(error).__name__})") from error
    raise UnsafePickleError("its pickle does not end")


def code_in(data: bytes) -> str | None:
    """What a pickle at the start of ``data`` would run, in a few words; None for plain data and for what is none.

    A pickle of the first protocols is text: a list of words may look like the start of one. Such a text counts when
    it would really call something, or ends as a pickle does, or gets as far as to name what picklescan knows.
    """
    found, names = _calls(data)
    if found is not None:
        return f"is a pickle that {found}"
    return scan(data) if names or data[:1] == _BINARY_START else None


def shown(name: str) -> str:
    """A name from a pickle, on one line, of bounded length and harmless to a terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in name[:120])


class _Machine:
    """Follows the instructions of a state dict's pickle."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def follow(self, name: str, argument: Any) -> None:
        """One instruction. Raises UnsafePickleError, IndexError, KeyError, TypeError."""
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _NEW:
            self._stack.append(_NEW[name]())
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self._stack.append(self._memo[argument])
        elif name in _TUPLES:
            items = [self._stack.pop() for _ in range(_TUPLES[name])]
            self._stack.append(tuple(reversed(items)))
        elif name == "TUPLE":
            self._stack.append(tuple(self._items()))
        elif name in ("APPEND", "APPENDS"):
            items = self._items() if name == "APPENDS" else [self._stack.pop()]
            self._target(list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = self._items() if name == "SETITEMS" else [self._stack.pop(-2), self._stack.pop()]
            self._set(items)
        elif name == "GLOBAL":
            self._stack.append(_global(*argument.split(" ", 1)))
        elif name == "BINPERSID":
            self._stack.append(_storage(self._stack.pop()))
        elif name == "REDUCE":
            arguments, function = self._stack.pop(), self._stack.pop()
            self._stack.append(_called(function, arguments))
        elif name == "BUILD":
            state = self._stack.pop()
            if not isinstance(state, dict) or set(state) - {"_metadata"}:
                raise UnsafePickleError("its pickle sets attributes")
            self._target(dict)
        elif name != "PROTO":
            raise UnsafePickleError(f"its pickle uses {name}, which tensors have no need of")

    def result(self) -> Any:
        """The one value that is left."""
        if len(self._stack) != 1 or isinstance(self._stack[0], _Mark):
            raise UnsafePickleError("its pickle leaves more than one value")
        return self._stack[0]

    def _items(self) -> list[Any]:
        """What was put on the stack after the last mark. Raises IndexError without a mark."""
        items = []
        while not isinstance(item := self._stack.pop(), _Mark):
            items.append(item)
        return items[::-1]

    def _target(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise UnsafePickleError(f"its pickle fills something that is no {kind.__name__}")
        return self._stack[-1]

    def _set(self, items: list[Any]) -> None:
        target = self._target(dict)
        if len(items) % 2:
            raise UnsafePickleError("its pickle has a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):
                raise UnsafePickleError("its pickle has a key that is no text")
            target[key] = value


_VALUES = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING")
_NEW: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict, "MARK": _Mark,
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _global(module: str, name: str) -> _Global:
    found = _Global(module, name)
    storage = module in _STORAGE_MODULES and name.endswith("Storage") and name.removesuffix("Storage") in ITEM_BYTES
    if not storage and (module, name) not in _CALLABLE:
        raise UnsafePickleError(f"its pickle names {found}, which is no part of a tensor")
    return found


def _storage(identity: Any) -> Storage:
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
        raise UnsafePickleError("its pickle refers to something that is no storage")
    kind, key, count = identity[1], identity[2], identity[4]
    if len(identity) == 6 and identity[5] is not None:
        raise UnsafePickleError("its pickle has a view of a storage")
    if not isinstance(kind, _Global) or not isinstance(key, str) or type(count) is not int or count < 0:
        raise UnsafePickleError("its pickle has a storage of no kind or size")
    return Storage(kind.name.removesuffix("Storage"), key, count)


def _called(function: Any, arguments: Any) -> Any:
    """What a call answers, of the few that a state dict makes."""
    name = function.name if isinstance(function, _Global) else ""
    if (getattr(function, "module", ""), name) not in _CALLABLE or not isinstance(arguments, tuple):
        raise UnsafePickleError("its pickle calls something that makes no tensor")
    if name == "OrderedDict":
        pairs = arguments[0] if arguments else []
        if not isinstance(pairs, list) or len(arguments) > 1 or not all(_is_pair(pair) for pair in pairs):
            raise UnsafePickleError("its pickle has a dictionary of something else than pairs")
        return dict(pairs)
    if name == "Size":
        return _sizes(arguments[0])
    if name == "_rebuild_parameter":
        if not isinstance(arguments[0], Tensor):
            raise UnsafePickleError("its pickle has a parameter that is no tensor")
        return arguments[0]
    storage, offset, shape, strides = arguments[0], arguments[1], _sizes(arguments[2]), _sizes(arguments[3])
    if not isinstance(storage, Storage) or len(shape) != len(strides) or type(offset) is not int or offset < 0:
        raise UnsafePickleError("its pickle has a tensor without a storage")
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if 0 not in shape and last >= storage.count:
        raise UnsafePickleError("a tensor leaves its storage")
    return Tensor(storage, shape)


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple) or len(value) > _MOST_DIMENSIONS:
        raise UnsafePickleError("its pickle has a tensor of no shape")
    if not all(type(size) is int and 0 <= size < 2**48 for size in value):
        raise UnsafePickleError("its pickle has a tensor of an impossible shape")
    return value


def _instructions(stream: BinaryIO, most: int = _MOST_INSTRUCTIONS) -> Iterator[tuple[Any, Any, int | None]]:
    """The instructions of one pickle. Raises UnsafePickleError for what is none, or for one too long to follow."""
    count = 0
    try:
        for found in pickletools.genops(stream):
            count += 1
            if count > most:
                raise _TooLongError(f"its pickle has more than {_MOST_INSTRUCTIONS} instructions")
            yield found
    except UnsafePickleError:
        raise
    except Exception as error:  # pickletools raises what its bytes happen to trip over
        raise UnsafePickleError("its pickle breaks off") from error


def _calls(data: bytes) -> tuple[str | None, bool]:
    """What the pickles at the start of ``data`` would call, or None; and whether they would name anything.

    It reads on behind what would end a loader, up to the first byte that is no instruction: so does picklescan, which
    must not be given more than can be looked through.
    """
    stream, binary, left, names = io.BytesIO(data), data[:1] == _BINARY_START, _MOST_INSTRUCTIONS, False
    while stream.tell() < len(data):
        depths, alive, named = [0], True, ""  # depths: values on the stack, since each mark
        try:
            for opcode, argument, _position in _instructions(stream, left):
                left -= 1
                if binary and opcode.name in _REFERENCES:
                    return "refers to something outside", names
                alive = alive and opcode.name not in _REFERENCES and _apply(opcode, depths)
                if opcode.name in _IMPORTS and (alive or binary):
                    named, names = shown(str(argument or opcode.name).replace(" ", ".")), True
                    if binary:
                        return f"names {named}", names
                if opcode.name in _CALLS and (alive or binary):
                    return f"calls {named or 'something'}", names
        except _TooLongError:
            return "is too long to be looked through", names
        except UnsafePickleError:
            return None, names
        if named and alive:
            return f"names {named}", names
    return None, names


def _apply(opcode: Any, depths: list[int]) -> bool:
    """Move the stack's depths as an instruction does; False where it would find too little on the stack."""
    before, after = list(opcode.stack_before), len(opcode.stack_after)
    if opcode.name == "MARK":
        depths.append(0)
        return True
    if opcode.name == "POP" and depths[-1] == 0 and len(depths) > 1:
        depths.pop()
        return True
    if pickletools.markobject in before:
        if len(depths) == 1:
            return False
        if opcode.name == "OBJ" and depths[-1] < 1:
            return False
        depths.pop()
        before = before[: before.index(pickletools.markobject)]
    if depths[-1] < len(before):
        return False
    depths[-1] += after - len(before)
    return True


def scan(data: bytes) -> str | None:
    """picklescan's opinion of the pickles at the start of ``data``, of at most ``MOST_BYTES``; None: nothing known."""
    import logging

    from picklescan.scanner import scan_pickle_bytes

    # It reports on a logger of its own; what it finds is told once, by the failure.
    logging.getLogger("picklescan").setLevel(logging.CRITICAL)
    try:
        found = scan_pickle_bytes(io.BytesIO(data), "pickle")
    except Exception as error:  # it trips over what no pickle would hold
        return f"is a pickle that picklescan cannot read ({type(error).__name__})" if data[:1] == b"\x80" else None
    dangerous = sorted(f"{one.module}.{one.name}" for one in found.globals if one.safety.value == "dangerous")
    return f"is a pickle that names {shown(dangerous[0])}" if dangerous else None
