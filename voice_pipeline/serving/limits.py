"""What is bounded: spoken audio in memory, and how often one client may ask."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from voice_pipeline.serving.errors import ServingError

MAX_CLIENTS = 1024  # whose rates are kept; the longest silent one is forgotten first


@dataclass(frozen=True)
class AudioKey:
    """What decides the bytes of spoken audio."""

    voice: str
    content_digest: str
    text: str
    pace: float


class AudioCache:
    """WAV files by what decides their bytes, at most ``most_bytes`` of them; the least recently used goes first."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        self._audio: OrderedDict[AudioKey, bytes] = OrderedDict()

    def get(self, key: AudioKey) -> bytes | None:
        """The audio, or None."""
        audio = self._audio.get(key)
        if audio is not None:
            self._audio.move_to_end(key)
        return audio

    def put(self, key: AudioKey, audio: bytes) -> None:
        """Keep the audio. One that would fill more than a quarter of the cache is not kept."""
        if len(audio) > self.most_bytes // 4:
            return
        self._remove(key)
        self._audio[key] = audio
        self.bytes += len(audio)
        while self.bytes > self.most_bytes:
            self._remove(next(iter(self._audio)))

    def forget(self, voice: str) -> None:
        """Drop all audio of a voice that may not speak."""
        for key in [key for key in self._audio if key.voice == voice]:
            self._remove(key)

    def _remove(self, key: AudioKey) -> None:
        self.bytes -= len(self._audio.pop(key, b""))


class RateLimit:
    """A bucket of tokens for each client: ``burst`` at once, ``per_second`` in the long run."""

    def __init__(self, per_second: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> (tokens, at)

    def take(self, client: str) -> None:
        """Take a token. Raises ServingError ``voice_rate_limited`` with the seconds after which there is one."""
        now = self._clock()
        tokens, at = self._buckets.pop(client, (float(self._burst), now))
        tokens = min(float(self._burst), tokens + (now - at) * self._per_second)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if allowed else tokens, now)
        while len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = (1 - tokens) / self._per_second
            message = f"more than {self._per_second:g} requests a second; try again in {wait:.1f} s"
            raise ServingError("voice_rate_limited", message, retry_after=wait)
