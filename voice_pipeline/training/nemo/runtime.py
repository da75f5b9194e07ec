"""Importing NeMo: only the modules that training needs, and a classified failure when they are not there.

``import nemo.collections.tts`` runs package files that import every model of two collections. The modules we need
do not need those, so their packages are entered as bare ones, which shortens the import by a third; a NeMo in which
that does not work is imported as usual.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
from pathlib import Path
from types import ModuleType

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.nemo_archive import give_extraction_filters

# Packages whose __init__ only gathers other modules.
_BARE_PACKAGES = (
    "nemo.collections.asr",
    "nemo.collections.asr.data",
    "nemo.collections.asr.losses",
    "nemo.collections.asr.metrics",
    "nemo.collections.asr.models",
    "nemo.collections.asr.modules",
    "nemo.collections.asr.parts",
    "nemo.collections.asr.parts.context_biasing",
    "nemo.collections.asr.parts.preprocessing",
    "nemo.collections.asr.parts.submodules",
    "nemo.collections.asr.parts.utils",
    "nemo.collections.audio",
    "nemo.collections.audio.parts",
    "nemo.collections.tts",
    "nemo.collections.tts.data",
    "nemo.collections.tts.losses",
    "nemo.collections.tts.models",
    "nemo.collections.tts.modules",
)
_MODULES = (
    "nemo.collections.tts.models.fastpitch",
    "nemo.collections.tts.models.hifigan",
    "nemo.collections.asr.modules.audio_preprocessing",
    "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers",
)
_log = logging.getLogger(__name__)


def import_nemo(*, lean: bool = True) -> None:
    """Import what training needs of NeMo. Raises VoiceFailure ``nemo_runtime_unavailable``.

    ``lean``: enter NeMo's gathering packages as bare ones. Use it in a process of its own only.
    """
    os.environ.setdefault("NUMBA_DISABLE_PERFORMANCE_WARNINGS", "1")
    if "nemo.collections.tts" in sys.modules:
        lean = False
    try:
        give_extraction_filters()
        if lean:
            _enter_bare_packages()
            try:
                _import_modules()
            except (ImportError, AttributeError) as error:
                _log.warning("NeMo's modules do not import on their own (%s); importing all of NeMo", error)
                _leave_bare_packages()
                _import_modules()
        else:
            _import_modules()
    # A shared library that is missing or was built for another machine raises OSError, not ImportError.
    except (ImportError, OSError, AttributeError) as error:
        detail = f"NeMo cannot be imported by {sys.executable}: {type(error).__name__}: {error}"
        raise VoiceFailure("nemo_runtime_unavailable", " ".join(detail.split())) from error


def _import_modules() -> None:
    for name in _MODULES:
        importlib.import_module(name)
    # The .nemo files name the preprocessor as NVIDIA's recipes do, by its package.
    preprocessing = sys.modules["nemo.collections.asr.modules.audio_preprocessing"]
    package = sys.modules["nemo.collections.asr.modules"]
    package.AudioToMelSpectrogramPreprocessor = preprocessing.AudioToMelSpectrogramPreprocessor  # type: ignore[attr-defined]


def _enter_bare_packages() -> None:
    found = importlib.util.find_spec("nemo")
    if found is None or found.origin is None:
        raise ImportError("No module named 'nemo'")
    root = Path(found.origin).parent
    for name in _BARE_PACKAGES:
        package = ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        package.__package__ = name
        sys.modules[name] = package


def _leave_bare_packages() -> None:
    for name in [name for name in sys.modules if name.startswith(("nemo.collections.asr", "nemo.collections.tts"))]:
        del sys.modules[name]
