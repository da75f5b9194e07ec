from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from voice_pipeline.atomic import write_bytes, write_json
from voice_pipeline.promotion import adapter, trace
from voice_pipeline.protocol import Progress
from voice_pipeline.serving.app import make_app
from voice_pipeline.status import TrainStatus, write_status
from voice_pipeline.store import Store
from voice_pipeline_tests.ready_voice import NAME
from voice_pipeline_tests.serving.conftest import Served

VOICE = "dottie_default"
JOB = "tts_prod_train_nemo"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def local(store: Store, address: str = "127.0.0.1", project: Path | None = None) -> TestClient:
    return TestClient(make_app(project or store.root, store), base_url="http://127.0.0.1", client=(address, 5000))


@pytest.fixture
def client(store: Store) -> TestClient:
    return local(store)


def training(store: Store) -> None:
    write_status(store, TrainStatus(JOB, "running", "Training", VOICE, "run-1", Progress(3, 10)))


def test_the_status_is_what_the_training_wrote(store: Store, client: TestClient) -> None:
    training(store)
    answer = client.get("/api/train/status")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.content == store.latest_train_status().read_bytes()
    assert answer.json()["progress"] == {"current": 3, "total": 10}


def test_without_a_status_there_is_none(client: TestClient) -> None:
    answer = client.get("/api/train/status")
    assert (answer.status_code, answer.json()) == (404, {"error": "status_not_found"})


def empty_file(path: Path) -> None:
    write_bytes(path, b"")


def half_a_file(path: Path) -> None:
    write_bytes(path, b'{"status": "runn')


def no_object(path: Path) -> None:
    write_bytes(path, b"[]")


def not_finite(path: Path) -> None:
    write_bytes(path, b'{"loss": NaN}')


def not_utf8(path: Path) -> None:
    write_bytes(path, b'{"a": "\xff"}')


def too_deep(path: Path) -> None:
    write_bytes(path, b'{"a":' * 50_000)


def too_large(path: Path) -> None:
    write_json(path, {"message": "x" * (5 << 20)})


def folder(path: Path) -> None:
    path.mkdir(parents=True)


def pipe(path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mkfifo(path)


def link(path: Path) -> None:
    write_json(path.with_name("secret.json"), {"secret": 1})
    path.symlink_to("secret.json")


@pytest.mark.parametrize(
    "spoil",
    [empty_file, half_a_file, no_object, not_finite, not_utf8, too_deep, too_large, folder, pipe, link],
)
def test_a_status_that_cannot_be_read_says_so_and_no_more(store: Store, client: TestClient, spoil: Any) -> None:
    spoil(store.latest_train_status())
    answer = client.get("/api/train/status")
    assert (answer.status_code, answer.json()) == (500, {"error": "status_read_failed"})


@pytest.mark.parametrize("body", [{}, {"json": {}}, {"content": b"", "headers": {"content-type": "application/json"}}])
def test_reset_forgets_the_latest_status_and_leaves_the_voices_own(
    store: Store, client: TestClient, body: dict[str, Any]
) -> None:
    training(store)
    for _ in range(2):  # once more changes nothing
        answer = client.post("/api/train/status/reset", **body)
        assert (answer.status_code, answer.json()) == (200, {"ok": True})
    assert client.get("/api/train/status").json() == {"error": "status_not_found"}
    assert store.train_status(VOICE, JOB).is_file()


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content-type": "text/plain"}, 400, "invalid_request"),
        ({"content-type": "application/x-www-form-urlencoded"}, 400, "invalid_request"),
        ({"origin": "http://evil.example"}, 403, "origin_not_allowed"),
        ({"sec-fetch-site": "cross-site"}, 403, "origin_not_allowed"),
        ({"host": "evil.example"}, 400, "host_not_allowed"),
        ({"x-forwarded-for": "203.0.113.9"}, 403, "local_clients_only"),
        ({"forwarded": "for=203.0.113.9"}, 403, "local_clients_only"),
    ],
)
def test_a_page_in_a_browser_cannot_reset(
    store: Store, client: TestClient, headers: dict[str, str], status: int, code: str
) -> None:
    training(store)
    answer = client.post("/api/train/status/reset", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert store.latest_train_status().is_file()


@pytest.mark.parametrize("address", ["192.0.2.1", "testclient", "::ffff:192.0.2.1", ""])
def test_another_machine_may_read_and_not_reset(store: Store, address: str) -> None:
    training(store)
    client = local(store, address)
    assert client.get("/api/train/status").status_code == 200
    assert client.post("/api/train/status/reset", json={}).status_code == 403
    assert store.latest_train_status().is_file()


def test_a_reset_that_the_disk_refuses_says_so(store: Store, client: TestClient) -> None:
    store.latest_train_status().mkdir(parents=True)
    answer = client.post("/api/train/status/reset")
    assert (answer.status_code, answer.json()["error"]) == (500, "status_reset_failed")


@pytest.mark.parametrize("path", ["/api/train/dataset", "/api/train/start", "/api/train/job/7"])
def test_what_starts_work_is_not_built_yet(client: TestClient, path: str) -> None:
    for answer in (client.get(path), client.post(path, json={})):
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "x", "", "100001", "9" * 30, "1&limit=2", "%00", "١"])
def test_a_limit_that_is_none_is_refused(client: TestClient, limit: str) -> None:
    answer = client.get(f"/api/agi/training-trace/export?limit={limit}")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b'{"a": 1, "a": 2}'])
def test_the_adapter_refuses_what_is_no_object(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/agi/adapter/run", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert json.loads(answer.content)["traceId"]


def test_the_adapter_takes_json_only(client: TestClient) -> None:
    answer = client.post("/api/agi/adapter/run", content=b"{}", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"mode": "other"},
        {"mode": "constraint-pack", "pack": {"id": "another-pack"}},
        {"mode": "constraint-pack", "pack": {"id": "voice-promotion", "voice_profile_id": "nobody"}},
        {"mode": "constraint-pack", "pack": {"id": "voice-promotion", "voice_profile_id": "../x"}},
        {"mode": "constraint-pack", "pack": {"id": "voice-promotion"}},
    ],
)
def test_the_adapter_refuses_a_wrong_request_in_words(client: TestClient, value: dict[str, Any]) -> None:
    answer = client.post("/api/agi/adapter/run", json={"traceId": "t-1"} | value)
    assert (answer.status_code, answer.json()["error"], answer.json()["traceId"]) == (400, "invalid_request", "t-1")


def test_the_traces_are_the_newest_lines_as_they_are_stored(store: Store, client: TestClient) -> None:
    lines = [
        trace.append(store, {"kind": "training-trace", "version": 1, "notes": "x" * 900})["seq"] for _ in range(200)
    ]
    stored = store.training_trace().read_bytes().splitlines(keepends=True)
    assert lines == list(range(1, 201))
    for limit in (1, 7, 200, 100_000):
        answer = client.get(f"/api/agi/training-trace/export?limit={limit}")
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        assert answer.content == b"".join(stored[-limit:])
    assert client.get("/api/agi/training-trace/export").content == b"".join(stored)


def test_without_traces_the_export_is_empty(client: TestClient) -> None:
    answer = client.get("/api/agi/training-trace/export?limit=5")
    assert (answer.status_code, answer.content) == (200, b"")


def test_traces_that_cannot_be_read_are_an_error_before_the_first_byte(store: Store, client: TestClient) -> None:
    store.training_trace().mkdir(parents=True)
    answer = client.get("/api/agi/training-trace/export?limit=5")
    assert (answer.status_code, answer.json()["error"]) == (500, "trace_read_failed")


@pytest.mark.evaluation
def test_the_adapter_answers_the_result_of_a_verification(served: Served) -> None:
    request = {"traceId": "adapter:42", "mode": "constraint-pack", "pack": {"id": "voice-promotion"}}
    request["pack"] |= {"voice_profile_id": NAME}  # type: ignore[operator]
    with local(served.store, project=served.project) as client:
        before = client.get("/api/agi/training-trace/export?limit=100").text.count("\n")
        answer = client.post("/api/agi/adapter/run", json=request)
        value = answer.json()
        lines = client.get("/api/agi/training-trace/export?limit=100").text.splitlines()
    assert answer.status_code == 200, value
    assert {"traceId", "runId", "verdict", "pass", "firstFail", "deltas", "certificate", "artifacts"} <= set(value)
    assert value["traceId"] == "adapter:42" and value["verdict"] in ("PASS", "FAIL")
    assert value["certificate"]["certificateId"].endswith(value["certificate"]["certificateHash"][:12])
    assert len(lines) == before + 1
    assert json.loads(lines[-1])["traceId"] == "adapter:42"


def test_verifications_wait_and_are_not_piled_up(
    store: Store, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go = threading.Semaphore(0), threading.Event()

    def slow(*_: object) -> dict[str, Any]:
        started.release()
        assert go.wait(10)
        return {"verdict": "PASS"}

    monkeypatch.setattr(adapter, "answer", slow)
    with client, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.post, "/api/agi/adapter/run", json={}) for _ in range(8)]
        assert started.acquire(timeout=10)
        ended = as_completed(asked, timeout=10)
        refused = [next(ended).result() for _ in range(3)]  # all that are too many, before the first one goes on
        go.set()
        codes = sorted(one.result().status_code for one in asked)
    for one in refused:
        assert (one.status_code, one.json()["error"], one.headers["retry-after"]) == (503, "adapter_busy", "5")
    assert codes == [200] * 5 + [503] * 3
