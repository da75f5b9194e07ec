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
    nemo = [sys.executable, str(HERE / "nemo_inference.py"), str(bundle), str(work / "nemo.wav"), str(threads)]
    warm = [sys.executable, str(HERE / "bundle_inference.py"), str(bundle), str(threads), str(WARM_REPEATS)]
    figures: dict[str, dict[str, list[float]]] = {
        name: {"bundle": [], "nemo": []} for name in ("start_to_wav", "cpu_to_wav", "real_time_factor")
    }
    spoken = {}
    for run in range(runs + 1):  # the first of each fills the disk's cache and is not counted
        our_start, our_cpu = _speak([*command_line, "-o", str(work / "ours.wav")], environment)
        up = json.loads(_output([*warm, *SENTENCES], environment))
        their_start, their_cpu, torch = _nemo([*nemo, str(WARM_REPEATS), *SENTENCES], environment)
        spoken = {"bundle": up["spoken_seconds"], "nemo": torch["spoken_seconds"]}
        if run == 0:
            continue
        for name, ours, theirs in (
            ("start_to_wav", our_start, their_start),
            ("cpu_to_wav", our_cpu, their_cpu),
            ("real_time_factor", _factor(up), _factor(torch)),
        ):
            figures[name]["bundle"].append(ours)
            figures[name]["nemo"].append(theirs)
    return {
        "threads": threads,
        "runs": runs,
        "cpu": _cpu(),
        "load_average": os.getloadavg()[0],
        "spoken_seconds": spoken,
        "median": {n: {who: statistics.median(values) for who, values in f.items()} for n, f in figures.items()},
        "all": figures,
    }


def show(figures: dict[str, Any]) -> None:
    """Print the medians with their ratios, and whether the aims are met."""
    print(f"{figures['bundle']}; {figures['threads']} thread(s); {figures['cpu']}; load {figures['load_average']:.1f}")
    print(f"{'':<28}{'bundle':>10}{'NeMo':>10}{'ratio':>10}")
    for key, name in (
        ("start_to_wav", "process start to WAV, s"),
        ("cpu_to_wav", "CPU time up to there, s"),
        ("real_time_factor", "real-time factor"),
    ):
        ours, theirs = figures["median"][key]["bundle"], figures["median"][key]["nemo"]
        print(f"{name:<28}{ours:>10.3f}{theirs:>10.3f}{theirs / ours:>9.1f}x")
    start = figures["median"]["start_to_wav"]
    met = start["bundle"] < AIM_SECONDS and start["nemo"] / start["bundle"] >= AIM_RATIO
    print(
        f"aim: start to WAV under {AIM_SECONDS:.0f} s and {AIM_RATIO:.0f} times NeMo's: {'met' if met else 'NOT met'}"
    )


def _factor(figures: dict[str, Any]) -> float:
    """Seconds of work for a second of speech."""
    return float(statistics.median(figures["synthesis_seconds"]) / figures["spoken_seconds"])


def _make_bundle(work: Path, size: str) -> Path:
    from voice_pipeline_tests.tiny_bundle import build_tiny_bundle

    print(f"building a bundle of random weights, {size} ...", file=sys.stderr)
    return build_tiny_bundle(work / "built", size).folder


def _speak(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds of the clock and of the CPU that a process takes."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"speaking ended with exit code {process.returncode}")
    return seconds, used.ru_utime + used.ru_stime


def _nemo(command: list[str], environment: dict[str, str]) -> tuple[float, float, dict[str, Any]]:
    """Seconds of the clock and of the CPU up to the WAV, and the figures that the process prints at its end."""
    start, to_wav, cpu = time.perf_counter(), 0.0, 0.0
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        if line.startswith("WAV "):
            to_wav, cpu = time.perf_counter() - start, float(line.split()[1])
        last = line.strip() or last
    if process.wait() != 0:
        raise SystemExit(f"NeMo ended with exit code {process.returncode}: {last}")
    return to_wav, cpu, json.loads(last)


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
