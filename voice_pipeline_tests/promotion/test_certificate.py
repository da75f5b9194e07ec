"""The certificate and the evidence it is made of: the same bytes for the same evidence, and for nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.atomic import read_json, write_json
from voice_pipeline.promotion.certificate import EvidenceFiles, certificate_hash, certify, integrity_faults
from voice_pipeline.promotion.verification import verify
from voice_pipeline.store import Store, canonical_json, sha256_file
from voice_pipeline_tests.conftest import PROJECT
from voice_pipeline_tests.ready_voice import NAME, TODAY, ReadyVoice, make_ready_voice

pytestmark = pytest.mark.evaluation

GOLDEN = Path(__file__).with_name("golden_certificate.json")


@pytest.fixture(scope="module")
def verified(ready_voice: ReadyVoice, tmp_path_factory: pytest.TempPathFactory) -> ReadyVoice:
    """Verified once; tests must not change it."""
    ready = ready_voice.copy(tmp_path_factory.mktemp("certificate") / "project")
    verify(ready.project, ready.voice, ready.store, today=TODAY)
    return ready


def evidence_of(ready: ReadyVoice) -> dict[str, Any]:
    value: dict[str, Any] = read_json(ready.store.verification(NAME) / "evidence.json")
    return value


def masked(value: Any) -> Any:
    """Digests of other packages' files differ from machine to machine; their places do not."""
    if isinstance(value, dict):
        return {key: masked(part) for key, part in value.items()}
    if isinstance(value, list):
        return [masked(part) for part in value]
    return "<sha256>" if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else value


# -- the hash ------------------------------------------------------------------------------------------


def test_the_certified_content_is_the_documented_one(verified: ReadyVoice) -> None:
    found = read_json(verified.store.verification(NAME) / "certificate.json")
    content = masked({key: found[key] for key in ("packId", "packVersion", "metrics", "constraints", "proxy")})
    assert content == read_json(GOLDEN), "the pack changed: raise PACK_VERSION, then write the golden file again"


def test_anybody_can_compute_the_hash_again(verified: ReadyVoice) -> None:
    found = read_json(verified.store.verification(NAME) / "certificate.json")
    five = {key: found[key] for key in ("packId", "packVersion", "metrics", "constraints", "proxy")}
    text = json.dumps(five, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == found["certificateHash"]


CONTENT = {"packId": "p", "packVersion": "1", "metrics": {"wer": 0.1}, "constraints": [], "proxy": False}


@given(st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False), max_size=4))
def test_other_figures_have_another_hash(metrics: dict[str, float]) -> None:
    same = canonical_json(metrics) == canonical_json(CONTENT["metrics"])
    assert (certificate_hash({**CONTENT, "metrics": metrics}) == certificate_hash(CONTENT)) == same


@pytest.mark.parametrize("key", CONTENT)
def test_each_of_the_five_is_bound(key: str) -> None:
    assert certificate_hash({**CONTENT, key: "other"}) != certificate_hash(CONTENT)
    assert certificate_hash({**CONTENT, "more": 1}) == certificate_hash(CONTENT)
    with pytest.raises(KeyError):
        certificate_hash({name: value for name, value in CONTENT.items() if name != key})


@pytest.mark.parametrize(("green", "integrity"), [(True, False), (False, True), (False, False)])
def test_green_needs_both(green: bool, integrity: bool) -> None:
    assert certify(CONTENT, green=green, integrity_ok=integrity).status == "RED"
    assert certify(CONTENT, green=True, integrity_ok=True).status == "GREEN"


# -- the evidence --------------------------------------------------------------------------------------


def test_every_named_file_is_there_with_its_digest(verified: ReadyVoice) -> None:
    files = evidence_of(verified)["files"]
    assert [entry["path"] for entry in files] == sorted({entry["path"] for entry in files})
    for entry in files:
        path = verified.store.resolve(entry["path"])
        if "without" in entry:
            kept = {key: value for key, value in read_json(path).items() if key not in entry["without"]}
            assert hashlib.sha256(canonical_json(kept)).hexdigest() == entry["sha256"]
        else:
            assert sha256_file(path) == entry["sha256"]
    named = {entry["path"] for entry in files}
    bundle = {f"bundles/{NAME}/voice_bundle/{path.relative_to(verified.bundle)}" for path in bundle_files(verified)}
    assert bundle <= named
    assert any(path.endswith("hifigan.nemo") for path in named - bundle)
    assert f"artifacts/{NAME}/evaluation/spoken/test-001.wav" in named


def bundle_files(ready: ReadyVoice) -> list[Path]:
    return [path for path in ready.bundle.rglob("*") if path.is_file()]


def test_no_clock_host_run_or_path_of_the_machine_is_in_it(verified: ReadyVoice) -> None:
    text = (verified.store.verification(NAME) / "evidence.json").read_text()
    text += (verified.store.verification(NAME) / "certificate.json").read_text()
    assert str(verified.project) not in text
    assert socket.gethostname() not in text
    assert "run-1" not in text
    assert not re.search(r"\d{4}-\d\d-\d\dT", text)
    assert str(TODAY) not in text


def test_the_documented_way_to_check_it_works(verified: ReadyVoice, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (PROJECT / "docs/verification.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(verified.project)
    exec(code, {})  # of our own page


@pytest.fixture
def copied(verified: ReadyVoice, tmp_path: Path) -> ReadyVoice:
    return verified.copy(tmp_path / "project")


def faults(ready: ReadyVoice) -> tuple[str, ...]:
    folder = ready.store.verification(NAME)
    expected = read_json(folder / "certificate.json")["certificateHash"]
    return integrity_faults(folder / "evidence.json", expected, EvidenceFiles(ready.store, NAME, ready.bundle))


def test_untouched_evidence_is_whole(copied: ReadyVoice) -> None:
    assert faults(copied) == ()


def test_every_named_file_is_hashed_again(copied: ReadyVoice) -> None:
    for entry in evidence_of(copied)["files"]:
        path = copied.store.resolve(entry["path"])
        kept = path.read_bytes()
        path.unlink()
        path.write_bytes(kept.replace(b'"', b"'", 1) if "without" in entry else kept + b"\0")
        assert len(faults(copied)) == 1, path
        path.write_bytes(kept)
    assert faults(copied) == ()


@pytest.mark.parametrize("key", ["packVersion", "metrics", "constraints", "proxy"])
def test_edited_evidence_is_found(copied: ReadyVoice, key: str) -> None:
    path = copied.store.verification(NAME) / "evidence.json"
    write_json(path, {**evidence_of(copied), key: "edited"})
    assert any("another hash" in fault for fault in faults(copied))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 1}', "\x00", '{"files": [{"path": 3, "sha256": null}]}'])
def test_evidence_that_cannot_be_read_is_no_integrity(copied: ReadyVoice, text: str) -> None:
    (copied.store.verification(NAME) / "evidence.json").write_text(text)
    assert faults(copied)


def test_no_way_out_no_pipe_and_no_link_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    folder = store.bundle(NAME)
    folder.mkdir(parents=True)
    secret = tmp_path / "secret"
    secret.write_text("{}")
    (folder / "link").symlink_to(secret)
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe")
    files = EvidenceFiles(store, NAME, folder)
    for name in ("link", "loop", "pipe", "../../../../secret", ".", "gone"):
        for path in (f"bundles/{NAME}/voice_bundle/{name}", f"bundles/other/{name}"):
            assert files.digest(path) is None, path
            assert files.digest(path, ("x",)) is None, path


# -- two clean runs ------------------------------------------------------------------------------------


def test_two_clean_runs_give_the_same_bytes(
    verified: ReadyVoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    again = make_ready_voice(tmp_path / "again")
    verify(again.project, again.voice, again.store, today=TODAY)
    first, second = (
        {str(path.relative_to(ready.bundle)): sha256_file(path) for path in bundle_files(ready)}
        for ready in (verified, again)
    )
    manifests = [read_json(ready.bundle / "manifest.json") for ready in (verified, again)]
    assert {**manifests[0], "created_at": None} == {**manifests[1], "created_at": None}
    assert {**first, "manifest.json": ""} == {**second, "manifest.json": ""}
    for name in ("evidence.json", "certificate.json"):
        one, other = ((ready.store.verification(NAME) / name).read_bytes() for ready in (verified, again))
        assert one == other
