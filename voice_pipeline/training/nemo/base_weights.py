"""Weights that training starts from: a local ``.nemo``, loaded by the trainer.

Whoever starts the trainer has checked the file (``training.base_check``); here it is checked again, because a trainer
can be started by anybody on any machine, and because only NeMo knows its models for certain. The archive is looked at
first (``voice_pipeline.nemo_archive``), and the state dict is then unpickled by torch's restricted reader, which builds
tensors and nothing else, from the very bytes that were looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.nemo_archive import open_archive, short
from voice_pipeline.training.base_check import listed, tensor_differences, vocabulary_differences
from voice_pipeline.training.spec import BaseFile

if TYPE_CHECKING:
    from nemo.core.classes import ModelPT


def start_from(model: ModelPT, base: BaseFile, *, vocabulary: bool) -> None:
    """Load the weights of ``base`` into ``model``.

    Raises VoiceFailure ``base_checkpoint_missing``; ``base_checkpoint_unsafe`` for an archive that must not be
    loaded or is not the one that was checked; ``base_checkpoint_incompatible``, which names what differs.
    """
    import torch

    if not base.path.is_file():
        raise VoiceFailure("base_checkpoint_missing", "there is no such file", file=base.path)
    with open_archive(base.path, sha256=base.sha256) as archive:
        found = vocabulary_differences(model.cfg.text_tokenizer, archive.config) if vocabulary else []
        own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        found = found or tensor_differences(own, {name: one.shape for name, one in archive.tensors.items()})
        if found:
            raise VoiceFailure("base_checkpoint_incompatible", listed(found), file=base.path)
        try:
            state = torch.load(archive.weights, map_location="cpu", weights_only=True)
        except Exception as error:  # pickle raises what its bytes happen to trip over
            detail = f"its weights do not load: {short(error)}"
            raise VoiceFailure("base_checkpoint_unsafe", detail, file=base.path) from error
    model.load_state_dict(state, strict=True)
