"""Weights that training starts from: a local ``.nemo``, looked at before anything in it is loaded.

It comes from elsewhere, so the archive is checked first (``voice_pipeline.nemo_archive``), and the state dict is
unpickled by torch's restricted reader, which builds tensors and nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.nemo_archive import WEIGHTS, read_archive, short
from voice_pipeline.store import sha256_file
from voice_pipeline.training.spec import BaseFile

if TYPE_CHECKING:
    from nemo.core.classes import ModelPT

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
    config, members = read_archive(base.path, (WEIGHTS,))
    if vocabulary:
        _compare_vocabulary(_vocabulary(model.cfg.text_tokenizer), config, base.path)
    try:
        state = torch.load(io.BytesIO(members[WEIGHTS]), map_location="cpu", weights_only=True)
    except Exception as error:  # pickle raises what its bytes happen to trip over
        raise VoiceFailure(
            "base_checkpoint_unsafe", f"its weights do not load: {short(error)}", file=base.path
        ) from error
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise VoiceFailure("base_checkpoint_unsafe", "its weights are no state dict", file=base.path)
    _compare_tensors(model.state_dict(), state, base.path)
    model.load_state_dict(state, strict=True)


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
