"""The thresholds of configs/gates.yaml, and the judgement of a voice's figures by them.

gates = load_gates(project, voice)
for failed in judge(metrics, gates):
    print(failed)                       # wer is 0.31, the limit is at most 0.15
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_pipeline.failures import ConfigError
from voice_pipeline.voice import Voice, parse_strict

GATES_PATH = Path("configs/gates.yaml")


class Gates(BaseModel):
    """Limits of the figures: ``max_x`` and ``min_x`` limit the metric ``x``. Shares and rates are 0 to 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_wer: float = Field(ge=0)
    max_wer_above_recordings: float = Field(ge=0)
    max_cer: float = Field(ge=0)
    min_words: int = Field(ge=1)
    max_clipping_share: float = Field(ge=0, le=1)
    max_silence_share: float = Field(ge=0, le=1)
    max_edge_silence_seconds: float = Field(ge=0)
    max_real_time_factor: float = Field(gt=0)


class _GatesFile(Gates):
    dataset: object = None  # the dataset's own section, read by recordings.thresholds


METRICS = tuple(name.removeprefix("max_").removeprefix("min_") for name in Gates.model_fields)


@dataclass(frozen=True)
class FailedGate:
    """One figure that is beyond its limit; ``figure`` is None where it was not measured."""

    metric: str
    figure: float | None
    limit: float
    most: bool  # whether the limit is the most that passes, or the least

    def __str__(self) -> str:
        figure = "was not measured" if self.figure is None else f"is {self.figure:.6g}"
        return f"{self.metric} {figure}, the limit is at {'most' if self.most else 'least'} {self.limit:.6g}"


def load_gates(project: Path, voice: Voice | None = None) -> Gates:
    """The project's gates, with the overrides of ``voice``. Raises ConfigError that names the file and the key."""
    gates = Gates.model_validate(parse_strict(_GatesFile, project / GATES_PATH).model_dump(exclude={"dataset"}))
    if voice is None or not voice.gates:
        return gates
    file = f"configs/voices/{voice.voice_profile_id}.yaml"
    unknown = sorted(set(voice.gates) - set(Gates.model_fields))
    if unknown:
        known = ", ".join(Gates.model_fields)
        raise ConfigError(f"{file}: gates.{unknown[0]}: no such gate; there are {known}")
    try:
        return Gates.model_validate({**gates.model_dump(), **voice.gates})
    except ValidationError as error:
        faults = "; ".join(f"gates.{item['loc'][0]}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"{file}: {faults}") from error


def judge(metrics: Mapping[str, float | None], gates: Gates) -> tuple[FailedGate, ...]:
    """Every gate that the figures fail, in the file's order; () is a pass. What was not measured fails."""
    failed = []
    for name, limit in gates.model_dump().items():
        most = name.startswith("max_")
        metric = name.removeprefix("max_").removeprefix("min_")
        figure = metrics.get(metric)
        passed = figure is not None and math.isfinite(figure) and (figure <= limit if most else figure >= limit)
        if not passed:
            failed.append(FailedGate(metric, figure, float(limit), most))
    return tuple(failed)
