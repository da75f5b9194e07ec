from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.cli import main
from voice_pipeline.licensing.weights_manifest import (
    InvalidManifestError,
    WeightsManifest,
    is_rfc3339,
    manifest_schema,
    parse_weights_manifest,
    schema_text,
    validate_weights_manifest,
)

PROJECT = Path(__file__).parents[2]

GOOD: dict[str, Any] = {
    "model_id": "example/base",
    "source_url": "https://example.org/base",
    "code_license": "Apache-2.0",
    "weights_license": "CC-BY-4.0",
    "commercial_use_allowed": True,
    "attribution_required": True,
    "evidence_links": ["https://example.org/base/LICENSE"],
    "checksum": "sha256:" + "0" * 64,
    "created_at": "2026-02-23T00:00:00Z",
}


def without(field: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != field}


# (what is written, exit code, error, field)
TABLE: list[tuple[dict[str, Any], int, str, str]] = [
    *((without(field), 4, "missing_field", field) for field in GOOD),
    ({}, 4, "missing_field", "model_id"),
    ({**without("checksum"), "commercial_use_allowed": False}, 4, "missing_field", "checksum"),
    ({**GOOD, "commercial_use_allowed": "true"}, 5, "invalid_type", "commercial_use_allowed"),
    ({**GOOD, "commercial_use_allowed": 1}, 5, "invalid_type", "commercial_use_allowed"),
    ({**GOOD, "commercial_use_allowed": 1.0}, 5, "invalid_type", "commercial_use_allowed"),
    ({**GOOD, "commercial_use_allowed": None}, 5, "invalid_type", "commercial_use_allowed"),
    ({**GOOD, "attribution_required": 0}, 6, "invalid_type", "attribution_required"),
    ({**GOOD, "attribution_required": "no"}, 6, "invalid_type", "attribution_required"),
    ({**GOOD, "evidence_links": []}, 7, "evidence_links", "evidence_links"),
    ({**GOOD, "evidence_links": "https://example.org"}, 7, "evidence_links", "evidence_links"),
    ({**GOOD, "evidence_links": [1]}, 7, "evidence_links", "evidence_links"),
    ({**GOOD, "evidence_links": [" "]}, 7, "evidence_links", "evidence_links"),
    ({**GOOD, "created_at": "yesterday"}, 8, "created_at", "created_at"),
    ({**GOOD, "created_at": "2026-02-30T00:00:00Z"}, 8, "created_at", "created_at"),
    ({**GOOD, "created_at": "2026-02-23T00:00:00"}, 8, "created_at", "created_at"),
    ({**GOOD, "created_at": 1771900000}, 8, "created_at", "created_at"),
    ({**GOOD, "commercial_use_allowed": False}, 9, "commercial_use_required", "commercial_use_allowed"),
    ({**GOOD, "commercial_use_allowed": False, "extra": 1}, 9, "commercial_use_required", "commercial_use_allowed"),
    ({**GOOD, "extra": 1}, 10, "invalid_field", "extra"),
    ({**GOOD, "checksum": "0" * 64}, 10, "invalid_field", "checksum"),
    ({**GOOD, "checksum": "sha256:" + "0" * 64 + "\n"}, 10, "invalid_field", "checksum"),
    ({**GOOD, "checksum": "md5:" + "0" * 64}, 10, "invalid_field", "checksum"),
    ({**GOOD, "model_id": ""}, 10, "invalid_field", "model_id"),
    ({**GOOD, "model_id": "a\nb"}, 10, "invalid_field", "model_id"),
    ({**GOOD, "weights_license": None}, 10, "invalid_field", "weights_license"),
    ({**GOOD, "source_url": "javascript:alert(1)"}, 10, "invalid_field", "source_url"),
]


@pytest.mark.parametrize(("value", "exit_code", "error", "field"), TABLE)
def test_every_fault_has_its_code(
    tmp_path: Path, value: dict[str, Any], exit_code: int, error: str, field: str
) -> None:
    path = tmp_path / "weights-manifest.json"
    path.write_text(json.dumps(value))
    code, line = validate_weights_manifest(path)
    assert code == exit_code
    assert line.startswith(f"[weights-manifest] error={error} field={field} ")


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"\xff", b"[]", b'"text"', b"null", b'{"model_id": NaN}', b'{"a": 1, "a": 2}', b"[" * 200_000,
        b'{"model_id": "\\ud800"}', b'{"\\ud800": 1}', b"9" * 10_000, b" " * (1 << 20) + b"{}",
    ],
)  # fmt: skip
def test_what_is_not_a_json_object(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "weights-manifest.json"
    path.write_bytes(data)
    code, line = validate_weights_manifest(path)
    assert code == 3
    assert line.startswith("[weights-manifest] error=invalid_json field=manifest ")


def test_what_is_not_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "nowhere.json", tmp_path, tmp_path / "fifo", tmp_path / "dangling", Path("a\0b")):
        code, line = validate_weights_manifest(path)
        assert (code, line.split()[1]) == (2, "error=manifest_not_found")
        assert line.isprintable()


def test_checksum_of_the_real_file(tmp_path: Path) -> None:
    import hashlib

    weights = tmp_path / "base.nemo"
    weights.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    path = tmp_path / "weights-manifest.json"
    for spelling in (digest, digest.upper()):
        path.write_text(json.dumps({**GOOD, "checksum": f"sha256:{spelling}"}))
        assert validate_weights_manifest(path, weights) == (0, "[weights-manifest] status=ok")
    weights.write_bytes(b"weightz")
    assert validate_weights_manifest(path, weights)[0] == 11
    for other in (tmp_path / "missing.nemo", tmp_path, Path("a\0b")):
        code, line = validate_weights_manifest(path, other)
        assert code == 11
        assert line.startswith("[weights-manifest] error=checksum_mismatch field=checksum ")


def test_the_command_prints_the_line_and_exits_with_the_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights-manifest.json"
    path.write_text(json.dumps(GOOD))
    assert main(["verify-weights", str(path)]) == 0
    assert capsys.readouterr().out == "[weights-manifest] status=ok\n"
    assert main(["verify-weights", str(path), "--file", str(path)]) == 11
    assert capsys.readouterr().out.count("\n") == 1


def test_the_published_schema_is_the_generated_one() -> None:
    published = PROJECT / "configs/voice/weights-manifest.schema.json"
    assert published.read_text(encoding="utf-8") == schema_text()
    schema = json.loads(schema_text())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    assert schema["properties"]["commercial_use_allowed"]["const"] is True
    assert schema["required"] == list(GOOD)


def test_the_published_example_is_valid() -> None:
    assert validate_weights_manifest(PROJECT / "configs/voice/weights-manifest.example.json")[0] == 0


def test_what_is_read_is_what_was_written() -> None:
    manifest = parse_weights_manifest(json.dumps(GOOD).encode())
    assert parse_weights_manifest(manifest.model_dump_json().encode()) == manifest


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("2026-02-23T00:00:00Z", True),
        ("2026-02-23t00:00:00z", True),
        ("2026-02-23 00:00:00.123456789+05:30", True),
        ("2016-12-31T23:59:60Z", True),
        ("2026-02-23T24:00:00Z", False),
        ("2026-02-23T00:00Z", False),
        ("2026-02-23", False),
        ("2026-13-01T00:00:00Z", False),
        ("2026-02-23T00:00:00+25:00", False),
        ("2026-02-23T00:00:00Z\n", False),
        ("٢٠٢٦-02-23T00:00:00Z", False),
    ],
)
def test_rfc3339(value: str, valid: bool) -> None:
    assert is_rfc3339(value) is valid


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_the_parser_answers_any_bytes_with_one_line(data: bytes) -> None:
    with pytest.raises(InvalidManifestError) as caught:
        parse_weights_manifest(data)
    line = str(caught.value)
    assert line.isprintable()
    line.encode("utf-8")


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*GOOD, "extra", "a b\n"]), json_values, max_size=3), st.data())
def test_one_line_and_the_schema_agree_with_the_model(changes: dict[str, Any], data: st.DataObject) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    value = {**GOOD, **changes}
    for field in data.draw(st.sets(st.sampled_from(list(GOOD)), max_size=1)):
        value.pop(field)
    try:
        manifest: WeightsManifest | None = parse_weights_manifest(json.dumps(value).encode())
    except InvalidManifestError as error:
        assert str(error).isprintable()
        assert f" field={error.field} " in str(error) or error.field == "a b\n"
        manifest = None
    by_schema = jsonschema.Draft202012Validator(manifest_schema()).is_valid(value)
    if isinstance(value.get("created_at"), str) and not is_rfc3339(value["created_at"]):
        assert manifest is None  # "format" is an annotation in JSON Schema; the model checks it
    else:
        assert by_schema is (manifest is not None)
