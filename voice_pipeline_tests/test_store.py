from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.atomic import atomic_folder, atomic_path, exclusive, link_file, read_json, write_bytes, write_json
from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.store import Store, canonical_json, identity, inside, profile_id

needs_two_users = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


@pytest.mark.parametrize("voice", ["", "Dottie", "../x", "a/b", "a b", ".a", "-a", "é", "a" * 65, "a\n"])
def test_a_voice_id_that_could_leave_its_folder_is_refused(voice: str) -> None:
    with pytest.raises(ConfigError):
        profile_id(voice)


@pytest.mark.parametrize("path", ["", "/a", "../a", "a/../../b", "a\\b", "a\0b"])
def test_paths_stay_inside(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError):
        inside(tmp_path, path)


def test_a_link_out_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="leaves"):
        inside(root, "out/file")


def test_the_store_comes_from_option_environment_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICE_STORE", str(tmp_path / "environment"))
    assert Store.open(tmp_path / "option").root == tmp_path / "option"
    assert Store.open().root == tmp_path / "environment"
    monkeypatch.delenv("VOICE_STORE")
    assert Store.open(default=tmp_path / "default").root == tmp_path / "default"


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_identity_does_not_depend_on_order(parts: dict[str, object]) -> None:
    assert canonical_json(parts) == canonical_json(dict(reversed(list(parts.items()))))
    assert json.loads(canonical_json(parts)) == parts


def test_identity_depends_on_every_part() -> None:
    assert identity(a=1, b=2) != identity(a=1, b=3) != identity(a=1)
    assert len(identity(a=1)) == 64


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    with pytest.raises(ValueError):
        write_json(path, {"loss": float("nan")})
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_json(path, {"n": 0})
    stop = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(len(read_json(path).get("filling", "")))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        write_json(path, {"n": number, "filling": "x" * 50_000})
    stop.set()
    reader.join()
    assert set(seen) <= {0, 50_000}
    assert seen


def test_a_folder_is_replaced_as_one(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    with atomic_folder(folder) as temporary:
        (temporary / "a").write_text("1")
    with atomic_folder(folder) as temporary:
        (temporary / "b").write_text("2")
    assert [path.name for path in folder.iterdir()] == ["b"]
    with pytest.raises(RuntimeError), atomic_folder(folder) as temporary:
        (temporary / "c").write_text("3")
        raise RuntimeError
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_reader_sees_the_old_folder_or_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"

    def fill(version: str) -> None:
        with atomic_folder(folder) as temporary:
            for name in ("one", "two"):
                (temporary / name).write_text(version)

    fill("0")
    stop = threading.Event()
    broken: list[str] = []

    def read() -> None:
        while not stop.is_set():
            handle = os.open(folder, os.O_RDONLY)  # one view of the folder, as a loader takes it
            try:
                values = {Path(f"/proc/self/fd/{handle}/{name}").read_text() for name in ("one", "two")}
                if len(values) != 1:
                    broken.append(str(values))
            except FileNotFoundError:
                continue  # the folder that was open has been removed meanwhile; a loader opens it again
            finally:
                os.close(handle)
            if not folder.exists():
                broken.append("gone")

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(100):
        fill(str(number))
    stop.set()
    reader.join()
    assert broken == []


@needs_two_users
def test_a_refused_write_is_classified(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(VoiceFailure) as caught:
        write_bytes(tmp_path / "file", b"x")
    assert caught.value.reason == "permission_denied"


def test_a_full_disk_is_classified() -> None:
    # /dev/full refuses every write with ENOSPC; a folder cannot stand there, so the write itself is tried.
    from voice_pipeline.failures import disk_errors

    with pytest.raises(VoiceFailure) as caught, disk_errors(file="/dev/full"), Path("/dev/full").open("wb") as stream:
        stream.write(b"x")
        stream.flush()
    assert caught.value.reason == "disk_full"
    assert caught.value.exit_code == 2


def test_a_lock_is_held_once_and_given_back(tmp_path: Path) -> None:
    lock = tmp_path / "deep" / "lock"
    with exclusive(lock, voice="ada"):
        with pytest.raises(VoiceFailure) as caught, exclusive(lock, voice="ada"):
            raise AssertionError("held twice")
        assert caught.value.reason == "voice_busy"
    with exclusive(lock, voice="ada"):
        pass


def test_linked_files_are_neither_copied_nor_lost(tmp_path: Path) -> None:
    write_bytes(tmp_path / "cache/a", b"a")
    for _ in range(2):  # a second time: the old folder goes, its links with it
        with atomic_folder(tmp_path / "set", linked="clips") as folder:
            (folder / "clips").mkdir()
            link_file(tmp_path / "cache/a", folder / "clips/a")
            (folder / "about").write_text("x")
    assert (tmp_path / "set/clips/a").stat().st_ino == (tmp_path / "cache/a").stat().st_ino
    assert (tmp_path / "cache/a").stat().st_nlink == 2
    assert (tmp_path / "set/about").stat().st_mode & 0o777 == 0o644
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "set"}


def test_where_nothing_can_be_linked_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    write_bytes(tmp_path / "a", b"a")
    monkeypatch.setattr(os, "link", refuse)
    link_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"a"
    with pytest.raises(FileNotFoundError):
        link_file(tmp_path / "none", tmp_path / "c")


def test_what_a_link_leads_to_is_not_removed_with_it(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept").write_text("x")
    (tmp_path / "set").symlink_to(tmp_path / "elsewhere")
    with atomic_folder(tmp_path / "set") as folder:
        (folder / "link").symlink_to(tmp_path / "elsewhere")
        (folder / "a").write_text("a")
    with atomic_folder(tmp_path / "set") as folder:
        (folder / "b").write_text("b")
    assert (tmp_path / "elsewhere/kept").read_text() == "x"
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["b"]
    assert not (tmp_path / "set").is_symlink()


def test_a_folder_with_folders_is_replaced(tmp_path: Path) -> None:
    for name in "ab":
        with atomic_folder(tmp_path / "set") as folder:
            (folder / name / "deep").mkdir(parents=True)
            (folder / name / "deep/file").write_text(name)
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "set", "set/b", "set/b/deep", "set/b/deep/file",
    ]  # fmt: skip


def test_the_voices_with_bundles_are_those_whose_folder_has_a_voices_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.voices_with_bundles() == ()
    for name in ("zoe", "anna", "No Voice", ".hidden"):
        (tmp_path / "bundles" / name).mkdir(parents=True)
    assert store.voices_with_bundles() == ("anna", "zoe")
