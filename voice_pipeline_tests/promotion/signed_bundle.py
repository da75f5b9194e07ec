"""A small bundle, a decision on it and its certificate, all fixed; and the published test keys of RFC 8032 to sign it.

Only the decision's evidence is made by hand: it holds what a statement is made of, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from voice_pipeline.bundle.format import BundleManifest, Provenance, content_digest, manifest_bytes, read_manifest
from voice_pipeline.failures import Blocker
from voice_pipeline.promotion.certificate import certify
from voice_pipeline.promotion.constraints import Constraint, certified
from voice_pipeline.promotion.signing import TrustedKeys, attest
from voice_pipeline.promotion.statement import make
from voice_pipeline.store import sha256_file
from voice_pipeline.voice import Voice
from voice_pipeline_tests.bundle.small_bundle import entry
from voice_pipeline_tests.conftest import PROJECT

BASE_SHA256 = "0123456789abcdef" * 4
BASE = "weights/base.weights-manifest.json"
CONTENT: dict[str, bytes] = {
    "evaluation.json": b"{}\n",
    "fastpitch.nemo": b"acoustic weights",
    "hifigan.nemo": b"vocoder weights",
    "sample.wav": b"RIFF....WAVE",
    "text/symbols.json": b"[]\n",
    BASE: (PROJECT / "configs/voice/weights-manifest.example.json").read_bytes(),
}
CONSTRAINTS = (
    Constraint("licence", "HARD", "pass", 0, 0, ""),
    Constraint("wer", "HARD", "pass", 0.08, 0.15, ""),
    Constraint("speed", "HARD", "pass", 0.3, 1.0, "", hashed="status"),
    Constraint("age", "SOFT", "fail", 400, 365, "", hashed="nothing"),
)


def certificate(*constraints: Constraint, **changes: Any) -> dict[str, Any]:
    """A GREEN certificate of these constraints."""
    content = {
        "packId": "voice-promotion",
        "packVersion": "1",
        "metrics": {"loss": 0.5, "wer": 0.08, "words": 120.0},
        "constraints": certified(constraints or CONSTRAINTS),
        "proxy": False,
    }
    return {**certify(content, green=True, integrity_ok=True).to_json(), **changes}


CERTIFICATE = certificate()
VOICE: dict[str, Any] = {
    "voice_profile_id": "test_voice",
    "display_name": "Test Voice",
    "recipe": "cpu_demo",
    "source": {"path": "data/test_voice", "license": "CC0-1.0"},
    "consent": {"speaker_type": "synthetic", "speaker": "a program", "status": "not_applicable"},
    "gates": {"max_wer": 0.15},
}
# RFC 8032, section 7.1, tests 1 and 2: keys that everybody knows.
SECRETS = (
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
)


def known_signer(number: int = 0) -> CryptoSigner:
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SECRETS[number])))


def trusted(*signers: CryptoSigner) -> TrustedKeys:
    return TrustedKeys(tuple(signer.public_key for signer in signers or (known_signer(),)))


def write_bundle(
    folder: Path, content: dict[str, bytes] = CONTENT, created_at: str = "2026-02-23T00:00:00Z", **changes: Any
) -> Path:
    for path, data in content.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    provenance = {
        "commit": "a" * 40,
        "config_sha256": "b" * 64,
        "dataset_sha256": "c" * 64,
        "weights_refs": (BASE,),
        "code_version": "0.1.0",
        "recipe": "cpu_demo",
        "recipe_sha256": "d" * 64,
        "seed": 1234,
        "frontend_identity": "e" * 64,
        "tensors_sha256": {"fastpitch": "f" * 64, "hifigan": "0" * 64},
    }
    manifest = BundleManifest(
        bundle_version="voice_bundle/1",
        voice_profile_id="test_voice",
        display_name="Test Voice",
        created_at=created_at,
        files=tuple(entry(path, content[path]) for path in sorted(content)),
        provenance=Provenance.model_validate({**provenance, **changes}),
    )
    (folder / "manifest.json").write_bytes(manifest_bytes(manifest))
    return folder


def decision(folder: Path, *blockers: Blocker, constraints: Sequence[Constraint] = CONSTRAINTS, **changes: Any) -> Any:
    """The decision on the bundle in ``folder``, GO without blockers."""
    facts: dict[str, Any] = {
        "voice": Voice.model_validate(VOICE),
        "config_sha256": "b" * 64,
        "gates": SimpleNamespace(model_dump=lambda mode: {"max_wer": 0.15, "max_real_time_factor": 1.0}),
        "source_sha256": "1" * 64,
        "dataset": SimpleNamespace(manifest_sha256="c" * 64),
        "training": SimpleNamespace(
            identity="2" * 64,
            spec=SimpleNamespace(base={"fastpitch": SimpleNamespace(sha256=BASE_SHA256, path=folder / "base.nemo")}),
        ),
        "bundle": SimpleNamespace(
            content_digest=content_digest(read_manifest(folder)), manifest_sha256=sha256_file(folder / "manifest.json")
        ),
        "evaluation": SimpleNamespace(evaluation=SimpleNamespace(digest="3" * 64)),
        "license_identity": "4" * 64,
    }
    evidence = SimpleNamespace(**{**facts, **changes})
    return SimpleNamespace(go=not blockers, blockers=blockers, constraints=constraints, evidence=evidence)


def signed_bundle(folder: Path, *signers: CryptoSigner, **changes: Any) -> Path:
    """A bundle that the first test key signed."""
    write_bundle(folder, **changes)
    attest(folder, make(decision(folder), CERTIFICATE, folder), *(signers or (known_signer(),)))
    return folder
