from __future__ import annotations

from pathlib import Path

import pytest

from voice_pipeline.failures import ConfigError
from voice_pipeline.training.recipe import RECIPES, Recipe, load_recipe

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["cpu_demo", "cpu_small", "gpu_fastpitch_hifigan"])
def test_every_published_recipe_loads(name: str) -> None:
    recipe = load_recipe(PROJECT, name)
    assert recipe.total_steps > 0
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_the_published_recipes_are_all_tested() -> None:
    assert {path.stem for path in (PROJECT / RECIPES).glob("*.yaml")} == {
        "cpu_demo",
        "cpu_small",
        "gpu_fastpitch_hifigan",
    }


def test_the_gpu_recipe_is_full_size_bf16_and_distributed() -> None:
    recipe = load_recipe(PROJECT, "gpu_fastpitch_hifigan")
    assert (recipe.accelerator, recipe.precision, recipe.strategy, recipe.devices) == ("gpu", "bf16", "ddp", 0)
    assert (recipe.fastpitch.hidden, recipe.hifigan.initial_channels) == (384, 512)
    assert not recipe.hifigan.small_discriminators


def write(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / RECIPES / f"{name}.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return folder


VALID = """\
name: mine
fastpitch: {steps: 1, batch_size: 1, learning_rate: 0.001}
hifigan: {steps: 1, batch_size: 1, learning_rate: 0.001}
"""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (VALID + "stepz: 3\n", "stepz"),
        (VALID.replace("steps: 1, batch_size: 1, learning_rate: 0.001}", "steps: 0, batch_size: 1, learning_rate: 1}"),
         "fastpitch.steps"),
        (VALID + "audio: {hop: 200, n_fft: 1024}\n", "upsample_rates"),
        (VALID + "audio: {mel_fmax: 20000}\n", "mel_fmax"),
        (VALID + "precision: fp16\n", "precision"),
        (VALID + "devices: 0\n", "devices"),
        (VALID.replace("mine", "other"), "name is 'other'"),
        ("- a\n", "expected fields"),
    ],
)  # fmt: skip
def test_a_wrong_recipe_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        load_recipe(write(tmp_path, text), "mine")
    assert "mine.yaml" in str(caught.value)


@pytest.mark.parametrize("name", ["../cpu_demo", "a/b", "", "Upper", "x" * 65])
def test_a_recipe_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no recipe name"):
        load_recipe(tmp_path, name)
