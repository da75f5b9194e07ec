"""What the export program is told, and what it answers: its spec, its report, its failure.

    spec = ExportSpec.model_validate(read_json(path))

The program runs in another interpreter, so everything goes through JSON files, checked on both sides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from voice_pipeline.atomic import read_json, write_json
from voice_pipeline.bundle.format import Sha256
from voice_pipeline.failures import VoiceFailure

ACOUSTIC_NAME = "acoustic.onnx"
VOCODER_NAME = "vocoder.onnx"
REPORT_NAME = "export.json"
FAILURE_NAME = "export_failure.json"
PARENT_ENVIRONMENT = "VOICE_EXPORT_PARENT"  # the process whose end must end the export
OPSET = 17  # of ai.onnx; what NeMo 3.0.0 exports by default


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceModel(_Strict):
    """A ``.nemo`` file and the digest that it must have."""

    path: Path
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Sentence(_Strict):
    """A text and its symbol ids: what torch and ONNX both speak."""

    text: str = Field(min_length=1, max_length=1000)
    ids: tuple[Annotated[int, Field(ge=0, le=65_535)], ...] = Field(min_length=1, max_length=4096)


class Tolerance(_Strict):
    """The largest difference that passes. FACTS of a sound export: 2e-6 of the mel, 1e-7 of the audio."""

    mel: float = Field(default=1e-3, gt=0, description="Largest absolute difference of the log mel, in nepers.")
    audio: float = Field(default=1e-3, gt=0, description="Largest absolute difference of the audio, full scale is 1.")


class ExportSpec(_Strict):
    """What to export, where to, and what to compare. Paths are absolute."""

    schema_: Literal["bundle_export/1"] = Field(alias="schema")
    voice_profile_id: str
    fastpitch: SourceModel
    hifigan: SourceModel
    output: Path
    vocabulary_size: int = Field(ge=1, description="Symbols of the text frontend.")
    sentences: tuple[Sentence, ...] = Field(min_length=1, max_length=16)
    tolerance: Tolerance = Tolerance()
    threads: int = Field(default=1, ge=1, le=64)


class Difference(_Strict):
    """ONNX against torch on one sentence. ``mean`` is the mean absolute difference."""

    text: str
    symbols: int
    frames: int
    mel_max: float
    mel_mean: float
    audio_peak: float = Field(description="Of torch's audio: what the differences are to be held against.")
    audio_max: float = Field(description="The vocoder alone, on torch's mel.")
    audio_mean: float
    speech_max: float = Field(description="Both models in a row.")


class ExportedFile(_Strict):
    """One ONNX file."""

    path: str
    bytes: int
    sha256: Sha256


class ExportReport(_Strict):
    """``export.json``."""

    schema_: Literal["bundle_export_report/1"] = Field(default="bundle_export_report/1", alias="schema")
    opset: int
    sample_rate: int = Field(description="Hz")
    hop: int = Field(description="Samples of audio per mel frame.")
    mels: int
    pitch_mean: float = Field(description="Hz; of the training's voiced frames.")
    pitch_std: float = Field(description="Hz")
    files: tuple[ExportedFile, ...]
    differences: tuple[Difference, ...]
    tolerance: Tolerance
    versions: dict[str, str] = Field(description="Of the libraries that exported and compared.")


def write_failure(path: Path, failure: VoiceFailure) -> None:
    """Write a classified failure for the parent process, atomically."""
    value = {"schema": "bundle_export_failure/1", "reason": failure.reason, "detail": failure.detail}
    write_json(path, value | {"root_cause_class": failure.root_cause_class.value})


def read_failure(path: Path, *, voice: str, file: Path) -> VoiceFailure | None:
    """The failure that an export wrote, or None when it wrote none that can be read."""
    try:
        value: Any = read_json(path)
        return VoiceFailure(value["reason"], str(value["detail"]), voice=voice, file=file)
    except (OSError, ValueError, KeyError, TypeError):
        return None
