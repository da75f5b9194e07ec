"""The statement that a promotion signs: these files, made from these inputs, passed these gates.

    data = make(decision, certificate, folder)      # canonical JSON, the same bytes for the same inputs
    statement = parse_statement(data)               # strict: raises StatementError

An in-toto Statement v1 (https://in-toto.io/Statement/v1). Its subject is every file of the bundle but the manifest and
the attestation. Its predicate has the two parts of SLSA's provenance v1, ``buildDefinition`` and ``runDetails``, and
two of ours: ``manifest``, all of the bundle's manifest that the subject does not say, and ``gates``, what was decided.

Law, held by a test: ``canonical_json(parse_statement(data).to_json()) == data`` for all ``data`` that is taken. There
is no clock time, host, user, path or run id in it: the manifest's ``created_at`` and the speed of speech stay outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from voice_pipeline.bundle.format import (
    ATTESTATION_NAME,
    MANIFEST_NAME,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    MAX_PATH_CHARS,
    BundleManifest,
    content_digest,
    parse_manifest,
)
from voice_pipeline.bundle.validation import read_bounded
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.licensing.weights_manifest import MAX_MANIFEST_BYTES as MAX_WEIGHTS_MANIFEST_BYTES
from voice_pipeline.licensing.weights_manifest import InvalidManifestError, WeightsManifest, parse_weights_manifest
from voice_pipeline.store import canonical_json, identity

if TYPE_CHECKING:
    from voice_pipeline.promotion.decision import Decision
    from voice_pipeline.promotion.evidence import Evidence

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:voice-pipeline:promotion:1"
BUILD_TYPE = "urn:voice-pipeline:build:nemo:1"
BUILDER_ID = "urn:voice-pipeline:builder"
MAX_BYTES = 8 << 20  # of a statement; its largest part is as long as a manifest, and that has 4 MiB
_SHA256 = r"^[0-9a-f]{64}$"
_UNKNOWN = "unknown"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Sha256(_Strict):
    """in-toto's DigestSet of a file, or of a canonical JSON text."""

    sha256: str = Field(pattern=_SHA256)


class Subject(_Strict):
    """One file of the bundle; ``name`` is its path in it."""

    name: str = Field(min_length=1, max_length=MAX_PATH_CHARS)
    digest: Sha256


class Dependency(_Strict):
    """in-toto's ResourceDescriptor of something that the voice was made from."""

    name: str = Field(min_length=1, max_length=500)
    uri: str | None = Field(None, min_length=1, max_length=2000)
    digest: dict[Literal["sha256", "gitCommit"], str] | None = Field(None, min_length=1)
    annotations: dict[str, str | bool] | None = Field(None, min_length=1)


class ExternalParameters(_Strict):
    """What a person chose."""

    voice_profile_id: str
    language: str
    lane: Literal["production"]
    job_type: str
    recipe: str
    seed: int | None
    config_sha256: str = Field(pattern=_SHA256, description="Of the canonical JSON of the voice's config.")
    recipe_sha256: str | None = Field(pattern=_SHA256, description="Of the canonical JSON of the resolved recipe.")


class BuildDefinition(_Strict):
    """SLSA v1: what was built, from what."""

    build_type: Literal["urn:voice-pipeline:build:nemo:1"] = Field(alias="buildType")
    external_parameters: ExternalParameters = Field(alias="externalParameters")
    resolved_dependencies: tuple[Dependency, ...] = Field(alias="resolvedDependencies", min_length=1)

    _lists = field_validator("resolved_dependencies", mode="before")(_tuple)


class Builder(_Strict):
    """SLSA v1: who built, which is this program and no machine."""

    id: Literal["urn:voice-pipeline:builder"]
    version: dict[str, str] = Field(min_length=1)


class RunDetails(_Strict):
    """SLSA v1: nothing that varies from run to run."""

    builder: Builder


class Constraint(_Strict):
    """One constraint of the verification, as its certificate names it."""

    id: str = Field(min_length=1, max_length=200)
    severity: Literal["HARD", "SOFT"]
    status: Literal["pass", "fail", "unknown"]
    value: JsonValue = None
    limit: JsonValue = None


class GateResults(_Strict):
    """What was decided on exactly these files."""

    verdict: Literal["GO", "NO-GO"]
    blockers: tuple[str, ...]
    constraints: tuple[Constraint, ...]
    certificate_hash: str = Field(pattern=_SHA256, alias="certificateHash")
    pack_id: str = Field(alias="packId", min_length=1, max_length=200)
    pack_version: str = Field(alias="packVersion", min_length=1, max_length=200)
    proxy: bool
    evidence: dict[str, str | None] = Field(description="Digests of what the decision was taken on.")
    metrics: dict[str, JsonValue] = Field(description="What was measured.")
    limits: dict[str, JsonValue]
    overrides: dict[str, JsonValue] = Field(description="Limits that the voice's config sets for itself.")

    _lists = field_validator("blockers", "constraints", mode="before")(_tuple)

    @property
    def problem(self) -> str | None:
        """Why this is no GO, or None for one that holds together."""
        if self.verdict != "GO":
            return f"its verdict is {self.verdict}"
        if self.blockers:
            return f"it names a blocker: {self.blockers[0]}"
        failed = [one.id for one in self.constraints if one.severity == "HARD" and one.status != "pass"]
        if failed:
            return f"the constraint {failed[0]} did not pass"
        hashed = identity(
            packId=self.pack_id,
            packVersion=self.pack_version,
            metrics=self.metrics,
            constraints=[one.model_dump(mode="json", exclude_unset=True) for one in self.constraints],
            proxy=self.proxy,
        )
        return None if hashed == self.certificate_hash else "its certificateHash is not of its constraints and metrics"


class BundleFacts(_Strict):
    """What the bundle's manifest says beside its list of files."""

    content_digest: str = Field(pattern=_SHA256)
    facts: dict[str, JsonValue]


class Predicate(_Strict):
    """The four parts of what is said about the subject."""

    build_definition: BuildDefinition = Field(alias="buildDefinition")
    run_details: RunDetails = Field(alias="runDetails")
    manifest: BundleFacts
    gates: GateResults


class Statement(_Strict):
    """An in-toto Statement v1 about one bundle."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: tuple[Subject, ...] = Field(min_length=1, max_length=MAX_FILES)
    predicate_type: Literal["urn:voice-pipeline:promotion:1"] = Field(alias="predicateType")
    predicate: Predicate

    _lists = field_validator("subject", mode="before")(_tuple)

    @model_validator(mode="after")
    def _sorted_without_double(self) -> Statement:
        names = [one.name for one in self.subject]
        if names != sorted(set(names)):
            raise ValueError("the subject is not sorted by name, or names a file twice")
        return self

    @property
    def digests(self) -> dict[str, str]:
        """sha256 of every file, by its path."""
        return {one.name: one.digest.sha256 for one in self.subject}

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the statement."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class StatementError(ValueError):
    """Bytes that are no statement. The message is one line."""


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
        manifest = parse_manifest(read_bounded(root, MANIFEST_NAME, MAX_MANIFEST_BYTES))
        weights = tuple(_weights(root, manifest))
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links
        raise VoiceFailure("bundle_invalid", f"it cannot be attested: {error}", voice=voice, file=folder) from error
    if content_digest(manifest) != evidence.bundle.content_digest:
        raise VoiceFailure("verification_failed", "the bundle is not the one that was judged", voice=voice)
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


def parse_statement(data: bytes) -> Statement:
    """Read a statement strictly: canonical JSON, no unknown key, no key twice. Raises StatementError."""
    if len(data) > MAX_BYTES:
        raise StatementError(f"larger than {MAX_BYTES} bytes")
    try:
        value = json.loads(data.decode("utf-8"))
        # One spelling only. So no key stands twice: the parser would keep one of the two.
        if canonical_json(value) != data:
            raise StatementError("not canonical JSON")
    except RecursionError:
        raise StatementError("nested too deeply") from None
    except StatementError:
        raise
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise StatementError(f"not JSON: {type(error).__name__}") from None
    try:
        return Statement.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "statement"
        raise StatementError("".join(c if c.isprintable() else " " for c in f"{where}: {first['msg']}")[:500]) from None
    except RecursionError:
        raise StatementError("nested too deeply") from None


def listed_digests(manifest: BundleManifest) -> dict[str, str]:
    """The files that a statement speaks about: path and sha256 of all that the manifest lists but the attestation."""
    return {entry.path: entry.sha256 for entry in _by_path(manifest) if entry.path != ATTESTATION_NAME}


def manifest_facts(manifest: BundleManifest) -> dict[str, Any]:
    """All of the manifest but its list of files, which is the subject, and ``created_at``, which is a clock time."""
    facts = manifest.model_dump(mode="json", exclude={"created_at", "files"}, exclude_none=True)
    return {"content_digest": content_digest(manifest), "facts": facts}


def _by_path(manifest: BundleManifest) -> list[Any]:
    return sorted(manifest.files, key=lambda entry: entry.path)


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
