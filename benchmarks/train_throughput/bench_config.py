"""The config that both sides train: cpu_demo's FastPitch, without what NeMo has no counterpart for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voice_pipeline.training.recipe import Recipe, load_recipe

LEARNING_RATE = 1e-3
PROJECT = Path(__file__).parents[2]


def bench_recipe(settings: dict[str, Any]) -> Recipe:
    """No aligner steps, a constant learning rate, the binarisation loss of NeMo's hundred epochs."""
    recipe = load_recipe(PROJECT, "cpu_demo")
    fastpitch = {
        **recipe.fastpitch.model_dump(),
        "aligner_steps": 0,
        "steps": settings["steps"],
        "batch_size": settings["batch_size"],
        "learning_rate": LEARNING_RATE,
        "final_learning_rate": LEARNING_RATE,
        "warmup_steps": 0,
        "bin_loss_start": 0,
        "bin_loss_warmup": 100 * 5,  # NeMo: 100 epochs; the sample speaker's epochs have 5 batches of 16
    }
    changes = {"fastpitch": fastpitch, "precision": settings["precision"], "threads": settings["threads"]}
    return Recipe.model_validate({**recipe.model_dump(), **changes})
