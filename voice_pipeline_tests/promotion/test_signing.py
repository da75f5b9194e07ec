"""A signature holds for exactly one bundle: everything else that somebody could hand in is refused, and named."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.signer import CryptoSigner

from voice_pipeline.bundle.format import content_digest, manifest_bytes, read_manifest
from voice_pipeline.bundle.seal import remove_attestation
from voice_pipeline.bundle.validation import validate_bundle
from voice_pipeline.cli import main
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.promotion.signing import (
    MAX_ENVELOPE_BYTES,
    SignatureInvalidError,
    attest,
    attestation_problems,
    load_signer,
    sign,
    signed_by,
    verify,
)
from voice_pipeline.promotion.statement import make
from voice_pipeline.promotion.statement_format import parse_statement
from voice_pipeline.store import Store, canonical_json
from voice_pipeline_tests.bundle.small_bundle import entry
from voice_pipeline_tests.promotion.signed_bundle import (
    CERTIFICATE,
    CONTENT,
    decision,
    known_signer,
    signed_bundle,
    trusted,
    write_bundle,
)

NAME = "attestation.dsse.json"
KNOWN_SIGNATURE = "1KMRlGdXv/YDBG+DWrVURKZSG4/bHhFx2hf1s8oNEcpM273gwX7dzvAXCg+QLXAYccZ/uZpKXPRsJEC2oj22Aw=="


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    return signed_bundle(tmp_path / "voice_bundle")


def told(folder: Path, *signers: CryptoSigner, validated: bool = False) -> list[str]:
    return [str(problem) for problem in attestation_problems(folder, trusted(*signers), validated=validated)]


def reseal(folder: Path, **changes: Any) -> None:
    """Make the manifest true for the files again, as somebody would who can write the folder."""
    old = read_manifest(folder)
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = tuple(entry(path, (folder / path).read_bytes()) for path in paths if path != "manifest.json")
    rewrite(folder / "manifest.json", manifest_bytes(old.model_copy(update={"files": files, **changes})))
    assert validate_bundle(folder) == []


def rewrite(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def envelope_of(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / NAME).read_bytes())
    return value


def put_envelope(folder: Path, value: dict[str, Any] | bytes) -> None:
    rewrite(folder / NAME, value if isinstance(value, bytes) else json.dumps(value).encode())
    reseal(folder)


def resigned(folder: Path, change: Callable[[dict[str, Any]], None], signer: CryptoSigner | None = None) -> None:
    """Put in an envelope around a changed statement, rightly signed."""
    statement = json.loads(base64.b64decode(envelope_of(folder)["payload"]))
    change(statement)
    put_envelope(folder, sign(canonical_json(statement), signer or known_signer()))


# -- what holds ------------------------------------------------------------------------------------


def test_a_signed_bundle_is_whole_and_has_no_problem(signed: Path) -> None:
    assert validate_bundle(signed) == []
    assert told(signed) == told(signed, validated=True) == []
    assert signed_by(signed, trusted()) == (known_signer().public_key.keyid,)
    assert not [path for path in signed.parent.iterdir() if path != signed]


def test_the_signature_changes_nothing_that_was_judged(tmp_path: Path) -> None:
    before = write_bundle(tmp_path / "unsigned")
    after = signed_bundle(tmp_path / "signed")
    assert content_digest(before) == content_digest(after)
    listed = read_manifest(after)
    assert [one for one in listed.files if one.path != NAME] == list(read_manifest(before).files)
    assert listed.created_at == read_manifest(before).created_at


def test_the_same_statement_and_key_give_the_same_envelope(tmp_path: Path) -> None:
    one, other = signed_bundle(tmp_path / "one"), signed_bundle(tmp_path / "other", created_at="2030-01-01T00:00:00Z")
    assert (one / NAME).read_bytes() == (other / NAME).read_bytes()
    assert envelope_of(one)["signatures"] == [
        {"keyid": known_signer().public_key.keyid, "sig": KNOWN_SIGNATURE},
    ]


def test_a_bundle_may_be_signed_again(signed: Path) -> None:
    statement = make(decision(signed), CERTIFICATE, signed)
    attest(signed, statement, known_signer(1))
    assert told(signed, known_signer(1)) == []
    assert "no trusted key signed it" in told(signed)[0]


def test_two_signatures_of_which_one_is_trusted(signed: Path) -> None:
    statement = make(decision(signed), CERTIFICATE, signed)
    put_envelope(signed, sign(statement, known_signer(0), known_signer(1)))
    assert told(signed) == told(signed, known_signer(1)) == told(signed, known_signer(0), known_signer(1)) == []
    assert len(signed_by(signed, trusted(known_signer(0), known_signer(1)))) == 2
    assert "no trusted key" in told(signed, CryptoSigner.generate_ed25519())[0]


# -- what does not ---------------------------------------------------------------------------------


def test_an_unsigned_bundle_is_signature_missing(tmp_path: Path) -> None:
    assert told(write_bundle(tmp_path / "b")) == [f"signature_missing: {NAME}: the bundle is not signed"]


def test_an_attestation_that_is_there_but_not_listed_does_not_count(signed: Path) -> None:
    files = tuple(one for one in read_manifest(signed).files if one.path != NAME)
    manifest = read_manifest(signed).model_copy(update={"files": files})
    rewrite(signed / "manifest.json", manifest_bytes(manifest))
    assert told(signed) == [f"signature_missing: {NAME}: the bundle is not signed"]


def test_an_attestation_that_is_listed_but_not_there_is_missing(signed: Path) -> None:
    (signed / NAME).unlink()
    assert told(signed) == [f"signature_missing: {NAME}: no such file"]


def test_a_folder_that_is_no_bundle_is_invalid(tmp_path: Path) -> None:
    assert told(tmp_path / "none")[0].startswith("signature_invalid: manifest.json: cannot be read")


@pytest.mark.parametrize("path", sorted(CONTENT))
@pytest.mark.parametrize("fitting", [False, True], ids=["file alone", "manifest too"])
def test_a_flipped_bit_in_any_file_is_found_and_named(signed: Path, path: str, fitting: bool) -> None:
    data = bytearray((signed / path).read_bytes())
    data[len(data) // 2] ^= 1
    rewrite(signed / path, bytes(data))
    if fitting:
        reseal(signed)
    found = told(signed)
    assert found and all(line.startswith("signature_invalid: ") for line in found)
    assert any(line.startswith(f"signature_invalid: {path}: ") and "what was signed is" in line for line in found)
    assert bool(told(signed, validated=True)) is fitting  # the other half is validate_bundle's to find
    assert fitting or [problem.code for problem in validate_bundle(signed)] == ["checksum_mismatch"]


def test_a_flipped_bit_anywhere_in_the_envelope_is_found(signed: Path) -> None:
    data = (signed / NAME).read_bytes()
    keys = trusted()
    for place in range(len(data)):
        spoilt = bytearray(data)
        spoilt[place] ^= 1 << place % 8
        with pytest.raises(SignatureInvalidError):
            verify(bytes(spoilt), keys)
    assert len(data) > 4000


def test_a_flipped_bit_anywhere_in_the_manifest_is_found_but_in_its_clock_time(signed: Path) -> None:
    path = signed / "manifest.json"
    data = path.read_bytes()
    start = data.index(b"2026-02-23T00:00:00Z")
    free = range(start, start + len(b"2026-02-23T00:00:00Z"))
    for place in range(len(data)):
        spoilt = bytearray(data)
        spoilt[place] ^= 1 << place % 8
        rewrite(path, bytes(spoilt))
        if place not in free:
            assert told(signed, validated=True) or validate_bundle(signed), (place, data[place - 20 : place + 20])


MANIFEST_CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "display_name": lambda value: value.update(display_name="Somebody Else"),
    "voice_profile_id": lambda value: value.update(voice_profile_id="other_voice"),
    "provenance": lambda value: value["provenance"].update(seed=4321),
    "provenance gone": lambda value: value.pop("provenance"),
    "spelled": lambda value: value["files"].reverse(),
}


@pytest.mark.parametrize("name", MANIFEST_CHANGES)
def test_no_fact_of_the_manifest_can_be_changed(signed: Path, name: str) -> None:
    value = json.loads((signed / "manifest.json").read_bytes())
    MANIFEST_CHANGES[name](value)
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    rewrite(signed / "manifest.json", text.encode())
    assert validate_bundle(signed) == []
    found = told(signed)
    assert found and name.split()[0] in found[0] and found[0].startswith("signature_invalid: manifest.json: ")


def test_a_manifest_in_another_spelling_is_not_the_sealed_one(signed: Path) -> None:
    value = json.loads((signed / "manifest.json").read_bytes())
    rewrite(signed / "manifest.json", json.dumps(value).encode())
    assert told(signed) == ["signature_invalid: manifest.json: is not spelled as the bundle was sealed"]


def test_more_and_less_than_was_signed_is_named(signed: Path) -> None:
    (signed / "text/lexicon.json").write_bytes(b"{}")
    (signed / "sample.wav").unlink()
    (signed / "hifigan.nemo").unlink()
    os.link(signed / "fastpitch.nemo", signed / "hifigan.nemo")
    reseal(signed)
    found = [line for line in told(signed) if "manifest.json" not in line]
    assert "signature_invalid: sample.wav: was signed, but is not listed" in found
    assert "signature_invalid: text/lexicon.json: is listed, but was not signed" in found
    assert any(line.startswith("signature_invalid: hifigan.nemo: the manifest says sha256") for line in found)
    assert not any("fastpitch" in line for line in found)


def test_the_envelope_of_an_older_bundle_of_this_voice(signed: Path, tmp_path: Path) -> None:
    older = signed_bundle(tmp_path / "older", content={**CONTENT, "fastpitch.nemo": b"acoustic weightz"})
    assert told(older) == []
    put_envelope(signed, (older / NAME).read_bytes())
    assert any(line.startswith("signature_invalid: fastpitch.nemo: ") for line in told(signed))


def test_the_statement_of_another_voice(signed: Path) -> None:
    def rename(value: dict[str, Any]) -> None:
        value["predicate"]["buildDefinition"]["externalParameters"]["voice_profile_id"] = "other_voice"

    resigned(signed, rename)
    assert told(signed) == [f"signature_invalid: {NAME}: was signed for another voice"]


VERDICTS: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (lambda gates: gates.update(verdict="NO-GO"), "its verdict is NO-GO"),
    (lambda gates: gates.update(blockers=["license_unclear: x"]), "it names a blocker: license_unclear: x"),
    (lambda gates: gates["constraints"][1].update(status="fail"), "the constraint wer did not pass"),
    (lambda gates: gates["constraints"][1].update(status="unknown"), "the constraint wer did not pass"),
    (lambda gates: gates["constraints"].pop(), "its certificateHash is not of its constraints and metrics"),
    (lambda gates: gates["metrics"].update(wer=0.0), "its certificateHash is not of its constraints and metrics"),
]


@pytest.mark.parametrize(
    ("change", "detail"), VERDICTS, ids=[f"{place} {detail}" for place, (_, detail) in enumerate(VERDICTS)]
)
def test_even_a_trusted_key_promotes_no_nogo(
    signed: Path, change: Callable[[dict[str, Any]], None], detail: str
) -> None:
    resigned(signed, lambda value: change(value["predicate"]["gates"]))
    assert told(signed) == [f"signature_invalid: {NAME}: {detail}"]


def test_a_payload_that_is_no_statement_is_refused_though_it_is_signed(signed: Path) -> None:
    put_envelope(signed, sign(b'{"hello":"world"}', known_signer()))
    assert told(signed)[0].startswith(f"signature_invalid: {NAME}: _type: ")


# -- keys and envelopes ----------------------------------------------------------------------------


def test_a_key_that_is_not_trusted_or_no_longer(signed: Path) -> None:
    stranger = CryptoSigner.generate_ed25519()
    found = told(signed, stranger)
    assert len(found) == 1 and "no trusted key signed it" in found[0]
    assert known_signer().public_key.keyid[:12] in found[0] and stranger.public_key.keyid[:12] in found[0]
    assert signed_by(signed, trusted(stranger)) == ()


def test_a_stranger_who_takes_the_trusted_key_id(signed: Path) -> None:
    statement = base64.b64decode(envelope_of(signed)["payload"])
    forged = json.loads(sign(statement, CryptoSigner.generate_ed25519()))
    forged["signatures"][0]["keyid"] = known_signer().public_key.keyid
    put_envelope(signed, forged)
    assert "no trusted key signed it" in told(signed)[0]


def test_a_stranger_beside_a_spoilt_trusted_signature(signed: Path) -> None:
    statement = base64.b64decode(envelope_of(signed)["payload"])
    both = json.loads(sign(statement, known_signer(), CryptoSigner.generate_ed25519()))
    for signature in both["signatures"]:
        if signature["keyid"] == known_signer().public_key.keyid:
            signature["sig"] = base64.b64encode(bytes(64)).decode()
    put_envelope(signed, both)
    assert "no trusted key signed it" in told(signed)[0]


def test_a_payload_exchanged_under_a_signature(signed: Path) -> None:
    value = envelope_of(signed)
    statement = json.loads(base64.b64decode(value["payload"]))
    statement["predicate"]["gates"]["metrics"]["wer"] = 0.0
    value["payload"] = base64.b64encode(canonical_json(statement)).decode()
    put_envelope(signed, value)
    assert "no trusted key signed it" in told(signed)[0]


def test_a_signature_over_the_bare_payload_is_none(signed: Path) -> None:
    """DSSE signs the payload's type too (PAE), so that no other protocol's signature can be passed off as ours."""
    value = envelope_of(signed)
    bare = known_signer().sign(base64.b64decode(value["payload"]))
    value["signatures"][0]["sig"] = base64.b64encode(bytes.fromhex(bare.signature)).decode()
    put_envelope(signed, value)
    assert "no trusted key signed it" in told(signed)[0]


def _with(value: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**value, **changes}).encode()


def _signature(value: dict[str, Any], **changes: Any) -> bytes:
    return _with(value, signatures=[{**value["signatures"][0], **changes}])


ENVELOPES: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "another payload type": lambda value: _with(value, payloadType="application/json"),
    "no signature": lambda value: _with(value, signatures=[]),
    "a key twice": lambda value: _with(value, signatures=value["signatures"] * 2),
    "too many signatures": lambda value: _with(
        value, signatures=[{"keyid": f"{number:064x}", "sig": value["signatures"][0]["sig"]} for number in range(17)]
    ),
    "no key id": lambda value: _signature(value, keyid=""),
    "a key id in capitals": lambda value: _signature(value, keyid=value["signatures"][0]["keyid"].upper()),
    "a short signature": lambda value: _signature(value, sig="AAAA"),
    "a signature in hex": lambda value: _signature(value, sig=base64.b64decode(value["signatures"][0]["sig"]).hex()),
    "a field beside": lambda value: _with(value, note="x"),
    "a field beside the signature": lambda value: _signature(value, cert="x"),
    "payload no text": lambda value: _with(value, payload=None),
    "payload url-safe": lambda value: _with(value, payload=base64.urlsafe_b64encode(b"\xff\xef\xbe\xff").decode()),
    "payload with a space": lambda value: _with(value, payload=value["payload"] + " "),
    "payload with a line's end": lambda value: _with(value, payload=value["payload"][:76] + "\n" + value["payload"]),
    "payload unpadded": lambda value: _with(value, payload=base64.b64encode(b"x").decode().rstrip("=")),
    "payload with bits left over": lambda value: _with(value, payload="eB=="),
    "payload of another alphabet": lambda value: _with(value, payload="ｅＡ＝＝"),
    "a member twice": lambda value: _with(value).replace(b'{"payload":', b'{"payload": "eA==", "payload":', 1),
    "a list": lambda value: b"[]",
    "nothing": lambda value: b"",
    "not UTF-8": lambda value: b"\xff\xfe",
    "nested deeply": lambda value: b"[" * 100_000,
    "too large": lambda value: b" " * (MAX_ENVELOPE_BYTES + 1),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_is_parsed_strictly(signed: Path, name: str) -> None:
    put_envelope(signed, ENVELOPES[name](envelope_of(signed)))
    found = told(signed)
    assert len(found) == 1 and found[0].startswith(f"signature_invalid: {NAME}: ") and "\n" not in found[0]


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_make_the_verification_fall(data: bytes) -> None:
    with pytest.raises(SignatureInvalidError):
        verify(data, trusted())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(payload=JSON, kind=JSON, key_id=JSON, signature=JSON)
def test_no_json_makes_the_verification_fall(payload: Any, kind: Any, key_id: Any, signature: Any) -> None:
    value = {"payload": payload, "payloadType": kind, "signatures": [{"keyid": key_id, "sig": signature}]}
    with pytest.raises(SignatureInvalidError):
        verify(json.dumps(value).encode(), trusted())


@given(st.binary(max_size=200))
def test_what_is_signed_comes_back(payload: bytes) -> None:
    assert verify(sign(payload, known_signer()), trusted()) == (payload, trusted().ids)


@pytest.mark.parametrize("kind", ["link out", "folder", "fifo", "link round"])
def test_an_attestation_that_is_no_file_of_the_bundle_is_not_read(signed: Path, tmp_path: Path, kind: str) -> None:
    shutil.copy(signed / NAME, tmp_path / "outside.json")
    (signed / NAME).unlink()
    if kind == "link out":
        (signed / NAME).symlink_to(tmp_path / "outside.json")
    elif kind == "folder":
        (signed / NAME).mkdir()
    elif kind == "fifo":
        os.mkfifo(signed / NAME)
    else:
        (signed / NAME).symlink_to(NAME)
    found = told(signed)
    assert len(found) == 1 and found[0].startswith(f"signature_invalid: {NAME}: ")


# -- signing ---------------------------------------------------------------------------------------


def test_a_statement_about_another_bundle_is_not_signed(tmp_path: Path) -> None:
    one = write_bundle(tmp_path / "one")
    other = write_bundle(tmp_path / "other", {**CONTENT, "sample.wav": b"RIFF!!!!WAVE"})
    with pytest.raises(VoiceFailure, match=r"sample\.wav") as caught:
        attest(other, make(decision(one), CERTIFICATE, one), known_signer())
    assert caught.value.reason == "verification_failed"
    assert validate_bundle(other) == [] and not (other / NAME).exists()


def test_what_is_no_statement_is_not_signed(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b")
    with pytest.raises(VoiceFailure, match="not signed"):
        attest(folder, b"{}", known_signer())
    assert not (folder / NAME).exists()


def test_a_statement_of_a_nogo_is_not_signed(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b")
    value = json.loads(make(decision(folder), CERTIFICATE, folder))
    value["predicate"]["gates"]["verdict"] = "NO-GO"
    with pytest.raises(VoiceFailure, match="NO-GO"):
        attest(folder, canonical_json(value), known_signer())
    assert not (folder / NAME).exists()


def test_a_bundle_that_is_not_whole_is_not_signed(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b")
    statement = make(decision(folder), CERTIFICATE, folder)
    rewrite(folder / "sample.wav", b"RIFF!!!!WAVE")
    with pytest.raises(VoiceFailure, match="checksum_mismatch"):
        attest(folder, statement, known_signer())
    assert not (folder / NAME).exists()


def test_without_a_signer_there_is_no_envelope() -> None:
    with pytest.raises(ValueError, match="signer"):
        sign(b"{}")


def test_the_payload_is_the_statement_itself(signed: Path) -> None:
    payload = base64.b64decode(envelope_of(signed)["payload"])
    assert payload == make(decision(signed), CERTIFICATE, signed)
    assert parse_statement(payload).predicate.gates.verdict == "GO"


def test_a_signature_can_be_taken_out_again(signed: Path, tmp_path: Path) -> None:
    """A bundle that was signed, and is promoted again without a key, must not carry the old signature on."""
    never = write_bundle(tmp_path / "never")
    for _ in range(2):
        remove_attestation(signed)
        assert validate_bundle(signed) == [] and not (signed / NAME).exists()
        assert (signed / "manifest.json").read_bytes() == (never / "manifest.json").read_bytes()
    assert [problem.split(":")[0] for problem in told(signed)] == ["signature_missing"]


# -- the command -----------------------------------------------------------------------------------


def test_the_command_checks_the_signature(
    signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    unsigned = write_bundle(tmp_path / "unsigned")
    assert main(["keygen", "-o", str(tmp_path / "keys/a.key"), "--store", str(tmp_path / "store")]) == 0
    key = str(tmp_path / "keys/a.key.pub")
    attest(
        signed,
        make(decision(signed), CERTIFICATE, signed),
        load_signer(Path(key).with_suffix(""), Store(tmp_path / "store")),
    )
    capsys.readouterr()
    assert main(["verify-bundle", str(signed), "--key", key]) == 0
    assert capsys.readouterr().out.startswith("bundle valid, signed by ")
    assert main(["verify-bundle", str(unsigned), "--key", key]) == 3
    assert capsys.readouterr().out.startswith("signature_missing: ")
    monkeypatch.setenv("VOICE_VERIFICATION_KEY", key)
    assert main(["verify-bundle", str(unsigned)]) == 3
    monkeypatch.setenv("VOICE_VERIFICATION_KEY", "")
    assert main(["verify-bundle", str(signed)]) == 64
    assert "VOICE_VERIFICATION_KEY is set, but empty" in capsys.readouterr().err
    monkeypatch.delenv("VOICE_VERIFICATION_KEY")
    assert main(["verify-bundle", str(unsigned)]) == 0
