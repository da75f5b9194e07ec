"""The layout of torch's files: what torch wrote is read, every other zip archive is refused."""

from __future__ import annotations

import contextlib
import io
import struct
import sys
import zipfile
from math import prod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.pickles import UnsafePickleError
from voice_pipeline.torch_weights import NotWeightsError, read_tensors
from voice_pipeline_tests.nemo_files import (
    LEGACY_START,
    SUSPICIOUS_PICKLES,
    hostile_pickles,
    state_pickle,
    torch_zip,
    weights,
)

SHAPES = {"encoder.weight": (4, 3), "encoder.bias": (4,), "steps": ()}
PICKLE = state_pickle(SHAPES)
STORAGES = {f"data/{number}": bytes(4 * prod(shape)) for number, shape in enumerate(SHAPES.values())}


def shapes_of(data: bytes) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in read_tensors(io.BytesIO(data)).items()}


def refused(data: bytes) -> str:
    with pytest.raises(UnsafePickleError) as caught:
        read_tensors(io.BytesIO(data))
    return str(caught.value)


def test_the_layout_by_hand_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    loaded = torch.load(io.BytesIO(weights(SHAPES)), weights_only=True)
    assert {name: tuple(tensor.shape) for name, tensor in loaded.items()} == SHAPES == shapes_of(weights(SHAPES))


@pytest.mark.parametrize("new", [True, False])
def test_what_torch_saves_is_read(new: bool) -> None:
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(torch.nn.LSTM(3, 4), torch.nn.BatchNorm1d(5), torch.nn.Embedding(6, 2))
    tied = torch.zeros(8, dtype=torch.bfloat16)
    for state in (
        network.state_dict(),
        network.state_dict(keep_vars=True),
        {"one": tied, "other": tied[2:6].view(2, 2).t(), "half": torch.zeros(2, dtype=torch.half), "none": tied[:0]},
        {},
    ):
        buffer = io.BytesIO()
        torch.save(state, buffer, _use_new_zipfile_serialization=new)
        assert shapes_of(buffer.getvalue()) == {name: tuple(tensor.shape) for name, tensor in state.items()}


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, {"a": {"b": None}}, "text"])
def test_what_is_no_state_dict_is_refused(value: Any) -> None:
    torch = pytest.importorskip("torch")
    for new in (True, False):
        buffer = io.BytesIO()
        torch.save(value, buffer, _use_new_zipfile_serialization=new)
        assert "something else than tensors" in refused(buffer.getvalue())


def test_hostile_pickles_in_every_place(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for name, data in {**hostile_pickles(canary), **SUSPICIOUS_PICKLES}.items():
        if name != "a second pickle":
            assert refused(LEGACY_START + data)
        assert refused(torch_zip(data)), name
        assert refused(torch_zip(PICKLE + data, STORAGES)), name
        assert refused(data), name
        for place in ("data/extra.pkl", "extra.pkl", "constants.pkl", "code/__torch__.py", "data.pkl/"):
            assert "no part of a state dict" in refused(torch_zip(PICKLE, {**STORAGES, place: data})), name
    assert not canary.exists()


def zipped(*, compress: int = zipfile.ZIP_STORED, names: tuple[str, ...] = ("data.pkl",), **changes: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as archive:
        for name in names:
            info = zipfile.ZipInfo(f"m/{name}")
            info.compress_type = compress
            archive.writestr(info, b"\x80\x02}.")
        archive.comment = changes.get("comment", b"")
    return buffer.getvalue()


def changed(data: bytes, at: int, form: str, value: int) -> bytes:
    copy = bytearray(data)
    struct.pack_into(form, copy, at, value)
    return bytes(copy)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_archives_that_two_readers_read_differently() -> None:
    good = zipped()
    assert shapes_of(good) == {}
    directory = good.rindex(b"PK\x01\x02")
    end = good.rindex(b"PK\x05\x06")
    assert "compressed" in refused(zipped(compress=zipfile.ZIP_DEFLATED))
    assert "twice" in refused(zipped(names=("data.pkl", "data.pkl")))
    assert "end with its directory" in refused(zipped(comment=b"PK\x05\x06" + bytes(18)))
    assert "end with its directory" in refused(good + b"x")
    assert "end with its directory" in refused(good[:directory] + b"hidden" + good[directory:])
    assert "two names" in refused(good.replace(b"m/data.pkl", b"m/harmless", 1))
    assert "two descriptions" in refused(changed(good, 8, "<H", 8))  # the method in the record's own header
    assert "two descriptions" in refused(changed(good, 6, "<H", 1))  # encrypted, says only the record
    both = changed(changed(good, 6, "<H", 1), directory + 8, "<H", 1)
    assert "encrypted" in refused(both)
    assert "lie over" in refused(changed(good, directory + 42, "<L", 1))  # the record begins elsewhere
    assert refused(changed(good, directory + 20, "<L", 2**31))  # a record of two gigabytes
    assert refused(changed(good, directory + 24, "<L", 2**31))
    assert refused(changed(good, end + 10, "<H", 9))  # more records than there are
    assert refused(changed(good, end + 12, "<L", 2**31))  # a directory of two gigabytes
    assert "no part of a state dict" in refused(zipped(names=("../data.pkl", "data.pkl")))


def large(data: bytes, **changes: int) -> bytes:
    """The same archive with the directory's description that archives of 4 GiB have."""
    end = data.rindex(b"PK\x05\x06")
    count, length, start = struct.unpack_from("<H2L", data, end + 10)
    told = {"count": count, "length": length, "start": start, "place": end, "short": 2**32 - 1, **changes}
    full = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, told["count"], told["length"], told["start"]
    )
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, told["place"], 1)
    short = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, told["short"], told["short"], 0)
    return data[:end] + full + locator + short


def test_archives_of_more_than_four_gigabytes_are_read() -> None:
    data = weights(SHAPES)
    assert shapes_of(large(data)) == SHAPES
    if torch := sys.modules.get("torch"):
        assert set(torch.load(io.BytesIO(large(data)), weights_only=True)) == set(SHAPES)
    for changes in ({"count": 1}, {"place": 2**63}, {"place": 0}, {"start": 2**62}, {"length": 0}, {"short": 7}):
        assert "director" in refused(large(data, **changes)), changes


def test_records_that_lie_over_each_other_are_refused() -> None:
    data = torch_zip(PICKLE, STORAGES)
    places = [place for place in range(len(data)) if data.startswith(b"PK\x01\x02", place)]
    second = struct.unpack_from("<L", data, places[1] + 42)[0]
    assert "over each other" in refused(changed(data, places[2] + 42, "<L", second))


def test_storages_of_another_size_are_refused() -> None:
    for records in ({}, {**STORAGES, "data/0": b"short"}, {"data/0": bytes(48), "data/1": bytes(16)}):
        assert "another size" in refused(torch_zip(PICKLE, records))


def test_an_old_file_whose_storages_do_not_fit_is_refused() -> None:
    torch = pytest.importorskip("torch")
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, buffer, _use_new_zipfile_serialization=False)
    good = buffer.getvalue()
    assert shapes_of(good) == {"a": (3,)}
    assert "end elsewhere" in refused(good + b"more")
    assert refused(good[:-20] + good[-12:])
    assert refused(changed(good, len(good) - 20, "<q", 1 << 60))


@pytest.mark.parametrize("data", [b"", b"\x80", b"text", bytes(100), b"\x89PNG\r\n"])
def test_what_is_no_file_of_torch_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(NotWeightsError):
        read_tensors(io.BytesIO(data))


@given(st.data())
def test_changed_files_are_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(weights(SHAPES))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(0, len(content)))
    with contextlib.suppress(UnsafePickleError, NotWeightsError):
        read_tensors(io.BytesIO(bytes(content[:cut])))
