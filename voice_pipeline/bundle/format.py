"""The voice bundle's manifest, ``voice_bundle/1``: which files a bundle holds, and where they came from.

    manifest = parse_manifest((folder / "manifest.json").read_bytes())
    content_digest(manifest)                 # which bytes speak: what evaluation and promotion talk about

Laws, held by tests:

- ``parse_manifest(manifest_bytes(m)) == m`` for every manifest ``m``;
- ``content_digest`` depends on the listed paths and their sha256 only: neither on ``created_at``, nor on the
  order of the list, nor on the evaluation and the attestation that are added later.

A manifest is untrusted input. This module reads its text only; ``validation`` looks at the files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from voice_pipeline.failures import ConfigError
from voice_pipeline.store import canonical_json, profile_id
from voice_pipeline.strict_json import parse_json

BUNDLE_VERSION = "voice_bundle/1"
MANIFEST_NAME = "manifest.json"
EVALUATION_NAME = "evaluation.json"
ATTESTATION_NAME = "attestation.dsse.json"
ADDED_LATER = (EVALUATION_NAME, ATTESTATION_NAME)  # to a built bundle; no part of what they speak about
MAX_MANIFEST_BYTES = 4 << 20  # bytes; a bundle of a few dozen files needs some ten thousand
MAX_FILES = 10_000
MAX_BYTES = 16 << 30  # of all files together: a sparse file of any size costs its sender nothing, and its reader days
MAX_PATH_CHARS = 1024

# What a production bundle of the NeMo lane always holds, beside its evaluation and its weights manifests.
PRODUCTION_FILES = ("fastpitch.nemo", "hifigan.nemo", "sample.wav")
# What the licence gate makes from the facts, finds in the bundle, and compares.
NOTICE_NAME = "NOTICE"
MODEL_CARD_NAME = "MODEL_CARD.md"
LINEAGE_NAME = "lineage.json"
SBOM_NAME = "sbom.cdx.json"
CONSENT_NAME = "consent.json"
DOCUMENTS = (NOTICE_NAME, MODEL_CARD_NAME, LINEAGE_NAME, SBOM_NAME, CONSENT_NAME)

Sha256 = str
_SHA256 = r"^[0-9a-f]{64}$"
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileEntry(_Strict):
    """One file of the bundle. ``path`` is as written: ``validation`` decides whether it stays in the bundle."""

    path: str = Field(min_length=1, max_length=MAX_PATH_CHARS, description="Relative POSIX path.")
    sha256: Sha256 = Field(pattern=_SHA256, description="sha256 of the file's bytes.")
    bytes: int = Field(ge=0, le=1 << 50, description="Size of the file.")


class Provenance(_Strict):
    """What the bundle was made from. Holds no clock time, host or absolute path.

    Whoever builds the bundle gives commit, config, dataset and recipe; ``build.run`` fills in the rest.
    """

    commit: str = Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64}|unknown)(-dirty)?$", description="Commit of the code.")
    config_sha256: Sha256 = Field(pattern=_SHA256, description="sha256 of the voice's config.")
    dataset_sha256: Sha256 = Field(pattern=_SHA256, description="sha256 of the dataset manifest.")
    weights_refs: tuple[str, ...] = Field(
        default=(),
        description="The weights manifests of everything that has a part in the voice; paths in this bundle.",
    )
    code_version: str = Field(min_length=1, max_length=64, description="Version of voice-pipeline.")
    job_type: str | None = Field(
        default=None, pattern=r"^[a-z0-9_]{1,64}$", description="What trained it; only some are ever promoted."
    )
    recipe: str = Field(pattern=r"^[a-z0-9_]+$", description="Name of the recipe in configs/recipes/.")
    recipe_sha256: Sha256 | None = Field(default=None, pattern=_SHA256, description="sha256 of the resolved recipe.")
    seed: int | None = Field(default=None, ge=0)
    frontend_identity: Sha256 | None = Field(
        default=None, pattern=_SHA256, description="Identity of the text frontend."
    )
    tensors_sha256: dict[str, Sha256] = Field(
        default_factory=dict, description="Of each trained model: sha256 over its tensors (a .nemo differs by clock)."
    )

    @field_validator("weights_refs", mode="before")
    @classmethod
    def _list_to_tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("tensors_sha256")
    @classmethod
    def _checked_digests(cls, value: dict[str, str]) -> dict[str, str]:
        for name, digest in value.items():
            if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
                raise ValueError(f"{name}: not 64 lower-case hex digits")
        return value


class BundleManifest(_Strict):
    """``manifest.json``. The first five keys are required; a production bundle also has ``provenance``."""

    bundle_version: Literal["voice_bundle/1"]
    voice_profile_id: str
    display_name: str = Field(min_length=1, max_length=200)
    created_at: str = Field(description="RFC 3339, UTC; no part of any digest.")
    files: tuple[FileEntry, ...] = Field(min_length=1, max_length=MAX_FILES)
    provenance: Provenance | None = None

    @field_validator("voice_profile_id")
    @classmethod
    def _checked_id(cls, value: str) -> str:
        try:
            return profile_id(value)
        except ConfigError as error:
            raise ValueError(str(error)) from error

    @field_validator("created_at")
    @classmethod
    def _checked_time(cls, value: str) -> str:
        if not is_rfc3339(value):
            raise ValueError("not an RFC 3339 date and time, such as 2026-02-23T00:00:00Z")
        return value

    @field_validator("files", mode="before")
    @classmethod
    def _list_to_tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _no_two_names_for_one_file(self) -> BundleManifest:
        if sum(entry.bytes for entry in self.files) > MAX_BYTES:
            raise ValueError(f"its files have more than {MAX_BYTES} bytes together")
        # Two spellings that one file system takes for the same file would let one digest vouch for the other.
        seen = {_folded(MANIFEST_NAME): MANIFEST_NAME}
        for entry in self.files:
            other = seen.setdefault(_folded(entry.path), entry.path)
            if other == MANIFEST_NAME:
                raise ValueError(f"{MANIFEST_NAME} cannot list itself")
            if other is not entry.path:
                raise ValueError(f"two entries for one file: {other!r} and {entry.path!r}")
        return self

    def entry(self, path: str) -> FileEntry | None:
        """The entry of one path, or None."""
        return next((entry for entry in self.files if entry.path == path), None)


class ManifestError(ValueError):
    """The text of a manifest is not a manifest. The message is one line and names the wrong fields."""


def parse_manifest(data: bytes) -> BundleManifest:
    """Read a manifest strictly: UTF-8 JSON, no key twice, no NaN, no unknown key. Raises ManifestError."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"larger than {MAX_MANIFEST_BYTES} bytes")
    try:
        value = parse_json(data)
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise ManifestError(f"not JSON: {_one_line(str(error))}") from None
    if not isinstance(value, dict):
        raise ManifestError(f"expected an object, found {type(value).__name__}")
    try:
        return BundleManifest.model_validate(value)
    except ValidationError as error:
        items = error.errors(include_url=False, include_context=False, include_input=False)
        shown = [f"{'.'.join(str(part) for part in item['loc']) or 'manifest'}: {item['msg']}" for item in items[:5]]
        more = f" (and {len(items) - 5} more)" if len(items) > 5 else ""
        raise ManifestError(_one_line("; ".join(shown)) + more) from None


def manifest_bytes(manifest: BundleManifest) -> bytes:
    """The one spelling of a manifest on disk: sorted keys, two spaces, a final newline."""
    value = manifest.model_dump(mode="json", exclude_none=True)
    return (json.dumps(value, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def content_digest(bundle: Path | BundleManifest) -> str:
    """sha256 over the sorted [path, sha256] of all listed files but those of ADDED_LATER, as 64 hex digits.

    Takes a bundle's folder or its manifest. The listed digests are taken at their word: ask
    ``validation.validate_bundle`` whether the files have them. Raises ManifestError, OSError.
    """
    manifest = bundle if isinstance(bundle, BundleManifest) else read_manifest(bundle)
    pairs = sorted([entry.path, entry.sha256] for entry in manifest.files if entry.path not in ADDED_LATER)
    return hashlib.sha256(canonical_json(pairs)).hexdigest()


def read_manifest(folder: Path) -> BundleManifest:
    """The manifest of a bundle that was validated before. Raises ManifestError, OSError."""
    with (folder / MANIFEST_NAME).open("rb") as stream:
        return parse_manifest(stream.read(MAX_MANIFEST_BYTES + 1))


def plain_path_problem(path: str) -> str | None:
    """Why ``path`` is not a plain relative POSIX path, or None when it is one.

    Plain: no root, drive, ``.``, ``..``, empty part, backslash or control character, NFC, valid Unicode.
    """
    if not path or len(path) > MAX_PATH_CHARS:
        return "empty or too long"
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in path):
        return "holds control or invisible characters"
    if "\\" in path or ":" in path:
        return "holds a backslash or a colon"
    if path.startswith("/") or PurePosixPath(path).is_absolute():
        return "is absolute"
    parts = path.split("/")
    if ".." in parts:
        return "holds .."
    if "." in parts or "" in parts:
        return "holds an empty part or ."
    if unicodedata.normalize("NFC", path) != path:
        return "is not in Unicode's composed form (NFC)"
    return None


def default_created_at(environment: Mapping[str, str] | None = None) -> str:
    """$SOURCE_DATE_EPOCH (reproducible-builds.org) or now, as RFC 3339 in UTC. Raises ConfigError."""
    text = (os.environ if environment is None else environment).get("SOURCE_DATE_EPOCH")
    try:
        seconds = time.time() if text is None else int(text)
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        raise ConfigError(f"SOURCE_DATE_EPOCH is no number of seconds: {text!r}") from None


def is_rfc3339(value: str) -> bool:
    """Whether ``value`` is a date and time with its offset, as RFC 3339 writes it."""
    if not _RFC3339.fullmatch(value):
        return False
    try:
        return datetime.fromisoformat(value.upper()).tzinfo is not None
    except ValueError:
        return False


def _folded(path: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())


def _one_line(text: str) -> str:
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown[:500]
