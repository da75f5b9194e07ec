"""What is measured of audio: parts that fit together, levels that are levels, bytes that come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.recognition.voice_activity import VoiceActivity
from voice_pipeline.recordings.decoding import DecodeError
from voice_pipeline.recordings.segmentation import activity
from voice_pipeline.recordings.segmentation.activity import Activity, NoSuchChannelError, joined, measure, part_count
from voice_pipeline.recordings.segmentation.cuts import cut_at_pauses
from voice_pipeline.recordings.segmentation.speech import speech_intervals
from voice_pipeline_tests.recordings.segmentation.speech_material import Samples, join

pytestmark = pytest.mark.recordings


def all_of(path: Path, detector: VoiceActivity, channel: activity.Channel = "mix") -> Activity:
    with soundfile.SoundFile(path) as file:
        parts = part_count(file.frames, file.samplerate)
    return joined([measure(path, channel=channel, detector=detector, part=part) for part in range(parts)])


@pytest.mark.demo
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_parts_are_what_the_whole_is(
    rate: int,
    spoken: tuple[list[Samples], int],
    detector: VoiceActivity,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clips, made_at = spoken
    speech = join([soxr.resample(clip, made_at, rate) for clip in clips * 2], rate, seed=1)
    path = speech.write(tmp_path / "a.flac")
    whole = all_of(path, detector)
    monkeypatch.setattr(activity, "PART_SECONDS", 32)  # whole windows, as 300 is
    assert part_count(len(speech.samples), rate) > 1
    parts = all_of(path, detector)
    assert parts.samples == whole.samples
    np.testing.assert_allclose(parts.levels, whole.levels, atol=0.5)
    np.testing.assert_allclose(parts.probabilities, whole.probabilities, atol=0.1)
    cuts = [cut_at_pauses(one.probabilities, one.levels, speech.seconds) for one in (parts, whole)]
    assert len(cuts[0]) == len(cuts[1])
    for one, other in zip(*cuts, strict=True):
        assert one.start == pytest.approx(other.start, abs=0.04)
        assert one.end == pytest.approx(other.end, abs=0.04)


@pytest.mark.demo
@pytest.mark.parametrize("word", ["Old.", "Of.", "Activated."])
def test_a_word_that_begins_at_once_is_heard_at_once(word: str, detector: VoiceActivity, tmp_path: Path) -> None:
    """The detector's blank state misses the first two and hears the third 0.2 s late."""
    hibari = pytest.importorskip("hibari", reason="generated speech needs the demo extra")
    engine = hibari.Hibari(voice="heart")
    samples = np.asarray(engine(word, seed=0), np.float32)
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    samples = samples[loud[0] : loud[-1] + 1]
    soundfile.write(tmp_path / "a.wav", samples, engine.sample_rate)
    found = all_of(tmp_path / "a.wav", detector)
    ((start, end),) = speech_intervals(found.probabilities, found.levels, len(samples) / engine.sample_rate)
    assert start < 0.1
    assert end > len(samples) / engine.sample_rate - 0.1


def test_parts_begin_where_windows_and_levels_do() -> None:
    assert activity.PART_SECONDS * 16_000 % 512 == activity.PART_SECONDS * 16_000 % activity.LEVEL_STEP == 0
    assert activity.RUNNING_START_SECONDS * 16_000 % 512 == 0


def test_a_level_is_the_rms_in_decibels(detector: VoiceActivity, tmp_path: Path) -> None:
    time = np.arange(32_000) / 16_000
    samples = np.where(time < 1, 0.1, 0.0) * np.sin(2 * np.pi * 1000 * time)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    levels = all_of(tmp_path / "a.wav", detector).levels
    assert len(levels) == 200
    np.testing.assert_allclose(levels[:100], -23.0, atol=0.3)
    assert (levels[100:] == activity.SILENCE_DB).all()


def test_direct_current_is_no_level(detector: VoiceActivity, tmp_path: Path) -> None:
    """Quiet noise on top of a large offset: what is heard is the noise."""
    noise = np.random.default_rng(1).normal(0, 0.001, 16_000)
    soundfile.write(tmp_path / "a.wav", noise + 0.4, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(all_of(tmp_path / "a.wav", detector).levels, -60.0, atol=2.5)


def test_channels_are_mixed_or_chosen(detector: VoiceActivity, tmp_path: Path) -> None:
    samples = np.zeros((16_000, 3))
    samples[:, 1] = 0.3 * np.sin(np.arange(16_000) * 0.3)
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    silent, loud, mixed = (all_of(path, detector, channel).levels for channel in (0, 1, "mix"))
    assert (silent == activity.SILENCE_DB).all()
    np.testing.assert_allclose(loud - mixed, 20 * np.log10(3), atol=0.5)
    with pytest.raises(NoSuchChannelError, match="no channel 3"):
        all_of(path, detector, 3)


@pytest.mark.parametrize("frames", [1, 159, 161, 5_000])
def test_short_audio(frames: int, detector: VoiceActivity, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(frames, 0.1), 44_100)
    found = all_of(tmp_path / "a.wav", detector)
    assert abs(found.samples - frames * 16_000 / 44_100) <= 1
    assert Activity.from_bytes(found.to_bytes()).to_bytes() == found.to_bytes()


def test_a_file_that_is_none_cannot_be_decoded(detector: VoiceActivity, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFFxxxxWAVE")
    with pytest.raises(DecodeError):
        measure(tmp_path / "a.wav", channel="mix", detector=detector, part=0)


@given(st.binary(max_size=200))
def test_other_bytes_are_no_measurements(data: bytes) -> None:
    try:
        found = Activity.from_bytes(data)
    except ValueError:
        return
    assert found.to_bytes() == data
