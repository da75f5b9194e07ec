from __future__ import annotations

import json
import subprocess
import sys
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from voice_pipeline.bundle.speaking import speak_to_file
from voice_pipeline.bundle.synthesizer import Speech, Synthesizer, concatenate, wav_bytes
from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.text.errors import TextError
from voice_pipeline_tests.tiny_bundle import TinyBundle

pytestmark = pytest.mark.nemo

TEXT = "Good morning. The train to Bath leaves at 9:45! Is that late?\n\nIt costs $23.50, or less (with a card)."


@pytest.fixture(scope="module")
def voice(tiny_bundle: TinyBundle) -> Synthesizer:
    return Synthesizer.load(tiny_bundle.folder)


def test_the_same_text_gives_the_same_samples(tiny_bundle: TinyBundle, voice: Synthesizer) -> None:
    first, again = voice.speak(TEXT), voice.speak(TEXT)
    other = Synthesizer.load(tiny_bundle.folder).speak(TEXT)
    assert wav_bytes(first) == wav_bytes(again) == wav_bytes(other)
    assert first.samples.dtype == np.float32 and first.sample_rate == 22_050
    assert first.duration == len(first.samples) / 22_050 > 1


def test_several_threads_speak_as_one(voice: Synthesizer) -> None:
    alone = wav_bytes(voice.speak(TEXT))
    with ThreadPoolExecutor(3) as pool:
        assert {wav_bytes(speech) for speech in pool.map(voice.speak, [TEXT] * 6)} == {alone}


def test_the_stream_is_the_speech_in_sentences(voice: Synthesizer) -> None:
    parts = list(voice.stream(TEXT))
    assert len(parts) == 4
    assert np.array_equal(concatenate(parts, 22_050).samples, voice.speak(TEXT).samples)


def test_sentences_are_apart_and_paragraphs_more_so(voice: Synthesizer) -> None:
    parts = list(voice.stream(TEXT))
    silences = [trailing_silence(part) for part in parts]
    settings = voice.settings
    assert silences[0] == pytest.approx(settings.sentence_pause, abs=0.01)
    assert silences[2] == pytest.approx(settings.paragraph_pause, abs=0.01)
    assert silences[3] < 0.01


def trailing_silence(speech: Speech) -> float:
    return (len(speech.samples) - 1 - int(np.flatnonzero(speech.samples)[-1])) / speech.sample_rate


def test_nothing_clips(voice: Synthesizer) -> None:
    samples = voice.speak(TEXT).samples
    assert 0.01 < float(np.abs(samples).max()) <= voice.settings.ceiling
    pcm = np.frombuffer(wav_bytes(voice.speak(TEXT))[44:], "<i2")
    assert int(np.abs(pcm.astype(int)).max()) < 32_767


def test_pace(voice: Synthesizer) -> None:
    slow, own, fast = (voice.speak("Good morning to you.", pace=pace).duration for pace in (0.5, 1.0, 2.0))
    assert slow > 1.5 * own > 2 * fast
    for pace in (0.0, 0.49, 2.1, float("nan")):
        with pytest.raises(ValueError, match="pace"):
            voice.speak("Good morning.", pace=pace)


def test_a_long_text_is_spoken_in_pieces_of_bounded_length(voice: Synthesizer) -> None:
    text = "and then another one came along, which was longer still, " * 12 + "and that was it."
    parts = list(voice.stream(text))
    assert len(parts) >= len(text) / voice.settings.max_sentence_chars
    assert sum(part.duration for part in parts) > 10


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty_text"),
        (" \n\n\t ", "empty_text"),
        ("... !?", "empty_text"),
        ("a" * 20_001, "text_too_long"),
        ("Привет, мир.", "unsupported_script"),
        ("Good morning. おはよう。", "unsupported_script"),
    ],
)
def test_what_cannot_be_spoken_is_said_at_once(voice: Synthesizer, text: str, code: str) -> None:
    with pytest.raises(TextError) as caught:
        voice.stream(text)  # before the first sentence is asked for
    assert caught.value.code == code


@pytest.mark.parametrize(
    "text", ["Well … no.", "“Good morning,” she said.", "Wait!!! What???", "It works 👍 well.", "A"]
)
def test_odd_texts_are_read_all_the_same(voice: Synthesizer, text: str) -> None:
    speech = voice.speak(text)
    assert speech.duration > 0.05 and np.isfinite(speech.samples).all()


def test_the_wav_file(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.wav"
    speech = speak_to_file(tiny_bundle.folder, "Good morning.", path, pace=1.2)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 22_050)
        assert file.getnframes() == len(speech.samples)
    assert path.read_bytes() == wav_bytes(speech)
    with pytest.raises(ConfigError, match="empty_text"):
        speak_to_file(tiny_bundle.folder, "", path)
    with pytest.raises(ConfigError, match="pace"):
        speak_to_file(tiny_bundle.folder, "Hello.", path, pace=9)


@pytest.mark.parametrize("path", ["synthesizer.json", "acoustic.onnx", "vocoder.onnx", "text/symbols.json"])
@pytest.mark.parametrize("how", ["missing", "empty", "noise"])
def test_a_broken_bundle_is_a_classified_failure(tiny_bundle: TinyBundle, tmp_path: Path, path: str, how: str) -> None:
    folder = tiny_bundle.copy_bundle(tmp_path / "bundle")
    (folder / path).unlink()
    if how != "missing":
        (folder / path).write_bytes(b"" if how == "empty" else bytes(range(256)) * 8)
    with pytest.raises(VoiceFailure, match="bundle_invalid"):
        Synthesizer.load(folder)


def test_a_frontend_of_another_size_is_refused(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    folder = tiny_bundle.copy_bundle(tmp_path / "bundle")
    settings = json.loads((folder / "synthesizer.json").read_text())
    (folder / "synthesizer.json").write_text(json.dumps(settings | {"symbols": settings["symbols"] + 1}))
    with pytest.raises(VoiceFailure, match="symbols"):
        Synthesizer.load(folder)


SPEAK = """
import sys
from pathlib import Path
from voice_pipeline.bundle.speaking import speak_to_file
speak_to_file(Path(sys.argv[1]), "It costs $23.50, Zorblax.", Path(sys.argv[2]))
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
FORBIDDEN = {"torch", "nemo", "dagster", "pydantic", "yaml", "matplotlib", "scipy", "librosa", "soundfile", "rich"}


def test_speaking_imports_numpy_and_onnxruntime_only(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SPEAK, str(tiny_bundle.folder), str(tmp_path / "out.wav")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    imported = set(done.stdout.split())
    assert {"numpy", "onnxruntime", "voice_pipeline"} <= imported
    assert not imported & FORBIDDEN
    assert (tmp_path / "out.wav").stat().st_size > 10_000
