"""Training of HifiGanModel on segments of cached mels and the audio that belongs to them.

First the generator alone learns from spectral losses (``warmup_only_steps``), which brings it near speech at a
fraction of the cost; then the discriminators join, with NeMo's losses: adversarial, feature matching and mel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voice_pipeline.training.nemo.batches import BatchSchedule, Utterances, VocoderBatch
from voice_pipeline.training.nemo.loop import clip, learning_rate, new_optimizer, set_rate, stage_seed
from voice_pipeline.training.recipe import HifiganRecipe

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from nemo.collections.tts.models.hifigan import HifiGanModel
    from torch import Tensor

NAME = "hifigan"
_STFT_SIZES = ((512, 128), (1024, 256), (2048, 512))  # samples: window and hop of the multi-resolution STFT loss
_STFT_FLOOR = 1e-5


class VocoderStage:
    """The stage "hifigan" of a training."""

    name = NAME

    def __init__(self, model: HifiGanModel, data: Utterances, recipe: HifiganRecipe, fabric: Fabric, seed: int) -> None:
        self.model = model
        self.steps = recipe.steps
        self._recipe = recipe
        self._data = data
        self._fabric = fabric
        self._seed = stage_seed(seed, NAME)
        self._schedule = BatchSchedule(
            data.lengths, recipe.batch_size, self._seed, fabric.global_rank, fabric.world_size
        )
        model.train()
        model.trg_melspec_fn.to(fabric.device)
        self._generator, self._generator_optimizer = fabric.setup(
            model.generator, new_optimizer(model.generator.parameters(), recipe, recipe.learning_rate)
        )
        self._judge: Any = None
        self._judge_optimizer: Any = None

    def batch(self, step: int) -> VocoderBatch:
        """Random segments of the utterances of ``step``."""
        indices = self._schedule.at(step)
        # Few utterances must not make small batches: an utterance then gives several segments.
        indices = (indices * -(-self._recipe.batch_size // len(indices)))[: self._recipe.batch_size]
        frames = self._recipe.segment_frames
        return self._data.vocoder_batch(indices, frames, self._seed, step, self._fabric.global_rank)

    def train_step(self, step: int, batch: VocoderBatch) -> Mapping[str, Tensor]:
        """One update of the generator and, after the warm-up, one of the discriminators before it."""
        import torch

        recipe = self._recipe
        device = self._fabric.device
        mel = torch.from_numpy(batch.mel).to(device, non_blocking=True)
        audio = torch.from_numpy(batch.audio).to(device, non_blocking=True).unsqueeze(1)
        rate = learning_rate(recipe, step, steps=recipe.steps, peak=recipe.learning_rate)
        adversarial = step >= recipe.warmup_only_steps

        generated = self._generator(x=mel)
        losses: dict[str, Tensor] = {}
        if adversarial:
            losses["discriminator_loss"] = self._train_judge(audio, generated.detach(), rate)
        spectral = self._spectral_losses(generated.float(), audio)
        total = spectral["mel_loss"] * recipe.mel_loss_weight
        if "stft_loss" in spectral:
            total = total + spectral["stft_loss"] * recipe.stft_loss_weight
        if adversarial:
            judged = self._adversarial_losses(audio, generated)
            total = total + judged["generator_loss"] + judged["feature_loss"]
            losses.update(judged)
        set_rate(self._generator_optimizer, rate)
        self._generator_optimizer.zero_grad(set_to_none=True)
        self._fabric.backward(total)
        norm = clip(self.model.generator.parameters(), recipe)
        self._generator_optimizer.step()
        return {"loss": total, **spectral, **losses, "gradient_norm": norm}

    def state(self, step: int) -> dict[str, Any]:
        """The model's and both optimizers' state."""
        judge = self._judge_optimizer.state_dict() if self._judge_optimizer is not None else None
        return {
            "model": self.model.state_dict(),
            "generator_optimizer": self._generator_optimizer.state_dict(),
            "judge_optimizer": judge,
        }

    def restore(self, step: int, state: Mapping[str, Any]) -> None:
        """Go on after ``step`` steps."""
        self.model.load_state_dict(state["model"])
        self._generator_optimizer.load_state_dict(state["generator_optimizer"])
        if state["judge_optimizer"] is not None:
            self._enter_adversarial()
            self._judge_optimizer.load_state_dict(state["judge_optimizer"])

    def validate(self, data: Utterances, *, most: int = 16) -> dict[str, float]:
        """Mean mel loss over the first segments of a split's utterances."""
        import torch

        frames = self._recipe.segment_frames * 4
        count = min(most, len(data.items))
        batch = data.vocoder_batch(tuple(range(count)), frames, self._seed, -1 & 0xFFFF, 0)
        with torch.no_grad():
            self.model.eval()
            mel = torch.from_numpy(batch.mel).to(self._fabric.device)
            audio = torch.from_numpy(batch.audio).to(self._fabric.device).unsqueeze(1)
            losses = self._spectral_losses(self.model.generator(x=mel).float(), audio)
            self.model.train()
        return {name: round(float(value), 6) for name, value in losses.items()}

    def _train_judge(self, audio: Tensor, generated: Tensor, rate: float) -> Tensor:
        self._enter_adversarial()
        period_real, period_generated, scale_real, scale_generated = self._judge(audio, generated)
        with self._fabric.autocast():
            period, _, _ = self.model.discriminator_loss(
                disc_real_outputs=period_real, disc_generated_outputs=period_generated
            )
            scale, _, _ = self.model.discriminator_loss(
                disc_real_outputs=scale_real, disc_generated_outputs=scale_generated
            )
        loss: Tensor = period + scale
        set_rate(self._judge_optimizer, rate)
        self._judge_optimizer.zero_grad(set_to_none=True)
        self._fabric.backward(loss)
        clip(self._judge.parameters(), self._recipe)
        self._judge_optimizer.step()
        return loss

    def _adversarial_losses(self, audio: Tensor, generated: Tensor) -> dict[str, Tensor]:
        """NeMo's generator losses; the discriminators judge but do not learn, so their gradients are not computed."""
        model = self.model
        judges = [*model.mpd.parameters(), *model.msd.parameters()]
        for parameter in judges:
            parameter.requires_grad_(False)
        with self._fabric.autocast():
            _, period_scores, period_real, period_generated = model.mpd(y=audio, y_hat=generated)
            _, scale_scores, scale_real, scale_generated = model.msd(y=audio, y_hat=generated)
            feature = model.feature_loss(fmap_r=period_real, fmap_g=period_generated)
            feature = feature + model.feature_loss(fmap_r=scale_real, fmap_g=scale_generated)
            period, _ = model.generator_loss(disc_outputs=period_scores)
            scale, _ = model.generator_loss(disc_outputs=scale_scores)
        for parameter in judges:
            parameter.requires_grad_(True)
        return {"generator_loss": period + scale, "feature_loss": feature}

    def _spectral_losses(self, generated: Tensor, audio: Tensor) -> dict[str, Tensor]:
        import torch

        lengths = torch.full((audio.shape[0],), audio.shape[2], device=audio.device)
        with torch.no_grad():
            target, _ = self.model.trg_melspec_fn(audio.squeeze(1), lengths)
        found, _ = self.model.trg_melspec_fn(generated.squeeze(1), lengths)
        losses = {"mel_loss": torch.nn.functional.l1_loss(found, target)}
        if self._recipe.stft_loss_weight > 0:
            losses["stft_loss"] = multi_resolution_stft_loss(generated.squeeze(1), audio.squeeze(1))
        return losses

    def _enter_adversarial(self) -> None:
        if self._judge is not None:
            return
        judge = _judge(self.model)
        optimizer = new_optimizer(judge.parameters(), self._recipe, self._recipe.learning_rate)
        self._judge, self._judge_optimizer = self._fabric.setup(judge, optimizer)


def multi_resolution_stft_loss(generated: Tensor, audio: Tensor) -> Tensor:
    """Spectral convergence and L1 of log magnitudes over three resolutions; both inputs are [B, samples].

    R. Yamamoto et al., "Parallel WaveGAN", ICASSP 2020, equations 4 to 6.
    """
    import torch

    total = generated.new_zeros(())
    for size, hop in _STFT_SIZES:
        window = torch.hann_window(size, device=audio.device)
        found, target = (
            torch.stft(x, size, hop, window=window, return_complex=True).abs().clamp_min(_STFT_FLOOR)
            for x in (generated, audio)
        )
        convergence = torch.linalg.norm(target - found) / torch.linalg.norm(target)
        total = total + convergence + torch.nn.functional.l1_loss(found.log(), target.log())
    return total / len(_STFT_SIZES)


def _judge(model: HifiGanModel) -> Any:
    """Both discriminators as one module, so that several processes exchange their gradients together."""
    import torch

    class Judge(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.mpd = model.mpd
            self.msd = model.msd

        def forward(self, audio: Tensor, generated: Tensor) -> tuple[Any, Any, Any, Any]:
            period_real, period_generated, _, _ = self.mpd(y=audio, y_hat=generated)
            scale_real, scale_generated, _, _ = self.msd(y=audio, y_hat=generated)
            return period_real, period_generated, scale_real, scale_generated

    return Judge()
