"""Building a dataset that is killed, on a disk that is full, and of many rows."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings import manifest
from voice_pipeline.recordings.dataset import index as index_module
from voice_pipeline.store import Store
from voice_pipeline_tests.conftest import PROJECT
from voice_pipeline_tests.recordings.dataset.prepared import babble, prepared, snapshot

# -- faults ----------------------------------------------------------------------------------------

KILLED = """
import sys; from pathlib import Path
from voice_pipeline.store import Store
from voice_pipeline.recordings import manifest
from voice_pipeline.recordings.dataset import build
from voice_pipeline_tests.recordings.dataset.prepared import prepared
made = prepared(Path(sys.argv[1]), Store(Path(sys.argv[2])), 40)
def stop(*args, **more):
    print("there", flush=True)
    __import__("time").sleep(60)
setattr(build if sys.argv[3] != "export" else build.export, sys.argv[4], stop)
made.make()
"""


@pytest.mark.parametrize(
    ("module", "function"),
    [("build", "find_near"), ("build", "link_clips"), ("export", "write_manifest"), ("build", "_publish"),
     ("build", "_record")],
)  # fmt: skip
def test_a_killed_run_is_made_whole(project: Path, store: Store, tmp_path: Path, module: str, function: str) -> None:
    command = [sys.executable, "-c", KILLED, str(project), str(store.root), module, function]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    assert child.stdout is not None
    assert child.stdout.readline() == "there\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert manifest.read_record(store, "v") is None
    assert not list(store.root.glob(".rows*"))
    prepared(project, store, 40).make()
    unbroken = Store.open(tmp_path / "unbroken")
    prepared(tmp_path / "other", unbroken, 40).make()
    whole = snapshot(unbroken.voice_artifacts("v"))
    assert {path: data for path, data in snapshot(store.voice_artifacts("v")).items() if path in whole} == whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A file system of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_and_leaves_nothing_half(project: Path, small_disk: Path) -> None:
    store = Store.open(small_disk / "store")
    made = prepared(project, store)
    for number in range(30):
        made.add(f"u{number:02d}", "Hello.", babble(f"u{number:02d}", 0.5))
    with pytest.raises(VoiceFailure, match="disk_full"):
        while True:  # the disk fills up: at some number of copies it is the dataset that does not fit
            made.make()
            filler = small_disk / f"filler{len(list(small_disk.iterdir()))}"
            filler.write_bytes(b"x" * 100_000)
            made.gates["max_cer"] = made.gates.get("max_cer", 0.4) + 0.01
    record = manifest.read_record(store, "v")
    assert record is not None
    assert manifest.is_complete(store, record)


def test_a_full_disk_under_the_index(project: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepared(project, store, 40)
    opened = index_module.unnamed_database

    def small(folder: Path) -> Any:
        connection = opened(folder)
        connection.execute("PRAGMA max_page_count = 8")
        return connection

    monkeypatch.setattr(index_module, "unnamed_database", small)
    with pytest.raises(VoiceFailure, match="disk_full"):
        made.make()
    assert not store.dataset("v").exists()


# -- size ------------------------------------------------------------------------------------------

MANY = """
import sys; from pathlib import Path
from voice_pipeline.store import Store
from voice_pipeline_tests.memory import peak_kib
from voice_pipeline_tests.recordings.dataset.many import many, run_many
project, store = Path(sys.argv[1]), Store(Path(sys.argv[2]))
made = many(project, store, int(sys.argv[3]))
warm = many(project.with_name("warm"), Store(store.root.with_name("warm store")), 9_000)  # over one Parquet group
run_many(warm)
before = peak_kib()
run_many(made)
print(peak_kib() - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(project: Path, store: Store) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(project), str(store.root), "40000"],
        capture_output=True, text=True, cwd=PROJECT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    grown = int(done.stdout) / 1024  # MiB
    assert grown < 60, f"{grown:.0f} MiB for 31,000 rows more: two kilobytes a row"
