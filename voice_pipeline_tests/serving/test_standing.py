"""Who may speak changes while the server runs: the next answer knows it, and so does one that is on its way."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from voice_pipeline.bundle.synthesizer import Synthesizer
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.promotion import signing
from voice_pipeline.serving import releases as serving_releases
from voice_pipeline.serving.releases import signature_of
from voice_pipeline.serving.speaking import Limits
from voice_pipeline_tests.ready_voice import NAME, TODAY, ReadyVoice
from voice_pipeline_tests.serving.conftest import Clients, Served
from voice_pipeline_tests.serving.releases import another_release, current_bundle, go_back, mark_revoked, withdraw
from voice_pipeline_tests.serving.test_voice_routes import Slow, envelope, in_thread, slow, speak

__all__ = ["slow"]

pytestmark = pytest.mark.evaluation

SLOWER = {"sentence_pause": 1.5}


def refused(client: TestClient) -> dict[str, Any]:
    value: dict[str, Any] = envelope(speak(client), "voice_unavailable", 503)["details"]
    assert client.get("/health").json()["refused"][0]["reason"] == value["reason"]
    return value


def flip(path: Path) -> None:
    """Change one bit in place: the same size, the same times as before as far as its owner can set them."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [withdraw, mark_revoked])
def test_a_voice_that_was_taken_back_is_silent_at_once(
    served: Served, client: TestClient, change: Callable[..., None]
) -> None:
    assert speak(client).status_code == 200
    change(served.store)
    envelope(speak(client, voiceProfile=NAME), "voice_unavailable", 503)
    assert NAME not in client.get("/health").json()["voices"]


@pytest.mark.parametrize("change", [withdraw, mark_revoked])
def test_a_voice_that_is_taken_back_while_it_speaks_is_not_heard(
    served: Served, client: TestClient, slow: Slow, change: Callable[..., None]
) -> None:
    answers: list[Any] = []
    thread = in_thread(client, answers, voiceProfile=NAME)
    assert slow.started.acquire(timeout=10)
    change(served.store)
    slow.go.set()
    thread.join()
    envelope(answers[0], "voice_unavailable", 503)


def test_a_new_release_answers_the_next_request_and_a_rollback_the_one_after(
    served: Served, client: TestClient
) -> None:
    first = speak(client)
    before = int(first.headers["x-voice-release"])
    number = another_release(served.store, settings=SLOWER)
    second = speak(client)
    assert (second.headers["x-voice-release"], second.headers["x-voice-cache"]) == (str(number), "miss")
    assert len(second.content) > len(first.content)
    go_back(served.store, before)
    third = speak(client)
    assert (third.headers["x-voice-release"], third.content) == (str(before), first.content)


def test_a_request_on_its_way_is_answered_by_the_new_release(served: Served, client: TestClient, slow: Slow) -> None:
    answers: list[Any] = []
    thread = in_thread(client, answers)
    assert slow.started.acquire(timeout=10)
    number = another_release(served.store, settings=SLOWER)
    slow.go.set()
    thread.join()
    assert (answers[0].status_code, answers[0].headers["x-voice-release"]) == (200, str(number))
    assert answers[0].content == speak(client).content


def test_a_voice_that_is_promoted_again_speaks_again(served: Served, client: TestClient) -> None:
    number = int(speak(client).headers["x-voice-release"])
    withdraw(served.store)
    envelope(speak(client, voiceProfile=NAME), "voice_unavailable", 503)
    go_back(served.store, number)
    again = speak(client)
    assert (again.status_code, again.headers["x-voice-cache"]) == (200, "miss")


def test_a_consent_ends_with_its_last_day(served: Served, client_of: Clients) -> None:
    today = [TODAY]
    another_release(served.store, consent={"expires_on": (TODAY + timedelta(days=1)).isoformat()})
    client = client_of(served, today=lambda: today[0])
    assert speak(client).status_code == 200
    today[0] = date(2026, 12, 31)
    assert refused(client)["reason"] == "consent_missing"
    today[0] = TODAY
    assert speak(client).status_code == 200


@pytest.mark.parametrize(
    "consent", [{"status": "missing"}, {"status": "revoked"}, {"commercial_use": "yes"}, {"schema": "other"}]
)
def test_a_bundle_without_a_valid_consent_does_not_speak(
    served: Served, client: TestClient, consent: dict[str, Any]
) -> None:
    another_release(served.store, consent=consent)
    assert refused(client)["reason"] == "consent_missing"


@pytest.mark.parametrize(
    "name", ["acoustic.onnx", "vocoder.onnx", "fastpitch.nemo", "consent.json", "text/lexicon.tsv"]
)
def test_a_file_that_is_altered_after_loading_silences_the_voice(served: Served, client: TestClient, name: str) -> None:
    assert speak(client).status_code == 200
    path = current_bundle(served.store) / name
    flip(path)
    details = refused(client)
    assert details["reason"] == "bundle_invalid"
    assert name in envelope(speak(client), "voice_unavailable", 503)["message"]
    flip(path)
    assert speak(client).status_code == 200


def test_a_file_that_is_altered_while_the_voice_speaks_silences_it(
    served: Served, client: TestClient, slow: Slow
) -> None:
    answers: list[Any] = []
    thread = in_thread(client, answers)
    assert slow.started.acquire(timeout=10)
    flip(current_bundle(served.store) / "vocoder.onnx")
    slow.go.set()
    thread.join()
    envelope(answers[0], "voice_unavailable", 503)


def test_what_is_loaded_is_what_was_verified(
    served: Served, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody exchanges a file between its verification and its loading."""
    load = Synthesizer.load
    path = current_bundle(served.store) / "vocoder.onnx"

    def hasty(folder: Path, *, threads: int = 1) -> Synthesizer:
        flip(path)
        return load(folder, threads=threads)

    monkeypatch.setattr(Synthesizer, "load", hasty)
    envelope(speak(client), "voice_unavailable", 503)


def added_file(bundle: Path) -> None:
    (bundle / "extra.bin").write_bytes(b"x")


def removed_file(bundle: Path) -> None:
    (bundle / "sample.wav").unlink()


def linked_file(bundle: Path) -> None:
    target = bundle.parents[3] / "elsewhere.wav"
    (bundle / "sample.wav").rename(target)
    (bundle / "sample.wav").symlink_to(target)


def linked_bundle(bundle: Path) -> None:
    target = bundle.parents[3] / "elsewhere"
    bundle.rename(target)
    bundle.symlink_to(target)


def edited_decision(bundle: Path) -> None:
    path = bundle.parent / "decision.json"
    path.write_text(path.read_text().replace('"go": true', '"go": true '))


def edited_manifest(bundle: Path) -> None:
    path = bundle / "manifest.json"
    path.write_text(path.read_text() + "\n")


def turned_link(bundle: Path) -> None:
    promoted = bundle.parents[2] / "promoted"
    target = promoted.parent / "releases/000099"
    target.mkdir()
    promoted.unlink()
    promoted.symlink_to("releases/000099")


def removed_release(bundle: Path) -> None:
    bundle.parent.rename(bundle.parent.with_name("away"))


def edited_registry(bundle: Path) -> None:
    path = bundle.parents[4] / "artifacts" / NAME / "promotions.jsonl"
    entry = json.loads(path.read_text().splitlines()[-1])
    path.write_text(path.read_text().replace(entry["content_digest"], "0" * 64))


@pytest.mark.parametrize(
    "change",
    [
        added_file,
        removed_file,
        linked_file,
        linked_bundle,
        edited_decision,
        edited_manifest,
        turned_link,
        removed_release,
        edited_registry,
    ],
)
@pytest.mark.parametrize("loaded", [True, False])
def test_a_release_that_is_not_as_it_was_promoted_does_not_speak(
    served: Served, client: TestClient, change: Callable[[Path], None], loaded: bool
) -> None:
    if loaded:
        assert speak(client).status_code == 200
    change(current_bundle(served.store))
    assert refused(client)["reason"] in ("bundle_invalid", "verification_failed")


def test_bytes_are_verified_once_and_again_when_a_file_changes(
    served: Served, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    problems = serving_releases.promoted.problems

    def counting(*arguments: Any) -> Any:
        counted.append("verified")
        return problems(*arguments)

    monkeypatch.setattr(serving_releases.promoted, "problems", counting)
    for _ in range(3):
        assert speak(client).status_code == 200
    assert len(counted) == 1
    (current_bundle(served.store) / "sample.wav").touch()
    assert speak(client).status_code == 200
    assert len(counted) == 2
    flip(current_bundle(served.store) / "sample.wav")
    for _ in range(3):
        speak(client)
    assert len(counted) == 3  # also what was refused is not hashed for every request


def test_many_first_requests_verify_and_load_once(
    served: Served, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[int] = []
    load = Synthesizer.load
    monkeypatch.setattr(Synthesizer, "load", lambda folder: (loads.append(1), load(folder))[1])
    answers: list[Any] = []
    threads = [in_thread(client, answers) for _ in range(8)]
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(loads) == 1


def new_key(path: Path) -> Any:
    """A new key pair at ``path``, and the trust in it."""
    signing.generate_keys(path)
    return signing.verification_key(path.with_name(path.name + ".pub"))


def test_with_a_key_an_unsigned_release_does_not_speak(served: Served, client_of: Clients, tmp_path: Path) -> None:
    client = client_of(served, trusted=new_key(tmp_path / "keys/voice.key"))
    assert refused(client)["reason"] == "signature_missing"
    assert client.get("/health").status_code == 503


def test_a_release_speaks_when_its_signer_is_trusted(
    ready_voice: ReadyVoice, client_of: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    trusted, strangers = new_key(tmp_path / "keys/voice.key"), new_key(tmp_path / "strangers/voice.key")
    monkeypatch.setenv("VOICE_SIGNING_KEY", str(tmp_path / "keys/voice.key"))
    ready.promote()
    served = Served(ready.project)
    assert refused(client_of(served, trusted=strangers))["reason"] == "signature_invalid"
    assert speak(client_of(served, trusted=trusted)).status_code == 200
    assert speak(client_of(served)).status_code == 200


def test_the_signature_of_a_tree_sees_every_kind_of_change(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner/file").write_bytes(b"abc")
    seen = {signature_of(folder)}

    def look() -> None:
        signature = signature_of(folder)
        assert signature not in seen
        seen.add(signature)

    flip(folder / "inner/file")
    look()
    (folder / "inner/file").chmod(0o600)
    look()
    (folder / "inner/file").rename(folder / "inner/other")
    look()
    (folder / "empty").mkdir()
    look()
    (folder / "inner/link").symlink_to("other")
    with pytest.raises(VoiceFailure, match="a link, 'inner/link'"):
        signature_of(folder)


def test_revocation_is_seen_between_many_requests(served: Served, client_of: Clients) -> None:
    """Clients that never stop asking: none that begins after the withdrawal is answered."""
    client = client_of(served, limits=Limits(per_second=1e6, burst=1_000_000))
    withdrawn, wrong = threading.Event(), []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            late = withdrawn.is_set()
            answer = speak(client, voiceProfile=NAME)
            if late and answer.status_code == 200:
                wrong.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert speak(client, voiceProfile=NAME).status_code == 200
    withdraw(served.store)
    withdrawn.set()
    for _ in range(10):
        assert speak(client, voiceProfile=NAME).status_code != 200
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
