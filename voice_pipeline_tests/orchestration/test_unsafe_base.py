"""nemo_checkpoint, materialized alone, refuses unsafe and unfit base weights before a trainer starts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import dagster as dg
import pytest

from voice_pipeline.orchestration.assets.training import nemo_checkpoint
from voice_pipeline.orchestration.workspace import Workspace
from voice_pipeline.store import sha256_file
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.text.nemo_tokenizer import tokenizer_config
from voice_pipeline.training.nemo.models import fastpitch_config
from voice_pipeline.training.recipe import load_recipe
from voice_pipeline_tests.nemo_files import hostile_pickles, nemo, torch_zip, weights
from voice_pipeline_tests.ready_voice import NAME, ReadyVoice, ready_voice

__all__ = ["ready_voice"]
pytestmark = pytest.mark.evaluation


def failed(ready: ReadyVoice) -> str:
    """What the failed step says; its check is red."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("voices", [NAME])
        result = dg.materialize(
            [nemo_checkpoint],
            instance=instance,
            partition_key=NAME,
            resources={"workspace": Workspace(project=str(ready.project), store=str(ready.store.root))},
            raise_on_error=False,
        )
    assert not result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("training_complete", False)
    return str(check.description)


def test_no_trainer_starts_from_such_a_base(
    ready_voice: ReadyVoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    started, canary = tmp_path / "started", tmp_path / "canary"
    trainer = tmp_path / "trainer"
    trainer.write_text(f'#!/bin/sh\ntouch {started}\nexec {sys.executable} "$@"\n')
    trainer.chmod(0o755)
    monkeypatch.setenv("VOICE_TRAINER_PYTHON", str(trainer))
    frontend = TextFrontend.for_language("en-US")
    recipe = load_recipe(ready.project, ready.voice.recipe)
    config = fastpitch_config(recipe, tokenizer_config(frontend, Path("nemo:words.txt")))
    config["target"] = "nemo.collections.tts.models.fastpitch.FastPitchModel"
    path, manifest = ready.project / "base.nemo", ready.project / "base.json"

    def named() -> None:
        manifest.write_text(json.dumps({"checksum": f"sha256:{sha256_file(path)}"}))

    ready.configure(base={"fastpitch": {"path": path.name, "manifest": manifest.name}})
    nemo(path, config, torch_zip(hostile_pickles(canary)["reduce"]))
    named()
    said = failed(ready)
    assert said.startswith(f"runtime_blocked: base_checkpoint_unsafe: {NAME}: base.nemo: ")
    assert "os.system" in said

    config["input_fft"]["n_layer"] = 6
    nemo(path, config, weights({}))
    named()
    said = failed(ready)
    assert said.startswith(f"runtime_blocked: base_checkpoint_incompatible: {NAME}: base.nemo: ")
    assert "fastpitch.encoder_layers: 6 in the base, 3 in the recipe" in said

    manifest.write_text(json.dumps({"checksum": "sha256:" + "0" * 64}))
    assert "weights_checksum_mismatch" in failed(ready)
    assert not started.exists()
    assert not canary.exists()
