"""Weights that training starts from: a local ``.nemo``, looked at before anything in it is loaded.

A ``.nemo`` is a tar archive with a config, a pickled state dict and files. It comes from elsewhere, so: no member
may leave the archive's folder, link, or be of absurd size; the config is read as plain data; and the state dict
is unpickled by torch's restricted reader, which builds tensors and nothing else.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.store import sha256_file
from voice_pipeline.training.spec import BaseFile

if TYPE_CHECKING:
    from nemo.core.classes import ModelPT

_CONFIG = "model_config.yaml"
_WEIGHTS = "model_weights.ckpt"
_MOST_MEMBERS = 1000
_MOST_BYTES = 16 * 2**30  # of all members together
_MOST_CONFIG_BYTES = 4 * 2**20
_NAMED = 5  # differences that a message names
# The options that decide which symbols a tokenizer has and in which order, with the defaults of NeMo's
# EnglishPhonemesTokenizer.
_VOCABULARY_DEFAULTS = {
    "_target_": "",
    "punct": True,
    "non_default_punct_list": None,
    "stresses": False,
    "chars": False,
    "space": " ",
    "silence": None,
    "apostrophe": True,
    "add_blank_at": None,
}


def start_from(model: ModelPT, base: BaseFile, *, vocabulary: bool) -> None:
    """Load the weights of ``base`` into ``model``.

    Raises VoiceFailure ``base_checkpoint_missing``; ``base_checkpoint_unsafe`` for an archive that must not be
    loaded or is not the one that was checked; ``base_checkpoint_incompatible``, which names what differs.
    """
    import torch

    if not base.path.is_file():
        raise VoiceFailure("base_checkpoint_missing", "there is no such file", file=base.path)
    if (found := sha256_file(base.path)) != base.sha256:
        detail = f"its sha256 is {found[:12]}…, but {base.sha256[:12]}… was checked"
        raise VoiceFailure("base_checkpoint_unsafe", detail, file=base.path)
    config, weights = _read_archive(base.path)
    if vocabulary:
        _compare_vocabulary(_vocabulary(model.cfg.text_tokenizer), config, base.path)
    try:
        state = torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True)
    except Exception as error:  # pickle raises what its bytes happen to trip over
        raise VoiceFailure(
            "base_checkpoint_unsafe", f"its weights do not load: {_short(error)}", file=base.path
        ) from error
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise VoiceFailure("base_checkpoint_unsafe", "its weights are no state dict", file=base.path)
    _compare_tensors(model.state_dict(), state, base.path)
    model.load_state_dict(state, strict=True)


def _read_archive(path: Path) -> tuple[Mapping[str, Any], bytes]:
    """The config and the bytes of the weights, after every member was looked at."""
    import yaml

    wanted: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            total = 0
            for count, member in enumerate(archive, start=1):
                total += member.size
                if problem := _problem(member, count, total):
                    raise VoiceFailure("base_checkpoint_unsafe", f"member {member.name!r} {problem}", file=path)
                name = PurePosixPath(member.name).name
                if name in (_CONFIG, _WEIGHTS) and name not in wanted and (stream := archive.extractfile(member)):
                    wanted[name] = stream.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise VoiceFailure(
            "base_checkpoint_incompatible", f"not a .nemo archive: {_short(error)}", file=path
        ) from error
    for name in (_CONFIG, _WEIGHTS):
        if name not in wanted:
            raise VoiceFailure("base_checkpoint_incompatible", f"the archive has no {name}", file=path)
    try:
        if len(wanted[_CONFIG]) > _MOST_CONFIG_BYTES:
            raise ValueError("too large")
        config = yaml.safe_load(wanted[_CONFIG])
        if not isinstance(config, dict):
            raise ValueError("not a mapping")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise VoiceFailure("base_checkpoint_incompatible", f"its config: {_short(error)}", file=path) from error
    return config, wanted[_WEIGHTS]


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


def _compare_vocabulary(own: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> None:
    base = config.get("text_tokenizer")
    if not isinstance(base, dict):
        raise VoiceFailure("base_checkpoint_incompatible", "its config has no text_tokenizer", file=path)
    theirs = _vocabulary(base)
    different = [
        f"text_tokenizer.{name}: {theirs[name]!r} in the base, {own[name]!r} here"
        for name in _VOCABULARY_DEFAULTS
        if theirs[name] != own[name]
    ]
    if different:
        detail = "another vocabulary: " + "; ".join(different)
        raise VoiceFailure("base_checkpoint_incompatible", detail, file=path)


def _vocabulary(tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """The options that decide the symbols. Old checkpoints have the class in an old module, so only its name counts."""
    found = {name: tokenizer.get(name, default) for name, default in _VOCABULARY_DEFAULTS.items()}
    return {**found, "_target_": str(found["_target_"]).rpartition(".")[2]}


def _compare_tensors(own: Mapping[str, Any], base: Mapping[str, Any], path: Path) -> None:
    different = [f"{name} is missing" for name in own if name not in base]
    different += [f"{name} is unknown to the recipe" for name in base if name not in own]
    different += [
        f"{name}: {tuple(base[name].shape)} in the base, {tuple(own[name].shape)} here"
        for name in own
        if name in base and base[name].shape != own[name].shape
    ]
    if different:
        # The embedding tells most: another number of symbols is another vocabulary.
        different.sort(key=lambda text: "word_emb" not in text)
        more = f"; and {len(different) - _NAMED} more" if len(different) > _NAMED else ""
        detail = f"{len(different)} tensors differ: " + "; ".join(different[:_NAMED]) + more
        raise VoiceFailure("base_checkpoint_incompatible", detail, file=path)


def _short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
