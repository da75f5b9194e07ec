"""The weights manifest: which licence a set of weights has, who says so, and which bytes are meant.

    code, line = validate_weights_manifest(Path("base.json"), Path("base.nemo"))
    print(line)            # [weights-manifest] status=ok
    sys.exit(code)         # 0

One pydantic model is the source of the published JSON Schema (draft 2020-12) and of the validator. A manifest is
untrusted input: the validator never raises and always answers one line.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.json_schema import GenerateJsonSchema

from voice_pipeline.store import sha256_file
from voice_pipeline.strict_json import parse_json

MAX_MANIFEST_BYTES = 1 << 20  # a manifest has some hundred bytes; more is not a manifest
SCHEMA_ID = "urn:voice-pipeline:weights-manifest:1"

EXIT_OK = 0
EXIT_MANIFEST_NOT_FOUND = 2
EXIT_INVALID_JSON = 3
EXIT_MISSING_FIELD = 4
EXIT_COMMERCIAL_USE_TYPE = 5
EXIT_ATTRIBUTION_TYPE = 6
EXIT_EVIDENCE_LINKS = 7
EXIT_CREATED_AT = 8
EXIT_COMMERCIAL_USE_REQUIRED = 9
EXIT_INVALID_FIELD = 10
EXIT_CHECKSUM_MISMATCH = 11

_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:)(\d{2})(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)  # RFC 3339, section 5.6, which allows a space for the T
_MAX_SHOWN = 160  # characters of a detail or a name on the line

_Text = Annotated[
    str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$")
]
_Link = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00-\x20\x7f]+$")]


class WeightsManifest(BaseModel):
    """The licence facts of one set of weights, and the sha256 of the one file that they speak about."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, title="Weights manifest")

    model_id: _Text = Field(description="The weights' id in the record of known weights.")
    source_url: Annotated[str, Field(max_length=2000, pattern=r"^https?://[^\x00-\x20\x7f]+$")] = Field(
        description="Where the weights come from."
    )
    code_license: _Text = Field(description="SPDX expression: the licence of the code that made the weights.")
    weights_license: _Text = Field(description="SPDX expression: the licence of the weights themselves.")
    commercial_use_allowed: Annotated[bool, Field(json_schema_extra={"const": True})] = Field(
        description="Weights that forbid commercial use are not accepted."
    )
    attribution_required: bool = Field(description="Whether the licence asks for attribution.")
    evidence_links: Annotated[list[_Link], Field(min_length=1)] = Field(
        description="Public pages that show the licences."
    )
    checksum: Annotated[str, Field(pattern=r"^sha256:[0-9a-fA-F]{64}$")] = Field(description="sha256 of the real file.")
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] = Field(
        description="When this manifest was written (RFC 3339)."
    )

    @field_validator("commercial_use_allowed")
    @classmethod
    def _checked_use(cls, value: bool) -> bool:  # a Literal[True] would take the number 1 as well
        if not value:
            raise ValueError("must be true")
        return value

    @field_validator("created_at")
    @classmethod
    def _checked_time(cls, value: str) -> str:
        if not is_rfc3339(value):
            raise ValueError("not an RFC 3339 date and time, such as 2026-02-23T00:00:00Z")
        return value

    @property
    def sha256(self) -> str:
        """The checksum as 64 lower-case hex digits."""
        return self.checksum.removeprefix("sha256:").lower()


class InvalidManifestError(ValueError):
    """A weights manifest that is not one: the validator's exit code, its word and the field."""

    def __init__(self, exit_code: int, code: str, field: str, detail: str) -> None:
        self.exit_code, self.code, self.field, self.detail = exit_code, code, field, detail
        name = "_".join(_shown(field).split()) or "_"
        super().__init__(f"error={code} field={name} detail={json.dumps(_shown(detail), ensure_ascii=False)}")


def validate_weights_manifest(
    path: Path, file: Path | None = None, *, fault: Callable[[str], str | None] | None = None
) -> tuple[int, str]:
    """The validator command: (exit code, the one line to print). ``file``: the weights to compare with the checksum.

    ``fault`` says why no licence can be read in an expression, as ``Policy.fault`` does; without it that is not asked.

    Exit codes: 0 ok; 2 manifest_not_found; 3 invalid_json; 4 missing_field; 5 and 6 invalid_type of the two
    booleans; 7 evidence_links; 8 created_at; 9 commercial_use_required; 10 any other invalid field;
    11 checksum_mismatch. With several faults the lowest code is told. Never raises.
    """
    try:
        manifest = read_weights_manifest(path)
        for field in ("code_license", "weights_license"):
            if fault is not None and (reason := fault(getattr(manifest, field))) is not None:
                raise InvalidManifestError(EXIT_INVALID_FIELD, "invalid_field", field, reason)
        if file is not None:
            check_file(manifest, file)
    except InvalidManifestError as error:
        return error.exit_code, f"[weights-manifest] {error}"
    return EXIT_OK, "[weights-manifest] status=ok"


def read_weights_manifest(path: Path) -> WeightsManifest:
    """Read and check one manifest. Raises InvalidManifestError."""
    return parse_weights_manifest(_read(path))


def parse_weights_manifest(data: bytes) -> WeightsManifest:
    """Check the text of a manifest: UTF-8 JSON, no key twice, no NaN. Raises InvalidManifestError."""
    try:
        value = parse_json(data)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # "\\ud800" is JSON, but no text
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise InvalidManifestError(EXIT_INVALID_JSON, "invalid_json", "manifest", str(error)) from None
    if not isinstance(value, dict):
        detail = f"expected an object, found {type(value).__name__}"
        raise InvalidManifestError(EXIT_INVALID_JSON, "invalid_json", "manifest", detail)
    try:
        return WeightsManifest.model_validate(value)
    except ValidationError as error:
        faults = [_fault(value, str(item["loc"][0]), item["type"], item["msg"]) for item in error.errors()]
        order = {name: place for place, name in enumerate(WeightsManifest.model_fields)}
        raise min(
            faults, key=lambda fault: (fault.exit_code, order.get(fault.field, len(order)), fault.field)
        ) from None


def check_file(manifest: WeightsManifest, file: Path) -> None:
    """Compare the weights' bytes with the checksum. Raises InvalidManifestError ``checksum_mismatch``."""
    try:
        found = sha256_file(file) if stat.S_ISREG(file.stat().st_mode) else "not a regular file"
    except (OSError, ValueError) as error:  # ValueError: NUL in the path
        found = f"cannot be read ({type(error).__name__})"
    if found != manifest.sha256:
        detail = f"{file.name}: {found}, the manifest says {manifest.sha256}"
        raise InvalidManifestError(EXIT_CHECKSUM_MISMATCH, "checksum_mismatch", "checksum", detail)


def manifest_schema() -> dict[str, Any]:
    """The published JSON Schema, generated from the model."""
    schema = WeightsManifest.model_json_schema(schema_generator=_Draft202012)
    return {"$schema": _Draft202012.schema_dialect, "$id": SCHEMA_ID, **schema}


def schema_text() -> str:
    """configs/voice/weights-manifest.schema.json, byte for byte."""
    return json.dumps(manifest_schema(), indent=2, ensure_ascii=True) + "\n"


def is_rfc3339(value: str) -> bool:
    """Whether ``value`` is a date and time with its offset, as RFC 3339 writes it (a leap second included)."""
    found = _RFC3339.fullmatch(value)
    if found is None:
        return False
    day, minute, second, _fraction, offset = found.groups()
    try:
        datetime.fromisoformat(f"{day}T{minute}{'59' if second == '60' else second}{offset.upper()}")
    except ValueError:
        return False
    return True


class _Draft202012(GenerateJsonSchema):
    schema_dialect = "https://json-schema.org/draft/2020-12/schema"


def _fault(value: Mapping[str, Any], field: str, kind: str, message: str) -> InvalidManifestError:
    """The validator's word for one error of the model."""
    if kind == "missing":
        return InvalidManifestError(EXIT_MISSING_FIELD, "missing_field", field, "required")
    if field == "commercial_use_allowed":
        if value[field] is False:
            detail = "the weights may not be used commercially"
            return InvalidManifestError(EXIT_COMMERCIAL_USE_REQUIRED, "commercial_use_required", field, detail)
        return InvalidManifestError(EXIT_COMMERCIAL_USE_TYPE, "invalid_type", field, "expected true or false")
    if field == "attribution_required":
        return InvalidManifestError(EXIT_ATTRIBUTION_TYPE, "invalid_type", field, "expected true or false")
    if field == "evidence_links":
        detail = f"expected a non-empty list of links: {message}"
        return InvalidManifestError(EXIT_EVIDENCE_LINKS, "evidence_links", field, detail)
    if field == "created_at":
        return InvalidManifestError(EXIT_CREATED_AT, "created_at", field, message)
    detail = "unknown field" if kind == "extra_forbidden" else message
    return InvalidManifestError(EXIT_INVALID_FIELD, "invalid_field", field, detail)


def _read(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a FIFO would block
            raise InvalidManifestError(EXIT_MANIFEST_NOT_FOUND, "manifest_not_found", "manifest", "not a regular file")
        with path.open("rb") as stream:
            data = stream.read(MAX_MANIFEST_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidManifestError):
            raise
        detail = f"{path} cannot be read ({type(error).__name__})"
        raise InvalidManifestError(EXIT_MANIFEST_NOT_FOUND, "manifest_not_found", "manifest", detail) from None
    if len(data) > MAX_MANIFEST_BYTES:
        detail = f"larger than {MAX_MANIFEST_BYTES} bytes"
        raise InvalidManifestError(EXIT_INVALID_JSON, "invalid_json", "manifest", detail)
    return data


def _shown(text: str) -> str:
    """``text`` on one line, printable everywhere, of bounded length; a field's name without spaces."""
    line = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return line if len(line) <= _MAX_SHOWN else f"{line[: _MAX_SHOWN - 1]}…"
