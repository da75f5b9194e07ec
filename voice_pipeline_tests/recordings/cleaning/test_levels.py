from __future__ import annotations

import numpy as np
import pytest

from voice_pipeline.recordings.cleaning.levels import (
    MAX_SNR_DB,
    HopPowers,
    clipped_samples,
    loudness_lufs,
    noise_of,
    true_peak,
    whole_speech,
)
from voice_pipeline_tests.recordings.cleaning.signals import babble, noise, sine

RATE = 48_000


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 96_000])
def test_a_997_hz_sine_has_the_loudness_that_bs_1770_says(rate: int) -> None:
    loudness = loudness_lufs(HopPowers.of(sine(3.0, rate, 997.0, 1.0), rate).weighted)
    assert loudness == pytest.approx(-3.01, abs=0.1 if rate > 8_000 else 0.25)  # the filter's design bends near 4 kHz


def test_pauses_are_gated_out() -> None:
    sound = np.concatenate([sine(2.0, RATE, 997.0, 0.1), np.zeros(4 * RATE, np.float32)])
    assert loudness_lufs(HopPowers.of(sound, RATE).weighted) == pytest.approx(-23.01, abs=0.4)


@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.39])
def test_an_utterance_shorter_than_a_block_is_one_block(seconds: float) -> None:
    assert loudness_lufs(HopPowers.of(sine(seconds, RATE, 997.0, 0.1), RATE).weighted) == pytest.approx(-23.01, abs=0.6)


def test_silence_has_no_loudness() -> None:
    assert loudness_lufs(HopPowers.of(np.zeros(RATE, np.float32), RATE).weighted) is None
    assert loudness_lufs(HopPowers.of(np.zeros(0, np.float32), RATE).weighted) is None


def test_true_peak_finds_what_lies_between_the_samples() -> None:
    between = sine(0.1, RATE, RATE / 4, 1.0, np.pi / 4)  # every sample is at 0.707
    assert np.abs(between).max() == pytest.approx(0.7071, abs=1e-4)
    middle = between * np.hanning(len(between)).astype(np.float32)  # no edges, which have peaks of their own
    assert true_peak(middle) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.31, 0.4])
def test_true_peak_of_a_sine_is_within_a_quarter_of_a_db(share: float) -> None:
    wave = sine(0.5, RATE, RATE * share, 0.5, 0.3) * np.hanning(RATE // 2).astype(np.float32)
    assert 20 * np.log10(true_peak(wave) / 0.5) == pytest.approx(0.0, abs=0.25)


def test_true_peak_is_never_below_the_samples_and_grows_with_them() -> None:
    for seed in range(20):
        wave = noise(0.05, RATE, 0.1, seed)
        assert true_peak(wave) >= np.abs(wave).max()
        assert true_peak(wave * np.float32(0.5)) == pytest.approx(true_peak(wave) / 2, rel=1e-5)
    assert true_peak(np.zeros(0, np.float32)) == 0.0
    assert true_peak(np.zeros(10, np.float32)) == 0.0


def test_true_peak_looked_for_around_high_samples_is_that_of_all() -> None:
    for seed in range(5):
        wave = babble(0.5, 22_050, seed)
        faint = np.concatenate([wave, np.zeros(100, np.float32), np.full(2, np.float32(1e-6))])
        assert true_peak(faint) == true_peak(wave)
        parts = max(true_peak(wave[start : start + 3_000] * np.hanning(3_000)) for start in range(0, 8_000, 1_000))
        assert parts - 1e-6 <= true_peak(wave) <= 2.1 * np.abs(wave).max()


@pytest.mark.parametrize("ratio", [30.0, 20.0, 10.0])
def test_the_ratio_of_speech_to_pauses_is_the_one_that_was_mixed(ratio: float) -> None:
    speech = np.zeros(6 * RATE, np.float32)
    speech[RATE : 3 * RATE] = noise(2.0, RATE, 0.1, 1)
    speech[4 * RATE : 5 * RATE] = noise(1.0, RATE, 0.1, 2)
    mixed = speech + noise(6.0, RATE, 0.1 * 10 ** (-ratio / 20), 3)
    found = noise_of(HopPowers.of(mixed, RATE), ((1.0, 3.0), (4.0, 5.0)))
    assert found.snr_db == pytest.approx(ratio, abs=0.8)
    assert found.floor_dbfs == pytest.approx(-20 - ratio, abs=0.8)


def test_without_pauses_the_faintest_hops_stand_for_noise() -> None:
    syllables = babble(3.0, RATE, level=0.2) * sine(3.0, RATE, 2.0, 1.0) ** 4
    clean = noise_of(HopPowers.of(syllables, RATE), ((0.0, 3.0),))
    noisy = noise_of(HopPowers.of(syllables + noise(3.0, RATE, 0.05), RATE), ((0.0, 3.0),))
    assert noisy.snr_db < 12 < 20 < clean.snr_db


def test_digital_silence_does_not_hide_noise_in_the_speech() -> None:
    sound = np.zeros(4 * RATE, np.float32)
    sound[RATE : 3 * RATE] = babble(2.0, RATE, level=0.2) + noise(2.0, RATE, 0.1)
    assert noise_of(HopPowers.of(sound, RATE), ((1.0, 3.0),)).snr_db < 12


def test_a_rumble_that_is_not_heard_is_no_noise() -> None:
    sound = np.zeros(4 * RATE, np.float32)
    sound[RATE : 3 * RATE] = babble(2.0, RATE)
    sound += noise(4.0, RATE, 1e-4)
    speech = ((1.0, 3.0),)
    still, rumbling = (noise_of(HopPowers.of(one, RATE), speech) for one in (sound, sound + sine(4, RATE, 8.0, 0.05)))
    assert rumbling.floor_dbfs > still.floor_dbfs + 20
    assert rumbling.snr_db > 20


def test_silence_has_no_ratio_and_bare_speech_the_highest() -> None:
    assert noise_of(HopPowers.of(np.zeros(RATE, np.float32), RATE), ()).snr_db == -20.0
    assert noise_of(HopPowers.of(sine(1.0, RATE, 300.0, 0.5), RATE), ((0.0, 1.0),)).snr_db <= MAX_SNR_DB


def test_a_word_that_the_detector_was_late_for_belongs_to_the_speech() -> None:
    sound = np.zeros(3 * RATE, np.float32)
    sound[: 2 * RATE] = babble(2.0, RATE)
    sound += noise(3.0, RATE, 1e-4)
    ((start, end),) = whole_speech(HopPowers.of(sound, RATE), ((0.3, 1.7),))
    assert start == 0.0
    assert end == pytest.approx(2.0, abs=0.05)
    assert whole_speech(HopPowers.of(sound, RATE), ()) == ()


def test_a_faint_hum_beside_speech_is_no_speech() -> None:
    sound = babble(3.0, RATE)
    sound[:RATE] = sine(1.0, RATE, 120.0, 0.004)
    assert whole_speech(HopPowers.of(sound, RATE), ((1.0, 3.0),))[0][0] == pytest.approx(1.0, abs=0.03)


def test_clipping_is_counted_at_full_scale_and_below() -> None:
    tone = sine(1.0, RATE, 297.3, 1.0)
    assert clipped_samples(tone * np.float32(0.9)) == 0
    for ceiling in (1.0, 0.5, 0.1):
        cut = np.clip(tone * np.float32(1.5 * ceiling), -ceiling, ceiling)
        stored = np.rint(cut * 32_767).astype(np.int16).astype(np.float32) / 32_768
        assert clipped_samples(stored) / RATE == pytest.approx(0.535, abs=0.02), ceiling  # 1 - 2 asin(2/3) / pi


def test_clipping_on_one_side_only_is_found() -> None:
    stored = np.rint(np.minimum(sine(1.0, RATE, 297.3, 0.5), 0.2) * 32_767).astype(np.int16)
    assert clipped_samples(stored.astype(np.float32) / 32_768) / RATE == pytest.approx(0.37, abs=0.02)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("hertz", [50.0, 300.0])
def test_the_rounded_tops_of_coarse_or_slow_waves_are_not_clipped(bits: int, hertz: float) -> None:
    steps = 2 ** (bits - 1)
    for level in (0.8, 0.05):
        wave = np.rint(sine(1.0, RATE, hertz, level) * steps) / steps
        assert clipped_samples(wave.astype(np.float32)) == 0


def test_floating_point_beyond_full_scale_is_not_clipped() -> None:
    assert clipped_samples(babble(1.0, RATE, level=3.0)) == 0
    assert clipped_samples(np.zeros(0, np.float32)) == 0
    assert clipped_samples(np.zeros(100, np.float32)) == 0
