"""Training of FastPitchModel from cached features, with the alignment learned along the way.

First the aligner alone learns (``aligner_steps``): it is a small part of the model, and its steps cost a fraction
of a whole one. Then everything learns together with NeMo's own losses: mel, duration, pitch, the forward sum of
the alignment, and the binarisation of the alignment, whose weight grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voice_pipeline.training.nemo.alignment import fast_alignment
from voice_pipeline.training.nemo.batches import AcousticBatch, BatchSchedule, Utterances
from voice_pipeline.training.nemo.loop import clip, learning_rate, new_optimizer, set_rate, stage_seed
from voice_pipeline.training.recipe import FastPitchRecipe

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from nemo.collections.tts.models.fastpitch import FastPitchModel
    from torch import Tensor

NAME = "fastpitch"


class AcousticStage:
    """The stage "fastpitch" of a training. Its steps are the aligner's and then the whole model's."""

    name = NAME

    def __init__(
        self, model: FastPitchModel, data: Utterances, recipe: FastPitchRecipe, fabric: Fabric, seed: int
    ) -> None:
        self.model = model
        self.steps = recipe.aligner_steps + recipe.steps
        self._recipe = recipe
        self._data = data
        self._fabric = fabric
        self._pad = int(model.vocab.pad)
        ranks = {"rank": fabric.global_rank, "world": fabric.world_size}
        seed = stage_seed(seed, NAME)
        lengths = data.lengths
        self._schedule = BatchSchedule(lengths, recipe.batch_size, seed, **ranks)
        self._aligner_schedule = BatchSchedule(lengths, recipe.aligner_batch_size, seed + 1, **ranks)
        _set_pitch_statistics(model, data)
        self._train: Any = None
        self._optimizer: Any = None
        self._phase = ""

    def start_from_mean(self) -> None:
        """Let a new model begin at the mean mel spectrum, which its first 50 to 100 steps would else only learn."""
        import torch

        with torch.no_grad():
            mean = torch.from_numpy(self._data.mean_mel())
            self.model.fastpitch.proj.bias.copy_(mean.to(self.model.fastpitch.proj.bias))

    def batch(self, step: int) -> AcousticBatch:
        """The padded utterances of ``step``."""
        aligner = self._recipe.aligner_steps
        indices = self._aligner_schedule.at(step) if step < aligner else self._schedule.at(step - aligner)
        return self._data.acoustic_batch(indices, self._pad)

    def train_step(self, step: int, batch: AcousticBatch) -> Mapping[str, Tensor]:
        """One update of the aligner, or of the whole model."""
        recipe = self._recipe
        self._enter("aligner" if step < recipe.aligner_steps else "whole")
        whole = step - recipe.aligner_steps
        if whole < 0:
            peak = recipe.aligner_learning_rate
            rate = peak * min(1.0, (step + 1) / max(1, min(recipe.warmup_steps, recipe.aligner_steps)))
        else:
            rate = learning_rate(recipe, whole, steps=recipe.steps, peak=recipe.learning_rate)
        set_rate(self._optimizer, rate)
        self._optimizer.zero_grad(set_to_none=True)
        weight = min(1.0, max(0.0, (whole - recipe.bin_loss_start) / recipe.bin_loss_warmup))
        losses: Mapping[str, Tensor] = self._train(_tensors(batch, self._fabric.device), weight)
        self._fabric.backward(losses["loss"])
        norm = clip(self._train.parameters(), recipe)
        self._optimizer.step()
        return {**losses, "gradient_norm": norm}

    def state(self, step: int) -> dict[str, Any]:
        """The model's and the optimizer's state."""
        return {"model": self.model.state_dict(), "optimizer": self._optimizer.state_dict()}

    def restore(self, step: int, state: Mapping[str, Any]) -> None:
        """Go on after ``step`` steps."""
        self.model.load_state_dict(state["model"])
        aligner = self._recipe.aligner_steps
        if step < self.steps:
            # At the seam the whole model begins with a new optimizer, as it does in an unbroken run.
            self._enter("aligner" if step < aligner else "whole")
            if step != aligner or aligner == 0:
                self._optimizer.load_state_dict(state["optimizer"])

    def validate(self, data: Utterances) -> dict[str, float]:
        """Mean losses over a split, without dropout, with the alignment from the audio."""
        import torch

        step = _whole_step(self.model).eval()
        sums: dict[str, float] = {}
        with torch.no_grad(), fast_alignment(self.model):
            for index in range(len(data.items)):
                batch = data.acoustic_batch((index,), self._pad)
                for name, value in step(_tensors(batch, self._fabric.device), 1.0).items():
                    sums[name] = sums.get(name, 0.0) + float(value)
        self.model.train()
        return {name: round(value / len(data.items), 6) for name, value in sums.items()}

    def soft_alignment(self, data: Utterances, index: int) -> Any:
        """The learned alignment of one utterance, float32 [frames, symbols]."""
        import torch

        batch = data.acoustic_batch((index,), self._pad)
        tensors = _tensors(batch, self._fabric.device)
        with torch.no_grad(), fast_alignment(self.model):
            self.model.eval()
            embedding = self.model.fastpitch.encoder.word_emb(tensors["text"]).transpose(1, 2)
            soft, _ = self.model.aligner(tensors["mel"], embedding, None, tensors["prior"])
            self.model.train()
        return soft[0, 0].float().cpu().numpy()

    def _enter(self, phase: str) -> None:
        if phase == self._phase:
            return
        self._phase = phase
        self.model.train()
        module = _aligner_step(self.model) if phase == "aligner" else _whole_step(self.model)
        rate = self._recipe.aligner_learning_rate if phase == "aligner" else self._recipe.learning_rate
        optimizer = new_optimizer(module.parameters(), self._recipe, rate)
        self._train, self._optimizer = self._fabric.setup(module, optimizer)


def _set_pitch_statistics(model: FastPitchModel, data: Utterances) -> None:
    """The model carries the numbers by which its pitch was normalised."""
    model.fastpitch.pitch_mean.fill_(data.pitch_mean)
    model.fastpitch.pitch_std.fill_(data.pitch_std)


def _tensors(batch: AcousticBatch, device: Any) -> dict[str, Tensor]:
    import torch

    return {
        name: torch.from_numpy(getattr(batch, name)).to(device, non_blocking=True)
        for name in ("text", "text_lengths", "mel", "mel_lengths", "pitch", "prior")
    }


def _aligner_step(model: FastPitchModel) -> Any:
    """A module whose forward gives the aligner's losses; it holds the aligner and the symbols' embedding."""
    import torch

    class AlignerStep(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.aligner = model.aligner
            self.embedding = model.fastpitch.encoder.word_emb

        def forward(self, batch: Mapping[str, Tensor], bin_weight: float) -> dict[str, Tensor]:
            text = batch["text"]
            mask = (text == self.embedding.padding_idx).unsqueeze(2)
            keys = self.embedding(text).transpose(1, 2)
            with fast_alignment(model):
                _, logprob = self.aligner(batch["mel"], keys, mask, batch["prior"])
            loss = model.forward_sum_loss_fn(
                attn_logprob=logprob, in_lens=batch["text_lengths"], out_lens=batch["mel_lengths"]
            )
            return {"loss": loss, "align_loss": loss}

    return AlignerStep()


def _whole_step(model: FastPitchModel) -> Any:
    """A module whose forward gives all losses of FastPitchModel.training_step, from features instead of audio."""
    import torch

    class WholeStep(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.fastpitch = model.fastpitch

        def forward(self, batch: Mapping[str, Tensor], bin_weight: float) -> dict[str, Tensor]:
            text_lengths, mel_lengths = batch["text_lengths"], batch["mel_lengths"]
            with fast_alignment(model):
                mel, _, _, log_durations, pitch, soft, logprob, hard, durations, pitch_target, _, _ = self.fastpitch(
                    text=batch["text"],
                    pitch=batch["pitch"],
                    spec=batch["mel"],
                    attn_prior=batch["prior"],
                    mel_lens=mel_lengths,
                    input_lens=text_lengths,
                )
            losses = {
                "mel_loss": model.mel_loss_fn(spect_predicted=mel.float(), spect_tgt=batch["mel"]),
                "duration_loss": model.duration_loss_fn(
                    log_durs_predicted=log_durations.float(), durs_tgt=durations, len=text_lengths
                ),
                "pitch_loss": model.pitch_loss_fn(
                    pitch_predicted=pitch.float(), pitch_tgt=pitch_target.float(), len=text_lengths
                ),
                "align_loss": model.forward_sum_loss_fn(
                    attn_logprob=logprob, in_lens=text_lengths, out_lens=mel_lengths
                ),
            }
            if bin_weight > 0:
                losses["bin_loss"] = model.bin_loss_fn(hard_attention=hard, soft_attention=soft.float()) * bin_weight
            return {"loss": torch.stack(list(losses.values())).sum(), **losses}

    return WholeStep()
