"""Tensors of old torch files: the same as torch reads, and nothing is ever run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voice_pipeline.recognition.torch_file import TorchFileError, read_tensors

pytestmark = pytest.mark.recordings


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(6, 5, generator=generator)
    value = {
        "step": 3,
        "state": {"whole": base, "view": base[1:, ::2], "turned": base.T, "numbers": torch.arange(4)},
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(2.5),
        "list": [base[0], ("a", 1.5, None)],
    }
    path = tmp_path_factory.mktemp("torch") / "old.pt"
    torch.save(value, path, _use_new_zipfile_serialization=False)
    return path


def same(ours: Any, theirs: Any) -> None:
    if hasattr(theirs, "numpy"):
        np.testing.assert_array_equal(ours, theirs.numpy())
        assert ours.dtype == theirs.numpy().dtype
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            same(ours[key], theirs[key])
    elif isinstance(theirs, list | tuple):
        for one, other in zip(ours, theirs, strict=True):
            same(one, other)
    else:
        assert ours == theirs


def test_it_reads_what_torch_reads(written: Path) -> None:
    torch = pytest.importorskip("torch")
    same(read_tensors(written), torch.load(written, weights_only=True))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 10_000), flip=st.integers(0, 10_000), value=st.integers(0, 255))
def test_damage_is_an_error_and_never_a_crash(written: Path, tmp_path: Path, cut: int, flip: int, value: int) -> None:
    data = bytearray(written.read_bytes())
    data[flip % len(data)] = value
    path = tmp_path / "damaged.pt"
    path.write_bytes(bytes(data[: cut % len(data)]))
    with pytest.raises(TorchFileError):
        read_tensors(path)


class Evil:
    """What an unsafe reader would run."""

    def __reduce__(self) -> Any:
        return os.system, ("touch broken-in",)


@pytest.mark.parametrize("place", ["header", "value"])
def test_code_is_refused(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pt"
    header = b"".join(pickle.dumps(one, 2) for one in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    path.write_bytes((b"" if place == "header" else header) + pickle.dumps(Evil(), 2))
    with pytest.raises(TorchFileError, match="system"):
        read_tensors(path)
    assert not (tmp_path / "broken-in").exists()
