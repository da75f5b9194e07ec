"""A real FastPitch and a real HiFi-GAN with random weights, as .nemo files, for tests and benchmarks.

    python -m voice_pipeline_tests.tiny_models FOLDER [tiny|RECIPE]

They say nothing that a person would understand, but every part of them is NeMo's own: the tokenizer, the
modules, the archive; sizes come from a recipe, by the trainer's own code. Three settings are not random, so that
a sentence has a length and a level: the duration predictor's bias gives each symbol some seven frames, the mel's
bias is that of quiet speech, and the vocoder's last layer is scaled to make audible sound.

Importing this module imports no NeMo; ``build_in_subprocess`` keeps it (15 s, 900 MB) out of the test's process.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_pipeline.store import sha256_file
from voice_pipeline.training.recipe import FastPitchRecipe, HifiganRecipe, Recipe, load_recipe

PROJECT = Path(__file__).resolve().parents[1]
FRAMES_PER_SYMBOL = 7
QUIET_LOG_MEL = -5.0
LEVEL = 0.1  # RMS before the vocoder's tanh, full scale is 1


def recipe_of(size: str) -> Recipe:
    """``tiny``, ``default`` (NeMo's own size: 45.7 M and 13.9 M parameters), or a recipe of configs/recipes/."""
    schedule: dict[str, Any] = {"steps": 1, "batch_size": 1, "learning_rate": 1e-3}
    if size == "tiny":
        layers = {"hidden": 32, "inner": 64, "predictor_size": 64, "encoder_layers": 1, "decoder_layers": 1}
        resblocks = {"resblock_kernel_sizes": (3,), "resblock_dilation_sizes": ((1, 3, 5),)}
        acoustic = FastPitchRecipe(**schedule, **layers)
        vocoder = HifiganRecipe(**schedule, **resblocks, initial_channels=16, small_discriminators=True)
        return Recipe(name="tiny", fastpitch=acoustic, hifigan=vocoder)
    if size == "default":
        return Recipe(
            name="default",
            fastpitch=FastPitchRecipe(**schedule),
            hifigan=HifiganRecipe(**schedule, small_discriminators=True),
        )
    return load_recipe(PROJECT, size)


@dataclass(frozen=True)
class TinyModels:
    """The folder of two .nemo files, a result.json as a training leaves it, and the saved text frontend."""

    folder: Path

    @property
    def fastpitch(self) -> Path:
        return self.folder / "fastpitch.nemo"

    @property
    def hifigan(self) -> Path:
        return self.folder / "hifigan.nemo"

    @property
    def frontend(self) -> Path:
        return self.folder / "frontend"


def build_in_subprocess(folder: Path, size: str = "tiny") -> TinyModels:
    """Build the models in ``folder`` by a NeMo process of its own. Raises CalledProcessError with its output."""
    command = [sys.executable, "-m", "voice_pipeline_tests.tiny_models", str(folder), size]
    subprocess.run(command, check=True, timeout=300, cwd=PROJECT, capture_output=True, text=True)
    return TinyModels(folder)


def build(folder: Path, size: str, seed: int = 1234) -> TinyModels:
    """Build and save both models. Imports NeMo."""
    import torch

    from voice_pipeline.text.frontend import TextFrontend
    from voice_pipeline.text.nemo_tokenizer import tokenizer_config, write_phoneme_dict
    from voice_pipeline.training.nemo.models import build_fastpitch, build_hifigan

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    models, recipe = TinyModels(folder), recipe_of(size)
    folder.mkdir(parents=True, exist_ok=True)
    frontend = TextFrontend.for_language("en-US")
    frontend.save(models.frontend)
    phoneme_dict = folder / "phoneme_dict.txt"
    write_phoneme_dict(frontend, phoneme_dict)

    fastpitch = build_fastpitch(recipe, tokenizer_config(frontend, phoneme_dict)).eval()
    hifigan = build_hifigan(recipe).eval()
    with torch.no_grad():
        fastpitch.fastpitch.duration_predictor.fc.bias.fill_(math.log(1 + FRAMES_PER_SYMBOL))
        fastpitch.fastpitch.proj.bias.fill_(QUIET_LOG_MEL)
        fastpitch.fastpitch.pitch_mean.fill_(200.0)
        fastpitch.fastpitch.pitch_std.fill_(40.0)
        mel = fastpitch.generate_spectrogram(tokens=torch.tensor([frontend.encode("Good morning.")]))
        sound = torch.atanh(hifigan.convert_spectrogram_to_audio(spec=mel).double())
        hifigan.generator.conv_post.weight_g.mul_(LEVEL / sound.std())
        hifigan.generator.conv_post.bias.zero_()
    fastpitch.save_to(str(models.fastpitch))
    hifigan.save_to(str(models.hifigan))
    result = {
        name: {"sha256": sha256_file(path), "bytes": path.stat().st_size, "tensors_sha256": _tensors_sha256(model)}
        for name, path, model in (("fastpitch", models.fastpitch, fastpitch), ("hifigan", models.hifigan, hifigan))
    }
    (folder / "result.json").write_text(json.dumps({"models": result}, indent=2, sort_keys=True))
    return models


def _tensors_sha256(model: Any) -> str:
    import hashlib

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    build(Path(sys.argv[1]), (sys.argv[2:] or ["tiny"])[0])
