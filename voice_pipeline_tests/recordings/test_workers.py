"""Jobs in processes: in order, with bounded waiting, and with a clear word when a process dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings import workers
from voice_pipeline.recordings.workers import in_processes

LONG = workers.PARALLEL_FROM + 1


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    raise VoiceFailure("audio_undecodable", f"clip {number}", voice="ada", file="a.wav")


@pytest.mark.parametrize("seconds", [1.0, LONG])
def test_results_come_in_order(seconds: float) -> None:
    results = list(in_processes(square, range(50), seconds=seconds))
    assert [result[0] for result in results] == [number * number for number in range(50)]
    here = {result[1] for result in results} == {os.getpid()}
    assert here == (seconds < LONG or workers.processes() == 1)


def test_jobs_are_taken_as_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "processes", lambda: 2)
    taken = []

    def jobs() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_processes(square, jobs(), seconds=LONG)
    next(results)
    assert len(taken) < 20
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("seconds", [1.0, LONG])
def test_a_failure_is_raised_as_it_is(seconds: float) -> None:
    with pytest.raises(VoiceFailure) as caught:
        list(in_processes(refuse, [7], seconds=seconds))
    assert (caught.value.reason, caught.value.voice, caught.value.detail) == ("audio_undecodable", "ada", "clip 7")


def test_a_killed_process_is_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "processes", lambda: 2)
    with pytest.raises(VoiceFailure) as caught:
        list(in_processes(die, range(10), seconds=LONG))
    assert caught.value.reason == "out_of_memory"


_KILLED = """
import os, signal, time
from voice_pipeline.recordings import workers

def work(number):
    return os.getpid()

if __name__ == "__main__":
    workers.processes = lambda: 2
    for process in workers.in_processes(work, range(100), seconds=workers.PARALLEL_FROM + 1):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_process_outlives_the_one_it_works_for(tmp_path: Path) -> None:
    """Its pipes are inherited: the output ends only when the last of them has ended."""
    program = tmp_path / "killed.py"
    program.write_text(_KILLED, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, program], capture_output=True, timeout=30, env=environment)
    assert done.returncode == -9, done.stderr.decode()
