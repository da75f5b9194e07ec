"""How to train: one YAML file in configs/recipes/, read strictly.

    recipe = load_recipe(project, "cpu_demo")

A recipe fixes the audio analysis, the size of both models, their schedules and what the machine must have.
Unknown fields are errors, and an error names the file and the field.
"""

from __future__ import annotations

import re
from math import prod
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voice_pipeline.failures import ConfigError
from voice_pipeline.voice import parse_strict

RECIPES = Path("configs/recipes")  # below the project's root
_NAME = re.compile(r"[a-z0-9_]{1,64}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AudioSettings(_Strict):
    """The analysis: log-mel spectrograms as NeMo's FastPitch preprocessor makes them, and the pitch's range."""

    sample_rate: int = Field(22050, ge=8000, le=48000, description="Hz")
    n_fft: int = Field(1024, ge=256, le=8192, description="samples; also the window's length")
    hop: int = Field(256, ge=64, le=2048, description="samples from one frame to the next")
    mels: int = Field(80, ge=8, le=256)
    mel_fmin: float = Field(0.0, ge=0, description="Hz")
    mel_fmax: float = Field(8000.0, gt=0, description="Hz")
    pitch_fmin: float = Field(65.0, ge=40, description="Hz")
    pitch_fmax: float = Field(500.0, le=1200, description="Hz")

    @model_validator(mode="after")
    def _ranges(self) -> AudioSettings:
        if not self.mel_fmin < self.mel_fmax <= self.sample_rate / 2:
            raise ValueError("mel_fmax must be above mel_fmin and at most half the sample rate")
        if not self.pitch_fmin < self.pitch_fmax:
            raise ValueError("pitch_fmax must be above pitch_fmin")
        if self.n_fft % 2 or self.hop % 2 or self.hop > self.n_fft // 2:
            raise ValueError("n_fft and hop must be even, and hop at most half of n_fft")
        return self


class Schedule(_Strict):
    """AdamW with a linear warm-up and a cosine decay to ``final_learning_rate``."""

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1, description="Utterances or segments a step on each device.")
    learning_rate: float = Field(gt=0, le=1)
    final_learning_rate: float = Field(1e-5, ge=0, le=1)
    warmup_steps: int = Field(0, ge=0)
    weight_decay: float = Field(1e-6, ge=0)
    betas: tuple[float, float] = (0.9, 0.98)
    clip_norm: float = Field(1000.0, gt=0, description="Largest norm of all gradients together.")


class FastPitchRecipe(Schedule):
    """The acoustic model. ``aligner_steps`` trains the aligner alone first: a step costs a fraction of a whole one."""

    hidden: int = Field(384, ge=16, le=1024)
    heads: int = Field(1, ge=1, le=16)
    head_size: int = Field(64, ge=8, le=256)
    inner: int = Field(1536, ge=16, le=4096)
    encoder_layers: int = Field(6, ge=1, le=16)
    decoder_layers: int = Field(6, ge=1, le=16)
    kernel_size: int = Field(3, ge=1, le=9)
    dropout: float = Field(0.1, ge=0, lt=1)
    predictor_size: int = Field(256, ge=16, le=1024)
    predictor_dropout: float = Field(0.1, ge=0, lt=1)
    max_token_duration: int = Field(75, ge=10, le=500, description="frames")
    aligner_steps: int = Field(0, ge=0)
    aligner_learning_rate: float = Field(2e-3, gt=0, le=1)
    aligner_batch_size: int = Field(16, ge=1)
    bin_loss_start: int = Field(0, ge=0, description="The whole-model step at which the binarisation loss sets in.")
    bin_loss_warmup: int = Field(1000, ge=1, description="Steps over which its weight rises from 0 to 1.")


class HifiganRecipe(Schedule):
    """The vocoder. ``warmup_only_steps`` train the generator on spectral losses alone, before the discriminators."""

    initial_channels: int = Field(512, ge=16, le=1024)
    upsample_rates: tuple[int, ...] = (8, 8, 2, 2)
    upsample_kernel_sizes: tuple[int, ...] = (16, 16, 4, 4)
    resblock: Literal[1, 2] = 1
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    resblock_dilation_sizes: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    small_discriminators: bool = Field(False, description="NeMo's reduced channel counts (its `debug` setting).")
    warmup_only_steps: int = Field(0, ge=0)
    segment_frames: int = Field(32, ge=8, le=1024, description="Frames of the segments that are trained on.")
    mel_loss_weight: float = Field(45.0, gt=0)
    stft_loss_weight: float = Field(
        0.0, ge=0, description="Weight of a multi-resolution STFT loss beside the mel loss."
    )

    @model_validator(mode="after")
    def _lengths(self) -> HifiganRecipe:
        if len(self.upsample_rates) != len(self.upsample_kernel_sizes):
            raise ValueError("upsample_rates and upsample_kernel_sizes must have the same length")
        if len(self.resblock_kernel_sizes) != len(self.resblock_dilation_sizes):
            raise ValueError("resblock_kernel_sizes and resblock_dilation_sizes must have the same length")
        if any(kernel < rate or (kernel - rate) % 2 for kernel, rate in self._upsampling()):
            raise ValueError("each upsample kernel must be its rate plus an even number")
        if self.initial_channels % 2 ** len(self.upsample_rates):
            raise ValueError("initial_channels must be divisible by 2 for each upsampling")
        return self

    def _upsampling(self) -> list[tuple[int, int]]:
        return list(zip(self.upsample_kernel_sizes, self.upsample_rates, strict=True))


class Recipe(_Strict):
    """A whole training: analysis, both models, the machine."""

    name: str = Field(pattern=r"^[a-z0-9_]{1,64}$")
    description: str = ""
    audio: AudioSettings = Field(default_factory=lambda: AudioSettings.model_validate({}))
    fastpitch: FastPitchRecipe
    hifigan: HifiganRecipe
    precision: Literal["fp32", "bf16", "auto"] = Field(
        "auto", description="auto: bf16 on a GPU and on a CPU with AMX, fp32 elsewhere; see the decision record."
    )
    accelerator: Literal["cpu", "gpu"] = "cpu"
    devices: int = Field(1, ge=0, le=64, description="Processes, one a device; 0 means every GPU.")
    strategy: Literal["auto", "ddp"] = "auto"
    threads: int = Field(2, ge=0, le=256, description="CPU threads of each process; 0 means one a core.")
    checkpoint_every: int = Field(200, ge=1, description="Steps that a kill may lose at most.")
    log_every: int = Field(10, ge=1, description="Steps from one protocol tick to the next.")

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if prod(self.hifigan.upsample_rates) != self.audio.hop:
            raise ValueError(f"hifigan.upsample_rates must multiply to audio.hop ({self.audio.hop})")
        if self.accelerator == "cpu" and self.devices == 0:
            raise ValueError("devices: 0 (every GPU) needs accelerator: gpu")
        return self

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.fastpitch.aligner_steps + self.fastpitch.steps + self.hifigan.steps


def load_recipe(project: Path, name: str) -> Recipe:
    """Read configs/recipes/<name>.yaml. Raises ConfigError that names the file and every wrong field."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no recipe name: use a-z, 0-9 and _")
    path = project / RECIPES / f"{name}.yaml"
    recipe = parse_strict(Recipe, path)
    if recipe.name != name:
        raise ConfigError(f"{path}: name is {recipe.name!r}, but the file is {path.name}")
    return recipe
