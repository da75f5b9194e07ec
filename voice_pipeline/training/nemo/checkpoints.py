"""Resume checkpoints, ``.nemo`` files and the digest of a model's tensors.

A resume checkpoint holds tensors, numbers and strings only and is loaded with ``weights_only=True``: no code in it
can run. It is written atomically, so a kill at any moment leaves the former one or the new one.
"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import re
import shutil
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voice_pipeline.atomic import atomic_path
from voice_pipeline.store import sha256_file

if TYPE_CHECKING:
    from nemo.core.classes import ModelPT

FORMAT = 1
TEMPORARY = "temporary"  # a folder in the work folder, empty but while a file is being made
_ARTIFACT = re.compile(r"[0-9a-f]{32}_(.+)")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResumePoint:
    """Where a training stood: ``step`` of ``stage`` had just been done."""

    identity: str
    stage: str
    step: int
    state: Mapping[str, Any]


def write_resume_point(path: Path, point: ResumePoint) -> None:
    """Replace the resume checkpoint. Raises VoiceFailure ``disk_full``."""
    import torch

    value = {
        "format": FORMAT,
        "identity": point.identity,
        "stage": point.stage,
        "step": point.step,
        "state": dict(point.state),
    }
    buffer = io.BytesIO()  # torch's own writer hides the disk's error behind a RuntimeError
    torch.save(value, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_resume_point(path: Path, identity: str) -> ResumePoint | None:
    """The resume checkpoint of this training; None where there is none, or none that may be used."""
    import torch

    if not path.exists():
        return None
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
        point = ResumePoint(value["identity"], value["stage"], int(value["step"]), value["state"])
        known = value["format"] == FORMAT
    except Exception as error:  # a damaged file raises what its bytes happen to trip over
        _log.warning("the resume checkpoint cannot be read (%s); starting anew", type(error).__name__)
        return None
    if not known or point.identity != identity:
        _log.warning("the resume checkpoint is of another training; starting anew")
        return None
    return point


def tensors_sha256(state: Mapping[str, Any]) -> str:
    """sha256 over names, types, shapes and bytes of all tensors of a state dict, in the order of their names."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_nemo(model: ModelPT, path: Path) -> dict[str, Any]:
    """Write ``model`` as a ``.nemo`` file that plain NeMo restores; returns its ``bytes`` and ``sha256``.

    The same model gives the same bytes: members are sorted, carry no time, and are named by their content.
    """
    from nemo.core.connectors.save_restore_connector import SaveRestoreConnector

    class _Connector(SaveRestoreConnector):  # type: ignore[misc]
        @staticmethod
        def _make_nemo_file_from_folder(filename: str, source_dir: str) -> None:
            folder = Path(source_dir)
            _name_artifacts_by_content(folder)
            with tarfile.open(filename, "w:") as archive:
                for file in sorted(folder.iterdir()):
                    member = archive.gettarinfo(file, arcname=f"./{file.name}")
                    member.mtime, member.uid, member.gid, member.uname, member.gname = 0, 0, 0, "", ""
                    member.mode = 0o644
                    with file.open("rb") as stream:
                        archive.addfile(member, stream)

        @staticmethod
        def _save_state_dict_to_disk(state_dict: Mapping[str, Any], filepath: str) -> None:
            import torch

            buffer = io.BytesIO()
            torch.save({name: tensor.detach().cpu() for name, tensor in state_dict.items()}, buffer)
            Path(filepath).write_bytes(buffer.getbuffer())

    with atomic_path(path) as temporary:
        _Connector().save_to(model, str(temporary))
        if temporary.stat().st_size == 0:
            raise OSError(errno.EIO, "nothing was written", str(path))
    return {"bytes": path.stat().st_size, "sha256": sha256_file(path)}


def _name_artifacts_by_content(folder: Path) -> None:
    """NeMo prefixes the files that a model carries with a random id: put their digest in its place."""
    config = folder / "model_config.yaml"
    text = config.read_text(encoding="utf-8")
    for file in sorted(folder.iterdir()):
        if found := _ARTIFACT.fullmatch(file.name):
            name = f"{sha256_file(file)[:32]}_{found.group(1)}"
            text = text.replace(file.name, name)
            file.rename(folder / name)
    config.write_text(text, encoding="utf-8")


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of a killed run."""
    for leftover in [*folder.glob(".*.tmp*"), *(folder / TEMPORARY).glob("*")]:
        with suppress(OSError):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()
