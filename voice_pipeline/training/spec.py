"""The one JSON file that a training program reads: what to train, from what, into which folder.

    spec = read_spec(Path("spec.json"))

All paths but ``store`` and those of the base weights are relative to the store, so that the same spec, but for the
store's root, describes the same training on any machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from voice_pipeline.atomic import read_json
from voice_pipeline.failures import ConfigError
from voice_pipeline.protocol import is_store_relative
from voice_pipeline.store import Store, identity, profile_id
from voice_pipeline.training.recipe import Recipe

VERSION = "1"  # of the training program: a change that alters the tensors raises it


class BaseFile(BaseModel):
    """A local ``.nemo`` that training starts from; its digest was checked against its weights manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class TrainingSpec(BaseModel):
    """What ``python -m voice_pipeline.training.nemo SPEC.json`` reads."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_id: Literal["nemo_training/1"] = Field("nemo_training/1", alias="schema")
    job_type: str = "tts_prod_train_nemo"
    voice_profile_id: str
    run_id: str = Field(min_length=1, max_length=200)
    store: Path = Field(description="Absolute path of the store's root.")
    work_dir: str
    features_index: str
    statistics: str
    frontend: str = Field(description="A folder written by TextFrontend.save.")
    recipe: Recipe
    base: dict[Literal["fastpitch", "hifigan"], BaseFile] = Field(default_factory=dict)
    seed: int = Field(1234, ge=0, le=2**31 - 1)
    threads: int | None = Field(None, ge=1, le=256, description="Overrides the recipe's.")

    @field_validator("voice_profile_id")
    @classmethod
    def _checked_id(cls, value: str) -> str:
        return profile_id(value)

    @field_validator("store")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError("must be an absolute path")
        return value

    @field_validator("work_dir", "features_index", "statistics", "frontend")
    @classmethod
    def _inside_the_store(cls, value: str) -> str:
        if not is_store_relative(value):
            raise ValueError("must be a POSIX path relative to the store, without ..")
        return value

    def path(self, relative: str) -> Path:
        """The file that a path of this spec names. Raises ValueError when a link leads out of the store."""
        return Store(self.store).resolve(relative)

    def to_json(self) -> dict[str, Any]:
        """The JSON object of this spec; ``read_spec`` of it gives an equal spec."""
        return self.model_dump(mode="json", by_alias=True)


def training_identity(spec: TrainingSpec, features_sha256: str, statistics_sha256: str, vocabulary: str) -> str:
    """sha256 of everything that decides the tensors; a resume checkpoint of another identity is not used.

    Leaves out where and when (store, folder, run) and how often to report or to save.
    """
    recipe = spec.recipe.model_dump(mode="json", exclude={"description", "checkpoint_every", "log_every", "threads"})
    return identity(
        version=VERSION,
        recipe=recipe,
        threads=threads_of(spec),
        seed=spec.seed,
        base={name: file.sha256 for name, file in sorted(spec.base.items())},
        features=features_sha256,
        statistics=statistics_sha256,
        vocabulary=vocabulary,
    )


def threads_of(spec: TrainingSpec) -> int:
    """CPU threads of each process; 0 lets torch choose, one a core."""
    return spec.recipe.threads if spec.threads is None else spec.threads


def read_spec(path: Path) -> TrainingSpec:
    """Read and check a spec. Raises ConfigError that names the file and every wrong field."""
    try:
        value = read_json(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from error
    try:
        return TrainingSpec.model_validate(value)
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg']}" for item in error.errors()]
        raise ConfigError(f"{path}: " + "; ".join(lines)) from error
