"""The contract of the voice routes, over the whole application with a really promoted voice."""

from __future__ import annotations

import io
import json
import re
import threading
import wave
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from voice_pipeline.bundle.synthesizer import Speech, Synthesizer, wav_bytes
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.serving import voice_routes
from voice_pipeline.serving.speaking import Limits
from voice_pipeline_tests.ready_voice import NAME
from voice_pipeline_tests.serving.conftest import Clients, Served
from voice_pipeline_tests.serving.releases import another_release, current_bundle, withdraw

pytestmark = pytest.mark.evaluation

TEXT = "Good morning. The lamp is on the table."


def envelope(answer: Any, code: str, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.content[:500]
    value: dict[str, Any] = answer.json()
    assert set(value) == {"error", "message", "details", "traceId"}
    assert value["error"] == code and value["message"] and isinstance(value["details"], dict) and value["traceId"]
    return value


def speak(client: TestClient, text: str = TEXT, **fields: Any) -> Any:
    return client.post("/speak", json={"text": text, **fields})


@pytest.mark.parametrize("path", ["/speak", "/api/voice/speak"])
def test_a_promoted_voice_speaks(served: Served, client: TestClient, path: str) -> None:
    answer = client.post(path, json={"text": TEXT})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "audio/wav"
    headers = {name: answer.headers[name] for name in answer.headers if name.startswith("x-")}
    assert headers.pop("x-trace-id") and headers.pop("x-content-type-options") == "nosniff"
    assert headers.pop("x-voice-release").isdigit()
    assert headers == {
        "x-voice-provider": "voice-pipeline",
        "x-voice-profile": NAME,
        "x-voice-cache": "miss",
        "x-watermark-mode": "none",
        "x-audio-sample-rate": "22050",
    }
    with wave.open(io.BytesIO(answer.content)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22050, 1, 2)
        assert file.getnframes() > 22050
    bundle = current_bundle(served.store)
    assert answer.content == wav_bytes(Synthesizer.load(bundle).speak(TEXT))


def test_the_second_time_it_comes_from_memory_and_is_the_same(client: TestClient) -> None:
    first, second = speak(client), speak(client, voiceProfile=NAME, priority="critical", missionId="m-1")
    assert (first.headers["x-voice-cache"], second.headers["x-voice-cache"]) == ("miss", "hit")
    assert first.content == second.content


def test_the_mode_decides_the_pace(client: TestClient) -> None:
    lengths = {mode: len(speak(client, mode=mode).content) for mode in (None, "callout", "briefing", "debrief")}
    assert lengths["briefing"] == lengths[None]
    paces = {mode: speak(client, mode=mode).content for mode in ("callout", "briefing", "debrief")}
    assert len(set(paces.values())) == 3


@pytest.mark.parametrize("name", ["voiceProfile", "voice_profile_id"])
def test_a_voice_that_is_not_promoted_may_not_speak(client: TestClient, name: str) -> None:
    value = envelope(speak(client, **{name: "nobody"}), "voice_unavailable", 503)
    assert value["details"] == {"voiceProfile": "nobody", "reason": "not_promoted"}


def test_the_newest_bundle_does_not_speak_unless_it_is_promoted(served: Served, client: TestClient) -> None:
    withdraw(served.store)
    assert served.store.bundle(NAME).is_dir()
    value = envelope(speak(client, voiceProfile=NAME), "voice_unavailable", 503)
    assert value["details"]["reason"] == "not_promoted"


def test_without_a_profile_and_with_two_voices_the_request_is_refused(served: Served, client_of: Clients) -> None:
    another_release(served.store, voice="anna")
    value = envelope(speak(client_of(served)), "voice_invalid_request", 400)
    assert value["details"]["voices"] == ["anna", NAME]
    answer = speak(client_of(served, default_voice="anna"))
    assert (answer.status_code, answer.headers["x-voice-profile"]) == (200, "anna")


def test_without_any_promoted_voice_the_request_is_refused(served: Served, client: TestClient) -> None:
    withdraw(served.store)
    assert envelope(speak(client), "voice_unavailable", 503)["details"]["reason"] == "not_promoted"


def test_the_trace_id_comes_back_or_is_made(client: TestClient) -> None:
    assert speak(client, traceId="adapter:7").headers["x-trace-id"] == "adapter:7"
    assert (
        envelope(speak(client, mode="no", traceId="adapter:7"), "voice_invalid_request", 400)["traceId"] == "adapter:7"
    )
    assert envelope(speak(client, voiceProfile="no", traceId="t-1"), "voice_unavailable", 503)["traceId"] == "t-1"
    made = {envelope(speak(client, mode="no"), "voice_invalid_request", 400)["traceId"] for _ in range(3)}
    assert len(made) == 3


def test_reference_audio_needs_consent_and_makes_no_voice_even_then(client: TestClient) -> None:
    envelope(speak(client, referenceAudioHash="ab" * 32), "voice_consent_required", 403)
    answer = speak(client, referenceAudioHash="ab" * 32, consent_asserted=True)
    assert envelope(answer, "voice_unavailable", 503)["details"]["reason"] == "reference_audio_unsupported"


def test_a_custom_profile_needs_consent_and_must_be_promoted_too(served: Served, client: TestClient) -> None:
    envelope(speak(client, voiceProfile="custom_anna"), "voice_consent_required", 403)
    envelope(speak(client, voiceProfile="custom_anna", consent_asserted=True), "voice_unavailable", 503)
    another_release(served.store, voice="custom_anna")
    envelope(speak(client, voiceProfile="custom_anna"), "voice_consent_required", 403)
    assert speak(client, voiceProfile="custom_anna", consent_asserted=True).status_code == 200


@pytest.mark.parametrize(
    ("text", "reason"),
    [("x" * 20_001, "text_too_long"), ("...", "empty_text"), ("Привет, как дела?", "unsupported_script")],
)
def test_a_text_that_cannot_be_spoken_is_the_clients_mistake(client: TestClient, text: str, reason: str) -> None:
    value = envelope(speak(client, text), "voice_invalid_request", 400)
    assert value["details"]["reason"] == reason


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"text": "hello"}', "text/plain"),
        (b'{"text": "hello"}', "application/x-www-form-urlencoded"),
        (b'{"text": "hello"}', "application/jsonp"),
        (b"{", "application/json"),
        (b"", "application/json"),
        (b'{"text": "a\\u0000b"}', "application/json"),
        (b'{"text": "a\0b"}', "application/json"),
        (b'{"text": "' + b"x" * (600 << 10) + b'"}', "application/json"),
        (b"[" * 200_000, "application/json"),
        (b"\x1f\x8b\x08", "application/json"),
    ],
)
def test_a_wrong_body_is_an_envelope(client: TestClient, body: bytes, kind: str) -> None:
    envelope(client.post("/speak", content=body, headers={"content-type": kind}), "voice_invalid_request", 400)


def test_any_body_and_header_is_answered_in_the_contract(served: Served, client_of: Clients) -> None:
    client = client_of(served, limits=Limits(per_second=1e6, burst=1_000_000))
    bodies = st.binary(max_size=50) | st.dictionaries(st.text(max_size=9), st.text(max_size=9) | st.none()).map(
        lambda value: json.dumps(value | {"text": "Hi."}).encode()
    )

    @settings(max_examples=60, deadline=None)
    @given(bodies, st.sampled_from(["application/json", "text/json", "", "application/json; charset=x", ";"]))
    def ask(body: bytes, kind: str) -> None:
        answer = client.post("/speak", content=body, headers={"content-type": kind})
        if answer.status_code != 200:
            envelope(answer, "voice_invalid_request", 400)

    ask()


def test_a_body_without_a_length_is_bounded_too(client: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(10_000):
            yield b" " * 1024

    answer = client.post("/speak", content=endless(), headers={"content-type": "application/json"})
    assert "larger than" in envelope(answer, "voice_invalid_request", 400)["message"]


def test_a_client_that_asks_too_often_is_told_when_to_come_back(served: Served, client_of: Clients) -> None:
    client = client_of(served, limits=Limits(per_second=0.5, burst=2))
    assert [speak(client).status_code for _ in range(2)] == [200, 200]
    answer = speak(client)
    envelope(answer, "voice_rate_limited", 429)
    assert 1 <= int(answer.headers["retry-after"]) <= 2
    assert client.get("/health").status_code == 200


class Slow:
    """Synthesis that waits until it is let go, in the place of the networks'."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started, self.go = threading.Semaphore(0), threading.Event()
        stream = Synthesizer.stream

        def waiting(synthesizer: Synthesizer, text: str, *, pace: float = 1.0) -> Iterator[Speech]:
            self.started.release()
            assert self.go.wait(10)
            return stream(synthesizer, text, pace=pace)

        monkeypatch.setattr(Synthesizer, "stream", waiting)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    made = Slow(monkeypatch)
    yield made
    made.go.set()


def in_thread(client: TestClient, answers: list[Any], **fields: Any) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(speak(client, **fields)))
    thread.start()
    return thread


def test_a_full_queue_says_so_at_once(served: Served, client_of: Clients, slow: Slow) -> None:
    client = client_of(served, limits=Limits(threads=1, waiting=0))
    answers: list[Any] = []
    thread = in_thread(client, answers)
    assert slow.started.acquire(timeout=10)
    refused = speak(client, "Another text.")
    envelope(refused, "voice_queue_full", 503)
    assert refused.headers["retry-after"] == "1"
    slow.go.set()
    thread.join()
    assert answers[0].status_code == 200


def test_what_takes_too_long_times_out_and_gives_its_place(served: Served, client_of: Clients, slow: Slow) -> None:
    client = client_of(served, limits=Limits(threads=1, waiting=0, timeout=0.3))
    envelope(speak(client), "voice_backend_timeout", 504)
    slow.go.set()
    for _ in range(100):
        answer = speak(client, "Once more.")
        if answer.status_code == 200:
            break
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (VoiceFailure("bundle_invalid", "the networks' output is not finite"), "not finite"),
        (RuntimeError(f"a message with {TEXT}"), "RuntimeError"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_failing_synthesizer_is_a_backend_error(
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    message: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Synthesizer, "stream", fail)
    value = envelope(speak(client), "voice_backend_error", 502)
    assert message in value["message"] and TEXT not in value["message"] + caplog.text


def test_a_defect_is_an_envelope_and_its_message_stays_here(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise KeyError(TEXT)

    monkeypatch.setattr(voice_routes, "read_speak_request", fail)
    assert TEXT not in str(envelope(speak(client), "internal_error", 500))
    assert "KeyError at test_voice_routes.py" in caplog.text and TEXT not in caplog.text


def test_health_names_who_speaks(served: Served, client: TestClient) -> None:
    assert client.get("/health").json() == {
        "ok": True,
        "mode": "promoted",
        "sample_rate_hz": 22050,
        "voices": [NAME],
        "error_code": None,
        "error_message": None,
        "default_voice": NAME,
        "refused": [],
    }


def test_health_without_a_voice_is_an_error(served: Served, client: TestClient) -> None:
    withdraw(served.store)
    answer = client.get("/health")
    assert answer.status_code == 503
    value = answer.json()
    assert (value["ok"], value["voices"], value["sample_rate_hz"]) == (False, [], None)
    assert (value["error_code"], value["error_message"]) == ("voice_unavailable", "no voice is promoted")


def test_health_names_a_default_voice_that_does_not_speak(served: Served, client_of: Clients) -> None:
    answer = client_of(served, default_voice="anna").get("/health")
    assert answer.status_code == 503
    assert answer.json()["voices"] == [NAME] and "anna" in answer.json()["error_message"]


@pytest.mark.parametrize("path", ["/", "/speak/", "/api/voice", "/docs", "/openapi.json", "/%2e%2e/etc/passwd"])
def test_other_paths_are_envelopes(client: TestClient, path: str) -> None:
    envelope(client.get(path, follow_redirects=False), "not_found", 404)
    envelope(client.post(path, json={"text": TEXT}, follow_redirects=False), "not_found", 404)


def test_other_methods_are_envelopes(client: TestClient) -> None:
    answer = client.get("/speak")
    envelope(answer, "method_not_allowed", 405)
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "a@127.0.0.1", "", "[::1"]
)
def test_a_name_that_is_not_ours_is_refused(client: TestClient, host: str) -> None:
    answer = client.post("/speak", json={"text": TEXT}, headers={"host": host})
    envelope(answer, "host_not_allowed", 400)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8470", "localhost:1", "LOCALHOST", "[::1]:8470"])
def test_the_names_of_this_machine_are_ours(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200


def test_a_page_of_another_origin_may_not_speak(client: TestClient) -> None:
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": "file://127.0.0.1"},
        {"origin": "http://127.0.0.1:3000"},
        {"sec-fetch-site": "cross-site"},
    ):
        envelope(client.post("/speak", json={"text": TEXT}, headers=headers), "origin_not_allowed", 403)
    ours = {"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"}
    assert client.post("/speak", json={"text": TEXT}, headers=ours).status_code == 200


def test_no_message_names_a_place_of_this_machine(served: Served, client: TestClient) -> None:
    (current_bundle(served.store) / "sample.wav").unlink()
    value = envelope(speak(client), "voice_unavailable", 503)
    assert not re.search(str(served.project.parent), str(value))
    assert "sample.wav" in value["message"]
