from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.failures import Blocker, VoiceFailure
from voice_pipeline.promotion.certificate import certificate_hash
from voice_pipeline.promotion.constraints import Constraint
from voice_pipeline.promotion.statement import make
from voice_pipeline.promotion.statement_format import MAX_BYTES, StatementError, parse_statement
from voice_pipeline.store import canonical_json
from voice_pipeline.voice import Voice
from voice_pipeline_tests.promotion.signed_bundle import (
    BASE,
    BASE_SHA256,
    CERTIFICATE,
    CONSTRAINTS,
    CONTENT,
    VOICE,
    certificate,
    decision,
    write_bundle,
)

GOLDEN = Path(__file__).parent / "golden_statement.json"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "voice_bundle")


def golden() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(GOLDEN.read_bytes())
    return value


# -- what is stated --------------------------------------------------------------------------------


def test_the_statement_of_known_inputs_is_known_byte_for_byte(bundle: Path) -> None:
    assert make(decision(bundle), CERTIFICATE, bundle) == GOLDEN.read_bytes().removesuffix(b"\n")


def test_place_time_and_speed_are_not_stated(bundle: Path, tmp_path: Path) -> None:
    elsewhere = write_bundle(tmp_path / "another/place", created_at="2031-12-31T23:59:59Z")
    slower = [*CONSTRAINTS[:2], replace(CONSTRAINTS[2], value=0.9), replace(CONSTRAINTS[3], value=401)]
    data = make(decision(elsewhere, constraints=slower), certificate(*slower), elsewhere)
    assert data == make(decision(bundle), CERTIFICATE, bundle)
    for word in (b"2031", b"2026", str(tmp_path).encode(), b"0.3", b"0.9"):
        assert word not in data


def test_every_listed_file_but_the_attestation_is_the_subject(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", {**CONTENT, "attestation.dsse.json": b"an older one"})
    statement = parse_statement(make(decision(folder), CERTIFICATE, folder))
    assert list(statement.digests) == sorted(CONTENT)


def test_inputs_have_ids_and_digests(bundle: Path) -> None:
    build = golden()["predicate"]["buildDefinition"]
    found = {one["name"]: one for one in build["resolvedDependencies"]}
    assert set(found) == {"code", "recordings", "dataset manifest", "text frontend", "example/fastpitch-en"}
    assert found["code"]["digest"] == {"gitCommit": "a" * 40}
    assert found["recordings"] == {
        "name": "recordings",
        "digest": {"sha256": "1" * 64},
        "annotations": {"license": "CC0-1.0"},
    }
    assert found["example/fastpitch-en"]["digest"] == {"sha256": BASE_SHA256}
    assert found["example/fastpitch-en"]["annotations"] == {"base": "fastpitch", "weights_license": "CC-BY-4.0"}


@pytest.mark.parametrize(
    ("commit", "stated"),
    [
        ("a" * 40 + "-dirty", {"digest": {"gitCommit": "a" * 40}, "annotations": {"dirty": True}}),
        ("unknown", {}),
    ],
)
def test_code_that_is_unknown_or_changed_is_not_called_a_commit(tmp_path: Path, commit: str, stated: object) -> None:
    folder = write_bundle(tmp_path / "b", commit=commit)
    statement = json.loads(make(decision(folder), CERTIFICATE, folder))
    code = statement["predicate"]["buildDefinition"]["resolvedDependencies"][0]
    assert code == {"name": "code", "uri": "pkg:generic/voice-pipeline@0.1.0", **stated}  # type: ignore[dict-item]


def test_a_base_without_a_weights_manifest_is_stated_by_its_digest(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", {**CONTENT}, weights_refs=())
    build = json.loads(make(decision(folder), CERTIFICATE, folder))["predicate"]["buildDefinition"]
    assert build["resolvedDependencies"][-1] == {
        "name": "base fastpitch",
        "digest": {"sha256": BASE_SHA256},
        "annotations": {"base": "fastpitch"},
    }


# -- what is not stated at all ---------------------------------------------------------------------


def test_a_no_go_is_not_attested(bundle: Path) -> None:
    refused = decision(bundle, Blocker("quality_below_threshold", "wer is 0.3"))
    with pytest.raises(VoiceFailure, match="a NO-GO is not attested") as caught:
        make(refused, CERTIFICATE, bundle)
    assert caught.value.reason == "verification_failed"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"status": "RED"}, "not GREEN"),
        ({"integrityOk": False}, "not GREEN"),
        ({"integrityOk": "yes"}, "not GREEN"),
        ({"certificateHash": "not a digest"}, "certificateHash"),
        ({"certificateHash": None}, "certificateHash"),
        ({"constraints": None}, "no statement can be made"),
        ({"constraints": [{**CERTIFICATE["constraints"][1], "status": "unknown"}]}, "wer did not pass"),
        ({"constraints": [{**CERTIFICATE["constraints"][1], "value": float("nan")}]}, "statement"),
        ({"constraints": CERTIFICATE["constraints"][:2]}, "certificateHash is not of its constraints"),
        ({"metrics": {"wer": 0.01}}, "certificateHash is not of its constraints"),
        ({"packVersion": "2"}, "certificateHash is not of its constraints"),
        ({"proxy": True}, "certificateHash is not of its constraints"),
    ],
)
def test_a_certificate_that_is_not_green_attests_nothing(bundle: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(VoiceFailure, match=told) as caught:
        make(decision(bundle), {**CERTIFICATE, **change}, bundle)
    assert caught.value.reason == "verification_failed"


@pytest.mark.parametrize(
    "key", ["status", "integrityOk", "certificateHash", "constraints", "metrics", "packId", "packVersion", "proxy"]
)
def test_half_a_certificate_attests_nothing(bundle: Path, key: str) -> None:
    with pytest.raises(VoiceFailure) as caught:
        make(decision(bundle), {name: part for name, part in CERTIFICATE.items() if name != key}, bundle)
    assert caught.value.reason == "verification_failed"


def test_the_certificate_of_another_decision_attests_nothing(bundle: Path) -> None:
    better = [CONSTRAINTS[0], replace(CONSTRAINTS[1], value=0.01)]
    for other in (better, CONSTRAINTS[:1]):
        with pytest.raises(VoiceFailure, match="another decision"):
            make(decision(bundle), certificate(*other), bundle)


def test_a_verification_may_have_asked_for_more(bundle: Path) -> None:
    asked = Constraint("adapter.pass", "HARD", "pass", None, "PASS", "")
    data = make(decision(bundle), certificate(*CONSTRAINTS, asked), bundle)
    assert parse_statement(data).predicate.gates.constraints[-1].id == "adapter.pass"


def test_a_soft_constraint_may_fail(bundle: Path) -> None:
    soft = Constraint("words", "SOFT", "fail", 1, 2, "")
    data = make(decision(bundle), certificate(*CONSTRAINTS, soft), bundle)
    assert parse_statement(data).predicate.gates.constraints[-1].status == "fail"


def test_an_auditor_computes_the_certificates_hash_from_the_statement() -> None:
    gates = golden()["predicate"]["gates"]
    assert certificate_hash(gates) == gates["certificateHash"] == CERTIFICATE["certificateHash"]


def test_another_bundle_than_was_judged_is_refused(bundle: Path, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "other", {**CONTENT, "sample.wav": b"RIFF!!!!WAVE"})
    with pytest.raises(VoiceFailure, match="not the one that was judged"):
        make(decision(bundle), CERTIFICATE, other)


def test_facts_that_changed_after_the_judgement_are_refused(bundle: Path) -> None:
    judged = decision(bundle)
    path = bundle / "manifest.json"
    path.write_text(path.read_text().replace("Test Voice", "Somebody Famous"))
    with pytest.raises(VoiceFailure, match="not the one that was judged"):
        make(judged, CERTIFICATE, bundle)


def test_a_file_that_changed_after_the_judgement_is_refused(bundle: Path) -> None:
    judged = decision(bundle)
    (bundle / "sample.wav").write_bytes(b"RIFF!!!!WAVE")
    with pytest.raises(VoiceFailure, match=r"changed after it was judged.*sample\.wav") as caught:
        make(judged, CERTIFICATE, bundle)
    assert caught.value.reason == "bundle_invalid"


def test_an_experimental_voice_cannot_be_stated(bundle: Path) -> None:
    voice = Voice.model_validate({**VOICE, "lane": "experimental"})
    with pytest.raises(VoiceFailure, match="lane"):
        make(decision(bundle, voice=voice), CERTIFICATE, bundle)


@pytest.mark.parametrize("spoil", ["no manifest", "no JSON", "a weights manifest gone", "a weights manifest spoilt"])
def test_a_bundle_that_cannot_be_read_is_bundle_invalid(bundle: Path, spoil: str) -> None:
    judged = decision(bundle)
    path = bundle / (BASE if "weights" in spoil else "manifest.json")
    path.unlink()
    if spoil in ("no JSON", "a weights manifest spoilt"):
        path.write_bytes(b"{}\n")
    with pytest.raises(VoiceFailure) as caught:
        make(judged, CERTIFICATE, bundle)
    assert caught.value.reason == "bundle_invalid"


# -- reading ---------------------------------------------------------------------------------------


def test_what_was_made_is_read_again_as_it_was() -> None:
    data = canonical_json(golden())
    assert canonical_json(parse_statement(data).to_json()) == data


def _change(value: dict[str, Any], path: str, new: object) -> dict[str, Any]:
    changed = copy.deepcopy(value)
    *parents, last = path.split(".")
    place: Any = changed
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    if new is None:
        del place[last]
    else:
        place[int(last) if last.isdigit() else last] = new
    return changed


WRONG: list[tuple[str, object]] = [
    ("_type", "https://in-toto.io/Statement/v0.1"),
    ("predicateType", "https://slsa.dev/provenance/v1"),
    ("subject", []),
    ("subject.0.digest", {"sha256": "A" * 64}),
    ("subject.0.digest", {"md5": "0" * 32}),
    ("subject.0.name", ""),
    ("subject.0.name", "zzz"),  # no longer sorted
    ("subject.1.name", "evaluation.json"),  # twice
    ("surplus", 1),
    ("predicate.surplus", 1),
    ("predicate.gates", None),
    ("predicate.gates.verdict", "YES"),
    ("predicate.gates.certificateHash", "0" * 63),
    ("predicate.gates.constraints.0.severity", "soft"),
    ("predicate.gates.metrics", []),
    ("predicate.manifest.content_digest", None),
    ("predicate.buildDefinition.externalParameters.lane", "experimental"),
    ("predicate.buildDefinition.externalParameters.seed", 1234.0),
    ("predicate.buildDefinition.resolvedDependencies", []),
    ("predicate.runDetails.builder.id", "https://example.org/another"),
]


@pytest.mark.parametrize(("path", "new"), WRONG)
def test_anything_else_is_no_statement(path: str, new: object) -> None:
    with pytest.raises(StatementError) as caught:
        parse_statement(canonical_json(_change(golden(), path, new)))
    assert "\n" not in str(caught.value)


def test_every_key_is_needed() -> None:
    optional = {"value", "limit", "uri", "digest", "annotations", "base", "weights_license", "license"}
    free = {"facts", "metrics", "limits", "overrides", "evidence", "version"}
    tried = 0

    def without(value: Any, path: str) -> None:
        nonlocal tried
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            here = f"{path}.{key}".lstrip(".")
            if isinstance(value, dict) and key not in optional:
                tried += 1
                with pytest.raises(StatementError):
                    parse_statement(canonical_json(_change(golden(), here, None)))
            if isinstance(part, dict | list) and key not in free:
                without(part, here)

    without(golden(), "")
    assert tried > 30


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'{"_type":1,"_type":2}',
        b"\xff",
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'"\\ud800"',
        b"[" * 100_000,
        b"1" * 5000,
        GOLDEN.read_bytes(),  # its last byte is a line's end
        GOLDEN.read_bytes().strip().replace(b":", b": ", 1),
        GOLDEN.read_bytes().strip().replace(b'"_type":', b'"_type":"x","_type":', 1),
        b" " * (MAX_BYTES + 1),
    ],
)
def test_there_is_one_spelling(data: bytes) -> None:
    with pytest.raises(StatementError):
        parse_statement(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def _paths(value: Any) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(key, *rest) for key, part in items for rest in [(), *_paths(part)]]


@given(st.data())
def test_what_is_taken_is_read_as_it_was_written(data: st.DataObject) -> None:
    value = golden()
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(_paths(value)))
        place: Any = value
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = data.draw(JSON)
    try:
        text = canonical_json(value)
    except UnicodeEncodeError:
        return
    try:
        statement = parse_statement(text)
    except StatementError:
        return
    assert canonical_json(statement.to_json()) == text


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parser_fall(data: bytes) -> None:
    with pytest.raises(StatementError):
        parse_statement(data)
