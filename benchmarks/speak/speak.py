"""How fast a bundle speaks, against NeMo's own torch inference of the same .nemo files, in one run.

    python benchmarks/speak/speak.py [BUNDLE] [--size cpu_small] [--runs 3] [--threads 1] [--json FILE]

Two figures, see README.md: the time from the start of a process to its WAV, and the real-time factor of a process
that is up. Runs alternate between the two, so that a busy machine is busy for both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
sys.path.insert(0, str(PROJECT))

# In words that every lexicon has, so that NeMo's own reading needs no normalisation and both say the same.
SENTENCES = (
    "good morning to you, and to the whole house.",
    "the little boat came home before the storm, and everyone was safe.",
    "would you like some tea, or is it too early for that?",
)
WARM_REPEATS = 10
AIM_SECONDS = 1.0
AIM_RATIO = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "bundle", nargs="?", type=Path, help="a bundle's folder; without it one of random weights is made"
    )
    parser.add_argument("--size", default="cpu_small", help="recipe of the random weights; also: tiny, default")
    parser.add_argument("--runs", type=int, default=3, help="processes of each kind")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each process")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        bundle = options.bundle or _make_bundle(Path(work), options.size)
        figures = measure(bundle.resolve(), Path(work), options.runs, options.threads)
    figures["bundle"] = str(options.bundle) if options.bundle else f"random weights, {options.size}"
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    return 0


def measure(bundle: Path, work: Path, runs: int, threads: int) -> dict[str, Any]:
    """Alternate the two kinds of process. Times are wall-clock seconds of this machine as it is."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
    command_line = [sys.executable, "-m", "voice_pipeline", "speak", str(bundle), SENTENCES[0]]
    ours: dict[str, list[float]] = {"start": [], "factor": []}
    theirs: dict[str, list[float]] = {"start": [], "factor": []}
    nemo = [sys.executable, str(HERE / "nemo_inference.py"), str(bundle), str(work / "nemo.wav"), str(threads)]
    warm = [sys.executable, str(HERE / "bundle_inference.py"), str(bundle), str(threads), str(WARM_REPEATS)]
    spoken = {}
    for run in range(runs + 1):  # the first of each fills the disk's cache and is not counted
        start = time.perf_counter()
        subprocess.run(
            [*command_line, "-o", str(work / "ours.wav")], env=environment, check=True, stdout=subprocess.DEVNULL
        )
        our_start = time.perf_counter() - start
        up = json.loads(_output([*warm, *SENTENCES], environment))
        their_start, torch = _nemo([*nemo, str(WARM_REPEATS), *SENTENCES], environment)
        spoken = {"bundle": up["spoken_seconds"], "nemo": torch["spoken_seconds"]}
        if run == 0 and runs > 0:
            continue
        ours["start"].append(our_start)
        theirs["start"].append(their_start)
        ours["factor"].append(statistics.median(up["synthesis_seconds"]) / up["spoken_seconds"])
        theirs["factor"].append(statistics.median(torch["synthesis_seconds"]) / torch["spoken_seconds"])
    return {
        "threads": threads,
        "runs": runs,
        "cpu": _cpu(),
        "load_average": os.getloadavg()[0],
        "spoken_seconds": spoken,
        "bundle_start_to_wav": statistics.median(ours["start"]),
        "nemo_start_to_wav": statistics.median(theirs["start"]),
        "bundle_real_time_factor": statistics.median(ours["factor"]),
        "nemo_real_time_factor": statistics.median(theirs["factor"]),
        "all": {"bundle": ours, "nemo": theirs},
    }


def show(figures: dict[str, Any]) -> None:
    """Print the figures with their ratios and aims."""
    print(f"{figures['bundle']}; {figures['threads']} thread(s); {figures['cpu']}; load {figures['load_average']:.1f}")
    print(f"{'':<28}{'bundle':>10}{'NeMo':>10}{'ratio':>10}")
    for name, key in (("process start to WAV, s", "start_to_wav"), ("real-time factor", "real_time_factor")):
        ours, theirs = figures[f"bundle_{key}"], figures[f"nemo_{key}"]
        print(f"{name:<28}{ours:>10.3f}{theirs:>10.3f}{theirs / ours:>9.1f}x")
    start, ratio = figures["bundle_start_to_wav"], figures["nemo_start_to_wav"] / figures["bundle_start_to_wav"]
    met = start < AIM_SECONDS and ratio >= AIM_RATIO
    print(
        f"aim: start to WAV under {AIM_SECONDS:.0f} s and {AIM_RATIO:.0f} times NeMo's: {'met' if met else 'NOT met'}"
    )


def _make_bundle(work: Path, size: str) -> Path:
    from voice_pipeline_tests.tiny_bundle import build_tiny_bundle

    print(f"building a bundle of random weights, {size} ...", file=sys.stderr)
    return build_tiny_bundle(work / "built", size).folder


def _nemo(command: list[str], environment: dict[str, str]) -> tuple[float, dict[str, Any]]:
    """Seconds from the start of the process to its WAV, and the figures it prints at its end."""
    start, to_wav = time.perf_counter(), 0.0
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        if line.strip() == "WAV":
            to_wav = time.perf_counter() - start
        last = line.strip() or last
    if process.wait() != 0:
        raise SystemExit(f"NeMo ended with exit code {process.returncode}: {last}")
    return to_wav, json.loads(last)


def _output(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "unknown CPU"


if __name__ == "__main__":
    sys.exit(main())
