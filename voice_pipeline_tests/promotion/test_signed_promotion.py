"""A promotion with a key: the real gates, a real release, and every byte of it under the signature."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest

from voice_pipeline.bundle.format import manifest_bytes, read_manifest
from voice_pipeline.bundle.validation import validate_bundle
from voice_pipeline.promotion import registry, releases
from voice_pipeline.promotion.signing import TrustedKeys, attestation_problems, keygen, signed_by, verification_key
from voice_pipeline.promotion.statement_format import parse_statement
from voice_pipeline.store import Store
from voice_pipeline_tests.bundle.small_bundle import entry
from voice_pipeline_tests.ready_voice import NAME, ReadyVoice, make_ready_voice

pytestmark = pytest.mark.evaluation


@pytest.fixture(scope="module")
def signed(ready_voice: ReadyVoice, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrustedKeys]:
    """The release of a promotion that signed, and the key to trust."""
    folder = tmp_path_factory.mktemp("signed")
    ready = ready_voice.copy(folder / "project")
    private, public, key_id = keygen(folder / "keys/signing.key", ready.store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOICE_SIGNING_KEY", str(private))
        record = ready.promote()
    assert record.signed_by == key_id
    trusted = verification_key(public, store=ready.store)
    assert trusted is not None
    return ready.store.resolve(record.promoted), trusted


def test_the_promoted_bundle_is_signed(signed: tuple[Path, TrustedKeys]) -> None:
    release, trusted = signed
    bundle = release / "voice_bundle"
    assert validate_bundle(bundle, production=True) == []
    assert attestation_problems(bundle, trusted) == []
    assert signed_by(bundle, trusted) == trusted.ids
    envelope = json.loads((bundle / "attestation.dsse.json").read_bytes())
    assert base64.b64decode(envelope["payload"]) == (release / "statement.json").read_bytes()


def test_the_statement_says_what_was_decided(signed: tuple[Path, TrustedKeys]) -> None:
    release, _ = signed
    data = (release / "statement.json").read_bytes()
    predicate = parse_statement(data).predicate
    certificate = json.loads((release / "certificate.json").read_bytes())
    decision = json.loads((release / "decision.json").read_bytes())
    assert predicate.gates.certificate_hash == certificate["certificateHash"]
    assert predicate.manifest.content_digest == decision["evidence"]["content_digest"]
    assert predicate.gates.overrides == decision["gate_overrides"]
    names = {one.name: one for one in predicate.build_definition.resolved_dependencies}
    assert names["recordings"].digest == {"sha256": decision["evidence"]["source_sha256"]}
    assert {"code", "dataset manifest", "text frontend"} < set(names)
    assert str(release.parents[4]).encode() not in data and "real_time_factor" not in predicate.gates.metrics


def test_a_flipped_bit_in_any_file_of_the_release_is_refused(signed: tuple[Path, TrustedKeys]) -> None:
    bundle, trusted = signed[0] / "voice_bundle", signed[1]
    tried = 0
    for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
        name, before, manifest = path.relative_to(bundle).as_posix(), path.read_bytes(), bundle / "manifest.json"
        spoilt = bytearray(before)
        spoilt[len(spoilt) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(bytes(spoilt))
        found = attestation_problems(bundle, trusted)
        assert found and {problem.code for problem in found} == {"signature_invalid"}, name
        assert name in ("manifest.json", "attestation.dsse.json") or name in {problem.path for problem in found}
        if name != "manifest.json":  # and now with a manifest that fits the altered file
            sealed = manifest.read_bytes()
            old = read_manifest(bundle)
            files = tuple(entry(name, bytes(spoilt)) if one.path == name else one for one in old.files)
            manifest.write_bytes(manifest_bytes(old.model_copy(update={"files": files})))
            assert validate_bundle(bundle) == []
            assert attestation_problems(bundle, trusted, validated=True), name
            manifest.write_bytes(sealed)
        path.write_bytes(before)
        tried += 1
    assert tried > 15
    assert attestation_problems(bundle, trusted) == []


def test_a_release_that_is_promoted_again_without_a_key_carries_no_old_signature(
    signed: tuple[Path, TrustedKeys], tmp_path: Path
) -> None:
    shutil.copytree(signed[0].parents[4], tmp_path / "project", symlinks=True)
    ready = ReadyVoice(tmp_path / "project")
    shutil.rmtree(ready.bundle)
    shutil.copytree(ready.store.release(NAME, 1) / "voice_bundle", ready.bundle)
    record = ready.promote()
    entry = registry.current(ready.store, NAME)
    assert entry is not None and (entry.release, record.release, entry.signed_by) == (2, 2, None)
    assert releases.problems(ready.store, NAME, 2, entry.facts()) == ()
    found = attestation_problems(ready.store.release(NAME, 2) / "voice_bundle", signed[1])
    assert [problem.code for problem in found] == ["signature_missing"]


@pytest.mark.slow
def test_two_clean_runs_give_the_same_statement_and_envelope(
    signed: tuple[Path, TrustedKeys], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = make_ready_voice(tmp_path / "elsewhere")
    monkeypatch.setenv("VOICE_SIGNING_KEY", str(signed[0].parents[5] / "keys/signing.key"))
    record = again.promote()
    release = again.store.resolve(record.promoted)
    for name in ("statement.json", "certificate.json", "voice_bundle/attestation.dsse.json"):
        assert (release / name).read_bytes() == (signed[0] / name).read_bytes(), name
    assert Store(tmp_path / "elsewhere/store").release(NAME, 1) == release
