"""A ``.nemo`` from elsewhere, looked at before anything in it is loaded.

    config, members = read_archive(path, ("model_weights.ckpt",))

It is a tar archive with a config, a pickled state dict and files. No member may leave the archive's folder, link, or be
of absurd size; the config is read as plain data; and nothing is unpickled here.
"""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from voice_pipeline.failures import VoiceFailure

CONFIG = "model_config.yaml"
WEIGHTS = "model_weights.ckpt"
_MOST_MEMBERS = 1000
_MOST_BYTES = 16 * 2**30  # of all members together
_MOST_CONFIG_BYTES = 4 * 2**20


def give_extraction_filters() -> None:
    """Call before NeMo is imported: it unpacks a ``.nemo`` with an extraction filter, which Python has since 3.11.4.

    Older ones (Debian 12 has 3.11.2) get the standard library's newer module from the package backports.tarfile. For
    processes that are there for NeMo only: whatever imports tarfile after this call imports that one.
    """
    if not hasattr(tarfile, "data_filter"):
        from backports import tarfile as newer

        sys.modules["tarfile"] = newer


def read_archive(path: Path, read: Sequence[str] = ()) -> tuple[Mapping[str, Any], dict[str, bytes]]:
    """The config, and the bytes of the members named ``read``, after every member was looked at.

    Raises VoiceFailure ``base_checkpoint_unsafe`` for a member that must not be unpacked,
    ``base_checkpoint_incompatible`` for what is no such archive.
    """
    import yaml

    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            total = 0
            for count, member in enumerate(archive, start=1):
                total += member.size
                if problem := _problem(member, count, total):
                    raise VoiceFailure("base_checkpoint_unsafe", f"member {member.name!r} {problem}", file=path)
                name = PurePosixPath(member.name).name
                if name not in (CONFIG, WEIGHTS) or not member.isreg():
                    continue
                if name in found:  # who unpacks it would read the other one
                    raise VoiceFailure("base_checkpoint_unsafe", f"it has {name} twice", file=path)
                if name == CONFIG and member.size > _MOST_CONFIG_BYTES:
                    raise VoiceFailure("base_checkpoint_incompatible", "its config: too large", file=path)
                stream = archive.extractfile(member) if name == CONFIG or name in read else None
                found[name] = stream.read() if stream is not None else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        raise VoiceFailure("base_checkpoint_incompatible", f"not a .nemo archive: {short(error)}", file=path) from error
    for name in (CONFIG, WEIGHTS):
        if name not in found:
            raise VoiceFailure("base_checkpoint_incompatible", f"the archive has no {name}", file=path)
    try:
        config = yaml.safe_load(found[CONFIG])
        if not isinstance(config, dict):
            raise ValueError("not a mapping")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise VoiceFailure("base_checkpoint_incompatible", f"its config: {short(error)}", file=path) from error
    return config, found


def short(error: BaseException) -> str:
    """An error on one line of bounded length."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _problem(member: tarfile.TarInfo, count: int, total: int) -> str | None:
    pure = PurePosixPath(member.name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in member.name or "\0" in member.name:
        return "leaves the archive's folder"
    if member.issym() or member.islnk():
        return "is a link"
    if not (member.isreg() or member.isdir()):
        return "is neither a file nor a folder"
    if count > _MOST_MEMBERS:
        return f"is one of more than {_MOST_MEMBERS}"
    if total > _MOST_BYTES:
        return "makes the archive larger than 16 GiB"
    return None
