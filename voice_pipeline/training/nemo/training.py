"""The training itself: both stages, their ``.nemo`` files, their figures."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voice_pipeline.atomic import read_json, write_json
from voice_pipeline.store import Store, sha256_file
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.text.nemo_tokenizer import tokenizer_config, write_phoneme_dict
from voice_pipeline.training.base_check import check_file
from voice_pipeline.training.nemo import acoustic, vocoder
from voice_pipeline.training.nemo.base_weights import start_from
from voice_pipeline.training.nemo.batches import Utterances
from voice_pipeline.training.nemo.checkpoints import (
    ResumePoint,
    read_resume_point,
    save_nemo,
    tensors_sha256,
    write_resume_point,
)
from voice_pipeline.training.nemo.loop import Loop, step_seed
from voice_pipeline.training.nemo.machine import Machine, open_machine
from voice_pipeline.training.nemo.models import build_fastpitch, build_hifigan
from voice_pipeline.training.nemo.pictures import write_alignment
from voice_pipeline.training.nemo.process import Interruption
from voice_pipeline.training.nemo.reporting import LossCurve, Reporter
from voice_pipeline.training.nemo.runtime import import_nemo
from voice_pipeline.training.spec import TrainingSpec, training_identity

if TYPE_CHECKING:
    from torch import Tensor

STAGES = (acoustic.NAME, vocoder.NAME)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Paths:
    """What a training leaves in its work folder."""

    folder: Path

    @property
    def resume(self) -> Path:
        return self.folder / "resume.pt"

    @property
    def result(self) -> Path:
        return self.folder / "result.json"

    @property
    def curve(self) -> Path:
        return self.folder / "loss.jsonl"

    @property
    def alignment(self) -> Path:
        return self.folder / "alignment.png"

    @property
    def phoneme_dict(self) -> Path:
        return self.folder / "phoneme_dict.txt"

    def nemo(self, stage: str) -> Path:
        return self.folder / f"{stage}.nemo"


def train(spec: TrainingSpec, reporter: Reporter, interruption: Interruption) -> dict[str, Any]:
    """Train both models, from scratch, from a base, or from where a former run of the same spec stood.

    Returns the figures of result.json that a person judges. Raises VoiceFailure.
    """
    if spec.base:  # before the seconds that NeMo's import takes
        frontend = TextFrontend.load(spec.path(spec.frontend))
        for model, base in spec.base.items():
            check_file(model, base, spec.recipe, frontend)
    import_nemo()
    interruption.check()
    return _Training(spec, reporter, interruption).run()


class _Training:
    def __init__(self, spec: TrainingSpec, reporter: Reporter, interruption: Interruption) -> None:
        self.spec = spec
        self.recipe = spec.recipe
        self.reporter = reporter
        self.paths = _Paths(spec.path(spec.work_dir))
        store = Store(spec.store)
        index, statistics = spec.path(spec.features_index), spec.path(spec.statistics)
        self.train_data = Utterances.load(store, index, statistics, "train", self.recipe.audio)
        self.validation_data = Utterances.load(store, index, statistics, "validation", self.recipe.audio)
        frontend = TextFrontend.load(spec.path(spec.frontend))
        self.tokenizer = tokenizer_config(frontend, self.paths.phoneme_dict)
        self.machine: Machine = open_machine(spec)
        self.first_rank = self.machine.fabric.global_rank == 0
        self.identity = training_identity(
            spec, sha256_file(index), sha256_file(statistics), f"{frontend.identity}:{self.machine.precision}"
        )
        if self.first_rank:
            write_phoneme_dict(frontend, self.paths.phoneme_dict)
        self.machine.fabric.barrier()
        self.curve = LossCurve(self.paths.curve)
        self.finished: dict[str, dict[str, Any]] = {}
        self.loop = Loop(
            reporter=reporter,
            curve=self.curve,
            interruption=interruption,
            seed=spec.seed,
            rank=self.machine.fabric.global_rank,
            world=self.machine.fabric.world_size,
            checkpoint_every=self.recipe.checkpoint_every,
            log_every=self.recipe.log_every,
            dataset_items=len(self.train_data.items) + len(self.validation_data.items),
            save=self._save,
            reduce=self._reduce,
        )

    def run(self) -> dict[str, Any]:
        done = self._completed()
        if done is None:
            point = self._resume_point()
            if self.first_rank:
                self.curve.resume(STAGES, *((point.stage, point.step) if point else (STAGES[0], 0)))
            if acoustic.NAME not in self.finished:
                self._acoustic(point)
                point = None
            self._vocoder(point)
            done = self._result()
        self._complete(done)
        keep = ("loss", "fastpitch_loss", "hifigan_loss", "validation", "steps", "precision", "parameters")
        return {name: done[name] for name in keep}

    # -- stages --------------------------------------------------------------------------------------

    def _acoustic(self, point: ResumePoint | None) -> None:
        self._seed(acoustic.NAME)
        model = build_fastpitch(self.recipe, self.tokenizer)
        if acoustic.NAME in self.spec.base and point is None:
            start_from(model, self.spec.base["fastpitch"], vocabulary=True)
        stage = acoustic.AcousticStage(
            model, self.train_data, self.recipe.fastpitch, self.machine.fabric, self.spec.seed
        )
        first = 0
        if point is not None:
            stage.restore(point.step, point.state["stage"])
            first = point.step
            _log.info("resuming %s after step %d", acoustic.NAME, first)
        elif acoustic.NAME not in self.spec.base:
            stage.start_from_mean()
        self.loop.run(stage, first, offset=0)
        if self.first_rank:
            losses = stage.validate(self.validation_data)
            write_alignment(self.paths.alignment, stage.soft_alignment(self.validation_data, 0))
            self._finish(acoustic.NAME, model, losses, "loss")
            self.reporter.tick(stage.steps, artifact=self.paths.alignment)
            self.reporter.tick(stage.steps, artifact=self.paths.nemo(acoustic.NAME))
        self.machine.fabric.barrier()

    def _vocoder(self, point: ResumePoint | None) -> None:
        self._seed(vocoder.NAME)
        model = build_hifigan(self.recipe)
        if vocoder.NAME in self.spec.base and point is None:
            start_from(model, self.spec.base["hifigan"], vocabulary=False)
        stage = vocoder.VocoderStage(model, self.train_data, self.recipe.hifigan, self.machine.fabric, self.spec.seed)
        first = 0
        if point is not None:
            stage.restore(point.step, point.state["stage"])
            first = point.step
            _log.info("resuming %s after step %d", vocoder.NAME, first)
        offset = self.recipe.fastpitch.aligner_steps + self.recipe.fastpitch.steps
        self.loop.run(stage, first, offset)
        if self.first_rank:
            self._finish(vocoder.NAME, model, stage.validate(self.validation_data), "mel_loss")
            self.reporter.tick(self.recipe.total_steps, artifact=self.paths.nemo(vocoder.NAME))
        self.machine.fabric.barrier()

    def _finish(self, stage: str, model: Any, validation: Mapping[str, float], loss: str) -> None:
        model.eval()
        self.finished[stage] = {
            **save_nemo(model, self.paths.nemo(stage)),
            "tensors_sha256": tensors_sha256(model.state_dict()),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "loss": self.curve.mean(stage, loss),
            "validation": dict(validation),
        }

    # -- state ---------------------------------------------------------------------------------------

    def _save(self, stage: str, step: int, state: dict[str, Any]) -> None:
        if self.first_rank:
            whole = {"stage": state, "finished": self.finished}
            write_resume_point(self.paths.resume, ResumePoint(self.identity, stage, step, whole))

    def _resume_point(self) -> ResumePoint | None:
        """Where a former run of this training stood; None when everything begins anew."""
        point = read_resume_point(self.paths.resume, self.identity)
        if point is None:
            return None
        finished: dict[str, dict[str, Any]] = point.state["finished"]
        for stage, figures in finished.items():
            path = self.paths.nemo(stage)
            if not path.is_file() or sha256_file(path) != figures["sha256"]:
                _log.warning("%s is not what the former run wrote; starting anew", path.name)
                return None
        self.finished = finished
        return point

    def _completed(self) -> dict[str, Any] | None:
        """The result of a former run of this very training, when its files are still what it wrote."""
        try:
            result: dict[str, Any] = read_json(self.paths.result)
            same = result["identity"] == self.identity and all(
                sha256_file(self.paths.nemo(stage)) == result["models"][stage]["sha256"] for stage in STAGES
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return result if same else None

    def _seed(self, stage: str) -> None:
        """The same first weights on every rank and in every run."""
        import torch

        torch.manual_seed(step_seed(self.spec.seed, f"{stage} weights", 0, 0))

    def _reduce(self, values: Tensor) -> Tensor:
        if self.machine.fabric.world_size == 1:
            return values
        reduced: Tensor = self.machine.fabric.all_reduce(values, reduce_op="mean")
        return reduced

    # -- result --------------------------------------------------------------------------------------

    def _result(self) -> dict[str, Any]:
        if not self.first_rank:
            return {"loss": 0.0, **dict.fromkeys(("fastpitch_loss", "hifigan_loss", "validation", "steps"))} | {
                "precision": self.machine.precision,
                "parameters": None,
            }
        models = self.finished
        result = {
            "schema": "nemo_training_result/1",
            "identity": self.identity,
            "recipe": self.recipe.name,
            "seed": self.spec.seed,
            "loss": models[acoustic.NAME]["loss"],
            "fastpitch_loss": models[acoustic.NAME]["loss"],
            "hifigan_loss": models[vocoder.NAME]["loss"],
            "validation": {stage: models[stage]["validation"] for stage in STAGES},
            "tensors_sha256": {stage: models[stage]["tensors_sha256"] for stage in STAGES},
            "parameters": {stage: models[stage]["parameters"] for stage in STAGES},
            "models": {
                stage: {
                    "path": Store(self.spec.store).relative(self.paths.nemo(stage)),
                    "bytes": models[stage]["bytes"],
                    "sha256": models[stage]["sha256"],
                    "tensors_sha256": models[stage]["tensors_sha256"],
                    "loss": models[stage]["loss"],
                }
                for stage in STAGES
            },
            "steps": {
                "aligner": self.recipe.fastpitch.aligner_steps,
                "fastpitch": self.recipe.fastpitch.steps,
                "hifigan": self.recipe.hifigan.steps,
            },
            "progress_total": self.reporter.total,
            "precision": self.machine.precision,
            "processes": self.machine.fabric.world_size,
            "threads": self.machine.threads,
            "versions": self.machine.versions,
            "dataset_items": self.loop.dataset_items,
            "base": {name: base.sha256 for name, base in sorted(self.spec.base.items())},
        }
        write_json(self.paths.result, result)
        return result

    def _complete(self, result: Mapping[str, Any]) -> None:
        if not self.first_rank:
            return
        model = result["models"][acoustic.NAME]
        stats = {"stage": "done", "loss": result["loss"], "dataset_items": result["dataset_items"]}
        self.reporter.tick(self.reporter.total, stats, artifact=self.paths.result, message="Training complete")
        self.reporter.complete(
            loss=result["loss"],
            checkpoint=self.paths.nemo(acoustic.NAME),
            checkpoint_bytes=model["bytes"],
            checkpoint_sha256=model["sha256"],
        )
        self.paths.resume.unlink(missing_ok=True)
