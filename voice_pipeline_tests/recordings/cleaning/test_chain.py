from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from voice_pipeline.recordings.cleaning.chain import MARGIN_SECONDS, Cleaned, NotUsable, Settings, clean, read_sound
from voice_pipeline.recordings.cleaning.levels import HopPowers, loudness_lufs, true_peak
from voice_pipeline_tests.recordings.cleaning.signals import babble, noise, power_db, sine

RATE = 22_050
SETTINGS = Settings(sample_rate=RATE, loudness_lufs=-23.0, true_peak_dbtp=-1.0)
SPEECH = ((1.0, 3.0),)


def utterance(rate: int = RATE, seed: int = 1, level: float = 0.05) -> NDArray[np.float32]:
    """4 s: silence with a little noise, two seconds of babble from the first second on."""
    sound = noise(4.0, rate, 1e-4)
    sound[rate : 3 * rate] += babble(2.0, rate, seed, level=level)
    return sound


def cleaned(
    path: Path, samples: NDArray[np.float32], rate: int = RATE, subtype: str = "FLOAT", **more: object
) -> Cleaned:
    soundfile.write(path, samples, rate, subtype=subtype)
    settings = Settings(**{**SETTINGS.__dict__, **more})  # type: ignore[arg-type]
    return clean(read_sound(path, 0.0, len(samples) / rate, channel="mix"), SPEECH, settings)


def as_float(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    return pcm.astype(np.float32) / 32_768


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return tmp_path / "a.wav"


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 192_000])
def test_any_rate_becomes_the_recipes(wav: Path, rate: int) -> None:
    done = cleaned(wav, utterance(rate), rate)
    assert done.pcm.dtype == np.int16
    assert len(done.pcm) / RATE == pytest.approx(2.0 + 2 * MARGIN_SECONDS, abs=0.06)
    assert done.figures.speech_seconds == pytest.approx(2.0, abs=0.06)


@pytest.mark.parametrize("level", [0.0005, 0.02, 0.5])
def test_every_level_is_brought_to_the_target(wav: Path, level: float) -> None:
    sound = babble(4.0, RATE, level=level)
    sound[:RATE] = sound[3 * RATE :] = 0
    done = cleaned(wav, sound, true_peak_dbtp=0.0, loudness_lufs=-30.0)
    assert loudness_lufs(HopPowers.of(as_float(done.pcm), RATE).weighted) == pytest.approx(-30.0, abs=0.1)
    assert done.figures.loudness_lufs is not None
    assert done.gain_db == pytest.approx(-30.0 - done.figures.loudness_lufs, abs=0.02)


def test_the_true_peak_limit_lowers_the_gain_and_bends_nothing(wav: Path) -> None:
    sound = utterance()
    sound[2 * RATE] = 0.9  # a click far above the speech
    done = cleaned(wav, sound)
    peak = 20 * np.log10(true_peak(as_float(done.pcm)))
    assert peak == pytest.approx(-1.0, abs=0.05)
    assert done.gain_db < -23.0 - (done.figures.loudness_lufs or 0.0) - 1
    kept = sound - sound.mean()
    start = 2 * RATE - int(np.argmax(done.pcm))  # the click says where the cut is
    straight = kept[start : start + len(done.pcm)] * 10 ** (done.gain_db / 20)
    assert np.abs(as_float(done.pcm) - straight).max() < 1 / 32_768


def test_dc_is_removed(wav: Path) -> None:
    done = cleaned(wav, utterance() + np.float32(0.2))
    assert abs(as_float(done.pcm).mean()) < 2e-3
    assert as_float(done.pcm)[:1000].mean() == pytest.approx(0.0, abs=2e-3)
    assert done.figures.noise_floor_dbfs < -60


def test_channels_are_mixed_evenly_or_one_is_taken(wav: Path) -> None:
    left, right = sine(1.0, RATE, 300.0, 0.4), sine(1.0, RATE, 500.0, 0.2)
    soundfile.write(wav, np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    assert np.allclose(read_sound(wav, 0, 1, channel="mix").mono, (left + right) / 2, atol=1e-4)
    assert np.allclose(read_sound(wav, 0, 1, channel=1).mono, right, atol=1e-4)
    assert read_sound(wav, 0, 1, channel="mix").peak_dbfs == pytest.approx(-7.96, abs=0.02)
    assert read_sound(wav, 0, 1, channel=1).peak_dbfs == pytest.approx(-13.98, abs=0.02)
    with pytest.raises(NotUsable, match="has no channel 2: it has 2"):
        read_sound(wav, 0, 1, channel=2)


def test_a_channel_that_clips_is_seen_behind_the_mix(wav: Path) -> None:
    both = np.stack([np.clip(sine(1.0, RATE, 297.3, 2.0), -1, 1), sine(1.0, RATE, 300.0, 0.1)], axis=1)
    soundfile.write(wav, both, RATE, subtype="PCM_16")
    assert read_sound(wav, 0, 1, channel="mix").clipping_share > 0.5
    assert read_sound(wav, 0, 1, channel=1).clipping_share == 0.0


def test_a_stretch_is_that_stretch(tmp_path: Path) -> None:
    sound = utterance(48_000)
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, sound, 48_000, subtype="PCM_16")
        stretch = read_sound(tmp_path / name, 1.25, 2.5, channel="mix").mono
        expected = sound[60_000:120_000]
        assert np.allclose(stretch, expected - expected.mean(), atol=1e-4)


def test_the_same_bytes_again_and_through_flac(tmp_path: Path) -> None:
    stored = np.rint(utterance(44_100) * 32_767).astype(np.int16)
    one, again, two = (cleaned(tmp_path / name, stored, 44_100, "PCM_16") for name in ("a.wav", "b.wav", "a.flac"))
    assert one.pcm.tobytes() == again.pcm.tobytes()
    assert one.pcm.tobytes() == two.pcm.tobytes()
    assert (one.figures, one.fingerprint, one.gain_db) == (two.figures, two.fingerprint, two.gain_db)


def test_silence_at_the_ends_is_cut_and_speech_never_is(wav: Path) -> None:
    late = (SPEECH[0][0] + 0.4, SPEECH[0][1] - 0.3)  # the detector missed a word at each end
    soundfile.write(wav, utterance(), RATE, subtype="FLOAT")
    done = clean(read_sound(wav, 0, 4, channel="mix"), (late,), SETTINGS)
    assert len(done.pcm) / RATE == pytest.approx(2.0 + 2 * MARGIN_SECONDS, abs=0.05)
    assert done.speech[0][0] == pytest.approx(MARGIN_SECONDS, abs=0.03)


def test_margins_end_where_the_segment_does(wav: Path) -> None:
    soundfile.write(wav, utterance(), RATE, subtype="FLOAT")
    done = clean(read_sound(wav, 0.95, 3.05, channel="mix"), ((0.05, 2.05),), SETTINGS)
    assert len(done.pcm) / RATE == pytest.approx(2.1, abs=0.001)


@pytest.mark.parametrize(
    ("samples", "speech", "reason"),
    [
        (np.zeros(RATE, np.float32), (), "silent"),
        (noise(1.0, RATE, 1e-5), ((0.1, 0.9),), "silent"),
        (noise(1.0, RATE, 0.1), (), "no_speech"),
    ],
)
def test_where_nobody_speaks_there_is_no_clip_but_figures(
    wav: Path, samples: NDArray[np.float32], speech: tuple[tuple[float, float], ...], reason: str
) -> None:
    soundfile.write(wav, samples, RATE, subtype="FLOAT")
    with pytest.raises(NotUsable) as caught:
        clean(read_sound(wav, 0, 1, channel="mix"), speech, SETTINGS)
    assert caught.value.reason == reason
    assert caught.value.figures is not None


def test_samples_that_are_no_numbers_are_named(wav: Path) -> None:
    sound = utterance()
    sound[100] = np.nan
    soundfile.write(wav, sound, RATE, subtype="FLOAT")
    with pytest.raises(NotUsable, match="no numbers") as caught:
        read_sound(wav, 0, 4, channel="mix")
    assert caught.value.reason == "not_finite"
    assert len(read_sound(wav, 1, 4, channel="mix").mono) == 3 * RATE  # another part of it is usable


def test_a_file_that_is_too_short_or_none_is_undecodable(wav: Path, tmp_path: Path) -> None:
    soundfile.write(wav, utterance(), RATE)
    (tmp_path / "b.wav").write_bytes(b"no sound")
    for path, end, words in ((wav, 9.0, "ends at 4.00 s"), (tmp_path / "b.wav", 1.0, "cannot be decoded")):
        with pytest.raises(NotUsable, match=words) as caught:
            read_sound(path, 0, end, channel="mix")
        assert caught.value.reason == "audio_undecodable"


def test_an_utterance_of_a_fifth_of_a_second_is_brought_to_the_target(wav: Path) -> None:
    sound = babble(0.2, RATE, level=0.01)
    soundfile.write(wav, sound, RATE, subtype="FLOAT")
    done = clean(read_sound(wav, 0, 0.2, channel="mix"), ((0.0, 0.2),), SETTINGS)
    assert power_db(as_float(done.pcm)) == pytest.approx(-23.0, abs=3.0)
    assert len(done.fingerprint) > 95
