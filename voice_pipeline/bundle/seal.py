"""Put the evaluation of a bundle, or the attestation, into it, without touching what was judged.

    digest = content_digest(folder)
    ...                                      # judge the bundle
    add_evaluation(folder, evaluation, expected_content_digest=digest)

The bundle is written again as a whole and takes its old place in one step, so that a reader sees the bundle
without the new file or with it, never a mixture. Every other file keeps its bytes and its entry.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voice_pipeline.atomic import atomic_folder
from voice_pipeline.bundle.format import (
    ATTESTATION_NAME,
    EVALUATION_NAME,
    MANIFEST_NAME,
    BundleManifest,
    FileEntry,
    content_digest,
    manifest_bytes,
    read_manifest,
)
from voice_pipeline.bundle.validation import require_valid
from voice_pipeline.failures import VoiceFailure


def add_evaluation(
    folder: Path, evaluation: Mapping[str, Any], *, expected_content_digest: str | None = None
) -> BundleManifest:
    """Write ``evaluation`` into the bundle as evaluation.json, replacing an earlier one. Returns the new manifest.

    ``expected_content_digest`` is of the bytes that were judged: another bundle in their place is refused.
    Raises VoiceFailure ``bundle_invalid`` for a bundle that is not whole, ValueError for NaN in the evaluation.
    """
    data = (json.dumps(evaluation, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()
    require_valid(folder)
    before = read_manifest(folder)
    digest = content_digest(before)
    if expected_content_digest is not None and digest != expected_content_digest:
        raise VoiceFailure(
            "bundle_invalid",
            f"the content digest is {digest}, the evaluation judged {expected_content_digest}",
            voice=before.voice_profile_id,
            file=folder,
        )
    return _with_file(folder, before, EVALUATION_NAME, data)


def add_attestation(folder: Path, envelope: bytes) -> BundleManifest:
    """Write a signed envelope into the bundle, replacing an earlier one. Returns the new manifest.

    Whether the envelope speaks about this bundle is ``promotion.signing``'s to say. Raises VoiceFailure
    ``bundle_invalid`` for a bundle that is not whole.
    """
    require_valid(folder)
    return _with_file(folder, read_manifest(folder), ATTESTATION_NAME, envelope)


def remove_attestation(folder: Path) -> BundleManifest:
    """Take an earlier promotion's envelope out of the bundle, if there is one. Returns the manifest as it is then.

    Raises VoiceFailure ``bundle_invalid`` for a bundle that has one and is not whole; ManifestError, OSError.
    """
    before = read_manifest(folder)
    if before.entry(ATTESTATION_NAME) is None:
        return before
    require_valid(folder)
    return _with_file(folder, before, ATTESTATION_NAME, None)


def _with_file(folder: Path, before: BundleManifest, path: str, data: bytes | None) -> BundleManifest:
    """The bundle with ``data`` at ``path``; None takes the file out."""
    kept = [entry for entry in before.files if entry.path != path]
    added = [] if data is None else [FileEntry(path=path, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))]
    files = tuple(sorted([*kept, *added], key=lambda entry: entry.path))
    manifest = before.model_copy(update={"files": files})
    with atomic_folder(folder) as temporary:
        for entry in kept:
            _link_or_copy(folder / entry.path, temporary / entry.path)
        if data is not None:
            (temporary / path).write_bytes(data)
        (temporary / MANIFEST_NAME).write_bytes(manifest_bytes(manifest))
        require_valid(temporary, voice=manifest.voice_profile_id)
    return manifest


def _link_or_copy(source: Path, target: Path) -> None:
    """The same bytes under another name: a hard link where the file system has them (a .nemo has 200 MB)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    real = source.resolve()
    try:
        os.link(real, target)
    except OSError:
        shutil.copyfile(real, target)
