"""What a NeMo recogniser's config may say. NeMo builds classes by the names in it, so they are looked at first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voice_pipeline.failures import VoiceFailure

PARENT_ENVIRONMENT = "VOICE_TRAINER_PARENT"  # the process whose end must end the program
_MODELS = "nemo.collections.asr.models."
_PARTS = ("nemo.collections.asr.", "nemo.collections.common.", "torch.nn.")
_DATA = ("train_ds", "validation_ds", "test_ds", "optim")  # of its training: nothing of them is opened or built
_RESOLVER = re.compile(r"\$\{[^}]*:")  # ${oc.env:HOME}: OmegaConf would run a function


def checked_config(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The config without what only training needs.

    Raises VoiceFailure ``base_checkpoint_unsafe`` for a name outside NeMo's speech recognition or a resolver,
    ``base_checkpoint_incompatible`` for a model that is no recogniser.
    """
    kept = {key: value for key, value in config.items() if key not in _DATA}
    target = kept.get("target")
    if not isinstance(target, str) or not target.startswith(_MODELS):
        shown = target if isinstance(target, str) else "none"
        raise VoiceFailure("base_checkpoint_incompatible", f"it is no speech recogniser: target {shown}", file=path)
    for key, value in _strings(kept):
        if key in ("_target_", "target") and "." in value and not value.startswith(_PARTS):
            raise VoiceFailure("base_checkpoint_unsafe", f"its config builds {value}", file=path)
        if _RESOLVER.search(value):
            raise VoiceFailure("base_checkpoint_unsafe", f"its config computes {value[:80]}", file=path)
    return kept


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _strings(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, key)
