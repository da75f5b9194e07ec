"""Threads that synthesise, and those who wait for one: few, bounded, the urgent first.

    workers = Workers(threads=2, waiting=32)
    job = workers.submit(work, rank=0)          # ServingError voice_queue_full
    audio = await asyncio.wrap_future(job.result)

Work gets an event that is set when nobody waits for its result any more, and ends then at its next opportunity.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from voice_pipeline.serving.errors import ServingError

RETRY_SECONDS = 1.0  # after which a client may ask again when the queue is full

Work = Callable[[threading.Event], Any]


@dataclass(order=True)
class Job:
    """One piece of work. ``result`` is a future of what it returns or raises."""

    rank: int
    number: int
    work: Work = field(compare=False)
    result: Future[Any] = field(compare=False, default_factory=Future)
    abandoned: threading.Event = field(compare=False, default_factory=threading.Event)


class Workers:
    """``threads`` that work, and at most ``waiting`` jobs before them."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._capacity = threads + waiting
        self._numbers = itertools.count()
        self._queue: list[Job] = []
        self._running = 0
        self._stopped = False
        self._changed = threading.Condition()
        for number in range(threads):
            # Daemons: a network that never returns does not keep the server from ending.
            threading.Thread(target=self._work, name=f"speak-{number}", daemon=True).start()

    def submit(self, work: Work, *, rank: int = 0) -> Job:
        """Queue ``work`` behind those of the same or a lower rank. Raises ServingError ``voice_queue_full``."""
        with self._changed:
            if self._stopped:
                raise ServingError("voice_unavailable", "the server is ending", reason="ending")
            if len(self._queue) + self._running >= self._capacity:
                message = f"{self._capacity} requests are spoken or wait already; try again soon"
                raise ServingError("voice_queue_full", message, retry_after=RETRY_SECONDS)
            job = Job(rank, next(self._numbers), work)
            heapq.heappush(self._queue, job)
            self._changed.notify()
        return job

    def abandon(self, job: Job) -> None:
        """Nobody waits for ``job`` any more: it leaves the queue, or ends soon."""
        job.abandoned.set()
        with self._changed:
            if job in self._queue:
                self._queue.remove(job)
                heapq.heapify(self._queue)
        job.result.cancel()

    def stop(self) -> None:
        """Take no more work, and abandon what is there."""
        with self._changed:
            self._stopped = True
            jobs, self._queue = self._queue, []
            self._changed.notify_all()
        for job in jobs:
            job.abandoned.set()
            job.result.cancel()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    return
                job = heapq.heappop(self._queue)
                self._running += 1
            try:
                if job.result.set_running_or_notify_cancel():
                    self._run(job)
            finally:
                with self._changed:
                    self._running -= 1

    def _run(self, job: Job) -> None:
        try:
            result = job.work(job.abandoned)
        except BaseException as error:
            job.result.set_exception(error)
        else:
            job.result.set_result(result)
