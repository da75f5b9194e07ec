"""What the training runs on: processes, threads, precision; chosen by the recipe and by what is there."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.training.recipe import Recipe
from voice_pipeline.training.spec import TrainingSpec, threads_of

if TYPE_CHECKING:
    from lightning.fabric import Fabric

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Machine:
    """The running processes of a training, and what decides the tensors' last bits."""

    fabric: Fabric
    precision: str
    threads: int
    versions: dict[str, str]


def open_machine(spec: TrainingSpec) -> Machine:
    """Start the processes that the recipe asks for. Raises VoiceFailure ``gpu_required``."""
    import lightning
    import nemo
    import torch
    from lightning.fabric import Fabric
    from nemo.core.classes.common import typecheck

    recipe = spec.recipe
    if recipe.accelerator == "gpu" and not torch.cuda.is_available():
        raise VoiceFailure("gpu_required", f"the recipe {recipe.name} trains on a GPU, and torch finds none here")
    if threads := threads_of(spec):
        torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a fifth of a step, for memory that is written anyway
    typecheck.set_typecheck_enabled(False)  # checks of every tensor's declared axes, at every call
    precision = choose_precision(recipe)
    devices: Any = -1 if recipe.devices == 0 else recipe.devices
    fabric = Fabric(
        accelerator=recipe.accelerator,
        devices=devices,
        strategy=_strategy(recipe),
        precision="bf16-mixed" if precision == "bf16" else "32-true",
    )
    fabric.launch()
    _log.info("%d processes, %d threads each, %s", fabric.world_size, torch.get_num_threads(), precision)
    versions = {"torch": torch.__version__, "nemo": nemo.__version__, "lightning": lightning.__version__}
    return Machine(fabric, precision, torch.get_num_threads(), versions)


def choose_precision(recipe: Recipe) -> str:
    """``fp32`` or ``bf16``. ``auto`` takes bf16 only where it was measured to be faster.

    A GPU and a CPU with AMX have matrix units for bf16. A CPU with merely AVX-512 bf16 does not: there a FastPitch
    step took 0.42 s in bf16 and 0.30 s in fp32.
    """
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16" if recipe.accelerator == "gpu" or has_amx() else "fp32"


def has_amx(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU says that it has matrix units for bf16."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any("amx_bf16" in line.split() for line in text.splitlines() if line.startswith("flags"))


def _strategy(recipe: Recipe) -> Any:
    if recipe.strategy == "ddp" or recipe.devices != 1:
        from lightning.fabric.strategies import DDPStrategy

        return DDPStrategy(find_unused_parameters=False)
    return "auto"
