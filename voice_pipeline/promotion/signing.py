"""Signed bundles: a DSSE envelope around the statement of a promotion, and what is wrong with one.

    attest(folder, statement, signer)                     # attestation.dsse.json, listed in the manifest
    for problem in attestation_problems(folder, trusted): # [] when one of the trusted keys signed these very files
        print(problem)                                    # signature_invalid: sample.wav: …

The envelope (https://github.com/secure-systems-lab/dsse, payload type application/vnd.in-toto+json) is made and checked
by securesystemslib; signatures are Ed25519, so that the same statement and key give the same bytes. A folder is
untrusted: its envelope is parsed strictly, no key id in it is believed, and no payload is read before its signature
holds.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_pipeline.bundle.format import (
    ATTESTATION_NAME,
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    BundleManifest,
    FileEntry,
    manifest_bytes,
    parse_manifest,
    read_manifest,
)
from voice_pipeline.bundle.seal import add_attestation
from voice_pipeline.bundle.validation import Problem, check_file, printable, read_bounded
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.promotion.signing_keys import (
    TrustedKeys,
    default_key_path,
    generate_keys,
    keygen,
    load_signer,
    signer_from_environment,
    verification_key,
)
from voice_pipeline.promotion.statement_format import MAX_BYTES as MAX_STATEMENT_BYTES
from voice_pipeline.promotion.statement_format import (
    Statement,
    StatementError,
    listed_digests,
    manifest_facts,
    parse_statement,
)
from voice_pipeline.strict_json import parse_json

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

__all__ = [
    "SignatureInvalidError",
    "TrustedKeys",
    "attest",
    "attestation_problems",
    "default_key_path",
    "generate_keys",
    "keygen",
    "load_signer",
    "sign",
    "signed_by",
    "signer_from_environment",
    "verification_key",
    "verify",
]

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_ENVELOPE_BYTES = MAX_STATEMENT_BYTES * 3 // 2  # base64 makes four bytes of three; the rest is for the signatures
_MAX_SIGNATURES = 16
_KEY_ID = r"^[0-9a-f]{64}$"
_SIGNATURE_BYTES = 64  # RFC 8032


class SignatureInvalidError(ValueError):
    """An envelope that proves nothing. The message is one line."""


class _Signature(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    keyid: str = Field(pattern=_KEY_ID)
    sig: str


class _Envelope(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    payload: str
    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    signatures: list[_Signature] = Field(min_length=1, max_length=_MAX_SIGNATURES)


def sign(statement: bytes, *signers: CryptoSigner) -> bytes:
    """The envelope around ``statement``, signed by each of ``signers``, as the bytes of a file.

    The same statement and keys give the same bytes. Raises ValueError without a signer.
    """
    from securesystemslib.dsse import Envelope

    if not signers:
        raise ValueError("an envelope needs a signer")
    envelope = Envelope(statement, PAYLOAD_TYPE, {})
    for signer in sorted(signers, key=lambda one: str(one.public_key.keyid)):
        envelope.sign(signer)
    return (json.dumps(envelope.to_dict(), sort_keys=True, indent=2) + "\n").encode()


def verify(envelope: bytes, trusted: TrustedKeys) -> tuple[bytes, tuple[str, ...]]:
    """The payload of an envelope that one of the trusted keys signed, and the ids of the trusted keys that did.

    Signatures of other keys beside it do no harm. Raises SignatureInvalidError.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError

    value = _parse_envelope(envelope)
    parsed = Envelope.from_dict(value)  # computes what was signed (PAE) from the payload and its type
    found = []
    for key in trusted.keys:
        try:
            found.extend(parsed.verify([key], 1))
        except VerificationError:  # DSSE: others may have signed as well, go on to the next key
            continue
    if not found:
        named = ", ".join(signature["keyid"][:12] for signature in _parse_envelope(envelope)["signatures"])
        raise SignatureInvalidError(f"no trusted key signed it; it names {named}, trusted are {_shown(trusted)}")
    return bytes(parsed.payload), tuple(sorted(found))


def attest(folder: Path, statement: bytes, signer: CryptoSigner) -> BundleManifest:
    """Sign ``statement`` and put the envelope into the bundle that it speaks about. Returns the new manifest.

    Raises VoiceFailure ``verification_failed`` for a statement about another bundle or one that is no GO,
    ``bundle_invalid`` for a bundle that is not whole.
    """
    before = read_manifest(folder)
    try:
        faults = list(_statement_faults(before, parse_statement(statement)))
    except StatementError as error:
        faults = [(ATTESTATION_NAME, str(error))]
    if faults:
        path, detail = faults[0]
        detail = f"the statement is not signed: {path}: {detail}"
        raise VoiceFailure("verification_failed", detail, voice=before.voice_profile_id, file=folder)
    return add_attestation(folder, sign(statement, signer))


def attestation_problems(folder: Path, trusted: TrustedKeys, *, validated: bool = False) -> list[Problem]:
    """Why the bundle in ``folder`` is not one that a trusted key signed as promoted; empty when it is.

    ``signature_missing``: there is no attestation. ``signature_invalid``: the envelope cannot be read or no trusted
    key signed it (nothing else is looked at then); or its statement is not about exactly these files, names other
    facts than the manifest, or is no GO: each file and fact is named. Every file is hashed again, unless it was
    ``validated`` just now: ``bundle.validation.validate_bundle`` found nothing.
    """
    try:
        root = folder.resolve(strict=True)
        raw = read_bounded(root, MANIFEST_NAME, MAX_MANIFEST_BYTES)
        manifest = parse_manifest(raw)
    except (OSError, RuntimeError, ValueError) as error:
        return [Problem("signature_invalid", MANIFEST_NAME, f"cannot be read: {_one_line(error)}")]
    if manifest.entry(ATTESTATION_NAME) is None:
        return [Problem("signature_missing", ATTESTATION_NAME, "the bundle is not signed")]
    try:
        envelope = read_bounded(root, ATTESTATION_NAME, MAX_ENVELOPE_BYTES)
        statement = parse_statement(verify(envelope, trusted)[0])
    except FileNotFoundError:
        return [Problem("signature_missing", ATTESTATION_NAME, "no such file")]
    except (OSError, RuntimeError, ValueError) as error:
        return [Problem("signature_invalid", ATTESTATION_NAME, _one_line(error))]
    faults = list(_statement_faults(manifest, statement))
    if raw != manifest_bytes(_sorted(manifest)):
        faults.append((MANIFEST_NAME, "is not spelled as the bundle was sealed"))
    problems = [Problem("signature_invalid", printable(path), detail) for path, detail in faults]
    return problems if validated else [*problems, *_altered(root, manifest, statement)]


def signed_by(folder: Path, trusted: TrustedKeys) -> tuple[str, ...]:
    """The ids of the trusted keys that signed the attestation; () where none did. It looks at no other file."""
    try:
        envelope = read_bounded(folder.resolve(strict=True), ATTESTATION_NAME, MAX_ENVELOPE_BYTES)
        return verify(envelope, trusted)[1]
    except (OSError, RuntimeError, ValueError):
        return ()


def _statement_faults(manifest: BundleManifest, statement: Statement) -> Iterator[tuple[str, str]]:
    """(path, what is wrong) wherever the statement and the manifest speak about different bundles."""
    listed, signed = listed_digests(manifest), statement.digests
    for path in sorted(listed.keys() | signed.keys()):
        if path not in signed:
            yield path, "is listed, but was not signed"
        elif path not in listed:
            yield path, "was signed, but is not listed"
        elif listed[path] != signed[path]:
            yield path, f"the manifest says sha256 {listed[path]}, what was signed is {signed[path]}"
    facts, stated = manifest_facts(manifest), statement.predicate.manifest
    for key in sorted(facts["facts"].keys() | stated.facts.keys()):
        if facts["facts"].get(key) != stated.facts.get(key):
            yield MANIFEST_NAME, f"its {key} is not what was signed"
    if facts["content_digest"] != stated.content_digest:
        yield MANIFEST_NAME, "its content digest is not what was signed"
    if statement.predicate.build_definition.external_parameters.voice_profile_id != manifest.voice_profile_id:
        yield ATTESTATION_NAME, "was signed for another voice"
    if (problem := statement.predicate.gates.problem) is not None:
        yield ATTESTATION_NAME, problem


def _altered(root: Path, manifest: BundleManifest, statement: Statement) -> Iterator[Problem]:
    """The signed files whose bytes are not those that were signed, whatever the manifest says."""
    signed = statement.digests
    for entry in manifest.files:
        if entry.path not in signed:
            continue
        problem = check_file(root, FileEntry(path=entry.path, sha256=signed[entry.path], bytes=entry.bytes))
        if problem is not None:
            detail = problem.detail.replace("the manifest says", "what was signed is")
            yield Problem("signature_invalid", problem.path, detail)


def _sorted(manifest: BundleManifest) -> BundleManifest:
    return manifest.model_copy(update={"files": tuple(sorted(manifest.files, key=lambda entry: entry.path))})


def _parse_envelope(data: bytes) -> dict[str, Any]:
    """The envelope's JSON object, strictly. Raises SignatureInvalidError."""
    if len(data) > MAX_ENVELOPE_BYTES:
        raise SignatureInvalidError(f"larger than {MAX_ENVELOPE_BYTES} bytes")
    try:
        value = parse_json(data)
        envelope = _Envelope.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "envelope"
        raise SignatureInvalidError(_one_line(f"no DSSE envelope: {where}: {first['msg']}")) from None
    except ValueError as error:
        raise SignatureInvalidError(f"not JSON: {type(error).__name__}") from None
    _decoded(envelope.payload, "payload")
    for signature in envelope.signatures:
        if len(_decoded(signature.sig, "a signature")) != _SIGNATURE_BYTES:
            raise SignatureInvalidError(f"a signature does not have {_SIGNATURE_BYTES} bytes")
    if len({signature.keyid for signature in envelope.signatures}) != len(envelope.signatures):
        raise SignatureInvalidError("it names a key twice")
    return envelope.model_dump(by_alias=True)


def _decoded(text: str, what: str) -> bytes:
    """Base64 in its one spelling: the standard alphabet, padded, no white space, no bits left over."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise SignatureInvalidError(f"{what} is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise SignatureInvalidError(f"{what} is not base64 in its one spelling")
    return data


def _shown(trusted: TrustedKeys) -> str:
    return ", ".join(key_id[:12] for key_id in trusted.ids)


def _one_line(told: object) -> str:
    text = f"{told.strerror}" if isinstance(told, OSError) and told.strerror else str(told)
    return "".join(char if char.isprintable() else " " for char in text)[:500]
