"""A real server process, and real files that change under it."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from voice_pipeline.failures import ConfigError
from voice_pipeline.promotion import adapter, rollback, verification
from voice_pipeline.promotion.revoke import revoke
from voice_pipeline.serving.server import serve
from voice_pipeline.store import Store
from voice_pipeline.voice import load_voice_by_id
from voice_pipeline_tests.ready_voice import NAME, TODAY
from voice_pipeline_tests.serving.conftest import Served
from voice_pipeline_tests.serving.process import ServerProcess
from voice_pipeline_tests.serving.releases import another_release
from voice_pipeline_tests.serving.test_voice_routes import envelope

Servers = Callable[..., ServerProcess]

SECRET = "Xylophone marmalade at midnight"
NO_RATE = {"limits": {"per_second": 1e6, "burst": 1_000_000}}


@pytest.mark.evaluation
def test_eight_clients_hear_the_same_bytes_cold_and_hot(served: Served, server_of: Servers) -> None:
    server = server_of(served, **NO_RATE)
    assert server.line.startswith("Serving promoted voices at http://127.0.0.1:")
    texts = [f"Sentence number {number}." for number in range(4)]

    def listen(_: int) -> list[tuple[str, bytes]]:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            answers = [client.post("/speak", json={"text": text}) for text in texts * 2]
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.headers["x-voice-cache"] for answer in answers[len(texts) :]} == {"hit"}
        return [(text, answer.content) for text, answer in zip(texts * 2, answers, strict=True)]

    with ThreadPoolExecutor(8) as pool:
        heard = {pair for pairs in pool.map(listen, range(8)) for pair in pairs}
    assert len(heard) == len(texts)


@pytest.mark.evaluation
def test_a_revocation_silences_a_running_server_at_once(served: Served, server_of: Servers) -> None:
    server = server_of(served, **NO_RATE)
    revoked, done = threading.Event(), threading.Event()
    after: list[int] = []
    before: list[int] = []

    def ask() -> None:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            while not done.is_set():
                late = revoked.is_set()
                answer = client.post("/speak", json={"text": "The lamp.", "voiceProfile": NAME})
                (after if late else before).append(answer.status_code)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(before) < 20:
        time.sleep(0.01)
    revoke(served.project, NAME, served.store, by="tests", reason="a test", today=TODAY)
    revoked.set()
    while len(after) < 20:
        time.sleep(0.01)
    done.set()
    for thread in threads:
        thread.join()
    assert before[0] == 200 and set(after) == {503}
    health = server.client.get("/health")
    assert (health.status_code, health.json()["voices"]) == (503, [])


@pytest.mark.evaluation
def test_a_rollback_is_heard_in_the_next_answer(served: Served, server_of: Servers) -> None:
    server = server_of(served)
    first = server.client.post("/speak", json={"text": "One. Two."})
    number = another_release(served.store, settings={"sentence_pause": 1.5})
    second = server.client.post("/speak", json={"text": "One. Two."})
    assert second.headers["x-voice-release"] == str(number) and len(second.content) > len(first.content)
    voice = load_voice_by_id(served.project, NAME)
    rollback.run(served.project, voice, served.store, today=TODAY, by="tests", reason="a test")
    third = server.client.post("/speak", json={"text": "One. Two."})
    assert third.headers["x-voice-release"] == first.headers["x-voice-release"]
    assert third.content == first.content


@pytest.mark.evaluation
def test_the_text_is_in_nothing_that_the_server_writes(served: Served, server_of: Servers) -> None:
    server = server_of(served)
    said = [
        server.client.post("/speak", json={"text": SECRET, "traceId": "trace-1"}),
        server.client.post("/speak", json={"text": SECRET, "mode": "no"}),
        server.client.post("/speak", json={"text": SECRET + " Привет"}),
        server.client.post("/speak", json={"text": SECRET, "voiceProfile": SECRET}),
        server.client.post("/speak", json={"text": SECRET, "traceId": SECRET}),
        server.client.post("/speak", json={SECRET: SECRET}),
        server.client.post("/speak", content=SECRET.encode()),
        server.client.post("/speak", params={"text": SECRET}, json={"text": SECRET * 2000}),
        server.client.get("/speak", params={"text": SECRET}),
        server.client.get(f"/{SECRET}", headers={"x-text": SECRET}),
        server.client.request("XYLOPHONE", "/speak"),
    ]
    assert [answer.status_code for answer in said][:2] == [200, 400]
    with socket.create_connection(server.address) as connection:
        connection.sendall(f"{SECRET}\r\nno http at all {SECRET}\r\n\r\n".encode())
        connection.recv(1024)
    assert server.end() == 0
    written = server.output()
    assert "POST /speak 200" in written and "trace=trace-1" in written and f"chars={len(SECRET)}" in written
    for word in SECRET.split():
        assert word.lower() not in written.lower()
    assert "Traceback" not in written
    for path in served.store.root.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes()


@pytest.mark.evaluation
def test_a_signal_ends_it_after_the_answer_on_its_way(served: Served, server_of: Servers) -> None:
    server = server_of(served)
    body = b'{"text": "Good morning."}'
    head = (
        f"POST /speak HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    )
    with socket.create_connection(server.address, timeout=15) as connection:
        connection.sendall(f"{head}expect: 100-continue\r\n\r\n".encode())
        assert b"100 Continue" in connection.recv(1024)  # the route has begun to read the body
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        while not refuses(server):
            time.sleep(0.02)
        connection.sendall(body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert server.process.wait(timeout=15) == 0
    assert time.monotonic() - started < 10
    assert answer.startswith(b"HTTP/1.1 200 OK") and b"\r\n\r\nRIFF" in answer


@pytest.mark.evaluation
def test_a_client_that_never_finishes_does_not_keep_it_from_ending(served: Served, server_of: Servers) -> None:
    server = server_of(served)
    head = "POST /speak HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n"
    with socket.create_connection(server.address, timeout=15) as connection:
        connection.sendall(f"{head}expect: 100-continue\r\n\r\n".encode())
        assert b"100 Continue" in connection.recv(1024)
        assert server.end(signal.SIGINT) == 0


def refuses(server: ServerProcess) -> bool:
    """Whether it takes no new connections."""
    try:
        socket.create_connection(server.address, timeout=1).close()
    except OSError:
        return True
    return False


@pytest.mark.evaluation
def test_another_pipeline_can_ask_this_adapter(served: Served, server_of: Servers) -> None:
    """The client of ``verify --adapter``, against our own server: it posts, reads the verdict, fetches the traces."""
    server = server_of(served)
    voice = load_voice_by_id(served.project, NAME)
    found = verification.verify(served.project, voice, served.store, today=TODAY)
    adapter.ask(server.url, NAME, found.certificate)
    lines = server.client.get("/api/agi/training-trace/export", params={"limit": 1})
    assert lines.headers["content-type"].startswith("application/x-ndjson")
    assert lines.content == served.store.training_trace().read_bytes().splitlines(keepends=True)[-1]


def test_it_starts_without_any_voice(tmp_path: Path, server_of: Servers) -> None:
    server = server_of(Served(tmp_path))
    health = server.client.get("/health")
    assert (health.status_code, health.json()["error_message"]) == (503, "no voice is promoted")
    envelope(server.client.post("/speak", json={"text": "Hi.", "voiceProfile": "a"}), "voice_unavailable", 503)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "0.0.0.0"}, "can be reached by others"),
        ({"host": "::"}, "can be reached by others"),
        ({"host": "192.0.2.1"}, "can be reached by others"),
        ({"host": "voice.example"}, "can be reached by others"),
        ({"host": "0.0.0.0", "expose": True}, "--name"),
        ({"host": "192.0.2.1", "expose": True}, "cannot listen"),
        ({"hosts": ["voice.example:80"]}, "without port"),
        ({"hosts": ["http://voice.example"]}, "without port"),
        ({"port": 70000}, "no port"),
        ({"default_voice": "../x"}, "no voice id"),
        ({"verification_key": Path("/nowhere/voice.pub")}, "voice.pub"),
    ],
)
def test_a_wrong_argument_is_told_before_anything_is_served(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        serve(tmp_path, Store(tmp_path / "store"), **({"port": 0} | options))


def test_an_address_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ConfigError, match="cannot listen"):
        serve(tmp_path, Store(tmp_path / "store"), port=other.getsockname()[1])
