"""Steps per second of our FastPitch training against NeMo's stock one: same config, data, threads, first weights.

    python benchmarks/train_throughput/train_throughput.py            # 40 steps each, some minutes
    python benchmarks/train_throughput/train_throughput.py --quick    # 6 steps each

Prints one JSON line a side, the ratio, and both loss curves. See README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="steps each side trains; the first two are not timed")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--precision", choices=["fp32", "bf16", "auto"], default="auto", help="of our side; stock is fp32"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="6 steps each")
    parser.add_argument("--work", type=Path, help="keep the recordings and features here, for the next run")
    arguments = parser.parse_args()
    steps = 6 if arguments.quick else arguments.steps
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).resolve()
        prepare(work)
        settings = {
            "work": str(work),
            "steps": steps,
            "batch_size": arguments.batch_size,
            "threads": arguments.threads,
            "precision": arguments.precision,
            "seed": arguments.seed,
        }
        sides = {side: run_side(side, settings) for side in ("ours", "stock")}
    report(sides)


def prepare(work: Path) -> None:
    """The sample speaker's recordings as a dataset with features; nothing is made twice."""
    from voice_pipeline.recordings import preparation, sample_speaker
    from voice_pipeline.store import Store
    from voice_pipeline.text.frontend import TextFrontend
    from voice_pipeline.training import features
    from voice_pipeline.training.recipe import load_recipe
    from voice_pipeline.voice import load_voice

    shutil.copytree(PROJECT / "configs", work / "configs", dirs_exist_ok=True)
    voice = load_voice(work / "configs/voices/sample_speaker.yaml")
    store = Store.open(work / "store")
    sample_speaker.record(work / "data/sample_speaker")
    frontend = TextFrontend.for_language(voice.language)
    recipe = load_recipe(PROJECT, "cpu_demo")
    dataset = preparation.prepare(work, voice, store, frontend, sample_rate=recipe.audio.sample_rate)
    record = features.run(voice, store, dataset, frontend, recipe)
    frontend.save(work / "frontend")
    (work / "features.json").write_text(json.dumps({"index": record.index, "statistics": record.statistics}))


def run_side(side: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Train one side in a process of its own; returns what it measured."""
    threads = str(settings["threads"])
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, str(HERE / f"{side}_training.py"), json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        sys.exit(f"{side}: exit code {done.returncode}\n{done.stderr[-4000:]}")
    line = next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{"))
    result: dict[str, Any] = json.loads(line)
    print(side, {name: value for name, value in result.items() if not name.startswith("losses")})
    return result


def report(sides: dict[str, dict[str, Any]]) -> None:
    """The ratio and the curves."""
    ours, stock = sides["ours"], sides["stock"]
    print(f"\nsteps per second   ours {1 / ours['seconds']:.3f}   stock {1 / stock['seconds']:.3f}", end="")
    print(f"   ratio {stock['seconds'] / ours['seconds']:.2f}   (CPU time: {stock['cpu'] / ours['cpu']:.2f})")
    print("\nloss, mean of each fifth of the steps")
    print(f"{'steps':>10} {'ours':>9} {'stock':>9} {'ours mel':>9} {'stock mel':>9}")
    total = len(ours["losses"])
    size = max(1, total // 5)
    for start in range(0, total - size + 1, size):
        columns = [
            statistics.fmean(side[name][start : start + size])
            for name in ("losses", "losses_mel")
            for side in (ours, stock)
        ]
        print(f"{start + 1:>4} - {start + size:>3} " + " ".join(f"{column:>9.3f}" for column in columns))


if __name__ == "__main__":
    main()
