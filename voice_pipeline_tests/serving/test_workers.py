from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import pytest

from voice_pipeline.serving.errors import ServingError
from voice_pipeline.serving.workers import Workers


class Blocked:
    """One worker that is at work until it is let go."""

    def __init__(self, waiting: int) -> None:
        self.workers = Workers(threads=1, waiting=waiting)
        self.started, self.go = threading.Event(), threading.Event()
        self.job = self.workers.submit(self._work)
        assert self.started.wait(5)

    def _work(self, abandoned: threading.Event) -> str:
        self.started.set()
        assert self.go.wait(5)
        return "abandoned" if abandoned.is_set() else "done"


def test_the_urgent_go_first_and_equals_in_their_order() -> None:
    blocked, order = Blocked(waiting=8), []
    jobs = [
        blocked.workers.submit(lambda _, name=name: order.append(name), rank=rank)  # type: ignore[misc]
        for name, rank in [("info 1", 3), ("warn", 2), ("info 2", 3), ("critical", 0), ("action", 1)]
    ]
    blocked.go.set()
    for job in jobs:
        job.result.result(5)
    assert order == ["critical", "action", "warn", "info 1", "info 2"]
    blocked.workers.stop()


def test_a_full_queue_refuses_and_takes_again_when_one_is_done() -> None:
    blocked = Blocked(waiting=1)
    second = blocked.workers.submit(lambda _: "second")
    with pytest.raises(ServingError) as caught:
        blocked.workers.submit(lambda _: "third")
    assert (caught.value.code, caught.value.status) == ("voice_queue_full", 503)
    assert caught.value.retry_after
    blocked.go.set()
    assert second.result.result(5) == "second"
    assert blocked.workers.submit(lambda _: "fourth").result.result(5) == "fourth"
    blocked.workers.stop()


def test_an_abandoned_job_gives_its_place_and_is_not_done() -> None:
    blocked, done = Blocked(waiting=1), []
    second = blocked.workers.submit(lambda _: done.append("second"))
    blocked.workers.abandon(second)
    third = blocked.workers.submit(lambda _: done.append("third"))
    blocked.workers.abandon(blocked.job)
    blocked.go.set()
    third.result.result(5)
    assert done == ["third"]
    assert blocked.job.result.result(5) == "abandoned"
    blocked.workers.stop()


def test_what_fails_says_so_and_the_thread_goes_on() -> None:
    workers = Workers(threads=1, waiting=4)

    def fail(_: threading.Event) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        workers.submit(fail).result.result(5)
    assert workers.submit(lambda _: 1).result.result(5) == 1
    workers.stop()


def test_a_stopped_pool_refuses_what_waits_and_what_comes() -> None:
    blocked = Blocked(waiting=2)
    second = blocked.workers.submit(lambda _: 2)
    blocked.workers.stop()
    with pytest.raises(CancelledError):
        second.result.result(5)
    with pytest.raises(ServingError):
        blocked.workers.submit(lambda _: 3)
    blocked.go.set()
