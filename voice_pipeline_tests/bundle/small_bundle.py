"""A bundle that is whole but cannot speak: a few bytes a file, for the tests of format, validation and seal."""

from __future__ import annotations

import hashlib
from pathlib import Path

from voice_pipeline.bundle.format import BundleManifest, FileEntry, Provenance, manifest_bytes

CONTENT: dict[str, bytes] = {
    "fastpitch.nemo": b"acoustic weights",
    "hifigan.nemo": b"vocoder weights",
    "sample.wav": b"RIFF....WAVE",
    "text/symbols.json": b"[]\n",
    "evaluation.json": b"{}\n",
    "weights/base.weights-manifest.json": b"{}\n",
}


def entry(path: str, content: bytes) -> FileEntry:
    return FileEntry(path=path, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def provenance() -> Provenance:
    return Provenance(
        commit="a" * 40,
        config_sha256="b" * 64,
        dataset_sha256="c" * 64,
        weights_refs=("weights/base.weights-manifest.json",),
        code_version="0.1.0",
        recipe="cpu_demo",
    )


def manifest(content: dict[str, bytes] = CONTENT) -> BundleManifest:
    return BundleManifest(
        bundle_version="voice_bundle/1",
        voice_profile_id="test_voice",
        display_name="Test Voice",
        created_at="2026-02-23T00:00:00Z",
        files=tuple(entry(path, content[path]) for path in sorted(content)),
        provenance=provenance(),
    )


def write_bundle(folder: Path, content: dict[str, bytes] = CONTENT) -> Path:
    for path, data in content.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    (folder / "manifest.json").write_bytes(manifest_bytes(manifest(content)))
    return folder
