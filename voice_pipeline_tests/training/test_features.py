from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from voice_pipeline.atomic import read_json
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.store import Store, sha256_file
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.training import features
from voice_pipeline.training.features import FeaturesRecord, compute_features
from voice_pipeline.training.recipe import Recipe
from voice_pipeline_tests.training.conftest import (
    RATE,
    SENTENCES,
    VOICE,
    TinyDataset,
    make_voice,
    speech_like,
    write_clip,
    write_manifests,
)


def run(store: Store, frontend: TextFrontend, recipe: Recipe, dataset: str = "d" * 64) -> FeaturesRecord:
    return features.run(make_voice(), store, TinyDataset(dataset), frontend, recipe)


def cached(store: Store) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in store.root.glob("cache/features/*/*.npz")}


def test_every_clip_gets_features_that_fit(dataset_store: Store, frontend: TextFrontend, tiny: Recipe) -> None:
    record = run(dataset_store, frontend, tiny)
    lines = [json.loads(line) for line in dataset_store.resolve(record.index).read_text().splitlines()]
    assert [line["utterance_id"] for line in lines] == sorted(line["utterance_id"] for line in lines)
    assert (record.train_utterances, record.validation_utterances) == (6, 2)
    for line in lines:
        path = dataset_store.resolve(line["features"])
        assert sha256_file(path) == line["sha256"]
        with np.load(path) as arrays:
            assert arrays["mel"].shape == (80, line["frames"])
            assert arrays["pitch"].shape == (line["frames"],)
            assert arrays["ids"].tolist() == list(frontend.encode(SENTENCES[int(line["utterance_id"][-2:])]))
            assert (arrays["mel"].dtype, arrays["pitch"].dtype, arrays["ids"].dtype) == ("float32", "float32", "int32")
    assert 100 < record.pitch_mean < 180
    assert 5 < record.pitch_std < 60


def test_one_changed_clip_recomputes_one_clip(dataset_store: Store, frontend: TextFrontend, tiny: Recipe) -> None:
    first = run(dataset_store, frontend, tiny)
    before = cached(dataset_store)
    lines = [write_clip(dataset_store, index) for index in range(len(SENTENCES))]
    lines[2] = write_clip(dataset_store, 2, seed=99)
    write_manifests(dataset_store, lines)
    second = run(dataset_store, frontend, tiny, "e" * 64)
    after = cached(dataset_store)
    assert len(before) == len(SENTENCES)
    assert set(before.items()) <= set(after.items())
    assert len(after) == len(before) + 1
    assert second.identity != first.identity


def test_an_unchanged_dataset_computes_nothing(dataset_store: Store, frontend: TextFrontend, tiny: Recipe) -> None:
    first = run(dataset_store, frontend, tiny)
    index = dataset_store.resolve(first.index)
    before = index.stat().st_mtime_ns
    assert run(dataset_store, frontend, tiny) == first
    assert index.stat().st_mtime_ns == before


def test_a_damaged_cache_file_is_noticed(dataset_store: Store, frontend: TextFrontend, tiny: Recipe) -> None:
    first = run(dataset_store, frontend, tiny)
    broken = next(iter(dataset_store.root.glob("cache/features/*/*.npz")))
    broken.unlink()
    assert run(dataset_store, frontend, tiny) == first
    assert broken.exists()


def test_other_settings_are_other_features(dataset_store: Store, frontend: TextFrontend, tiny: Recipe) -> None:
    run(dataset_store, frontend, tiny)
    narrower = tiny.audio.model_copy(update={"mel_fmax": 7000.0})
    run(dataset_store, frontend, tiny.model_copy(update={"audio": narrower}))
    assert len(cached(dataset_store)) == 2 * len(SENTENCES)


def test_processes_give_the_same_bytes(
    dataset_store: Store, frontend: TextFrontend, tiny: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(dataset_store, frontend, tiny)
    for path in dataset_store.root.glob("cache/features/*/*.npz"):
        path.unlink()
    monkeypatch.setattr(features, "_PARALLEL_FROM", 0.0)
    assert run(dataset_store, frontend, tiny) == first


def test_a_clip_with_more_symbols_than_frames_is_left_out_by_name(
    dataset_store: Store, frontend: TextFrontend, tiny: Recipe
) -> None:
    lines = [write_clip(dataset_store, index) for index in range(len(SENTENCES))]
    path = dataset_store.resolve(lines[0]["audio_filepath"])
    soundfile.write(path, speech_like(0, 0.1), RATE, subtype="PCM_16")
    lines[0]["sha256"] = sha256_file(path)
    write_manifests(dataset_store, lines)
    record = run(dataset_store, frontend, tiny)
    assert record.too_short == ("clip_00",)
    assert record.train_utterances == 5


def test_a_clip_that_is_not_audio_is_named(dataset_store: Store, frontend: TextFrontend, tiny: Recipe) -> None:
    clip = dataset_store.dataset(VOICE) / "clips/clip_03.wav"
    clip.write_bytes(b"not audio at all")
    with pytest.raises(VoiceFailure, match="clip_03") as caught:
        run(dataset_store, frontend, tiny)
    assert caught.value.reason == "audio_undecodable"


def test_an_empty_split_is_refused(dataset_store: Store, frontend: TextFrontend, tiny: Recipe) -> None:
    (dataset_store.dataset(VOICE) / "validation.jsonl").write_text("")
    with pytest.raises(VoiceFailure, match="validation") as caught:
        run(dataset_store, frontend, tiny)
    assert caught.value.reason == "empty_dataset"


def test_statistics_are_of_the_voiced_training_frames(
    dataset_store: Store, frontend: TextFrontend, tiny: Recipe
) -> None:
    record = run(dataset_store, frontend, tiny)
    train = [json.loads(line) for line in dataset_store.resolve(record.index).read_text().splitlines()]
    voiced = []
    for line in train:
        if line["split"] == "train":
            with np.load(dataset_store.resolve(line["features"])) as arrays:
                voiced.append(arrays["pitch"][arrays["pitch"] > 0])
    values = np.concatenate(voiced).astype(np.float64)
    statistics = read_json(dataset_store.resolve(record.statistics))
    assert statistics["pitch_mean"] == pytest.approx(values.mean(), abs=1e-4)
    assert statistics["pitch_std"] == pytest.approx(values.std(), abs=1e-3)


def test_the_wrong_sample_rate_is_refused(dataset_store: Store, tiny: Recipe) -> None:
    path = dataset_store.root / "fast.wav"
    soundfile.write(path, speech_like(0, 0.5), 16000, subtype="PCM_16")
    with pytest.raises(ValueError, match="16000 Hz"):
        compute_features(path, [1, 2], tiny.audio)
