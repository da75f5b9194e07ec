"""Making the statement that a promotion signs: these files, made from these inputs, passed these gates.

    data = make(decision, certificate, folder)      # canonical JSON, the same bytes for the same inputs

``statement_format`` says what is in it. There is no clock time, host, user, path or run id in it: the manifest's
``created_at`` and the speed of speech stay outside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from voice_pipeline.bundle.format import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    BundleManifest,
    content_digest,
    parse_manifest,
)
from voice_pipeline.bundle.validation import read_bounded, validate_bundle
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.licensing.weights_manifest import MAX_MANIFEST_BYTES as MAX_WEIGHTS_MANIFEST_BYTES
from voice_pipeline.licensing.weights_manifest import InvalidManifestError, WeightsManifest, parse_weights_manifest
from voice_pipeline.promotion.statement_format import (
    BUILD_TYPE,
    BUILDER_ID,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    Constraint,
    listed_digests,
    manifest_facts,
    parse_statement,
)
from voice_pipeline.store import canonical_json

if TYPE_CHECKING:
    from voice_pipeline.promotion.decision import Decision
    from voice_pipeline.promotion.evidence import Evidence

_UNKNOWN = "unknown"


def make(decision: Decision, certificate: Mapping[str, Any], folder: Path) -> bytes:
    """The statement about the bundle in ``folder``, which ``decision`` judged, as canonical JSON.

    ``certificate`` is the verification's, as ``Certificate.to_json`` gives it. An attestation that is in the folder
    already has no part in it. Raises VoiceFailure: ``verification_failed`` for a NO-GO, a certificate that is not GREEN
    or of another decision, or another bundle than was judged; ``bundle_invalid`` for one that cannot be read.
    """
    from voice_pipeline.promotion.constraints import certified

    evidence = decision.evidence
    voice = evidence.voice.voice_profile_id
    if not decision.go:
        raise VoiceFailure("verification_failed", "a NO-GO is not attested", voice=voice)
    if certificate.get("status") != "GREEN" or certificate.get("integrityOk") is not True:
        raise VoiceFailure("verification_failed", "its certificate is not GREEN, so nothing is attested", voice=voice)
    try:
        root = folder.resolve(strict=True)
        written = read_bounded(root, MANIFEST_NAME, MAX_MANIFEST_BYTES)
        manifest = parse_manifest(written)
        weights = tuple(_weights(root, manifest))
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links
        raise VoiceFailure("bundle_invalid", f"it cannot be attested: {error}", voice=voice, file=folder) from error
    if (hashlib.sha256(written).hexdigest(), content_digest(manifest)) != (
        evidence.bundle.manifest_sha256,
        evidence.bundle.content_digest,
    ):
        raise VoiceFailure("verification_failed", "the bundle is not the one that was judged", voice=voice)
    # The manifest is the judged one, so its digests are those that were judged: do the files still have them?
    if problems := validate_bundle(root):
        raise VoiceFailure("bundle_invalid", f"it changed after it was judged: {problems[0]}", voice=voice, file=folder)
    try:
        data = canonical_json(_statement(decision, certificate, manifest, weights))
        gates = parse_statement(data).predicate.gates
    except (KeyError, TypeError, ValueError) as error:
        raise VoiceFailure("verification_failed", f"no statement can be made: {error!r}", voice=voice) from error
    if gates.problem is not None:
        raise VoiceFailure("verification_failed", f"{gates.problem}, so nothing is attested", voice=voice)
    if any(one not in certificate["constraints"] for one in certified(decision.constraints)):
        raise VoiceFailure("verification_failed", "its certificate is of another decision", voice=voice)
    return data


def _statement(
    decision: Decision, certificate: Mapping[str, Any], manifest: BundleManifest, weights: tuple[WeightsManifest, ...]
) -> dict[str, Any]:
    evidence = decision.evidence
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": path, "digest": {"sha256": digest}} for path, digest in listed_digests(manifest).items()],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": _chosen(evidence, manifest),
                "resolvedDependencies": [*_dependencies(evidence, manifest), *_weights_used(evidence, weights)],
            },
            "runDetails": {"builder": {"id": BUILDER_ID, "version": {"voice-pipeline": _code_version(manifest)}}},
            "manifest": manifest_facts(manifest),
            "gates": _gates(decision, certificate),
        },
    }


def _chosen(evidence: Evidence, manifest: BundleManifest) -> dict[str, Any]:
    voice, provenance = evidence.voice, manifest.provenance
    return {
        "voice_profile_id": voice.voice_profile_id,
        "language": voice.language,
        "lane": voice.lane,
        "job_type": voice.job_type,
        "recipe": provenance.recipe if provenance else voice.recipe,
        "seed": provenance.seed if provenance else voice.seed,
        "config_sha256": evidence.config_sha256,
        "recipe_sha256": provenance.recipe_sha256 if provenance else None,
    }


def _dependencies(evidence: Evidence, manifest: BundleManifest) -> Iterator[dict[str, Any]]:
    """Code, recordings, dataset and text frontend. A GO has all of them."""
    yield _code(manifest)
    provenance = manifest.provenance
    if evidence.source_sha256 is not None:
        licence = {"license": evidence.voice.source.license}
        yield {"name": "recordings", "digest": {"sha256": evidence.source_sha256}, "annotations": licence}
    if evidence.dataset is not None and evidence.dataset.manifest_sha256 is not None:
        yield {"name": "dataset manifest", "digest": {"sha256": evidence.dataset.manifest_sha256}}
    if provenance is not None and provenance.frontend_identity is not None:
        yield {"name": "text frontend", "digest": {"sha256": provenance.frontend_identity}}


def _code(manifest: BundleManifest) -> dict[str, Any]:
    """The code's commit, in in-toto's word for it; a work tree with changes says so."""
    descriptor: dict[str, Any] = {
        "name": "code",
        "uri": f"pkg:generic/voice-pipeline@{quote(_code_version(manifest), safe='')}",
    }
    commit, _, dirty = (manifest.provenance.commit if manifest.provenance else _UNKNOWN).partition("-")
    if commit == _UNKNOWN:
        return descriptor
    changed = {"annotations": {"dirty": True}} if dirty else {}
    return {**descriptor, "digest": {"gitCommit": commit}, **changed}


def _code_version(manifest: BundleManifest) -> str:
    return manifest.provenance.code_version if manifest.provenance else _UNKNOWN


def _weights(root: Path, manifest: BundleManifest) -> Iterator[WeightsManifest]:
    """The weights manifests that the bundle carries."""
    for path in sorted(manifest.provenance.weights_refs if manifest.provenance else ()):
        try:
            yield parse_weights_manifest(read_bounded(root, path, MAX_WEIGHTS_MANIFEST_BYTES))
        except InvalidManifestError as error:
            raise ValueError(f"{path}: {error}") from None


def _weights_used(evidence: Evidence, weights: tuple[WeightsManifest, ...]) -> Iterator[dict[str, Any]]:
    """Every set of weights with a part in the voice; what training started from is marked as such."""
    spec = evidence.training.spec if evidence.training else None
    bases = {file.sha256: str(model) for model, file in spec.base.items()} if spec else {}
    for one in sorted(weights, key=lambda one: (one.model_id, one.sha256)):
        base = {"base": bases[one.sha256]} if one.sha256 in bases else {}
        yield {
            "name": one.model_id,
            "uri": one.source_url,
            "digest": {"sha256": one.sha256},
            "annotations": {"weights_license": one.weights_license, **base},
        }
    carried = {one.sha256 for one in weights}
    for sha256, model in sorted(bases.items(), key=lambda item: item[1]):
        if sha256 not in carried:
            yield {"name": f"base {model}", "digest": {"sha256": sha256}, "annotations": {"base": model}}


def _gates(decision: Decision, certificate: Mapping[str, Any]) -> dict[str, Any]:
    evidence, voice = decision.evidence, decision.evidence.voice
    evaluation, training = evidence.evaluation.evaluation, evidence.training
    return {
        "verdict": "GO" if decision.go else "NO-GO",
        "blockers": [str(blocker) for blocker in decision.blockers],
        "constraints": [
            {key: one[key] for key in Constraint.model_fields if key in one} for one in certificate["constraints"]
        ],
        **{key: certificate[key] for key in ("certificateHash", "packId", "packVersion", "proxy", "metrics")},
        "evidence": {
            "training_identity": training.identity if training else None,
            "evaluation_digest": evaluation.digest if evaluation else None,
            "license_identity": evidence.license_identity,
        },
        "limits": evidence.gates.model_dump(mode="json"),
        "overrides": dict(voice.gates),
    }
