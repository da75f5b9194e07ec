"""Where every file goes. No other module builds a path below the store.

    store = Store.open()                      # option --store, environment VOICE_STORE, else ./store
    store.dataset_manifest("dottie_default", "tts_prod_train_nemo")

The store is the folder that holds artifacts/, checkpoints/, bundles/ and cache/. Every write is atomic:
a temporary file in the same folder, fsync, rename. A reader sees the old file or the new one.

This module needs the standard library only, so that a trainer in another environment can use it as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from voice_pipeline.atomic import open_regular
from voice_pipeline.failures import ConfigError

STORE_ENVIRONMENT = "VOICE_STORE"
_PROFILE_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_READ_BLOCK = 1 << 20  # bytes
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h


@dataclass(frozen=True)
class Store:
    """The paths of one store. ``root`` is absolute."""

    root: Path

    @classmethod
    def open(cls, root: str | Path | None = None, *, default: str | Path = "store") -> Store:
        """The store at ``root``, else at $VOICE_STORE, else at ``default``. Creates nothing."""
        return cls(Path(root or os.environ.get(STORE_ENVIRONMENT) or default).expanduser().resolve())

    # -- artifacts ---------------------------------------------------------------------------------

    def voice_artifacts(self, voice: str) -> Path:
        """Everything that is written about one voice."""
        return self.root / "artifacts" / profile_id(voice)

    def record(self, voice: str, stage: str) -> Path:
        """The record of a finished stage: identity, paths, digests and figures."""
        return self.voice_artifacts(voice) / "records" / f"{stage}.json"

    def train_status(self, voice: str, job_type: str) -> Path:
        """The status of a voice's training, by job type."""
        return self.voice_artifacts(voice) / f"train_status.{job_type}.json"

    def latest_train_status(self, job_type: str | None = None) -> Path:
        """The latest status of any voice, for one job type or for any."""
        return self.root / "artifacts" / ("train_status.json" if job_type is None else f"train_status.{job_type}.json")

    def dataset_manifest(self, voice: str, job_type: str) -> Path:
        """The dataset manifest of a voice, by job type."""
        return self.voice_artifacts(voice) / f"dataset_manifest.{job_type}.json"

    def latest_dataset_manifest(self, job_type: str) -> Path:
        """The latest dataset manifest of any voice."""
        return self.root / "artifacts" / f"dataset_manifest.{job_type}.json"

    def preflight(self, voice: str) -> Path:
        """The pictures of a voice's recordings."""
        return self.voice_artifacts(voice) / "preflight"

    def audio_files(self, voice: str) -> Path:
        """The table of a voice's source files, as preflight found them."""
        return self.preflight(voice) / "files.jsonl"

    def segments(self, voice: str) -> Path:
        """The table of segments."""
        return self.voice_artifacts(voice) / "segments" / "segments.jsonl"

    def texts(self, voice: str) -> Path:
        """The table of the segments' texts; ``unmatched.jsonl`` beside it."""
        return self.voice_artifacts(voice) / "texts" / "texts.jsonl"

    def utterances(self, voice: str) -> Path:
        """The table of cleaned utterances, with their figures."""
        return self.voice_artifacts(voice) / "utterances" / "utterances.jsonl"

    def dataset(self, voice: str) -> Path:
        """The staged clips and the trainers' manifests of a voice."""
        return self.voice_artifacts(voice) / "dataset"

    def nothing_kept(self, voice: str) -> Path:
        """The table and the page of a preparation that kept no dataset; only there after one."""
        return self.voice_artifacts(voice) / "nothing_kept"

    def report(self, voice: str, job_type: str, suffix: str) -> Path:
        """The final report of a voice: suffix ``txt`` or ``json``."""
        return self.voice_artifacts(voice) / f"report.{job_type}.{suffix}"

    def latest_report(self, job_type: str, suffix: str) -> Path:
        """The latest final report of any voice."""
        return self.root / "artifacts" / f"report.{job_type}.{suffix}"

    def features(self, voice: str) -> Path:
        """The index and the statistics of a voice's training features."""
        return self.voice_artifacts(voice) / "features"

    def bundle_work(self, voice: str) -> Path:
        """What the export of a bundle was told, and its log."""
        return self.voice_artifacts(voice) / "voice_bundle"

    def evaluation(self, voice: str) -> Path:
        """The evaluation of a voice's bundle, with what it said."""
        return self.voice_artifacts(voice) / "evaluation"

    def license_decision(self, voice: str) -> Path:
        """The decision of the licence gate."""
        return self.voice_artifacts(voice) / "license_gate.json"

    def promotion_decision(self, voice: str) -> Path:
        """The latest promotion decision, GO or NO-GO, with every blocker."""
        return self.voice_artifacts(voice) / "promotion_decision.json"

    def promotions(self, voice: str) -> Path:
        """The registry of a voice: one line for each promotion, rollback and withdrawal; only ever added to."""
        return self.voice_artifacts(voice) / "promotions.jsonl"

    def promotion_lock(self, voice: str) -> Path:
        """Held while what is promoted of a voice changes; see ``atomic.exclusive``."""
        return self.voice_artifacts(voice) / ".promotion.lock"

    def revocation(self, voice: str) -> Path:
        """The mark that a speaker's consent is revoked; there only after ``revoke``."""
        return self.voice_artifacts(voice) / "revocation.json"

    def verification(self, voice: str) -> Path:
        """The latest verification: ``evidence.json``, ``certificate.json``, ``result.json``."""
        return self.voice_artifacts(voice) / "verification"

    def training_trace(self) -> Path:
        """One line for each verification of any voice."""
        return self.root / "artifacts" / "training-trace.jsonl"

    def license_facts(self) -> Path:
        """What the licence gate was told about each checksum, and since when: a change of it is shown."""
        return self.root / "artifacts" / "license_facts.jsonl"

    # -- checkpoints, bundles, cache ---------------------------------------------------------------

    def checkpoint(self, voice: str, backend: str, identity: str) -> Path:
        """The work folder of one training: its identity decides where, so that a restart finds it."""
        return self.root / "checkpoints" / profile_id(voice) / backend / identity[:16]

    def bundle(self, voice: str) -> Path:
        """The newest bundle of a voice, promoted or not."""
        return self.root / "bundles" / profile_id(voice) / "voice_bundle"

    def voices_with_bundles(self) -> tuple[str, ...]:
        """The ids of all voices that have a folder of bundles, promoted or not, sorted."""
        folder = self.root / "bundles"
        if not folder.is_dir():
            return ()
        return tuple(sorted(path.name for path in folder.iterdir() if _PROFILE_ID.fullmatch(path.name)))

    def promoted(self, voice: str) -> Path:
        """The promoted voice: a link to one of its releases, exchanged in one step.

        A reader that needs more than one file of it resolves the link first, and then reads one release.
        """
        return self.root / "bundles" / profile_id(voice) / "promoted"

    def release(self, voice: str, number: int) -> Path:
        """What one promotion left, for ever the same: ``voice_bundle/``, ``decision.json``, ``certificate.json``."""
        return self.root / "bundles" / profile_id(voice) / "releases" / f"{number:06d}"

    def cache(self, kind: str, key: str, suffix: str) -> Path:
        """A content-addressed file: ``key`` is the sha256 of everything that decides its bytes."""
        return self.root / "cache" / kind / key[:2] / f"{key}{suffix}"

    def measurements(self, kind: str) -> Path:
        """The database of one kind of measurement, shared by all voices; see ``recordings.cache``."""
        return self.root / "cache" / f"{kind}.sqlite"

    def training_lock(self, voice: str) -> Path:
        """Held by the one training of a voice; see ``atomic.exclusive``."""
        return self.voice_artifacts(voice) / ".training.lock"

    def dagster_home(self) -> Path:
        """The Dagster instance that is used where DAGSTER_HOME is not set."""
        return self.root / "dagster"

    # -- relations ---------------------------------------------------------------------------------

    def relative(self, path: Path) -> str:
        """``path`` relative to the root, with POSIX separators. Raises ValueError outside the store."""
        return path.resolve().relative_to(self.root.resolve()).as_posix()

    def resolve(self, relative: str) -> Path:
        """The file that a stored relative path names. Raises ValueError when it leaves the store."""
        return inside(self.root, relative)


def profile_id(voice: str) -> str:
    """The voice's id, checked: it becomes part of paths. Raises ConfigError."""
    if not _PROFILE_ID.fullmatch(voice):
        raise ConfigError(f"{voice!r} is no voice id: use 1-64 of a-z, 0-9, _ and -, starting with a letter or digit")
    return voice


def inside(root: Path, relative: str) -> Path:
    """``root / relative``, checked: relative, no ``..``, no link that leaves the root. Raises ValueError."""
    pure = PurePosixPath(relative)
    if not relative or "\\" in relative or "\0" in relative or pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"{relative!r} is not a relative path below {root}")
    path = root / pure
    try:
        stays = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a loop of links
        stays = False
    if not stays:
        raise ValueError(f"{relative!r} leaves {root}")
    return path


# -- content ---------------------------------------------------------------------------------------


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value that is hashed: sorted keys, no spaces, UTF-8, finite numbers only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def identity(**parts: Any) -> str:
    """sha256 of the named parts, as 64 hex digits: the same parts are never computed twice."""
    return hashlib.sha256(canonical_json(parts)).hexdigest()


def sha256_file(path: Path) -> str:
    """sha256 of a file's bytes, as 64 hex digits, in constant memory."""
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        while block := stream.read(_READ_BLOCK):
            digest.update(block)
    return digest.hexdigest()
