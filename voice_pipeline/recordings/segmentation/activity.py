"""What is measured of audio before it is cut: the probability of speech every 32 ms and the level every 10 ms.

    activity = measure(path, channel="mix", detector=VoiceActivity.load(), part=0)
    activity.probabilities, activity.levels

Audio is measured in parts of five minutes, each from a running start, in this way also where one process measures
all of it: so a part can be measured by any process and be kept by itself, and what comes out is always the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.recognition.voice_activity import SAMPLE_RATE, WINDOW, VoiceActivity
from voice_pipeline.recordings.decoding import DecodeError, Samples, clause

VERSION = "1"  # of everything that decides the values
PART_SECONDS = 300  # whole windows and whole level steps
LEVEL_STEP = 160  # samples at 16 kHz, 10 ms
PROBABILITY_SECONDS = WINDOW / SAMPLE_RATE
LEVEL_SECONDS = LEVEL_STEP / SAMPLE_RATE
SILENCE_DB = -127.5  # dBFS; nothing is quieter
# The detector remembers for long: after a running start of 2 s its answers differ by up to 0.25 from those after the
# whole recording, after 20 s by 0.05. Neither is truer. The recording's own start is heard as after silence.
RUNNING_START_SECONDS = 20
_TAIL_SECONDS = 1  # read behind a part, for the resampler's filter
_QUALITY = "MQ"  # of soxr: 16 bits of precision; the detector and a level in half decibels need no more
_BLOCK_BYTES = 8 << 20  # of decoded audio at a time

Channel = Literal["mix"] | int
Codes = NDArray[np.uint8]


class NoSuchChannelError(DecodeError):
    """The recording has fewer channels than the voice's config says."""


@dataclass(frozen=True)
class Activity:
    """The measurements of a stretch of audio, as they are kept: a byte each.

    ``probability_codes`` are 255ths, one for 32 ms; ``level_codes`` are half decibels above -127.5 dBFS, one for 10 ms.
    """

    samples: int  # at 16 kHz
    probability_codes: Codes  # [ceil(samples / 512)]
    level_codes: Codes  # [ceil(samples / 160)]

    @property
    def probabilities(self) -> Samples:
        """Of speech, 0 to 1, float32 [ceil(samples / 512)]."""
        return self.probability_codes.astype(np.float32) / np.float32(255)

    @property
    def levels(self) -> Samples:
        """RMS in dBFS around the 10 ms' own mean, float32 [ceil(samples / 160)]; -127.5 is digital silence.

        So neither a direct current nor a rumble below speech fills the pauses.
        """
        return self.level_codes.astype(np.float32) / np.float32(2) + np.float32(SILENCE_DB)

    def to_bytes(self) -> bytes:
        """``Activity.from_bytes(a.to_bytes())`` equals ``a``."""
        return self.samples.to_bytes(8, "little") + self.probability_codes.tobytes() + self.level_codes.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Activity:
        """Raises ValueError for what is not such bytes."""
        samples = int.from_bytes(data[:8], "little")
        windows = -(-samples // WINDOW)
        if len(data) != 8 + windows + -(-samples // LEVEL_STEP):
            raise ValueError("these are no measurements of voice activity")
        codes = np.frombuffer(data, np.uint8, offset=8)
        return cls(samples, codes[:windows], codes[windows:])


def joined(parts: list[Activity]) -> Activity:
    """The measurements of a whole recording from those of its parts, in their order."""
    if len(parts) == 1:
        return parts[0]
    return Activity(
        sum(part.samples for part in parts),
        np.concatenate([part.probability_codes for part in parts]),
        np.concatenate([part.level_codes for part in parts]),
    )


def part_count(frames: int, sample_rate: int) -> int:
    """How many parts a recording has; at least one."""
    return max(1, -(-frames // (PART_SECONDS * sample_rate)))


def measure(path: Path, *, channel: Channel, detector: VoiceActivity, part: int) -> Activity:
    """Measure one part of a WAV or FLAC file that preflight has decoded to its end.

    One channel counted from 0, or all mixed evenly. Raises DecodeError, NoSuchChannelError.
    """
    import soundfile

    first = part * PART_SECONDS
    before = min(first, RUNNING_START_SECONDS)
    try:
        with soundfile.SoundFile(path) as file:
            if channel != "mix" and channel >= file.channels:
                raise NoSuchChannelError(f"has no channel {channel}: it has {file.channels}, counted from 0")
            samples = _resampled(file, channel, first - before, before + PART_SECONDS)
    except (soundfile.SoundFileError, OSError) as error:
        raise DecodeError(f"cannot be decoded: {clause(error)}") from error
    return _measured(samples, before * SAMPLE_RATE, detector)


def _measured(samples: Samples, skipped: int, detector: VoiceActivity) -> Activity:
    probabilities = detector.probabilities(samples)[skipped // WINDOW :]
    samples = samples[skipped:]
    steps = -(-len(samples) // LEVEL_STEP)
    padded = np.zeros(steps * LEVEL_STEP, np.float32)
    padded[: len(samples)] = samples
    rows = padded.reshape(steps, LEVEL_STEP)
    lengths = np.full(steps, LEVEL_STEP)
    if steps:
        lengths[-1] = len(samples) - (steps - 1) * LEVEL_STEP
    mean = rows.sum(axis=1, dtype=np.float64) / lengths
    power = np.square(rows).sum(axis=1, dtype=np.float64) / lengths - np.square(mean)
    decibels = 10 * np.log10(np.maximum(power, 1e-13))
    return Activity(
        len(samples),
        np.rint(probabilities.clip(0, 1) * 255).astype(np.uint8),
        np.rint((decibels - SILENCE_DB).clip(0, 127.5) * 2).astype(np.uint8),
    )


def _resampled(file: Any, channel: Channel, first: int, seconds: int) -> Samples:
    """Seconds ``first`` to ``first + seconds`` of a file, or to its end, at 16 kHz: float32 [N].

    A whole second is a whole number of samples at both rates, so that parts fit together to the sample.
    """
    import soxr

    file.seek(first * file.samplerate)
    wanted, got, pieces = seconds * SAMPLE_RATE, 0, list[Samples]()
    left = (seconds + _TAIL_SECONDS) * file.samplerate
    size = max(1, _BLOCK_BYTES // (4 * file.channels))
    stream = soxr.ResampleStream(file.samplerate, SAMPLE_RATE, 1, dtype="float32", quality=_QUALITY)
    while got < wanted and left:
        block = file.read(min(size, left), dtype="float32", always_2d=True)
        left = left - len(block) if len(block) else 0
        mono = _one_channel(block, channel)
        pieces.append(mono if file.samplerate == SAMPLE_RATE else stream.resample_chunk(mono, last=not left))
        got += len(pieces[-1])
    return np.concatenate(pieces)[:wanted]


def _one_channel(block: Samples, channel: Channel) -> Samples:
    if channel != "mix":
        return np.ascontiguousarray(block[:, channel])
    mono = block[:, 0].copy()
    for other in range(1, block.shape[1]):  # a sum over the short axis is four times slower in numpy
        mono += block[:, other]
    return mono if block.shape[1] == 1 else mono / np.float32(block.shape[1])
