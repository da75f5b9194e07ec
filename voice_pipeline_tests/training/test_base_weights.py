from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.store import sha256_file
from voice_pipeline.training.nemo.base_weights import start_from
from voice_pipeline.training.spec import BaseFile
from voice_pipeline_tests import nemo_files
from voice_pipeline_tests.nemo_files import hostile_pickles, member, torch_zip

torch = pytest.importorskip("torch")


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> BaseFile:
    written = nemo_files.archive(path, *members)
    return BaseFile(path=written, sha256=sha256_file(written))


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


def test_pickled_code_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where torch was told to run it."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    marker = tmp_path / "ran"
    for data in hostile_pickles(marker).values():
        for state in (data, torch_zip(data)):
            base = archive(tmp_path / "a.nemo", CONFIG, member("model_weights.ckpt", state))
            refused(base, "base_checkpoint_unsafe")
    assert not marker.exists()


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
