"""A few training steps on a Debian voice, in its own language: what is readable, and whether the losses are numbers.

    python benchmarks/debian_voices/prepare.py it recordings/carlo
    python benchmarks/debian_voices/train_step.py it-IT recordings/carlo

Prints one JSON object. Every text is read; the smallest models train on the first clips alone, because the steps show
that text, features and models fit together, not how the voice would sound.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_pipeline.store import Store
from voice_pipeline.text.errors import TextError
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.training import features
from voice_pipeline.training.recipe import Recipe
from voice_pipeline.training.spec import TrainingSpec
from voice_pipeline.voice import Consent, Source, Voice

VOICE = "debian_voice"
SHORTEST, LONGEST = 1.0, 12.0  # seconds of a clip that trains
RECIPE: dict[str, Any] = {
    "name": "debian_step",
    "description": "The smallest models, two steps of each stage.",
    "fastpitch": {
        **{"steps": 2, "aligner_steps": 2, "batch_size": 8, "aligner_batch_size": 8, "warmup_steps": 1},
        **{"learning_rate": 1e-3, "hidden": 16, "head_size": 8, "inner": 16, "predictor_size": 16},
        **{"encoder_layers": 1, "decoder_layers": 1, "dropout": 0.1, "bin_loss_warmup": 2},
    },
    "hifigan": {
        **{"steps": 2, "batch_size": 2, "learning_rate": 1e-3, "initial_channels": 16, "resblock": 2},
        **{"upsample_rates": [8, 8, 4], "upsample_kernel_sizes": [16, 16, 8], "resblock_kernel_sizes": [3]},
        **{"resblock_dilation_sizes": [[1, 2]], "small_discriminators": True, "warmup_only_steps": 1},
        **{"segment_frames": 16, "stft_loss_weight": 1.0},
    },
    "precision": "fp32",
    "threads": 1,
    "checkpoint_every": 2,
    "log_every": 1,
}


@dataclass(frozen=True)
class Clip:
    """A clip with a text that the front end reads."""

    path: Path
    text: str
    normalized: str
    seconds: float
    symbols: int


def read_clips(folder: Path, frontend: TextFrontend) -> tuple[list[Clip], Counter[str]]:
    """Clips with readable text, in the order of their ids, and how many others there are, by what is wrong."""
    import soundfile

    clips, others = [], Counter[str]()
    named = set()
    for line in (folder / "metadata.csv").read_text(encoding="utf-8").splitlines():
        name, _, text = line.split("|")
        path = folder / "wavs" / f"{name}.wav"
        named.add(name)
        if not path.is_file():
            others["text without audio"] += 1
            continue
        try:
            normalized = frontend.normalise(text)
        except TextError as error:
            others[error.code] += 1
            continue
        seconds = soundfile.info(path).duration
        clips.append(Clip(path, text, normalized, seconds, len(frontend.encode(text))))
    others["audio without text"] = sum(path.stem not in named for path in (folder / "wavs").glob("*.wav"))
    return clips, others


def train_a_step(language: str, folder: Path, work: Path, most_clips: int = 40) -> dict[str, Any]:
    """The figures. Raises RuntimeError when the training program fails."""
    frontend = TextFrontend.for_language(language)
    recipe = Recipe.model_validate_json(json.dumps(RECIPE))
    clips, others = read_clips(folder, frontend)
    usable = [clip for clip in clips if SHORTEST <= clip.seconds <= LONGEST and "[" not in clip.text]
    store = Store(work / "store")
    _stage(store, usable[:most_clips], recipe.audio.sample_rate)
    frontend.save(store.voice_artifacts(VOICE) / "frontend")
    voice = Voice(
        voice_profile_id=VOICE,
        display_name="Debian voice",
        language=language,
        recipe=recipe.name,
        source=Source(path=Path("clips"), license="CC-BY-SA-3.0"),
        consent=Consent(speaker_type="human", speaker="of asterisk-core-sounds", status="missing"),
    )
    record = features.run(voice, store, _Dataset(hashlib.sha256(str(language).encode()).hexdigest()), frontend, recipe)
    result = _train(store, record, recipe, work)
    seconds, symbols = sum(clip.seconds for clip in clips), sum(clip.symbols for clip in clips)
    return {
        "language": language,
        "symbols_in_table": len(frontend.symbol_table),
        "clips_with_text": len(clips),
        "minutes": round(seconds / 60, 1),
        "symbols_per_second": round(symbols / seconds, 1),
        "others": dict(sorted(others.items())),
        "clips_of_a_trainable_length": len(usable),
        "clips_trained_on": record.train_utterances,
        "steps": result["steps"],
        "fastpitch_loss": round(result["fastpitch_loss"], 3),
        "hifigan_loss": round(result["hifigan_loss"], 3),
    }


@dataclass(frozen=True)
class _Dataset:
    identity: str


def _stage(store: Store, clips: list[Clip], sample_rate: int) -> None:
    """The clips at the models' sample rate, and NeMo's manifests of them; every eighth one is for validation."""
    import soundfile
    import soxr

    lines: dict[str, list[Mapping[str, Any]]] = {"train": [], "validation": []}
    for number, clip in enumerate(clips):
        samples, rate = soundfile.read(clip.path, dtype="float32")
        path = store.dataset(VOICE) / "clips" / clip.path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, soxr.resample(samples, rate, sample_rate), sample_rate, subtype="PCM_16")
        lines["train" if number % 8 else "validation"].append(
            {
                "audio_filepath": store.relative(path),
                "text": clip.text,
                "normalized_text": clip.normalized,
                "duration": soundfile.info(path).duration,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "utterance_id": clip.path.stem,
            }
        )
    for split, some in lines.items():
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in some)
        (store.dataset(VOICE) / f"{split}.jsonl").write_text(text, encoding="utf-8")


def _train(store: Store, record: features.FeaturesRecord, recipe: Recipe, work: Path) -> dict[str, Any]:
    fields = {
        "voice_profile_id": VOICE,
        "run_id": "debian-step",
        "store": store.root,
        "work_dir": f"checkpoints/{VOICE}/nemo/0123456789abcdef",
        "features_index": record.index,
        "statistics": record.statistics,
        "frontend": f"artifacts/{VOICE}/frontend",
        "recipe": recipe,
        "seed": 7,
    }
    spec = TrainingSpec.model_validate(fields)
    path = work / "spec.json"
    path.write_text(json.dumps(spec.to_json()), encoding="utf-8")
    command = [sys.executable, "-m", "voice_pipeline.training.nemo", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the training ended with {done.returncode}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads((store.resolve(spec.work_dir) / "result.json").read_text(encoding="utf-8"))
    return result


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="A few training steps on a folder that prepare.py made.")
    parser.add_argument("language", help="BCP 47, such as it-IT")
    parser.add_argument("folder", type=Path, help="folder with wavs/ and metadata.csv")
    parser.add_argument("--clips", type=int, default=40, help="at most so many clips train and validate")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        figures = train_a_step(options.language, options.folder, Path(work), options.clips)
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
