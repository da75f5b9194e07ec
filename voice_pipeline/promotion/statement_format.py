"""The form of the statement that a promotion signs; ``statement`` makes one.

    statement = parse_statement(data)               # strict: raises StatementError

An in-toto Statement v1 (https://in-toto.io/Statement/v1). Its subject is every file of the bundle but the manifest and
the attestation. Its predicate has the two parts of SLSA's provenance v1, ``buildDefinition`` and ``runDetails``, and
two of ours: ``manifest``, all of the bundle's manifest that the subject does not say, and ``gates``, what was decided.

Law, held by a test: ``canonical_json(parse_statement(data).to_json()) == data`` for all ``data`` that is taken.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from voice_pipeline.bundle.format import (
    ATTESTATION_NAME,
    MAX_FILES,
    MAX_PATH_CHARS,
    BundleManifest,
    content_digest,
)
from voice_pipeline.store import canonical_json, identity
from voice_pipeline.strict_json import parse_json

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:voice-pipeline:promotion:1"
BUILD_TYPE = "urn:voice-pipeline:build:nemo:1"
BUILDER_ID = "urn:voice-pipeline:builder"
MAX_BYTES = 8 << 20  # of a statement; its largest part is as long as a manifest, and that has 4 MiB
_SHA256 = r"^[0-9a-f]{64}$"


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


def parse_statement(data: bytes) -> Statement:
    """Read a statement strictly: canonical JSON, no unknown key, no key twice. Raises StatementError."""
    if len(data) > MAX_BYTES:
        raise StatementError(f"larger than {MAX_BYTES} bytes")
    try:
        value = parse_json(data)
        if canonical_json(value) != data:  # one spelling only
            raise StatementError("not canonical JSON")
    except StatementError:
        raise
    except (ValueError, RecursionError) as error:  # what is just shallow enough to read may be too deep to write
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
