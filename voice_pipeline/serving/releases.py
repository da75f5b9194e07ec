"""Which voices may speak, asked anew for every request.

    releases = Releases(store, trusted)
    release = releases.require("dottie_default")     # ServingError voice_unavailable, with the reason

What is cheap is done each time: the revocation mark, the registry with its link, the consent's last day, and the state
(inode, size, times) of every file of the release. The bytes are verified when a release is met first, and again as
soon as any of those states differs: digests against the manifest, manifest and decision against the registry, and the
signature where a verification key is configured.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voice_pipeline import clock, consent
from voice_pipeline.atomic import read_json
from voice_pipeline.bundle.format import (
    ATTESTATION_NAME,
    CONSENT_NAME,
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    BundleManifest,
    content_digest,
    read_manifest,
)
from voice_pipeline.bundle.settings import SYNTHESIZER_NAME, SynthesizerSettings
from voice_pipeline.bundle.validation import check_file
from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.promotion import registry, signing
from voice_pipeline.promotion import releases as promoted
from voice_pipeline.promotion.entries import Entry
from voice_pipeline.promotion.releases import BUNDLE
from voice_pipeline.serving.errors import ServingError, from_failure, unavailable
from voice_pipeline.serving.private import copy_in, private_folder
from voice_pipeline.store import Store, profile_id, sha256_file

if TYPE_CHECKING:
    from voice_pipeline.promotion.signing import TrustedKeys

MAX_ENTRIES = 20_000  # files and folders of one release; a real one has some thirty
_SHOWN = 3  # problems in one answer
_ATTEMPTS = 3
_OF_THE_DISK = ("disk_full", "permission_denied")
# The kernel's clock for file times ticks every 1 to 10 ms: what was written later than this before a look may be
# written again without the look's noticing.
_TICK_SECONDS = 0.05

State = tuple[str, int, int, int, int, int, int]  # path, device, inode, mode, size, mtime and ctime in ns
Signature = tuple[State, ...]
ReleaseKey = tuple[str, str, Signature]


@dataclass(frozen=True)
class Release:
    """A release whose bytes were verified in the state that ``signature`` describes."""

    voice: str
    number: int
    folder: Path  # of the release, resolved
    signature: Signature
    manifest: BundleManifest
    manifest_sha256: str
    content_digest: str
    consent: Mapping[str, Any]
    settings: SynthesizerSettings

    @property
    def bundle(self) -> Path:
        """The folder that speaks."""
        return self.folder / BUNDLE

    @property
    def key(self) -> ReleaseKey:
        """What decides whether a synthesizer that was loaded from it may still be used."""
        return (self.voice, self.manifest_sha256, self.signature)

    def changed(self) -> bool:
        """Whether its files are not in the verified state any more."""
        try:
            return signature_of(self.folder) != self.signature
        except (OSError, ValueError, VoiceFailure):
            return True


@dataclass(frozen=True)
class _Judged:
    """What the last full verification of a voice found, and of what."""

    entry: Entry
    signature: Signature
    outcome: Release | ServingError


class Releases:
    """The releases of one store. Safe to use from several threads."""

    def __init__(
        self, store: Store, trusted: TrustedKeys | None = None, *, today: Callable[[], date] = clock.today
    ) -> None:
        self.store = store
        self._trusted = trusted
        self._today = today
        self._judged: dict[str, _Judged] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def voices(self) -> tuple[str, ...]:
        """The voices of which a release is promoted, or of which that cannot be told; sorted."""
        return tuple(voice for voice in self.store.voices_with_bundles() if self._has_release(voice))

    def require(self, voice: str) -> Release:
        """The release that speaks for ``voice`` now. Raises ServingError ``voice_unavailable``, saying why."""
        try:
            return self._require(profile_id(voice))
        except ServingError:
            raise
        except VoiceFailure as failure:
            raise from_failure(voice, failure) from None
        except (OSError, ValueError, ConfigError) as error:
            detail = f"its release cannot be read: {type(error).__name__}"
            raise unavailable(voice, "verification_failed", detail) from error

    def verify_again(self, voice: str) -> None:
        """Let the next ``require`` read every byte, whatever the files' states say."""
        self._judged.pop(voice, None)

    def _require(self, voice: str) -> Release:
        mark = consent.read_revocation(self.store, voice)
        entry = registry.current(self.store, voice)
        if entry is None or entry.release is None:
            if mark is not None:
                raise unavailable(
                    voice, "consent_missing", "the speaker's consent is revoked; this voice speaks no more"
                )
            raise unavailable(voice, "not_promoted", "no release of this voice is promoted")
        folder = promoted.release_folder(self.store, voice, entry.release)
        with self._voice_lock(voice):
            outcome = self._outcome(voice, entry, folder)
        if isinstance(outcome, ServingError):
            raise ServingError(outcome.code, outcome.message, **outcome.details)  # a new one: tracebacks add up
        problem = consent.record_problem(outcome.consent, self._today(), voice_id=voice, revocation=mark)
        if problem is not None:
            raise unavailable(voice, "consent_missing", problem)
        return outcome

    def _outcome(self, voice: str, entry: Entry, folder: Path) -> Release | ServingError:
        known = self._judged.get(voice)
        if known is not None and (known.entry, known.signature) == (entry, signature_of(folder)):
            return known.outcome
        self._judged.pop(voice, None)
        for _ in range(_ATTEMPTS):
            before = _settled(folder)
            outcome = self._verify(voice, entry, folder, before)
            if signature_of(folder) == before:
                self._judged[voice] = _Judged(entry, before, outcome)
                return outcome
        return unavailable(voice, "bundle_invalid", "its release changes while it is verified")

    def _verify(self, voice: str, entry: Entry, folder: Path, signature: Signature) -> Release | ServingError:
        """Read every byte of a release."""
        try:
            blockers = promoted.problems(self.store, voice, entry.release or 0, entry.facts())
            if blockers:
                return unavailable(voice, blockers[0].reason, _listed([blocker.detail for blocker in blockers]))
            with private_folder() as copy:
                return self._copied(voice, entry, folder, signature, copy)
        except VoiceFailure as failure:
            if failure.reason in _OF_THE_DISK:
                raise  # says nothing about the release: asked again with the next request
            return from_failure(voice, failure)
        except (OSError, ValueError, RecursionError) as error:
            return unavailable(voice, "bundle_invalid", f"its release cannot be read: {type(error).__name__}")

    def _copied(
        self, voice: str, entry: Entry, folder: Path, signature: Signature, copy: Path
    ) -> Release | ServingError:
        """Judge by copies, which nobody changes between two looks, what the server goes on from."""
        bundle = folder / BUNDLE
        copy_in(bundle, copy, MANIFEST_NAME, MAX_MANIFEST_BYTES)
        manifest = read_manifest(copy)
        manifest_sha256 = sha256_file(copy / MANIFEST_NAME)
        if manifest_sha256 != entry.facts().bundle_manifest_sha256:
            return unavailable(voice, "verification_failed", "its bundle's manifest is not the one that was promoted")
        for name in (CONSENT_NAME, ATTESTATION_NAME, SYNTHESIZER_NAME):
            listed = manifest.entry(name)
            if listed is not None:
                copy_in(bundle, copy, name, listed.bytes)
                problem = check_file(copy, listed)
                if problem is not None:
                    return unavailable(voice, "bundle_invalid", str(problem))
        if self._trusted is not None:
            problems = signing.attestation_problems(copy, self._trusted, validated=True)
            if problems:
                return unavailable(voice, problems[0].code, _listed([str(problem) for problem in problems]))
        if manifest.entry(CONSENT_NAME) is None:
            detail = f"its bundle carries no {CONSENT_NAME}; build and promote the voice again"
            return unavailable(voice, "consent_missing", detail)
        record = read_json(copy / CONSENT_NAME)
        if not isinstance(record, dict):
            return unavailable(voice, "consent_missing", f"{CONSENT_NAME} is no consent record")
        return Release(
            voice=voice,
            number=entry.release or 0,
            folder=folder,
            signature=signature,
            manifest=manifest,
            manifest_sha256=manifest_sha256,
            content_digest=content_digest(manifest),
            consent=record,
            settings=SynthesizerSettings.read(copy / SYNTHESIZER_NAME),
        )

    def _has_release(self, voice: str) -> bool:
        try:
            return registry.current(self.store, voice) is not None
        except (VoiceFailure, OSError):
            return True  # refused, and shown as such

    def _voice_lock(self, voice: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(voice, threading.Lock())


def signature_of(folder: Path) -> Signature:
    """The state of everything below ``folder``: path, device, inode, mode, size, two times.

    A file that is written to, exchanged or put back gets another; ctime cannot be set by those who may write the
    file. What a link leads to would change unseen, and no promotion writes one.

    Raises VoiceFailure ``verification_failed`` for a link, OSError, ValueError for more than MAX_ENTRIES.
    """
    found = [_state("", os.lstat(folder))]
    folders = [""]
    while folders:
        inner = folders.pop()
        with os.scandir(folder / inner) as entries:
            for entry in entries:
                path = f"{inner}/{entry.name}" if inner else entry.name
                if entry.is_symlink():
                    detail = f"its release holds a link, {path[:100]!r}, which no promotion wrote"
                    raise VoiceFailure("verification_failed", detail, file=folder)
                found.append(_state(path, entry.stat(follow_symlinks=False)))
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
        if len(found) > MAX_ENTRIES:
            raise ValueError(f"more than {MAX_ENTRIES} files")
    return tuple(sorted(found))


def _state(path: str, status: os.stat_result) -> State:
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return (path, status.st_dev, status.st_ino, status.st_mode, status.st_size, *times)


def _settled(folder: Path) -> Signature:
    """The folder's state, once its last change is older than the clock's tick."""
    while True:
        signature = signature_of(folder)
        age = time.time() - max(state[-1] for state in signature) / 1e9  # seconds
        if not 0 <= age < _TICK_SECONDS:  # a change in the future is a wrong clock, and no reason to wait
            return signature
        time.sleep(_TICK_SECONDS - age)


def _listed(problems: list[str]) -> str:
    more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
    return "; ".join(problems[:_SHOWN]) + more
