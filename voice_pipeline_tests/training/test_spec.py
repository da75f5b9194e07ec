from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.failures import ConfigError
from voice_pipeline.training.spec import TrainingSpec, read_spec, training_identity
from voice_pipeline_tests.training.conftest import Training


@pytest.fixture
def spec(new_training: Callable[..., Training]) -> TrainingSpec:
    return new_training().spec


def test_a_spec_survives_the_way_through_its_file(new_training: Callable[..., Training]) -> None:
    training = new_training()
    assert read_spec(training.spec_path) == training.spec


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("work_dir", "../outside"),
        ("work_dir", "/absolute"),
        ("features_index", "a\\b"),
        ("store", "relative"),
        ("voice_profile_id", "../x"),
        ("schema", "nemo_training/2"),
        ("seed", -1),
        ("surprise", 1),
    ],
)
def test_a_wrong_field_is_refused_by_name(spec: TrainingSpec, tmp_path: Path, field: str, value: object) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({**spec.to_json(), field: value}), encoding="utf-8")
    with pytest.raises(ConfigError, match=field):
        read_spec(path)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        read_spec(path)


def test_the_identity_is_of_what_decides_the_tensors(spec: TrainingSpec) -> None:
    def of(changed: TrainingSpec) -> str:
        return training_identity(changed, "f" * 64, "s" * 64, "v")

    recipe = spec.recipe
    base = of(spec)
    assert of(spec.model_copy(update={"run_id": "another", "store": Path("/elsewhere"), "work_dir": "x"})) == base
    assert of(spec.model_copy(update={"recipe": recipe.model_copy(update={"log_every": 9})})) == base
    assert of(spec.model_copy(update={"seed": spec.seed + 1})) != base
    assert of(spec.model_copy(update={"threads": 2})) != base
    longer = recipe.model_copy(update={"fastpitch": recipe.fastpitch.model_copy(update={"steps": 99})})
    assert of(spec.model_copy(update={"recipe": longer})) != base
