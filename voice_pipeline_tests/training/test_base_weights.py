from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import pytest

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.store import sha256_file
from voice_pipeline.training.nemo.base_weights import start_from
from voice_pipeline.training.spec import BaseFile

torch = pytest.importorskip("torch")


class Runs:
    """Unpickling it would run a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.marker}",))


def member(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> BaseFile:
    with tarfile.open(path, "w:") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return BaseFile(path=path, sha256=sha256_file(path))


def weights(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def model() -> Any:
    return torch.nn.Linear(3, 2)


CONFIG = member("./model_config.yaml", b"target: x\n")


def refused(base: BaseFile, reason: str) -> str:
    with pytest.raises(VoiceFailure) as caught:
        start_from(model(), base, vocabulary=False)
    assert caught.value.reason == reason, str(caught.value)
    return caught.value.detail


def test_weights_that_fit_are_loaded(tmp_path: Path) -> None:
    source, target = model(), model()
    state = weights(source.state_dict())
    base = archive(tmp_path / "a.nemo", CONFIG, member("./model_weights.ckpt", state))
    start_from(target, base, vocabulary=False)
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    base = BaseFile(path=tmp_path / "none.nemo", sha256="0" * 64)
    refused(base, "base_checkpoint_missing")


def test_another_file_than_the_checked_one_is_not_loaded(tmp_path: Path) -> None:
    base = archive(tmp_path / "a.nemo", CONFIG, member("model_weights.ckpt", weights(model().state_dict())))
    assert "sha256" in refused(base.model_copy(update={"sha256": "0" * 64}), "base_checkpoint_unsafe")


@pytest.mark.parametrize(
    "hostile",
    [
        member("../escape.txt", b"x"),
        member("/etc/escape.txt", b"x"),
        member("a/../../escape.txt", b"x"),
        member("link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("hard", b"", type=tarfile.LNKTYPE, linkname="model_config.yaml"),
        member("device", b"", type=tarfile.CHRTYPE),
        member("pipe", b"", type=tarfile.FIFOTYPE),
        member("back\\slash", b"x"),
    ],
    ids=lambda value: value[0].name,
)
def test_hostile_members_are_refused(tmp_path: Path, hostile: tuple[tarfile.TarInfo, bytes]) -> None:
    base = archive(tmp_path / "a.nemo", CONFIG, hostile, member("model_weights.ckpt", weights(model().state_dict())))
    assert repr(hostile[0].name) in refused(base, "base_checkpoint_unsafe")


def test_a_huge_member_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.nemo"
    info, _ = member("model_weights.ckpt", b"")
    info.size = 64 * 2**30
    path.write_bytes(info.tobuf() + b"\0" * 1024)
    refused(BaseFile(path=path, sha256=sha256_file(path)), "base_checkpoint_unsafe")


def test_pickled_code_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for data in (weights({"weight": Runs(marker)}), pickle.dumps(Runs(marker))):
        base = archive(tmp_path / "a.nemo", CONFIG, member("model_weights.ckpt", data))
        refused(base, "base_checkpoint_unsafe")
        assert not marker.exists()


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x1f\x8b broken gzip", b"PK\x03\x04"])
def test_what_is_no_archive_is_incompatible(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.nemo"
    path.write_bytes(data)
    refused(BaseFile(path=path, sha256=sha256_file(path)), "base_checkpoint_incompatible")


def test_a_config_that_is_no_plain_yaml_is_refused(tmp_path: Path) -> None:
    hostile = member("model_config.yaml", b"!!python/object/apply:os.system ['true']\n")
    base = archive(tmp_path / "a.nemo", hostile, member("model_weights.ckpt", weights(model().state_dict())))
    refused(base, "base_checkpoint_incompatible")


def test_differing_shapes_are_named(tmp_path: Path) -> None:
    state = {"weight": torch.zeros(5, 3), "extra": torch.zeros(1)}
    base = archive(tmp_path / "a.nemo", CONFIG, member("model_weights.ckpt", weights(state)))
    detail = refused(base, "base_checkpoint_incompatible")
    assert "weight: (5, 3) in the base, (2, 3) here" in detail
    assert "bias is missing" in detail
    assert "extra is unknown" in detail


def test_weights_that_are_no_state_dict_are_refused(tmp_path: Path) -> None:
    base = archive(tmp_path / "a.nemo", CONFIG, member("model_weights.ckpt", weights([1, 2])))
    refused(base, "base_checkpoint_unsafe")
