"""A language without a lexicon, from text to a trained step and to a bundle that speaks."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from voice_pipeline.bundle import build
from voice_pipeline.bundle.synthesizer import Synthesizer
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.store import Store
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline.text.nemo_tokenizer import tokenizer_config
from voice_pipeline.training import features
from voice_pipeline.training.recipe import Recipe
from voice_pipeline.voice import Voice
from voice_pipeline_tests.tiny_bundle import CREATED_AT, provenance
from voice_pipeline_tests.training.conftest import (
    RATE,
    VOICE,
    Prepared,
    TinyDataset,
    Training,
    make_training,
    make_voice,
    speech_like,
    write_manifests,
)

LANGUAGE = "it-IT"
TEXTS = (
    "Perché no? È già così.",
    "L'acqua è fredda.",
    "Prego, premere 1.",
    "Più giù c'è una città.",
    "Un po' di pane.",
    "Buonasera a tutti!",
    "Oggi è martedì.",
    "Costa 2,50 €.",
)
FEW_STEPS: dict[str, dict[str, Any]] = {
    "fastpitch": {"steps": 2, "aligner_steps": 2},
    "hifigan": {"steps": 2, "warmup_only_steps": 1},
}


def italian_voice() -> Voice:
    return make_voice().model_copy(update={"language": LANGUAGE})


@pytest.fixture(scope="module")
def few_steps(tiny: Recipe) -> Recipe:
    changed = {name: getattr(tiny, name).model_copy(update=values) for name, values in FEW_STEPS.items()}
    return Recipe.model_validate(tiny.model_copy(update=changed).model_dump())


@pytest.fixture(scope="module")
def italian(tmp_path_factory: pytest.TempPathFactory, few_steps: Recipe) -> Prepared:
    """Features of eight clips that hum, with Italian texts."""
    store = Store(tmp_path_factory.mktemp("italian") / "store")
    frontend = TextFrontend.for_language(LANGUAGE)
    lines = []
    for number, text in enumerate(TEXTS):
        path = store.dataset(VOICE) / "clips" / f"clip_{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = speech_like(number, 1.6)
        soundfile.write(path, samples, RATE, subtype="PCM_16")
        lines.append(
            {
                "audio_filepath": store.relative(path),
                "text": text,
                "normalized_text": frontend.normalise(text),
                "duration": len(samples) / RATE,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "utterance_id": path.stem,
            }
        )
    write_manifests(store, lines)
    frontend.save(store.voice_artifacts(VOICE) / "frontend")
    return Prepared(store, features.run(italian_voice(), store, TinyDataset("d" * 64), frontend, few_steps))


@pytest.fixture(scope="module")
def trained(italian: Prepared, few_steps: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Training:
    pytest.importorskip("nemo")
    training = make_training(italian, few_steps, tmp_path_factory.mktemp("trained"), "italian")
    with training.stdout.open("w") as out, training.stderr.open("w") as err:
        command = [sys.executable, "-m", "voice_pipeline.training.nemo", str(training.spec_path)]
        done = subprocess.run(command, stdout=out, stderr=err, timeout=240, check=False)
    assert done.returncode == 0, training.stderr.read_text()
    return training


def test_features_hold_the_ids_of_letters(italian: Prepared) -> None:
    frontend = TextFrontend.for_language(LANGUAGE)
    assert italian.record.utterances == len(TEXTS)
    assert italian.record.symbols == sum(len(frontend.encode(text)) for text in TEXTS)


@pytest.mark.nemo
@pytest.mark.slow
def test_steps_are_trained(trained: Training, few_steps: Recipe) -> None:
    result, status = trained.result(), trained.status()
    assert status.status == "completed"
    assert np.isfinite([result["loss"], result["fastpitch_loss"], result["hifigan_loss"]]).all()
    assert result["steps"] == {"aligner": 2, "fastpitch": 2, "hifigan": 2}
    curve = [json.loads(line) for line in (trained.work_dir / "loss.jsonl").read_text().splitlines()]
    assert len(curve) == few_steps.total_steps
    assert not (trained.work_dir / "phoneme_dict.txt").exists()


@pytest.mark.nemo
@pytest.mark.slow
def test_the_bundle_speaks_italian_and_ships_no_lexicon(trained: Training) -> None:
    frontend = TextFrontend.for_language(LANGUAGE)
    models = build.TrainedModels.from_result(trained.work_dir)
    record = build.run(italian_voice(), trained.store, models, frontend, provenance(), created_at=CREATED_AT)
    folder = trained.store.bundle(VOICE)
    assert sorted(path.name for path in (folder / "text").iterdir()) == ["normaliser.json", "symbols.json"]
    assert record.mel_difference < 1e-3
    assert record.sample_seconds > 0
    speech = Synthesizer.load(folder).speak("Perché costa 3,50 €?")
    assert len(speech.samples) > 0
    assert np.isfinite(speech.samples).all()
    assert TextFrontend.load(folder / "text").encode("È così.") == frontend.encode("È così.")


@pytest.mark.nemo
@pytest.mark.slow
def test_a_base_with_another_vocabulary_is_refused(trained: Training, tiny: Recipe, tmp_path: Path) -> None:
    """Weights of one language do not begin another: the ids mean other letters."""
    pytest.importorskip("nemo.collections.tts", reason="needs the extra `nemo`", exc_type=ImportError)
    from voice_pipeline.training.nemo.base_weights import start_from
    from voice_pipeline.training.nemo.models import build_fastpitch
    from voice_pipeline.training.spec import BaseFile

    path = trained.work_dir / "fastpitch.nemo"
    base = BaseFile(path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    spanish = TextFrontend.for_language("es-MX")
    with pytest.raises(VoiceFailure, match=r"another vocabulary: .*text_tokenizer\.chars") as caught:
        start_from(build_fastpitch(tiny, tokenizer_config(spanish, tmp_path / "none")), base, vocabulary=True)
    assert caught.value.reason == "base_checkpoint_incompatible"
    same = build_fastpitch(tiny, tokenizer_config(TextFrontend.for_language("it-CH"), tmp_path / "none"))
    start_from(same, base, vocabulary=True)
