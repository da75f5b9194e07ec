"""The step loop that both models share: schedules, seeds, checkpoints, the finite-loss guard.

It is a loop of our own on Lightning Fabric rather than ``Trainer.fit``: everything random in a step is a function
of (seed, stage, step, rank), and nothing else is carried over, so a resumed training repeats an unbroken one.
See docs/decisions for the reasons.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.store import identity
from voice_pipeline.training.nemo.process import Interruption
from voice_pipeline.training.nemo.reporting import DIGITS, LossCurve, Reporter
from voice_pipeline.training.recipe import Schedule

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter
    from torch.optim import Optimizer

_log = logging.getLogger(__name__)


class Stage(Protocol):
    """One model's training: steps 0 … ``steps`` - 1, and its state between them."""

    name: str
    steps: int

    def batch(self, step: int) -> Any:
        """What ``step`` trains on; may be called in another thread, one step ahead."""

    def train_step(self, step: int, batch: Any) -> Mapping[str, Tensor]:
        """Train one step; returns its losses, the one that decides first."""

    def state(self, step: int) -> dict[str, Any]:
        """Tensors, numbers and strings from which ``restore`` goes on after ``step`` steps."""

    def restore(self, step: int, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""


@dataclass
class Loop:
    """Runs stages one after the other. ``offset`` is the number of steps of the stages before."""

    reporter: Reporter
    curve: LossCurve
    interruption: Interruption
    seed: int
    rank: int
    world: int
    checkpoint_every: int
    log_every: int
    dataset_items: int
    save: Callable[[str, int, dict[str, Any]], None]
    reduce: Callable[[Tensor], Tensor]

    def run(self, stage: Stage, first: int, offset: int) -> None:
        """Train ``stage`` from step ``first`` to its end.

        Raises VoiceFailure ``non_finite_loss``, and ``cancelled`` after the state was saved.
        """
        if first >= stage.steps:
            return
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool, self.interruption.deferred():
            coming: Future[Any] = pool.submit(stage.batch, first)
            for step in range(first, stage.steps):
                batch = coming.result()
                if step + 1 < stage.steps:
                    coming = pool.submit(stage.batch, step + 1)
                self._seed(stage.name, step)
                losses = self._checked(stage.name, step, stage.train_step(step, batch))
                done = step + 1
                last = done == stage.steps
                if done % self.log_every == 0 or last:
                    self._tell(stage.name, done, offset, losses)
                wanted = self.interruption.wanted
                if done % self.checkpoint_every == 0 or last or wanted:
                    self.save(stage.name, done, stage.state(done))
                if wanted:
                    self.interruption.check()

    def _seed(self, stage: str, step: int) -> None:
        """Dropout and the like depend on where the training stands, not on how it got there."""
        import torch

        torch.manual_seed(step_seed(self.seed, stage, step, self.rank))

    def _checked(self, stage: str, step: int, losses: Mapping[str, Tensor]) -> dict[str, float]:
        import torch

        names = list(losses)
        values = torch.stack([losses[name].detach().float().reshape(()) for name in names])
        values = self.reduce(values)  # the mean over ranks, so that every rank sees what any rank sees
        found = dict(zip(names, values.tolist(), strict=True))
        for name, value in found.items():
            if not math.isfinite(value):
                raise VoiceFailure("non_finite_loss", f"{stage}: {name} is {value} at step {step + 1}")
        return found

    def _tell(self, stage: str, done: int, offset: int, losses: Mapping[str, float]) -> None:
        if self.reporter.silent:
            return
        rounded = {name: round(value, DIGITS) for name, value in losses.items()}
        self.curve.append({"stage": stage, "step": done, **rounded})
        stats = {"stage": stage, "step": done, "dataset_items": self.dataset_items, **rounded}
        self.reporter.tick(offset + done, stats, message=f"Training {stage}")


def step_seed(seed: int, stage: str, step: int, rank: int) -> int:
    """A seed of 63 bits for one step of one rank."""
    return int(identity(seed=seed, stage=stage, step=step, rank=rank)[:16], 16) >> 1


def stage_seed(seed: int, stage: str) -> int:
    """A seed of 31 bits for the order of a stage's batches."""
    return step_seed(seed, stage, -1, 0) & 0x7FFFFFFF


def learning_rate(schedule: Schedule, step: int, *, steps: int, peak: float) -> float:
    """Linear warm-up to ``peak``, then half a cosine to the final rate. ``step`` counts from 0."""
    if step < schedule.warmup_steps:
        return peak * (step + 1) / schedule.warmup_steps
    share = (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps)
    final = min(schedule.final_learning_rate, peak)
    return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def new_optimizer(parameters: Iterable[Parameter], schedule: Schedule, rate: float) -> Optimizer:
    """AdamW, its whole update in one fused pass."""
    import torch

    return torch.optim.AdamW(
        parameters, lr=rate, betas=schedule.betas, weight_decay=schedule.weight_decay, eps=1e-8, fused=True
    )


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """The learning rate of the next update."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip(parameters: Iterable[Parameter], schedule: Schedule) -> Tensor:
    """Scale all gradients together to at most ``clip_norm``; returns their norm before."""
    import torch

    return torch.nn.utils.clip_grad_norm_(list(parameters), schedule.clip_norm)
