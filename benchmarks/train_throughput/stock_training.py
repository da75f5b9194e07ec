"""NeMo's side: stock FastPitchModel, stock TTSDataset, Lightning's Trainer; pitch is given, so no time goes to pyin."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

settings = json.loads(sys.argv[1])


def stock_dataset(work: Path, recipe: Any) -> dict[str, Any]:
    """NeMo's manifest and pitch files of the training split; returns the config of the dataset."""
    import numpy as np
    import torch

    from voice_pipeline.store import Store

    store = Store(work / "store")
    features = json.loads((work / "features.json").read_text())
    statistics = json.loads(store.resolve(features["statistics"]).read_text())
    pitch = work / "stock/pitch"
    pitch.mkdir(parents=True, exist_ok=True)
    index = {}
    for line in store.resolve(features["index"]).read_text().splitlines():
        entry = json.loads(line)
        index[entry["utterance_id"]] = entry
    manifest = work / "stock/manifest.json"
    lines = []
    for line in (store.dataset("sample_speaker") / "train.jsonl").read_text().splitlines():
        item = json.loads(line)
        audio = store.resolve(item["audio_filepath"])
        with np.load(store.resolve(index[item["utterance_id"]]["features"])) as arrays:
            torch.save(torch.from_numpy(arrays["pitch"]), pitch / f"{audio.stem}.pt")
        lines.append(json.dumps({**item, "audio_filepath": str(audio)}))
    manifest.write_text("\n".join(lines) + "\n")
    audio_settings = recipe.audio
    return {
        "_target_": "nemo.collections.tts.data.dataset.TTSDataset",
        "manifest_filepath": str(manifest),
        "sample_rate": audio_settings.sample_rate,
        "sup_data_path": str(work / "stock"),
        "sup_data_types": ["align_prior_matrix", "pitch"],
        "n_fft": audio_settings.n_fft,
        "win_length": audio_settings.n_fft,
        "hop_length": audio_settings.hop,
        "window": "hann",
        "n_mels": audio_settings.mels,
        "lowfreq": audio_settings.mel_fmin,
        "highfreq": audio_settings.mel_fmax,
        "use_beta_binomial_interpolator": True,
        "pitch_fmin": audio_settings.pitch_fmin,
        "pitch_fmax": audio_settings.pitch_fmax,
        "pitch_norm": True,
        "pitch_mean": statistics["pitch_mean"],
        "pitch_std": statistics["pitch_std"],
    }


def main() -> None:
    import torch
    from bench_config import bench_recipe
    from lightning.pytorch import Callback, Trainer
    from nemo.collections.tts.models import FastPitchModel
    from omegaconf import OmegaConf

    from voice_pipeline.text.frontend import TextFrontend
    from voice_pipeline.text.nemo_tokenizer import tokenizer_config, write_phoneme_dict
    from voice_pipeline.training.nemo.models import fastpitch_config

    work, steps = Path(settings["work"]), settings["steps"]
    torch.set_num_threads(settings["threads"])
    recipe = bench_recipe(settings)
    dictionary = work / "phoneme_dict.txt"
    frontend = TextFrontend.load(work / "frontend")
    write_phoneme_dict(frontend, dictionary)
    config = fastpitch_config(recipe, tokenizer_config(frontend, dictionary))
    config["optim"] = {
        "name": "adamw",
        "lr": recipe.fastpitch.learning_rate,
        "betas": list(recipe.fastpitch.betas),
        "weight_decay": recipe.fastpitch.weight_decay,
    }
    config["train_ds"] = {
        "dataset": stock_dataset(work, recipe),
        "dataloader_params": {
            "drop_last": True,
            "shuffle": True,
            "batch_size": settings["batch_size"],
            "num_workers": 0,
        },
    }

    class Record(Callback):  # type: ignore[misc]
        """Time from one step's end to the next's: loading, forward, backward, update."""

        def __init__(self) -> None:
            self.times: list[tuple[float, float]] = []
            self.losses: list[float] = []
            self.mel: list[float] = []

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *rest: Any) -> None:
            self.times.append((time.perf_counter(), time.process_time()))
            self.losses.append(float(outputs["loss"]))
            self.mel.append(float(trainer.callback_metrics["t_mel_loss"]))

    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        callbacks=[record := Record()],
    )
    torch.manual_seed(settings["seed"])
    model = FastPitchModel(OmegaConf.create(config), trainer=trainer)
    trainer.fit(model)
    first, last, count = record.times[1], record.times[-1], len(record.times) - 2
    print(
        json.dumps(
            {
                "seconds": (last[0] - first[0]) / count,
                "cpu": (last[1] - first[1]) / count,
                "precision": "fp32",
                "losses": record.losses,
                "losses_mel": record.mel,
            }
        )
    )


main()
