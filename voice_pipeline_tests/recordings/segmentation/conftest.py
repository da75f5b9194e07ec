from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voice_pipeline.recognition.voice_activity import VoiceActivity
from voice_pipeline_tests.recordings.segmentation.speech_material import Samples

PROJECT = Path(__file__).parents[3]
SENTENCES = (
    "The gardener planted three rows of beans behind the old stone wall.",
    "Nobody expected the train to arrive before noon, but it did.",
    "She opened the letter, read it twice, and put it away.",
    "A cold wind came down from the hills in the evening.",
    "Please bring the large box from the kitchen to the hall.",
    "Seven boats were lying in the harbour, and all of them were empty.",
    "He asked for a map, a lamp, and a loaf of bread.",
    "Under the bridge the water was deep and quite still.",
)


@pytest.fixture(scope="session")
def detector() -> VoiceActivity:
    pytest.importorskip("silero_vad.data", reason="voice activity needs the recordings extra")
    return VoiceActivity.load()


@pytest.fixture(scope="session")
def spoken() -> tuple[list[Samples], int]:
    """Eight sentences of the sample speaker, 24 kHz, without the silence around them."""
    hibari = pytest.importorskip("hibari", reason="generated speech needs the demo extra")
    engine = hibari.Hibari(voice="heart")
    return [_trimmed(np.asarray(engine(text, seed=0), np.float32)) for text in SENTENCES], engine.sample_rate


@pytest.fixture(scope="session")
def read_aloud() -> tuple[list[Samples], int]:
    """The 32 clips of LJ Speech, 22.05 kHz."""
    folder = Path(os.environ.get("VOICE_TEST_DATA", PROJECT.parent / "shared" / "data")) / "ljspeech_32"
    if not (folder / "metadata.csv").exists():
        pytest.skip(f"the LJ Speech clips are not at {folder}; set VOICE_TEST_DATA")
    read = [soundfile.read(path, dtype="float32") for path in sorted(folder.glob("*.flac"))]
    return [samples for samples, _ in read], read[0][1]


def _trimmed(samples: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    return samples[loud[0] : loud[-1] + 1]
