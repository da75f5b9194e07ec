"""The section ``dataset:`` of configs/gates.yaml: which utterances are kept, and when they make a dataset.

gates = load_dataset_gates(project, voice)
gates.min_snr_db
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_pipeline.failures import ConfigError
from voice_pipeline.voice import Voice, parse_strict

GATES_PATH = Path("configs/gates.yaml")


class DatasetGates(BaseModel):
    """Limits for an utterance, then for the dataset. Shares and rates are 0 to 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    min_seconds: float = Field(gt=0)
    max_seconds: float = Field(gt=0, le=30)
    min_snr_db: float
    max_clipping_share: float = Field(ge=0, le=1)
    min_bandwidth_hz: float = Field(ge=0)
    min_speech_share: float = Field(ge=0, le=1)
    min_speech_rate: float = Field(ge=0)
    max_speech_rate: float = Field(gt=0)
    max_cer: float = Field(ge=0)
    min_speaker_similarity: float = Field(ge=-1, le=1)
    min_minutes: float = Field(ge=0)
    min_utterances: int = Field(ge=2)
    min_phone_coverage: float = Field(ge=0, le=1)
    max_rejected_share: float = Field(ge=0, le=1)
    max_other_speaker_share: float = Field(ge=0, le=1)


class _GatesFile(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)  # the other gates are read by whom they concern

    dataset: DatasetGates


def load_dataset_gates(project: Path, voice: Voice) -> DatasetGates:
    """The project's gates with the voice's overrides. Raises ConfigError that names the file and the key."""
    gates = parse_strict(_GatesFile, project / GATES_PATH).dataset
    if not voice.dataset_gates:
        return gates
    file = f"configs/voices/{voice.voice_profile_id}.yaml"
    unknown = sorted(set(voice.dataset_gates) - set(DatasetGates.model_fields))
    if unknown:
        known = ", ".join(DatasetGates.model_fields)
        raise ConfigError(f"{file}: dataset_gates.{unknown[0]}: no such gate; there are {known}")
    try:
        return DatasetGates.model_validate({**gates.model_dump(), **voice.dataset_gates})
    except ValidationError as error:
        faults = "; ".join(f"dataset_gates.{item['loc'][0]}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"{file}: {faults}") from error
