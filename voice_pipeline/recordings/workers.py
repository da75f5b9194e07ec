"""All cores, bounded memory: jobs to processes and their results back in order.

    for result in in_processes(measure, jobs, seconds=900.0):
        ...

Few seconds of audio are done here: starting a process costs more than it saves. Results do not depend on how many
processes there are.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from voice_pipeline.failures import VoiceFailure

Job = TypeVar("Job")
Result = TypeVar("Result")

PARALLEL_FROM = 120.0  # seconds of audio
MAX_PROCESSES = 32
_AHEAD = 4  # jobs waiting for each process: enough to keep it busy, few enough to keep memory flat


def counted(progress: Callable[[int, int], None] | None, seconds: float) -> Callable[[float], None] | None:
    """``progress(current, total)`` in whole seconds of audio, for who counts what is done piece by piece."""
    if progress is None:
        return None
    total, done = max(1, math.ceil(seconds)), 0.0

    def count(more: float) -> None:
        nonlocal done
        done += more
        progress(total if done > seconds - 0.5 else int(done), total)

    return count


def processes() -> int:
    """How many processes to use: the CPUs that this process may run on."""
    return max(1, min(MAX_PROCESSES, len(os.sched_getaffinity(0))))


def in_processes(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    seconds: float,
    initializer: Callable[..., None] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """``function`` of every job, in their order; ``seconds`` of audio in all decide whether processes are started.

    ``function``, its jobs and ``initializer`` are pickled: module-level functions. Whatever ``function`` raises is
    raised here. Raises VoiceFailure ``out_of_memory`` when a process was killed.
    """
    if processes() == 1 or seconds < PARALLEL_FROM:
        if initializer is not None:
            initializer(*initargs)
        yield from map(function, jobs)
        return
    from concurrent.futures.process import BrokenProcessPool

    # spawn, not fork: the caller may hold threads and locks (a Dagster process does).
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes(), mp_context=context, initializer=_begin, initargs=(initializer, initargs))
    waiting: deque[Future[Result]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(function, job))
            if len(waiting) >= processes() * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        detail = "a process that measured audio was killed, most likely for its memory"
        raise VoiceFailure("out_of_memory", detail) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
    """What every process does first. It may not outlive the one that it works for, however that one ended: killed, it
    cannot say so, and the pipe that jobs come through stays open for as long as there is another such process.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
