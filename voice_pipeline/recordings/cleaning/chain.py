"""From a segment of a recording to the sound that is trained on, and the figures of what was recorded.

    sound = read_sound(path, segment.start, segment.end, channel="mix")
    cleaned = clean(sound, speech, settings)        # speech in seconds of the sound
    cleaned.pcm, cleaned.figures.snr_db

In this order: the channels mixed evenly or one taken; the mean removed (DC); resampled (soxr HQ); cut to the speech
with 0.15 s beside it, which is what segmentation keeps; brought to the wanted loudness by one gain for the whole
utterance, or by less where its true peak would be above the limit; 16 bits. Only a gain: a limiter would bend exactly
the loudest vowels that a vocoder learns from, and speech at -23 LUFS needs it for one utterance in thousands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.recordings.cleaning.fingerprint import fingerprint
from voice_pipeline.recordings.cleaning.levels import (
    HopPowers,
    Samples,
    Speech,
    clipped_samples,
    decibels,
    loudness_lufs,
    noise_of,
    true_peak,
    whole_speech,
)
from voice_pipeline.recordings.cleaning.spectrum import bandwidth_hz
from voice_pipeline.recordings.decoding import clause
from voice_pipeline.recordings.wav import to_pcm

VERSION = "1"  # of everything here that decides a byte or a figure
MARGIN_SECONDS = 0.15  # kept before and behind the speech, where the segment has as much
SILENT_BELOW_DBFS = -60.0  # peak: nobody speaks so far from a microphone

Channel = str | int  # "mix", or one counted from 0


class NotUsable(ValueError):
    """A segment that no clip can be made of; ``reason`` is its problem in the table, the message its detail."""

    def __init__(self, reason: str, detail: str, figures: Figures | None = None) -> None:
        self.reason = reason
        self.figures = figures
        super().__init__(detail)


@dataclass(frozen=True)
class Settings:
    """What every utterance is brought to."""

    sample_rate: int  # Hz
    loudness_lufs: float
    true_peak_dbtp: float


@dataclass(frozen=True)
class Sound:
    """One segment as it was recorded. ``mono`` is float32 [N] without DC; the figures are of the channels used."""

    mono: Samples
    sample_rate: int  # Hz
    peak_dbfs: float
    clipping_share: float


@dataclass(frozen=True)
class Figures:
    """What was measured of a segment as it was recorded. Loudness, noise and ratio are of the mono sound."""

    peak_dbfs: float
    clipping_share: float
    loudness_lufs: float | None
    noise_floor_dbfs: float
    snr_db: float
    bandwidth_hz: float
    speech_seconds: float


@dataclass(frozen=True)
class Cleaned:
    """The utterance as it is trained on: int16 [frames] at the settings' rate."""

    pcm: NDArray[np.int16]
    speech: Speech  # where somebody speaks in it, seconds of it
    gain_db: float
    figures: Figures
    fingerprint: str


def read_sound(path: Path, start: float, end: float, *, channel: Channel) -> Sound:
    """``start`` to ``end`` seconds of a WAV or FLAC file. Raises NotUsable ``audio_undecodable``, ``not_finite``."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate = int(file.samplerate)
            first, last = round(start * rate), round(end * rate)
            file.seek(first)
            frames = file.read(last - first, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        raise NotUsable("audio_undecodable", f"cannot be decoded: {clause(error)}") from error
    if len(frames) < last - first - 1 or not len(frames):  # a duration in seconds rounds by less than a sample
        detail = f"ends at {start + len(frames) / rate:.2f} s, before the segment's end at {end:.2f} s"
        raise NotUsable("audio_undecodable", detail)
    if not np.isfinite(frames).all():
        raise NotUsable("not_finite", "holds samples that are no numbers")
    if channel != "mix":
        if int(channel) >= frames.shape[1]:
            raise NotUsable("audio_undecodable", f"has no channel {channel}: it has {frames.shape[1]}, counted from 0")
        frames = frames[:, int(channel) : int(channel) + 1]
    columns = [np.ascontiguousarray(frames[:, index]) for index in range(frames.shape[1])]
    mono = columns[0].astype(np.float64)
    for column in columns[1:]:
        mono += column
    mono /= len(columns)
    return Sound(
        mono=(mono - mono.mean()).astype(np.float32),
        sample_rate=rate,
        peak_dbfs=decibels(max(float(np.abs(column).max()) for column in columns) ** 2),
        clipping_share=round(max(clipped_samples(column) for column in columns) / len(mono), 8),
    )


def clean(sound: Sound, speech: Speech, settings: Settings) -> Cleaned:
    """The utterance of ``sound`` with ``speech`` at the given seconds of it.

    Raises NotUsable ``silent`` or ``no_speech``, with the figures that there are.
    """
    import soxr

    mono, rate = sound.mono, settings.sample_rate
    if sound.sample_rate != rate:
        mono = soxr.resample(mono, sound.sample_rate, rate, quality="HQ")
    powers = HopPowers.of(mono, rate)
    speech = whole_speech(powers, speech)
    start, end = _kept(speech, len(mono) / rate)
    loudness = loudness_lufs(powers.between(start, end).weighted)
    figures = _figures(sound, speech, powers, loudness)
    if sound.peak_dbfs < SILENT_BELOW_DBFS or loudness is None:
        raise NotUsable("silent", f"its peak is {sound.peak_dbfs:g} dBFS", figures)
    if not speech:
        raise NotUsable("no_speech", "nobody was heard to speak in it", figures)
    kept = mono[round(start * rate) : round(end * rate)]
    gain_db = _gain_db(loudness, true_peak(kept), settings)
    pcm = to_pcm(kept * np.float32(10 ** (gain_db / 20)))
    within = tuple((first - start, last - start) for first, last in speech)
    return Cleaned(pcm, within, gain_db, figures, fingerprint(kept, rate))


def _figures(sound: Sound, speech: Speech, powers: HopPowers, loudness: float | None) -> Figures:
    noise = noise_of(powers, speech)
    return Figures(
        peak_dbfs=sound.peak_dbfs,
        clipping_share=sound.clipping_share,
        loudness_lufs=None if loudness is None else round(loudness, 2),
        noise_floor_dbfs=noise.floor_dbfs,
        snr_db=noise.snr_db,
        bandwidth_hz=bandwidth_hz(sound.mono, sound.sample_rate, speech),
        speech_seconds=round(sum(end - start for start, end in speech), 3),
    )


def _kept(speech: Speech, seconds: float) -> tuple[float, float]:
    if not speech:
        return 0.0, seconds
    return max(0.0, speech[0][0] - MARGIN_SECONDS), min(seconds, speech[-1][1] + MARGIN_SECONDS)


def _gain_db(loudness: float, peak: float, settings: Settings) -> float:
    """The gain to the wanted loudness, or the highest that keeps the true peak, in hundredths rounded down."""
    room = settings.true_peak_dbtp - 20 * math.log10(peak)
    return math.floor(min(settings.loudness_lufs - loudness, room) * 100 + 1e-6) / 100
