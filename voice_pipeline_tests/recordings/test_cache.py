"""The cache of measurements: kept through a kill, never wrong, made anew when it is damaged."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.cache import MeasurementCache
from voice_pipeline.store import Store


def test_values_are_there_for_the_next_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with MeasurementCache.open(store, "levels") as cache:
        assert cache.get("a") is None
        cache.put("a", b"1")
        cache.put("a", b"2")
        assert cache.get("a") == b"2"
    with MeasurementCache.open(store, "levels") as cache:
        assert cache.get("a") == b"2"
    with MeasurementCache.open(store, "other") as cache:
        assert cache.get("a") is None


def test_a_kill_costs_a_second_at_most(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from voice_pipeline.recordings.cache import MeasurementCache
with MeasurementCache(Path({str(tmp_path / "m.sqlite")!r})) as cache:
    for number in range(10_000):
        cache.put(str(number), b"x" * 100)
        print(number, flush=True)
        time.sleep(0.05)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while int(process.stdout.readline()) < 40:
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with MeasurementCache(tmp_path / "m.sqlite") as cache:
        assert cache.get("0") == b"x" * 100
        kept = sum(cache.get(str(number)) is not None for number in range(60))
    assert kept >= 20, "a second is twenty values"


@pytest.mark.parametrize("damage", ["header", "middle", "text"])
def test_a_damaged_database_is_measured_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "m.sqlite"
    with MeasurementCache(path) as cache:
        for number in range(500):
            cache.put(str(number), os.urandom(200))
    data = bytearray(path.read_bytes())
    if damage == "header":
        data[:100] = os.urandom(100)
    elif damage == "middle":
        data[4096:] = os.urandom(len(data) - 4096)
    else:
        data = bytearray(b"not a database at all")
    path.write_bytes(data)
    with MeasurementCache(path) as cache:
        found = [cache.get(str(number)) for number in range(500)]
        assert found.count(None) == 500
        cache.put("a", b"new")
        assert cache.get("a") == b"new"


def test_a_value_that_was_altered_is_not_given_out(tmp_path: Path) -> None:
    path = tmp_path / "m.sqlite"
    with MeasurementCache(path) as cache:
        cache.put("a", b"true")
        cache.put("b", b"also true")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE measurement SET value = ? WHERE key = 'a'", (b"false",))
    connection.close()
    with MeasurementCache(path) as cache:
        assert cache.get("a") is None
        assert cache.get("b") == b"also true"


def test_two_processes_share_it(tmp_path: Path) -> None:
    path = tmp_path / "m.sqlite"
    program = f"""
import sys
from pathlib import Path
from voice_pipeline.recordings.cache import MeasurementCache
with MeasurementCache(Path({str(path)!r})) as cache:
    for number in range(300):
        cache.put(sys.argv[1] + str(number), b"v")
        if number % 50 == 0: cache.commit()
"""
    running = [subprocess.Popen([sys.executable, "-c", program, name]) for name in "ab"]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    with MeasurementCache(path) as cache:
        assert all(cache.get(f"{name}{number}") == b"v" for name in "ab" for number in range(300))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(VoiceFailure) as caught, MeasurementCache(tmp_path / "new" / "m.sqlite"):
        pass
    assert caught.value.reason == "permission_denied"
