"""Let ``dagster asset materialize --select`` work beside NeMo.

Dagster reads selections with a parser generated for antlr 4.13; NeMo's hydra and omegaconf pin antlr 4.9, whose runtime
cannot load it. Dagster itself falls back to a small parser (names, ``+name``, ``name+``, ``*``) when its own refuses a
selection, but not when it cannot be imported. See docs/decisions/0005.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

_PARSER_MODULE = "dagster._core.definitions.antlr_asset_selection.antlr_asset_selection"


def allow_plain_selections() -> None:
    """Where Dagster's parser cannot be imported, put one in its place that refuses, so that the fallback is taken."""
    try:
        importlib.import_module(_PARSER_MODULE)
    except (ImportError, TypeError):
        module = ModuleType(_PARSER_MODULE)
        module.AntlrAssetSelectionParser = _RefusingParser  # type: ignore[attr-defined]
        sys.modules[_PARSER_MODULE] = module


class _RefusingParser:
    def __init__(self, selection: str, include_sources: bool = False) -> None:
        raise ValueError(f"antlr's runtime is too old to read {selection!r}")
