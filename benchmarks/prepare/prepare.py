"""How many hours of audio an hour each step of preparation takes in, on this machine, and against NeMo's own way.

    python benchmarks/prepare/prepare.py                       # 20 minutes of clips, 60 minutes of one recording
    python benchmarks/prepare/prepare.py --clips 10000 --only clips     # and one clip added to ten thousand
    python benchmarks/prepare/prepare.py --quick               # a tenth of it

Prints one line a step and a JSON object at the end. See README.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
RATE = 24_000  # Hz, of the sample speaker's recordings
Result = TypeVar("Result")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=300, help="clips with text, of some four seconds")
    parser.add_argument("--minutes", type=float, default=60, help="of the long recording")
    parser.add_argument("--heard", type=int, default=40, help="clips that the recogniser hears")
    parser.add_argument("--peer-clips", type=int, default=24, help="clips that NeMo's dataset class takes in")
    parser.add_argument("--only", choices=["clips", "recording", "recognition", "pitch"], help="one part")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--work", type=Path, help="keep the recordings here, for the next run")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.clips, arguments.minutes, arguments.heard, arguments.peer_clips = 40, 6, 8, 6
    parts: dict[str, Callable[[Path, Any], dict[str, Any]]] = {
        "clips": clips_part,
        "recording": recording_part,
        "recognition": recognition_part,
        "pitch": pitch_part,
    }
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).resolve()
        found = {}
        for name, part in parts.items():
            if arguments.only in (None, name):
                root = work / name
                shutil.rmtree(root, ignore_errors=True)
                found[name] = part(root, arguments)
    print(json.dumps(found, indent=2))


def clips_part(root: Path, arguments: Any) -> dict[str, Any]:
    """Clips with text: every step from nothing, then with one clip more."""
    seconds = write_clips(root / "data/bench", arguments.clips + 1)
    aside = root / "aside"
    aside.mkdir()
    metadata = root / "data/bench/metadata.csv"
    lines = metadata.read_text().splitlines(keepends=True)
    last = root / "data/bench/wavs" / f"{lines[-1].split('|')[0]}.wav"
    shutil.move(last, aside)
    metadata.write_text("".join(lines[:-1]))
    first = steps(root, {"kind": "none"}, seconds, "clips")
    shutil.move(aside / last.name, last)
    metadata.write_text("".join(lines))
    again = steps(root, {"kind": "none"}, seconds, "one clip more")
    share = again["all"]["seconds"] / first["all"]["seconds"]
    print(f"one clip added to {arguments.clips}: {share:.1%} of the full time")
    return {"first": first, "one_more": again, "share": round(share, 4), "peak_rss_mb": peak_rss()}


def recording_part(root: Path, arguments: Any) -> dict[str, Any]:
    """One long FLAC, 44.1 kHz, stereo, with subtitles."""
    seconds = write_recording(root / "data/bench", arguments.minutes * 60)
    found = steps(root, {"kind": "none"}, seconds, "recording")
    return {"first": found, "peak_rss_mb": peak_rss()}


def recognition_part(root: Path, arguments: Any) -> dict[str, Any]:
    """The recogniser alone decides how fast this is."""
    seconds = write_clips(root / "data/bench", arguments.heard)
    return steps(root, {"kind": "whisper"}, seconds, "recognition")


def pitch_part(root: Path, arguments: Any) -> dict[str, Any]:
    """Pitch and mel: ours over all cores, NeMo's dataset class filling its pitch folder by librosa's pyin."""
    from voice_pipeline.store import Store
    from voice_pipeline.text.frontend import TextFrontend
    from voice_pipeline.training import features
    from voice_pipeline.training.recipe import load_recipe

    seconds = write_clips(root / "data/bench", max(arguments.clips, arguments.peer_clips))
    steps(root, {"kind": "none"}, seconds, "pitch", quiet=True)
    store, recipe = Store(root / "store"), load_recipe(PROJECT, "cpu_demo")
    from voice_pipeline.recordings.dataset.record import read_record
    from voice_pipeline.voice import load_voice

    dataset = read_record(store, "bench")
    assert dataset is not None
    voice = load_voice(root / "configs/voices/bench.yaml")
    frontend = TextFrontend.for_language("en-US")
    kept = dataset.duration_seconds
    ours, _ = timed(lambda: features.run(voice, store, dataset, frontend, recipe))
    line("features (mel, pitch)", kept, ours)
    lines = store.resolve(dataset.train_manifest).read_text().splitlines()[: arguments.peer_clips]
    manifest = root / "peer.jsonl"
    items = [json.loads(text) for text in lines]
    for item in items:
        item["audio_filepath"] = str(store.resolve(item["audio_filepath"]))
    manifest.write_text("".join(json.dumps(item) + "\n" for item in items))
    settings = {"manifest": str(manifest), "pitch": str(root / "peer"), "audio": recipe.audio.model_dump()}
    done = subprocess.run(
        [sys.executable, str(HERE / "nemo_dataset.py"), json.dumps(settings)],
        capture_output=True,
        text=True,
        check=True,
    )
    peer = json.loads(done.stdout.splitlines()[-1])
    heard = sum(item["duration"] for item in items)
    line("NeMo's TTSDataset (pyin)", heard, peer["seconds"])
    ratio = (kept / ours) / (heard / peer["seconds"])
    print(f"ours against NeMo's: {ratio:.0f} times")
    return {"ours": figure(kept, ours), "nemo": figure(heard, peer["seconds"]), "ratio": round(ratio, 1)}


def steps(root: Path, recognizer: dict[str, str], seconds: float, title: str, *, quiet: bool = False) -> dict[str, Any]:
    """Run every step of preparation for the voice ``bench`` and time each."""
    from voice_pipeline.recognition.recognizer import load_recognizer
    from voice_pipeline.recordings import manifest, preflight
    from voice_pipeline.recordings.cleaning import stage as cleaning
    from voice_pipeline.recordings.segmentation import stage as segmentation
    from voice_pipeline.recordings.texts import stage as texts
    from voice_pipeline.store import Store
    from voice_pipeline.text.frontend import TextFrontend
    from voice_pipeline.voice import load_voice

    voice_file = write_project(root, recognizer)
    voice, store = load_voice(voice_file), Store(root / "store")
    frontend, listener = TextFrontend.for_language("en-US"), load_recognizer(root, voice)
    frontend.normalise("One text, so that the rules are there.")
    found: dict[str, Any] = {}

    def step(name: str, call: Callable[[], Result]) -> Result:
        spent, result = timed(call)
        found[name] = figure(seconds, spent)
        if not quiet:
            line(f"{title}: {name}", seconds, spent)
        return result

    checked = step("audio_preflight", lambda: preflight.run(root, voice, store))
    cut = step("utterance_segments", lambda: segmentation.run(root, voice, store, checked))
    spoken = step("utterance_texts", lambda: texts.run(root, voice, store, frontend, checked, cut, listener))
    clean = step("clean_utterances", lambda: cleaning.run(root, voice, store, checked, cut, sample_rate=22_050))
    step("dataset_manifest", lambda: manifest.run(root, voice, store, frontend, checked, cut, spoken, clean))
    spent = sum(one["seconds"] for one in found.values())
    found["all"] = figure(seconds, spent)
    if not quiet:
        line(f"{title}: all", seconds, spent)
    return found


def write_project(root: Path, recognizer: dict[str, str]) -> Path:
    shutil.copytree(PROJECT / "configs", root / "configs", dirs_exist_ok=True)
    config = {
        "voice_profile_id": "bench",
        "display_name": "Bench",
        "source": {"path": "data/bench", "min_bytes": 1},
        "consent": {"speaker_type": "synthetic", "speaker": "hibari-tts 0.2.1", "status": "not_applicable",
                    "commercial_use": True},
        "recognizer": recognizer,
        "dataset_gates": {"min_minutes": 0, "min_utterances": 2, "max_rejected_share": 1},
    }  # fmt: skip
    path = root / "configs/voices/bench.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def write_clips(folder: Path, count: int) -> float:
    """``count`` clips in LJ Speech form, each of another content; returns their seconds."""
    import soundfile

    (folder / "wavs").mkdir(parents=True)
    seconds, lines = 0.0, []
    for number, (samples, text) in zip(range(count), variants(), strict=False):
        soundfile.write(folder / "wavs" / f"c{number:06d}.wav", samples, RATE, subtype="PCM_16")
        lines.append(f"c{number:06d}|{text}\n")
        seconds += len(samples) / RATE
    (folder / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    return seconds


def write_recording(folder: Path, seconds: float) -> float:
    """One FLAC at 44.1 kHz in stereo, sentences with pauses between them, and its subtitles."""
    import soundfile
    import soxr

    folder.mkdir(parents=True)
    at, cues, rate = 0.0, [], 44_100
    with soundfile.SoundFile(folder / "reading.flac", "w", rate, 2, "PCM_16") as stream:
        for samples, text in variants():
            if at >= seconds:
                break
            block = soxr.resample(samples, RATE, rate, "HQ")
            cues.append(f"{len(cues) + 1}\n{stamp(at)} --> {stamp(at + len(block) / rate)}\n{text}\n\n")
            block = np.concatenate([block, np.zeros(int(0.7 * rate), np.float32)])
            stream.write(np.stack([block, 0.9 * block], axis=1))
            at += len(block) / rate
    (folder / "reading.srt").write_text("".join(cues), encoding="utf-8")
    return at


def variants() -> Any:
    """The sample speaker's clips again and again, each time a little faster or slower: no two have one content."""
    import soundfile
    import soxr

    from voice_pipeline.recordings import sample_speaker

    cached = Path(tempfile.gettempdir()) / "voice-pipeline-bench-speaker"
    sample_speaker.record(cached)
    rows = [row.split("|") for row in (cached / "metadata.csv").read_text().splitlines()]
    round_number = 0
    while True:
        for row in rows:
            samples, rate = soundfile.read(cached / "wavs" / f"{row[0]}.wav", dtype="float32")
            speed = 1 + 0.15 * np.sin(round_number * 2.399)  # the golden angle: no two rounds are alike
            yield (soxr.resample(samples, rate * speed, RATE, "QQ") if round_number else samples), row[1]
        round_number += 1


def stamp(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes // 60):02d}:{int(minutes % 60):02d}:{rest:06.3f}".replace(".", ",")


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


def figure(audio: float, spent: float) -> dict[str, float]:
    return {"seconds": round(spent, 2), "times_real_time": round(audio / max(spent, 1e-9), 1)}


def line(title: str, audio: float, spent: float) -> None:
    print(f"{title:<40} {audio / 60:8.1f} min in {spent:8.2f} s: {audio / spent:8.0f} times real time", flush=True)


def peak_rss() -> int:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) // 1024


if __name__ == "__main__":
    main()
