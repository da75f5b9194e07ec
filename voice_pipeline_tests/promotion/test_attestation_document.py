"""docs/bundle-format.md lets an auditor verify a signature without our code: what it prints there is run here."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from voice_pipeline.promotion.statement_format import Predicate
from voice_pipeline_tests.conftest import PROJECT
from voice_pipeline_tests.promotion.signed_bundle import SECRETS, known_signer, signed_bundle
from voice_pipeline_tests.promotion.test_signing import KNOWN_SIGNATURE
from voice_pipeline_tests.promotion.test_statement import GOLDEN

DOCUMENT = (PROJECT / "docs/bundle-format.md").read_text()
SECTION = re.split(r"\n## ", DOCUMENT.partition("\n## Attestation\n")[2])[0]


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)
    return str(found)


@pytest.fixture
def handed_on(tmp_path: Path) -> Path:
    """What an auditor gets: a bundle and a public key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    signed_bundle(tmp_path / "voice_bundle")
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SECRETS[0])).public_key()
    (tmp_path / "signing.key.pub").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return tmp_path


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(bytes(data))


def forge_payload(bundle: Path) -> None:
    """Another figure in the statement, under the old signature."""
    path = bundle / "attestation.dsse.json"
    envelope = json.loads(path.read_bytes())
    statement = base64.b64decode(envelope["payload"]).replace(b'"wer":0.08', b'"wer":0.01')
    path.unlink()
    path.write_text(json.dumps({**envelope, "payload": base64.b64encode(statement).decode()}))


def by_hand(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", block("python")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_ten_lines_of_python_verify_a_bundle(handed_on: Path) -> None:
    assert "voice_pipeline" not in block("python")
    done = by_hand(handed_on)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "GO 3b3b767287bc 6 files\n"


def test_ten_lines_of_python_refuse_an_altered_file(handed_on: Path) -> None:
    flip(handed_on / "voice_bundle/sample.wav")
    assert "AssertionError: sample.wav" in by_hand(handed_on).stderr


def test_ten_lines_of_python_refuse_an_altered_statement(handed_on: Path) -> None:
    forge_payload(handed_on / "voice_bundle")
    assert "InvalidSignature" in by_hand(handed_on).stderr


@pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("jq")), reason="needs openssl and jq")
def test_openssl_verifies_a_bundle(handed_on: Path) -> None:
    commands = block("bash")
    told = [line[2:] for line in commands.splitlines() if line.startswith("# ")]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", commands], cwd=handed_on, capture_output=True, text=True, timeout=60, check=False
        )

    done = run()
    assert (done.stdout.splitlines(), done.stderr) == (told, "")
    flip(handed_on / "voice_bundle/hifigan.nemo")
    assert "hifigan.nemo: FAILED" in run().stdout
    forge_payload(handed_on / "voice_bundle")
    assert told[0] not in run().stdout


def test_the_worked_example_is_the_statement_that_is_made() -> None:
    golden = GOLDEN.read_bytes().removesuffix(b"\n")
    assert json.loads(block("json")) == json.loads(golden)
    for value in (hashlib.sha256(golden).hexdigest(), known_signer().public_key.keyid, KNOWN_SIGNATURE):
        assert f"`{value}`" in SECTION


def test_every_part_of_the_predicate_is_documented() -> None:
    for name, field in Predicate.model_fields.items():
        assert f"`{field.alias or name}" in SECTION
