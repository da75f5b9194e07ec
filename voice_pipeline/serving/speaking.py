"""A checked request becomes audio, by the release that may speak when the audio is handed out.

    speaker = Speaker(releases, options)
    spoken = await speaker.speak(request)        # ServingError with the contract's code

The release is asked for before the work and again after it: what was withdrawn meanwhile is not handed out, and what
was replaced is spoken again by the new release. Cached audio is looked for only after the first of the two.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import traceback
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_pipeline.bundle.synthesizer import Synthesizer, concatenate, wav_bytes
from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.serving.errors import ServingError, from_failure, unavailable
from voice_pipeline.serving.limits import AudioCache, AudioKey
from voice_pipeline.serving.private import private_copy, speaks
from voice_pipeline.serving.releases import Release, ReleaseKey, Releases
from voice_pipeline.serving.requests import SpeakRequest
from voice_pipeline.serving.workers import Workers
from voice_pipeline.text.errors import TextError

LOG = logging.getLogger("voice_pipeline.serving")
_LOOKING_THREADS = 8  # that read the store; they wait for the disk, not for the processor
_ATTEMPTS = 3  # to speak with one and the same release from beginning to end


@dataclass(frozen=True)
class Limits:
    """What the server bounds. Raises ConfigError for a limit that would let nothing through."""

    threads: int = 2  # that synthesise at the same time
    waiting: int = 32  # requests that wait for one of them
    timeout: float = 30.0  # seconds from a request's arrival to its audio
    voices: int = 4  # loaded at the same time
    cache_bytes: int = 64 << 20  # of spoken audio
    per_second: float = 50.0  # requests to speak, of one client
    burst: int = 100  # of them at once

    def __post_init__(self) -> None:
        least = {"threads": 1, "waiting": 0, "voices": 1, "cache_bytes": 0, "burst": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ConfigError(f"{name} must be at least {bound}, not {getattr(self, name)}")
        for name in ("timeout", "per_second"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be a number above 0, not {getattr(self, name)}")


@dataclass(frozen=True)
class Spoken:
    """Audio, by which release, and whether it was spoken before."""

    audio: bytes  # a WAV file
    release: Release
    cached: bool


class _AbandonedError(Exception):
    """Nobody waits any more."""


class Speaker:
    """Speaks with promoted voices. Create it, and call its coroutines, in one event loop."""

    def __init__(self, releases: Releases, limits: Limits, *, default_voice: str | None = None) -> None:
        self.releases = releases
        self._limits = limits
        self._default = default_voice
        self._cache = AudioCache(limits.cache_bytes)
        self._loaded = _Loaded(limits.voices)
        self._workers = Workers(limits.threads, limits.waiting)
        self._looking = ThreadPoolExecutor(_LOOKING_THREADS, thread_name_prefix="look")

    async def speak(self, request: SpeakRequest) -> Spoken:
        """The audio of ``request``. Raises ServingError, ``voice_backend_timeout`` among others."""
        try:
            async with asyncio.timeout(self._limits.timeout):
                return await self._speak(request)
        except TimeoutError:
            message = f"the speech was not ready after {self._limits.timeout:g} s; send a shorter text or try again"
            raise ServingError("voice_backend_timeout", message) from None

    async def health(self) -> dict[str, Any]:
        """Which voices may speak now, which not and why; see CONTRACTS 9."""
        names = await self._look(self.releases.voices)
        speaking: dict[str, Release] = {}
        refused: list[dict[str, str]] = []
        for voice in names:
            try:
                speaking[voice] = await self._require(voice)
            except ServingError as error:
                refused.append({"voiceProfile": voice, "reason": error.details["reason"], "message": error.message})
        default = self._default or (names[0] if len(names) == 1 else None)
        heard = [speaking[default]] if default in speaking else list(speaking.values())
        rates = {release.settings.sample_rate for release in heard}
        problem = refused[0]["message"] if refused else None
        if not speaking:
            problem = problem or "no voice is promoted"
        elif self._default is not None and self._default not in speaking:
            problem = problem or f"{self._default}: the default voice is not promoted"
        return {
            "ok": bool(speaking) and (self._default is None or self._default in speaking),
            "mode": "promoted",
            "sample_rate_hz": rates.pop() if len(rates) == 1 else None,
            "voices": sorted(speaking),
            "error_code": None if problem is None else "voice_unavailable",
            "error_message": problem,
            "default_voice": default,
            "refused": refused,
        }

    def close(self) -> None:
        """End the threads; a request that waits is refused."""
        self._workers.stop()
        self._looking.shutdown(wait=False, cancel_futures=True)

    async def _speak(self, request: SpeakRequest) -> Spoken:
        voice = request.voice or self._default or await self._only_voice()
        if request.reference_audio_hash is not None:
            detail = "this version makes no voice from reference audio; ask for a promoted one"
            raise unavailable(voice, "reference_audio_unsupported", detail)
        for _ in range(_ATTEMPTS):
            release = await self._require(voice)
            _check_length(request.text, release)
            key = AudioKey(voice, release.content_digest, request.text, request.pace)
            audio = self._cache.get(key)
            if audio is not None:
                return Spoken(audio, release, cached=True)
            audio = await self._synthesised(release, request)
            if audio is not None and (await self._require(voice)).key == release.key:
                self._cache.put(key, audio)
                return Spoken(audio, release, cached=False)
            if audio is None:
                self.releases.verify_again(voice)
        raise unavailable(voice, "changing", "its release changes again and again while it speaks; try again")

    async def _require(self, voice: str) -> Release:
        try:
            release: Release = await self._look(self.releases.require, voice)
        except ServingError:
            self._cache.forget(voice)
            self._loaded.forget(voice)
            raise
        return release

    async def _look(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._looking, function, *arguments)

    async def _only_voice(self) -> str:
        names = await self._look(self.releases.voices)
        if len(names) == 1:
            return str(names[0])
        if not names:
            raise ServingError("voice_unavailable", "no voice is promoted", reason="not_promoted")
        message = "name a voice in voiceProfile"
        raise ServingError("voice_invalid_request", message, fields=["voiceProfile"], voices=list(names))

    async def _synthesised(self, release: Release, request: SpeakRequest) -> bytes | None:
        """A WAV file; None when the release changed while it was loaded."""

        def work(abandoned: threading.Event) -> bytes | None:
            synthesizer = self._loaded.get(release)
            return None if synthesizer is None else _spoken(synthesizer, request, abandoned)

        job = self._workers.submit(work, rank=request.rank)
        try:
            audio: bytes | None = await asyncio.wrap_future(job.result)
            return audio
        except TextError as error:
            raise ServingError("voice_invalid_request", f"text: {error}", fields=["text"], reason=error.code) from None
        except VoiceFailure as failure:
            raise ServingError("voice_backend_error", failure.detail, reason=failure.reason) from None
        except (asyncio.CancelledError, ServingError):
            raise
        except Exception as error:
            # The message of a foreign exception may repeat the text: its type and place are enough to find it.
            LOG.error("speech failed: %s at %s", type(error).__name__, place_of(error))
            raise ServingError("voice_backend_error", f"the synthesizer failed: {type(error).__name__}") from None
        finally:
            self._workers.abandon(job)


class _Loaded:
    """The synthesizers in memory, a bounded number; the least recently used goes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._synthesizers: OrderedDict[ReleaseKey, Synthesizer] = OrderedDict()

    def get(self, release: Release) -> Synthesizer | None:
        """The synthesizer of exactly the verified bytes; None when they changed while they were loaded."""
        found = self._find(release)
        if found is not None:
            return found
        with self._loading:  # one at a time: it takes both memory and disk
            found = self._find(release)
            if found is not None:
                return found
            try:
                with private_copy(release.bundle, release.manifest, speaks(release.settings)) as folder:
                    found = Synthesizer.load(folder)
            except (OSError, ValueError):
                return None  # not what was verified, though no file's state need tell
            except VoiceFailure as failure:
                if failure.reason in ("disk_full", "permission_denied"):
                    raise from_failure(release.voice, failure) from None
                if release.changed():
                    return None
                detail = "this server's synthesizer cannot load the bundle"  # the cause may name a path
                raise VoiceFailure(failure.reason, detail, voice=release.voice) from failure
            if release.changed():
                return None
            with self._lock:
                self._synthesizers[release.key] = found
                while len(self._synthesizers) > self._most:
                    self._synthesizers.popitem(last=False)
            return found

    def forget(self, voice: str) -> None:
        """Let go of the synthesizers of a voice that may not speak."""
        with self._lock:
            for key in [key for key in self._synthesizers if key[0] == voice]:
                del self._synthesizers[key]

    def _find(self, release: Release) -> Synthesizer | None:
        with self._lock:
            found = self._synthesizers.get(release.key)
            if found is not None:
                self._synthesizers.move_to_end(release.key)
            return found


def place_of(error: BaseException) -> str:
    """File, line and function where ``error`` was raised; nothing of its message."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}" if frames else "unknown"


def _spoken(synthesizer: Synthesizer, request: SpeakRequest, abandoned: threading.Event) -> bytes:
    parts = []
    for part in synthesizer.stream(request.text, pace=request.pace):
        if abandoned.is_set():
            raise _AbandonedError
        parts.append(part)
    return wav_bytes(concatenate(parts, synthesizer.sample_rate))


def _check_length(text: str, release: Release) -> None:
    most = release.settings.max_text_chars
    if len(text) > most:
        message = f"text: {len(text)} characters; {release.voice} speaks at most {most} at once"
        raise ServingError("voice_invalid_request", message, fields=["text"], reason="text_too_long")
