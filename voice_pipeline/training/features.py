"""What the trainers read: log-mel, pitch and symbol ids of each clip, computed once for the same content.

    record = run(voice, store, dataset, frontend, recipe)

Each clip's features lie in the cache under the sha256 of all that decides them (the audio's digest, the symbol ids,
the analysis settings, the code's version), so one changed clip recomputes one clip. No torch is needed.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from voice_pipeline.atomic import atomic_path, read_json, write_json, write_text
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.store import Store, identity, sha256_file
from voice_pipeline.training import mel, pitch
from voice_pipeline.training.recipe import AudioSettings, Recipe
from voice_pipeline.voice import Voice

VERSION = "1"
STAGE = "training_features"
SPLITS = ("train", "validation")
_PARALLEL_FROM = 120.0  # seconds of audio; below it, starting processes costs more than it saves
_PROCESSES = 8

Progress = Callable[[int, int], None]


class Dataset(Protocol):
    """What this stage needs of the dataset's record."""

    @property
    def identity(self) -> str:
        """sha256 of everything that decided the dataset."""


class Frontend(Protocol):
    """What this stage needs of the text frontend."""

    @property
    def identity(self) -> str:
        """sha256 of the frontend's files."""

    def encode(self, text: str) -> tuple[int, ...]:
        """Symbol ids of a text."""


@dataclass(frozen=True)
class FeaturesRecord:
    """The figures of the finished stage. Paths are relative to the store."""

    identity: str
    index: str
    index_sha256: str
    statistics: str
    statistics_sha256: str
    utterances: int
    train_utterances: int
    validation_utterances: int
    seconds: float
    frames: int
    symbols: int
    pitch_mean: float  # Hz over voiced frames of the training split
    pitch_std: float  # Hz
    voiced_share: float  # of all frames
    too_short: tuple[str, ...]  # utterances left out: fewer frames than symbols cannot be aligned


@dataclass(frozen=True)
class _Clip:
    utterance_id: str
    split: str
    audio: str
    audio_sha256: str
    ids: tuple[int, ...]
    key: str


def run(
    voice: Voice,
    store: Store,
    dataset: Dataset,
    frontend: Frontend,
    recipe: Recipe,
    *,
    progress: Progress | None = None,
) -> FeaturesRecord:
    """Compute what is not in the cache, and write the index and the statistics.

    Raises VoiceFailure ``empty_dataset`` when a split is empty, ``audio_undecodable`` for a staged clip that
    cannot be read or has another sample rate, ``disk_full`` and ``permission_denied``.
    """
    name = voice.voice_profile_id
    clips = [clip for split in SPLITS for clip in _clips(store, name, split, frontend, recipe.audio)]
    stage_identity = identity(
        stage=STAGE,
        version=VERSION,
        dataset=dataset.identity,
        frontend=frontend.identity,
        audio=recipe.audio.model_dump(),
        clips=[[clip.utterance_id, clip.split, clip.key] for clip in clips],
    )
    record_path = store.record(name, STAGE)
    if (finished := _finished(store, record_path, stage_identity)) is not None:
        return finished

    missing = [clip for clip in clips if not store.cache("features", clip.key, ".npz").exists()]
    _compute(missing, store, recipe.audio, name, progress)
    entries = [_entry(store, clip) for clip in clips]
    too_short = tuple(entry["utterance_id"] for entry in entries if entry["frames"] < entry["symbols"])
    entries = sorted((e for e in entries if e["frames"] >= e["symbols"]), key=lambda entry: str(entry["utterance_id"]))
    for split in SPLITS:
        if not any(entry["split"] == split for entry in entries):
            raise VoiceFailure("empty_dataset", f"no usable utterance in the {split} split", voice=name)

    index = store.features(name) / "index.jsonl"
    statistics_path = store.features(name) / "statistics.json"
    write_text(index, "".join(json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n" for entry in entries))
    statistics = _statistics(store, entries, recipe.audio)
    write_json(statistics_path, statistics)
    record = FeaturesRecord(
        identity=stage_identity,
        index=store.relative(index),
        index_sha256=sha256_file(index),
        statistics=store.relative(statistics_path),
        statistics_sha256=sha256_file(statistics_path),
        utterances=len(entries),
        train_utterances=sum(entry["split"] == "train" for entry in entries),
        validation_utterances=sum(entry["split"] == "validation" for entry in entries),
        seconds=statistics["seconds"],
        frames=statistics["frames"],
        symbols=statistics["symbols"],
        pitch_mean=statistics["pitch_mean"],
        pitch_std=statistics["pitch_std"],
        voiced_share=statistics["voiced_share"],
        too_short=too_short,
    )
    write_json(record_path, {"stage": STAGE, **asdict(record)})
    return record


def compute_features(audio_path: Path, ids: Sequence[int], audio: AudioSettings) -> dict[str, np.ndarray[Any, Any]]:
    """``mel`` float32 [mels, T], ``pitch`` float32 [T] in Hz (0 where unvoiced), ``ids`` int32 [N] of one clip.

    Raises ValueError for a clip that is not mono at the recipe's sample rate, or is not audio.
    """
    import soundfile

    try:
        samples, rate = soundfile.read(audio_path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(str(error)) from error
    if rate != audio.sample_rate or samples.shape[1] != 1:
        raise ValueError(f"expected mono at {audio.sample_rate} Hz, found {samples.shape[1]} channels at {rate} Hz")
    mono = np.ascontiguousarray(samples[:, 0])
    return {
        "mel": mel.log_mel(mono, audio),
        "pitch": pitch.track_pitch(mono, audio),
        "ids": np.asarray(ids, dtype=np.int32),
    }


def _clips(store: Store, voice: str, split: str, frontend: Frontend, audio: AudioSettings) -> Iterable[_Clip]:
    manifest = store.dataset(voice) / f"{split}.jsonl"
    try:
        lines = manifest.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise VoiceFailure("empty_dataset", "the dataset has no such manifest", voice=voice, file=manifest) from None
    for line in lines:
        item = json.loads(line)
        ids = tuple(frontend.encode(item["normalized_text"]))
        key = identity(
            features=VERSION,
            mel=mel.VERSION,
            pitch=pitch.VERSION,
            audio=audio.model_dump(),
            clip=item["sha256"],
            ids=list(ids),
        )
        yield _Clip(item["utterance_id"], split, item["audio_filepath"], item["sha256"], ids, key)


def _compute(clips: list[_Clip], store: Store, audio: AudioSettings, voice: str, progress: Progress | None) -> None:
    jobs = [(store.resolve(c.audio), c.ids, audio, store.cache("features", c.key, ".npz"), voice) for c in clips]
    total = len(jobs)
    seconds = sum(path.stat().st_size for path, *_ in jobs if path.exists()) / (2 * audio.sample_rate)
    workers = min(_PROCESSES, os.cpu_count() or 1, total)
    if workers > 1 and seconds > _PARALLEL_FROM:
        # spawn, not fork: the caller may hold threads and locks (a Dagster process does).
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            for done, _ in enumerate(pool.map(_write_features, jobs, chunksize=4), start=1):
                _report(progress, done, total)
    else:
        for done, job in enumerate(jobs, start=1):
            _write_features(job)
            _report(progress, done, total)


def _report(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


def _write_features(job: tuple[Path, tuple[int, ...], AudioSettings, Path, str]) -> None:
    audio_path, ids, audio, target, voice = job
    try:
        arrays = compute_features(audio_path, ids, audio)
    except (OSError, ValueError) as error:
        raise VoiceFailure("audio_undecodable", str(error), voice=voice, file=audio_path) from error
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)  # zip entries carry no time: the same arrays, the same bytes


def _entry(store: Store, clip: _Clip) -> dict[str, Any]:
    path = store.cache("features", clip.key, ".npz")
    with np.load(path, allow_pickle=False) as arrays:
        frames = int(arrays["pitch"].shape[0])
    return {
        "utterance_id": clip.utterance_id,
        "split": clip.split,
        "features": store.relative(path),
        "sha256": sha256_file(path),
        "frames": frames,
        "symbols": len(clip.ids),
        "audio": clip.audio,
        "audio_sha256": clip.audio_sha256,
    }


def _statistics(store: Store, entries: list[dict[str, Any]], audio: AudioSettings) -> dict[str, Any]:
    """Mean and standard deviation of the pitch over voiced training frames; and how much there is."""
    count, total, squares = 0, 0.0, 0.0
    for entry in entries:
        if entry["split"] == "train":
            with np.load(store.resolve(entry["features"]), allow_pickle=False) as arrays:
                voiced = arrays["pitch"][arrays["pitch"] > 0].astype(np.float64)
            count, total, squares = count + voiced.size, total + float(voiced.sum()), squares + float((voiced**2).sum())
    mean = total / count if count else 0.0
    deviation = math.sqrt(max(squares / count - mean**2, 0.0)) if count else 0.0
    frames = sum(entry["frames"] for entry in entries)
    train_frames = sum(entry["frames"] for entry in entries if entry["split"] == "train")
    return {
        "audio": audio.model_dump(),
        "pitch_mean": round(mean, 6),
        "pitch_std": round(deviation, 6) or 1.0,  # a voice without voiced frames must not divide by zero
        "voiced_share": round(count / train_frames, 6) if train_frames else 0.0,
        "frames": frames,
        "symbols": sum(entry["symbols"] for entry in entries),
        "seconds": round(frames * audio.hop / audio.sample_rate, 3),
    }


def _finished(store: Store, path: Path, stage_identity: str) -> FeaturesRecord | None:
    """The stage's record when it is of this identity and every file it names still has its digest."""
    try:
        value = read_json(path)
        value.pop("stage")
        record = FeaturesRecord(**{**value, "too_short": tuple(value["too_short"])})
        if record.identity != stage_identity:
            return None
        index = store.resolve(record.index)
        if sha256_file(index) != record.index_sha256:
            return None
        if sha256_file(store.resolve(record.statistics)) != record.statistics_sha256:
            return None
        for line in index.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if sha256_file(store.resolve(entry["features"])) != entry["sha256"]:
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record
