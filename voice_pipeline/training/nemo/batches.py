"""Batches as a pure function of (seed, step): what a step trains on does not depend on how the process got there.

    data = Utterances.load(store, index_path, statistics_path, "train", audio)
    batch = data.acoustic_batch(schedule.at(step))

That is what makes a resumed training end with the same tensors as an unbroken one: there is no sampler state to
save. Batches of one epoch hold utterances of similar length, so that little is padded. numpy only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.atomic import read_json
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.store import Store
from voice_pipeline.training.recipe import AudioSettings

_POOL = 8  # batches whose utterances are sorted by length together
_KEEP_FRAMES = 4_000_000  # cached frames; 80 float32 bands of them are 1.3 GB

Array = NDArray[Any]


@dataclass(frozen=True)
class Utterance:
    """One line of the features index."""

    utterance_id: str
    features: Path
    audio: Path
    frames: int
    symbols: int


@dataclass(frozen=True)
class BatchSchedule:
    """Which utterances each step takes. ``rank`` of ``world`` processes takes its share of a global batch."""

    lengths: tuple[int, ...]
    batch_size: int
    seed: int
    rank: int = 0
    world: int = 1

    @property
    def batches_per_epoch(self) -> int:
        """Global batches of one pass over the utterances; the rest of each pass is left out, another each time."""
        return max(1, len(self.lengths) // self._global_size)

    @property
    def _global_size(self) -> int:
        return max(1, min(self.batch_size * self.world, len(self.lengths)))

    def at(self, step: int) -> tuple[int, ...]:
        """Indices of the utterances of ``step`` (from 0) for this rank."""
        epoch, position = divmod(step, self.batches_per_epoch)
        batch = _epoch(self.lengths, self._global_size, self.seed, epoch)[position]
        share = batch[self.rank :: self.world]
        return share or batch[:1]  # fewer utterances than ranks: a rank repeats one rather than none


@lru_cache(maxsize=4)
def _epoch(lengths: tuple[int, ...], size: int, seed: int, epoch: int) -> tuple[tuple[int, ...], ...]:
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), size * _POOL):
        pool = order[start : start + size * _POOL]
        pool = pool[np.argsort([lengths[i] for i in pool], kind="stable")]
        batches += [tuple(int(i) for i in pool[at : at + size]) for at in range(0, len(pool), size)]
    full = [batch for batch in batches if len(batch) == size]
    return tuple(full[i] for i in random.permutation(len(full)))


@dataclass(frozen=True)
class AcousticBatch:
    """Padded arrays: text int64 [B, N] (``pad`` beyond), mel float32 [B, M, T] and pitch [B, T] (0 beyond)."""

    text: Array
    text_lengths: Array
    mel: Array
    mel_lengths: Array
    pitch: Array
    prior: Array  # float32 [B, T, N]


@dataclass(frozen=True)
class VocoderBatch:
    """Segments: mel float32 [B, M, F] and the audio float32 [B, F * hop] that belongs to it."""

    mel: Array
    audio: Array


class Utterances:
    """The utterances of one split; features are read when asked for and kept while they fit."""

    def __init__(self, items: tuple[Utterance, ...], audio: AudioSettings, statistics: dict[str, Any]) -> None:
        self.items = items
        self.audio = audio
        self.pitch_mean = float(statistics["pitch_mean"])
        self.pitch_std = float(statistics["pitch_std"])
        self._keep = sum(item.frames for item in items) <= _KEEP_FRAMES
        self._features: dict[int, dict[str, Array]] = {}
        self._audio: dict[int, Array] = {}

    @classmethod
    def load(cls, store: Store, index: Path, statistics: Path, split: str, audio: AudioSettings) -> Utterances:
        """Read one split of the index. Raises VoiceFailure ``empty_dataset`` when it is missing or empty."""
        try:
            lines = [json.loads(line) for line in index.read_text(encoding="utf-8").splitlines()]
            figures = read_json(statistics)
        except FileNotFoundError as error:
            raise VoiceFailure("empty_dataset", "the features are missing", file=error.filename) from error
        items = tuple(
            Utterance(
                line["utterance_id"],
                store.resolve(line["features"]),
                store.resolve(line["audio"]),
                int(line["frames"]),
                int(line["symbols"]),
            )
            for line in lines
            if line["split"] == split
        )
        if not items:
            raise VoiceFailure("empty_dataset", f"no utterance in the {split} split", file=index)
        return cls(items, audio, figures)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Frames of each utterance."""
        return tuple(item.frames for item in self.items)

    def features(self, index: int) -> dict[str, Array]:
        """``mel``, ``pitch`` (normalised, 0 where unvoiced), ``ids`` of one utterance."""
        if index in self._features:
            return self._features[index]
        path = self.items[index].features
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in ("mel", "pitch", "ids")}
        except (OSError, ValueError, KeyError) as error:
            raise VoiceFailure("empty_dataset", f"the cached features cannot be read: {error}", file=path) from error
        pitch = found["pitch"]
        found["pitch"] = np.where(pitch > 0, (pitch - self.pitch_mean) / self.pitch_std, 0.0).astype(np.float32)
        if self._keep:
            self._features[index] = found
        return found

    def mean_mel(self, *, most: int = 256) -> Array:
        """Mean of each mel band over the first utterances' frames, float32 [mels]."""
        count = min(most, len(self.items))
        frames = sum(self.items[index].frames for index in range(count))
        total = sum(self.features(index)["mel"].sum(axis=1, dtype=np.float64) for index in range(count))
        return np.asarray(total / frames, dtype=np.float32)

    def acoustic_batch(self, indices: tuple[int, ...], pad: int) -> AcousticBatch:
        """Padded features of these utterances."""
        parts = [self.features(index) for index in indices]
        texts = np.array([len(part["ids"]) for part in parts], dtype=np.int64)
        frames = np.array([part["mel"].shape[1] for part in parts], dtype=np.int64)
        size, symbols, longest = len(parts), int(texts.max()), int(frames.max())
        text = np.full((size, symbols), pad, dtype=np.int64)
        mel = np.zeros((size, parts[0]["mel"].shape[0], longest), dtype=np.float32)
        pitch = np.zeros((size, longest), dtype=np.float32)
        prior = np.zeros((size, longest, symbols), dtype=np.float32)
        for row, part in enumerate(parts):
            text[row, : texts[row]] = part["ids"]
            mel[row, :, : frames[row]] = part["mel"]
            pitch[row, : frames[row]] = part["pitch"]
            prior[row, : frames[row], : texts[row]] = alignment_prior(int(texts[row]), int(frames[row]))
        return AcousticBatch(text, texts, mel, frames, pitch, prior)

    def vocoder_batch(self, indices: tuple[int, ...], frames: int, seed: int, step: int, rank: int) -> VocoderBatch:
        """One random segment of each utterance; a shorter utterance is padded with silence."""
        hop, bands = self.audio.hop, self.audio.mels
        mel = np.full((len(indices), bands, frames), np.log(1e-5), dtype=np.float32)
        audio = np.zeros((len(indices), frames * hop), dtype=np.float32)
        random = np.random.default_rng([seed, step, rank])
        for row, index in enumerate(indices):
            whole = self.features(index)["mel"]
            first = int(random.integers(0, max(1, whole.shape[1] - frames + 1)))
            part = whole[:, first : first + frames]
            mel[row, :, : part.shape[1]] = part
            # A frame's centre lies at frame * hop; half a hop earlier, it lies in the middle of its samples.
            samples = self._segment(index, first * hop - hop // 2, part.shape[1] * hop)
            audio[row, : len(samples)] = samples
        return VocoderBatch(mel, audio)

    def _segment(self, index: int, start: int, count: int) -> Array:
        import soundfile

        path = self.items[index].audio
        lead = max(0, -start)
        try:
            if self._keep:
                if index not in self._audio:
                    self._audio[index] = soundfile.read(path, dtype="int16")[0]
                samples = self._audio[index][start + lead : start + count].astype(np.float32) / 32768
            else:
                with soundfile.SoundFile(path) as stream:
                    stream.seek(min(start + lead, stream.frames))
                    samples = stream.read(count - lead, dtype="float32")
        except (OSError, soundfile.LibsndfileError) as error:
            raise VoiceFailure("audio_undecodable", str(error), file=path) from error
        return np.concatenate([np.zeros(lead, dtype=np.float32), samples])


@lru_cache(maxsize=512)
def alignment_prior(symbols: int, frames: int) -> Array:
    """Beta-binomial prior over the symbols for each frame, float32 [frames, symbols].

    Frame t (from 1) has a = t, b = frames + 1 - t over symbols - 1 trials: R. Badlani et al., "One TTS alignment to
    rule them all" (2021), section 3.2; the numbers are those of NeMo's beta_binomial_prior_distribution.
    """
    factorial = _log_factorial(symbols + frames)
    k = np.arange(symbols)[None, :]
    a = np.arange(1, frames + 1)[:, None]
    b = frames + 1 - a
    n = symbols - 1
    choose = factorial[n] - factorial[k] - factorial[n - k]
    beta = factorial[k + a - 1] + factorial[n - k + b - 1] - factorial[n + a + b - 1]
    whole = factorial[a - 1] + factorial[b - 1] - factorial[a + b - 1]
    prior: Array = np.exp(choose + beta - whole).astype(np.float32)
    return prior


@lru_cache(maxsize=16)
def _log_factorial(largest: int) -> Array:
    """log(0!), log(1!), …, as long as ``largest`` + 1."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, largest + 1)))])
