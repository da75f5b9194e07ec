"""Our side: the stage of the trainer itself, from cached features."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

settings = json.loads(sys.argv[1])


def main() -> None:
    from bench_config import bench_recipe

    from voice_pipeline.store import Store
    from voice_pipeline.text.frontend import TextFrontend
    from voice_pipeline.text.nemo_tokenizer import tokenizer_config, write_phoneme_dict
    from voice_pipeline.training.nemo.acoustic import AcousticStage
    from voice_pipeline.training.nemo.batches import Utterances
    from voice_pipeline.training.nemo.loop import step_seed
    from voice_pipeline.training.nemo.machine import open_machine
    from voice_pipeline.training.nemo.models import build_fastpitch
    from voice_pipeline.training.nemo.runtime import import_nemo
    from voice_pipeline.training.spec import TrainingSpec

    work, steps = Path(settings["work"]), settings["steps"]
    import_nemo()
    import torch

    store = Store(work / "store")
    features = json.loads((work / "features.json").read_text())
    recipe = bench_recipe(settings)
    spec = TrainingSpec(
        voice_profile_id="sample_speaker",
        run_id="benchmark",
        store=store.root,
        work_dir="benchmark",
        features_index=features["index"],
        statistics=features["statistics"],
        frontend="frontend",
        recipe=recipe,
        seed=settings["seed"],
    )
    machine = open_machine(spec)
    data = Utterances.load(
        store, store.resolve(features["index"]), store.resolve(features["statistics"]), "train", recipe.audio
    )
    dictionary = work / "phoneme_dict.txt"
    frontend = TextFrontend.load(work / "frontend")
    write_phoneme_dict(frontend, dictionary)
    torch.manual_seed(settings["seed"])
    model = build_fastpitch(recipe, tokenizer_config(frontend, dictionary))
    stage = AcousticStage(model, data, recipe.fastpitch, machine.fabric, settings["seed"])
    seconds, cpu, losses, mel = [], [], [], []
    for step in range(steps):
        start, start_cpu = time.perf_counter(), time.process_time()
        torch.manual_seed(step_seed(settings["seed"], "fastpitch", step, 0))
        found = stage.train_step(step, stage.batch(step))
        losses.append(float(found["loss"]))
        mel.append(float(found["mel_loss"]))
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    print(
        json.dumps(
            {
                "seconds": sum(seconds[2:]) / (steps - 2),
                "cpu": sum(cpu[2:]) / (steps - 2),
                "precision": machine.precision,
                "losses": losses,
                "losses_mel": mel,
            }
        )
    )


main()
