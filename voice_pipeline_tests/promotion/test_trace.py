"""The trace keeps every whole line, whoever writes at once and however a write ends."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.promotion import trace
from voice_pipeline.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def lines(store: Store, limit: int | None = None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in trace.read(store, limit)]


def append_many(root: Path, writer: int, count: int) -> None:
    for number in range(count):
        trace.append(Store(root), {"writer": writer, "number": number, "filler": "ä" * 500})


def test_lines_are_numbered_and_dated(store: Store) -> None:
    first, second = (trace.append(store, {"kind": "training-trace", "version": 1}) for _ in range(2))
    assert (first["seq"], second["seq"]) == (1, 2)
    assert first["id"] != second["id"]
    assert first["ts"].endswith("Z")
    assert lines(store) == [first, second]
    assert store.training_trace().read_bytes().count(b"\n") == 2


def test_nothing_there_is_no_line(store: Store) -> None:
    assert lines(store) == []
    assert not store.training_trace().exists()


def test_processes_and_threads_take_turns(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=append_many, args=(store.root, writer, 20)) for writer in range(3)]
    threads = [threading.Thread(target=append_many, args=(store.root, writer, 20)) for writer in range(3, 6)]
    for one in (*processes, *threads):
        one.start()
    for one in (*processes, *threads):
        one.join()
    found = lines(store)
    assert [line["seq"] for line in found] == list(range(1, 121))
    for writer in range(6):
        assert [line["number"] for line in found if line["writer"] == writer] == list(range(20))


KILLED = """
import os, sys
from pathlib import Path
from voice_pipeline.promotion import trace
from voice_pipeline.store import Store
real = os.pwrite
def half(descriptor, data, offset):
    real(descriptor, data[: len(data) // 2], offset)
    os.kill(os.getpid(), 9)
os.pwrite = half
trace.append(Store(Path(sys.argv[1])), {"filler": "x" * 1000})
"""


def test_a_writer_killed_in_the_middle_spoils_nothing(store: Store) -> None:
    before = [trace.append(store, {"n": n}) for n in range(3)]
    done = subprocess.run([sys.executable, "-c", KILLED, str(store.root)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not store.training_trace().read_bytes().endswith(b"\n")  # it is torn
    assert lines(store) == before  # and not shown
    after = trace.append(store, {"n": 3})
    assert after["seq"] == 4
    assert lines(store) == [*before, after]


@pytest.mark.parametrize("written", [0, 7])
def test_a_full_disk_adds_nothing(store: Store, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    before = trace.append(store, {"n": 0})
    real = os.pwrite

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[:written], offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(VoiceFailure, match="disk_full"):
        trace.append(store, {"n": 1})
    monkeypatch.undo()
    assert lines(store) == [before]
    assert store.training_trace().read_bytes().endswith(b"\n")
    assert trace.append(store, {"n": 1})["seq"] == 2


def test_a_disk_that_fails_to_sync_adds_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = trace.append(store, {"n": 0})

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="I/O error"):
        trace.append(store, {"n": 1})
    monkeypatch.undo()
    assert lines(store) == [before]


@pytest.mark.parametrize("spoilt", [b"not json\n", b'{"seq": "x"}\n', b"\x00\x00\x00\n", b"[1]\n", b'{"seq": true}\n'])
def test_a_line_that_somebody_spoilt_is_passed_over_and_kept(store: Store, spoilt: bytes) -> None:
    trace.append(store, {"n": 0})
    with store.training_trace().open("ab") as stream:
        stream.write(spoilt)
    assert trace.append(store, {"n": 1})["seq"] == 2
    assert list(trace.read(store))[1] == spoilt


def test_a_full_line_is_the_most(store: Store) -> None:
    with pytest.raises(ValueError, match="a line may have"):
        trace.append(store, {"filler": "x" * trace.MAX_LINE_BYTES})
    assert lines(store) == []
    assert trace.append(store, {"filler": "x" * (trace.MAX_LINE_BYTES - 200)})["seq"] == 1
    assert trace.append(store, {})["seq"] == 2


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_a_regular_file_is_written_to(store: Store, tmp_path: Path, kind: str) -> None:
    path = store.training_trace()
    path.parent.mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.write_text("kept")
    if kind == "link":
        path.symlink_to(outside)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(VoiceFailure, match="no regular file"):
        trace.append(store, {})
    with pytest.raises(VoiceFailure, match="no regular file"):
        list(trace.read(store))
    assert outside.read_text() == "kept"


@settings(deadline=None, max_examples=150)
@given(
    whole=st.lists(st.text(alphabet="ab", max_size=9), max_size=12),
    torn=st.text(alphabet="ab", max_size=5),
    limit=st.integers(0, 15) | st.none(),
    block=st.integers(1, 12),
)
def test_the_last_lines_are_read(
    tmp_path_factory: pytest.TempPathFactory, whole: list[str], torn: str, limit: int | None, block: int
) -> None:
    store = Store(tmp_path_factory.mktemp("trace"))
    store.training_trace().parent.mkdir()
    store.training_trace().write_text("".join(f"{line}\n" for line in whole) + torn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "_BLOCK", block)
        found = [line.decode() for line in trace.read(store, limit)]
    wanted = whole if limit is None else whole[len(whole) - min(limit, len(whole)) :]
    assert found == [f"{line}\n" for line in wanted]


def test_memory_stays_flat(store: Store) -> None:
    trace.append(store, {"filler": "x" * 1000})
    line = store.training_trace().read_bytes()
    with store.training_trace().open("ab") as stream:
        for _ in range(200):
            stream.write(line * 100)  # 20 MB in all
    tracemalloc.start()
    assert sum(1 for _ in trace.read(store)) == 20_001
    assert sum(1 for _ in trace.read(store, 15_000)) == 15_000
    trace.append(store, {})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_what_is_appended_while_reading_is_left_out(store: Store) -> None:
    for n in range(3):
        trace.append(store, {"n": n})
    reader = trace.read(store)
    first = next(reader)
    trace.append(store, {"n": 3})
    assert len([first, *reader]) == 3
