"""The adapter, both ways round: what a client may post to us, and what another adapter may answer us."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.promotion import adapter, asking, trace
from voice_pipeline.promotion.asking import AdapterUnreachable, answer_problem, ask
from voice_pipeline.promotion.certificate import Certificate, certify
from voice_pipeline.promotion.verification import Verification, verify
from voice_pipeline.store import Store
from voice_pipeline_tests.promotion.test_trace import lines
from voice_pipeline_tests.ready_voice import NAME, TODAY, ReadyVoice

RUN, EXPORT = "/api/agi/adapter/run", "/api/agi/training-trace/export"
PASS = {
    "traceId": "adapter:1",
    "runId": "9",
    "verdict": "PASS",
    "pass": True,
    "firstFail": None,
    "deltas": [],
    "certificate": {"status": "GREEN", "certificateHash": "a" * 64, "certificateId": "c", "integrityOk": True},
    "artifacts": [],
}
TRACE = b'{"seq": 1}\n{"seq": 2}\n'
Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


def sent(status: int, body: bytes, headers: dict[str, str] | None = None) -> Answer:
    def send(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return send


def ok(value: Any) -> Answer:
    return sent(200, json.dumps(value).encode())


class Other(ThreadingHTTPServer):
    """An adapter on this machine that answers what the test says; it keeps what it was asked."""

    daemon_threads = True

    def __init__(self, run: Answer, export: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = {RUN: run, EXPORT: export}
        self.seen: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def do_GET(self) -> None:
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        server = self.server
        assert isinstance(server, Other)
        server.seen.append((self.path, dict(self.headers), body))
        path = self.path.partition("?")[0].removeprefix("/below")
        server.answers.get(path, sent(404, b""))(self, body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(run: Answer | None = None, export: Answer | None = None) -> Iterator[Other]:
    server = Other(run or ok(PASS), export or sent(200, TRACE))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def certificate() -> Certificate:
    content = {"packId": "p", "packVersion": "1", "metrics": {"wer": 0.1}, "constraints": [], "proxy": False}
    return certify(content, green=True, integrity_ok=True)


def refusal(certificate: Certificate, server: Other, **options: Any) -> VoiceFailure:
    with pytest.raises(VoiceFailure) as caught:
        ask(server.url, NAME, certificate, **options)
    assert caught.value.reason == "verification_failed"
    assert server.url in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


# -- asking another ------------------------------------------------------------------------------------


def test_a_pass_is_a_pass(certificate: Certificate) -> None:
    with serving() as other:
        ask(other.url, NAME, certificate, trace_id="adapter:7")
    (path, headers, body), (second, _, _) = other.seen
    assert (path, second) == (RUN, f"{EXPORT}?limit=100")
    assert headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers
    assert json.loads(body) == {
        "traceId": "adapter:7",
        "mode": "constraint-pack",
        "pack": {
            "id": "voice-promotion",
            "version": "1",
            "voice_profile_id": NAME,
            "metrics": {"wer": 0.1},
            "certificateHash": certificate.certificate_hash,
        },
    }


@pytest.mark.parametrize("suffix", ["", "/", RUN, "/below", f"/below{RUN}"])
def test_the_address_is_the_base_or_the_route(certificate: Certificate, suffix: str) -> None:
    with serving() as other:
        ask(other.url + suffix, NAME, certificate)
    below = "/below" if "below" in suffix else ""
    assert [path.partition("?")[0] for path, _, _ in other.seen] == [below + RUN, below + EXPORT]


def changed(**fields: Any) -> dict[str, Any]:
    return {**PASS, **fields}


def certified(**fields: Any) -> dict[str, Any]:
    return changed(certificate={**PASS["certificate"], **fields})  # type: ignore[dict-item]


BAD_ANSWERS: list[tuple[str, Answer, str]] = [
    ("fail", ok(changed(verdict="FAIL", firstFail={"id": "quality.max_wer"})), 'verdict is "FAIL".*quality.max_wer'),
    ("no verdict", ok({}), "verdict is null"),
    ("lower case", ok(changed(verdict="pass")), "verdict is"),
    ("first fail", ok(changed(firstFail="x")), "firstFail is"),
    ("no first fail", ok({key: value for key, value in PASS.items() if key != "firstFail"}), "firstFail"),
    ("pass is false", ok(changed(**{"pass": False})), "pass is not true"),
    ("no certificate", ok(changed(certificate=None)), "no certificate"),
    ("short hash", ok(certified(certificateHash="a" * 63)), "64 lower-case hex"),
    ("upper-case hash", ok(certified(certificateHash="A" * 64)), "64 lower-case hex"),
    ("hash with a line end", ok(certified(certificateHash="a" * 64 + "\n")), "64 lower-case hex"),
    ("hash is a number", ok(certified(certificateHash=1)), "64 lower-case hex"),
    ("no integrity", ok(certified(integrityOk=False)), "integrity is not confirmed"),
    ("integrity in words", ok(certified(integrityOk="true")), "integrity is not confirmed"),
    ("red", ok(certified(status="RED")), "not GREEN"),
    ("a list", ok([PASS]), "not a JSON object"),
    ("html", sent(200, b"<html>welcome</html>"), "not JSON"),
    ("nothing", sent(200, b""), "not JSON"),
    ("not a number", sent(200, b'{"verdict": NaN}'), "not JSON"),
    ("nested", sent(200, b"[" * 100_000), "not JSON"),
    ("bytes", sent(200, b"\xff\xfe\x00"), "not JSON"),
]


@pytest.mark.parametrize(("answer", "told"), [case[1:] for case in BAD_ANSWERS], ids=[case[0] for case in BAD_ANSWERS])
def test_a_bad_answer_is_no_pass(certificate: Certificate, answer: Answer, told: str) -> None:
    with serving(answer) as other:
        failure = refusal(certificate, other)
    assert re.search(told, failure.detail)
    assert not isinstance(failure, AdapterUnreachable)
    assert len(other.seen) == 1


BAD_TRACES: list[tuple[str, Answer, str]] = [
    ("empty", sent(200, b""), "trace is empty"),
    ("blank", sent(200, b"\n\n"), "trace is empty"),
    ("html", sent(200, b"<html>\n"), "line 1 of its trace"),
    ("second line", sent(200, b'{"seq": 1}\nnonsense\n'), "line 2 of its trace"),
    ("torn", sent(200, b'{"seq": 1}\n{"seq"'), "last line of its trace"),
    ("a list", sent(200, b"[]\n"), "line 1 of its trace"),
    ("missing", sent(404, b"no"), "status 404"),
]


@pytest.mark.parametrize(("answer", "told"), [case[1:] for case in BAD_TRACES], ids=[case[0] for case in BAD_TRACES])
def test_a_pass_without_its_trace_is_none(certificate: Certificate, answer: Answer, told: str) -> None:
    with serving(export=answer) as other:
        assert told in refusal(certificate, other).detail


@pytest.mark.parametrize("status", [201, 204, 400, 401, 404, 500, 503])
def test_any_other_status_is_no_verdict(certificate: Certificate, status: int) -> None:
    with serving(sent(status, json.dumps(PASS).encode() if status != 204 else b"")) as other:
        failure = refusal(certificate, other)
    assert isinstance(failure, AdapterUnreachable)
    assert f"status {status}" in failure.detail


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(certificate: Certificate, status: int) -> None:
    with serving() as elsewhere, serving(sent(status, b"", {"Location": f"{elsewhere.url}{RUN}"})) as other:
        assert isinstance(refusal(certificate, other), AdapterUnreachable)
    assert elsewhere.seen == []


def test_nobody_there(certificate: Certificate) -> None:
    with serving() as other:
        pass
    failure = refusal(certificate, other)
    assert isinstance(failure, AdapterUnreachable)
    assert "cannot be reached" in failure.detail


def test_one_that_never_answers(certificate: Certificate) -> None:
    done = threading.Event()
    with serving(lambda handler, _: done.wait(10) and None) as other:
        start = time.monotonic()
        assert "in time" in refusal(certificate, other, seconds=0.3).detail
        assert time.monotonic() - start < 3
        done.set()


def test_one_that_drips(certificate: Certificate) -> None:
    def drip(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return
            time.sleep(0.05)

    with serving(drip) as other:
        start = time.monotonic()
        assert "in time" in refusal(certificate, other, seconds=0.4).detail
        assert time.monotonic() - start < 3


def test_one_that_never_ends(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MAX_ANSWER_BYTES", 10_000)
    monkeypatch.setattr(asking, "MAX_EXPORT_BYTES", 10_000)
    with serving(sent(200, b" " * 50_000)) as other:
        assert "more than 10000 bytes" in refusal(certificate, other).detail
    with serving(export=sent(200, b'{"seq": 1}\n' * 5_000)) as other:
        assert "more than 10000 bytes" in refusal(certificate, other).detail


def test_one_that_hangs_up(certificate: Certificate) -> None:
    def half(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"verdict"')

    with serving(half) as other:
        refusal(certificate, other)


def test_a_password_is_sent_and_never_shown(certificate: Certificate) -> None:
    with serving(ok(changed(verdict="FAIL"))) as other:
        url = other.url.replace("http://", "http://dora:s%40cret@")
        with pytest.raises(VoiceFailure) as caught:
            ask(url, NAME, certificate)
    assert other.url in str(caught.value)
    assert "cret" not in str(caught.value)
    assert "dora" not in str(caught.value)
    assert other.seen[0][1]["Authorization"] == "Basic " + base64.b64encode(b"dora:s@cret").decode()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http:///x",
        "http://checks.example/",
        "http://192.168.0.1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/?token=s",
        "http://127.0.0.1/#x",
        "http://127.0.0.1/a b",
        "http://[::1/",
        "http://dora:secret@checks.example/",
    ],
)
def test_an_address_that_cannot_be_asked_is_the_persons_to_correct(certificate: Certificate, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ask(url, NAME, certificate)
    assert "secret" not in str(caught.value)
    assert "token" not in str(caught.value)


@given(
    st.binary(max_size=200) | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(repr).map(str.encode)
)
def test_any_bytes_are_one_line_of_a_problem(data: bytes) -> None:
    problem = answer_problem(data)
    assert problem
    assert "\n" not in problem


def test_what_an_adapter_says_cannot_spoil_a_message() -> None:
    problem = answer_problem(
        json.dumps({"verdict": "FAIL\n\x1b[31m" + "x" * 10_000, "firstFail": {"id": "\r"}}).encode()
    )
    assert problem is not None
    assert len(problem) < 300
    assert problem.isprintable()


# -- asking it while verifying -------------------------------------------------------------------------


@pytest.fixture
def voice(ready_voice: ReadyVoice, tmp_path: Path) -> ReadyVoice:
    return ready_voice.copy(tmp_path / "project")


def verified(voice: ReadyVoice, other: Other, trace_id: str | None = None) -> Verification:
    return verify(voice.project, voice.voice, voice.store, today=TODAY, adapter_url=other.url, trace_id=trace_id)


@pytest.mark.evaluation
def test_another_adapters_pass_is_a_constraint(voice: ReadyVoice) -> None:
    plain = verify(voice.project, voice.voice, voice.store, today=TODAY)
    with serving() as other:
        found = verify(
            voice.project, voice.voice, voice.store, today=TODAY, adapter_url=other.url, trace_id="adapter:5"
        )
    assert found.go
    assert found.constraints[-1].id == "adapter.pass"
    assert [one.id for one in plain.constraints].count("adapter.pass") == 0
    body = json.loads(other.seen[0][2])
    assert body["traceId"] == "adapter:5"
    assert body["pack"]["certificateHash"] == plain.certificate.certificate_hash


@pytest.mark.evaluation
@pytest.mark.parametrize(("answer", "status"), [(ok(changed(verdict="FAIL")), "fail"), (sent(503, b""), "unknown")])
def test_without_another_adapters_pass_there_is_none(voice: ReadyVoice, answer: Answer, status: str) -> None:
    with serving(answer) as other:
        found = verified(voice, other)
    assert not found.go
    assert (found.result["firstFail"]["id"], found.result["firstFail"]["status"]) == ("adapter.pass", status)
    assert any(other.url in blocker for blocker in found.result["blockers"])
    text = (voice.store.verification(NAME) / "evidence.json").read_text()
    assert other.url not in text  # an address is no evidence


# -- being asked ---------------------------------------------------------------------------------------


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    """The route asks the clock; here it says TODAY."""
    monkeypatch.setattr(adapter, "verify", lambda *args, **options: verify(*args, **{"today": TODAY, **options}))


def body(**pack: Any) -> dict[str, Any]:
    return {"mode": "constraint-pack", "pack": {"id": "voice-promotion", **pack}}


@pytest.mark.evaluation
@pytest.mark.parametrize("pack", [{"voice_profile_id": NAME}, {"voiceProfile": NAME}, {}])
def test_a_client_is_answered(voice: ReadyVoice, today: None, pack: dict[str, Any]) -> None:
    answer = adapter.answer(voice.project, voice.store, {**body(**pack, metrics={"wer": 0.0}), "traceId": "adapter:3"})
    assert answer_problem(json.dumps(answer).encode()) is None
    assert answer["traceId"] == "adapter:3"
    assert [line["traceId"] for line in lines(voice.store)] == ["adapter:3"]
    assert lines(voice.store)[0]["source"] == "adapter"


@pytest.mark.evaluation
def test_two_of_us_agree(voice: ReadyVoice, today: None, tmp_path: Path) -> None:
    """Our own adapter behind HTTP is one that we accept: the whole of the protocol, both sides."""
    theirs = voice.copy(tmp_path / "theirs")

    def run(handler: BaseHTTPRequestHandler, data: bytes) -> None:
        ok(adapter.answer(theirs.project, theirs.store, json.loads(data)))(handler, data)

    def export(handler: BaseHTTPRequestHandler, data: bytes) -> None:
        sent(200, b"".join(trace.read(theirs.store, 100)))(handler, data)

    with serving(run, export) as other:
        found = verify(
            voice.project, voice.voice, voice.store, today=TODAY, adapter_url=other.url, trace_id="adapter:9"
        )
        assert found.go
        voice.evaluate(wrong_words=3)  # what we claim now contradicts what they hold
        found = verified(voice, other)
    first, second = lines(theirs.store)
    assert (first["traceId"], first["pass"], second["pass"]) == ("adapter:9", True, False)
    assert any("metrics.match" in blocker for blocker in found.result["blockers"])


@pytest.mark.evaluation
def test_the_other_adapter_may_be_of_this_very_store(voice: ReadyVoice, today: None) -> None:
    """A server on the same store verifies while we wait for it: we hold nothing that it needs."""

    def run(handler: BaseHTTPRequestHandler, data: bytes) -> None:
        ok(adapter.answer(voice.project, voice.store, json.loads(data)))(handler, data)

    def export(handler: BaseHTTPRequestHandler, data: bytes) -> None:
        sent(200, b"".join(trace.read(voice.store, 100)))(handler, data)

    started = time.monotonic()
    with serving(run, export) as other:
        assert verified(voice, other).go
    assert time.monotonic() - started < 60
    assert [line["seq"] for line in lines(voice.store)] == [1, 2]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({}, "mode"),
        ({"mode": "chat", "pack": {"id": "voice-promotion"}}, "mode"),
        ({"mode": "constraint-pack"}, "pack"),
        ({"mode": "constraint-pack", "pack": "voice-promotion"}, "pack"),
        ({"mode": "constraint-pack", "pack": {"id": "other"}}, "pack.id"),
        (body(voice_profile_id=3), "voice_profile_id"),
        (body(voice_profile_id="x" * 65), "voice_profile_id"),
        (body(voice_profile_id="a", voiceProfile="b"), "two voices"),
        (body(metrics=[1]), "metrics"),
        (body(metrics={"x": [1]}), "metrics"),
        (body(metrics={"x" * 101: 1}), "too long"),
        (body(metrics={"x": "y" * 201}), "too long"),
        (body(metrics={f"x{n}": 1 for n in range(201)}), "metrics"),
        (body(metrics={"x": float("nan")}), "metrics"),
        ({**body(), "traceId": ""}, "traceId"),
        ({**body(), "traceId": "x" * 201}, "traceId"),
        ({**body(), "traceId": "a\nb"}, "traceId"),
        ({**body(), "traceId": 7}, "traceId"),
        (body(), "names no voice_profile_id"),
        (body(voice_profile_id="nobody"), "no voice 'nobody'"),
        (body(voice_profile_id="../x"), "is no voice id"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(tmp_path: Path, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        adapter.answer(tmp_path, Store(tmp_path / "store"), wrong)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "store").exists()


@pytest.mark.evaluation
def test_keys_of_other_adapters_are_left_out(voice: ReadyVoice, today: None) -> None:
    asked = {**body(voiceProfile=NAME, metrics={"mos": 5, "note": "x", "ok": True, "none": None}), "actions": []}
    answer = adapter.answer(voice.project, voice.store, asked)
    assert answer["verdict"] == "PASS"
    assert len(answer["notes"]) == 4
