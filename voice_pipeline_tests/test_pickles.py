"""Pickles that would run something are refused, and nothing of them runs."""

from __future__ import annotations

import contextlib
import io
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.pickles import MOST_BYTES, UnsafePickleError, code_in, read_state, scan
from voice_pipeline_tests.nemo_files import SUSPICIOUS_PICKLES, hostile_pickles, state_pickle

SHAPES = {"a.weight": (2, 3), "a.bias": (2,), "count": ()}
RUN = "import pickle, sys\nstream = open(sys.argv[1], 'rb')\nfor _ in range(2):\n    pickle.load(stream)\n"


def test_the_hostile_samples_do_run_when_they_are_unpickled(tmp_path: Path) -> None:
    """Else the tests below would prove nothing."""
    canaries = {name: tmp_path / f"canary{number}" for number, name in enumerate(hostile_pickles(tmp_path))}
    running = []
    for name, canary in canaries.items():
        sample = tmp_path / f"{canary.name}.pickle"
        sample.write_bytes(hostile_pickles(canary)[name])
        running.append(subprocess.Popen([sys.executable, "-S", "-c", RUN, str(sample)], stderr=subprocess.DEVNULL))
    for process in running:
        process.wait(timeout=60)
    assert [name for name, canary in canaries.items() if not canary.exists()] == []


def test_nothing_hostile_is_read_as_weights(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for name, data in {**hostile_pickles(canary), **SUSPICIOUS_PICKLES}.items():
        stream = io.BytesIO(data)
        if name == "a second pickle":
            assert read_state(stream) == {}
        with pytest.raises(UnsafePickleError):
            read_state(stream)
    assert not canary.exists()


def test_nothing_hostile_passes_for_another_file(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    passed = [name for name, data in hostile_pickles(canary).items() if code_in(data) is None]
    assert passed == []
    assert [name for name, data in SUSPICIOUS_PICKLES.items() if code_in(data) is None] == []
    assert not canary.exists()


def test_the_allowlist_refuses_what_picklescan_does_not_know(tmp_path: Path) -> None:
    unknown = hostile_pickles(tmp_path / "canary")["what no list of dangers has"]
    assert scan(unknown) is None
    assert code_in(unknown) == "is a pickle that names sqlite3.connect"
    assert scan(hostile_pickles(tmp_path / "canary")["reduce"]) == "is a pickle that names os.system"


def test_names_and_shapes_are_read() -> None:
    found = read_state(io.BytesIO(state_pickle(SHAPES)))
    assert {name: tensor.shape for name, tensor in found.items()} == SHAPES
    assert {tensor.kind for tensor in found.values()} == {"Float"}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"cat\ndog\nbird\n",  # GLOBAL, then BUILD with too little on the stack
        b"CAT  K AE1 T\nCATS  K AE1 T S\n",
        b"code\nopen\nread\n",
        b"int\nmain\n",  # INST without a mark
        b"Peter\nRuth\n",  # PERSID, which only an unpickler that knows such names would look up
        b"(a)\nb\n",
        b"target: x\nsample_rate: 22050\n",
        b"\n\x0c\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02",  # a SentencePiece model
        "ça\nétait\n".encode(),
        b".",
        pickle.dumps({"plain": [1, 2.5, "data", None]}),
    ],
)
def test_texts_and_plain_data_are_no_code(text: bytes) -> None:
    assert code_in(text) is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x80\x02" + b"N" * (1 << 20) + b".", "more than 1000000 instructions"),
        (b"\x80\x02}q\x00h\x00K\x01s.", "no text"),  # a dictionary as a key
        (b"\x80\x02X\xff\xff\xff\xffabc.", "breaks off"),
        (b"\x80\x02h\x07.", "no pickle of tensors"),
        (b"\x80\x02]K\x01a", "does not end|breaks off"),
        (b"\x80\x02K\x01K\x02.", "more than one value"),
    ],
)
def test_costly_and_broken_pickles_are_refused_at_once(data: bytes, said: str) -> None:
    with pytest.raises(UnsafePickleError, match=said):
        read_state(io.BytesIO(data))


def test_what_would_break_an_unpickler_costs_nothing_here() -> None:
    assert read_state(io.BytesIO(b"\x80\x02\x88r\xff\xff\xff\xff.")) is True  # a memo of 32 GiB, were it an array
    assert read_state(io.BytesIO(b"\x80\x02" + b"(" * 10_000 + b"t" * 10_000 + b"."))  # deep, and never hashed


def test_a_member_is_not_looked_through_for_ever() -> None:
    assert code_in(b"0" + b"N" * (1 << 21)) == "is a pickle that is too long to be looked through"
    assert code_in(b"." * (1 << 21)) == "is a pickle that is too long to be looked through"
    assert MOST_BYTES < 1 << 30


@pytest.mark.parametrize(
    "changed",
    [
        (b"J\x06\x00\x00\x00tQ", b"J\x05\x00\x00\x00tQ"),  # fewer elements than the shape needs
        (b"J\x02\x00\x00\x00J\x03\x00\x00\x00t(", b"J\xff\xff\xff\xffJ\x03\x00\x00\x00t("),  # a negative length
        (b"FloatStorage", b"MagicStorage"),
        (b"ctorch\nFloatStorage", b"ctorcc\nFloatStorage"),
        (b"_rebuild_tensor_v2", b"_rebuild_tensor_v9"),
        (b"storage", b"storags"),
        (b"OrderedDict", b"defaultdict"),
    ],
)
def test_tensors_that_are_none_are_refused(changed: tuple[bytes, bytes]) -> None:
    data = state_pickle(SHAPES)
    assert changed[0] in data
    with pytest.raises(UnsafePickleError):
        read_state(io.BytesIO(data.replace(*changed)))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    code_in(data)
    with contextlib.suppress(UnsafePickleError):
        read_state(io.BytesIO(data))


@given(st.data())
def test_changed_state_dicts_are_read_or_refused(data: st.DataObject) -> None:
    state = bytearray(state_pickle(SHAPES))
    for _ in range(data.draw(st.integers(1, 4))):
        state[data.draw(st.integers(0, len(state) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnsafePickleError):
        read_state(io.BytesIO(bytes(state)))
