from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.bundle.validation import Problem, printable, require_valid, validate_bundle
from voice_pipeline.failures import VoiceFailure
from voice_pipeline_tests.bundle.small_bundle import CONTENT, write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "voice_bundle")


def codes(folder: Path, *, production: bool = False) -> list[tuple[str, str]]:
    return [(problem.code, problem.path) for problem in validate_bundle(folder, production=production)]


def change_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def list_also(folder: Path, path: str, content: bytes = b"x") -> None:
    """Add an entry to the manifest, whatever its path."""
    files = json.loads((folder / "manifest.json").read_text())["files"]
    entry = {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    change_manifest(folder, files=[*files, entry])


def test_a_whole_bundle_has_no_problem(bundle: Path) -> None:
    assert validate_bundle(bundle) == []
    assert validate_bundle(bundle, production=True) == []
    require_valid(bundle)


@pytest.mark.parametrize("path", sorted(CONTENT))
def test_one_flipped_bit_anywhere_in_a_file_is_a_checksum_mismatch(bundle: Path, path: str) -> None:
    for position in range(len(CONTENT[path])):
        for bit in (0, 7):
            data = bytearray(CONTENT[path])
            data[position] ^= 1 << bit
            (bundle / path).write_bytes(data)
            assert codes(bundle) == [("checksum_mismatch", path)]
    (bundle / path).write_bytes(CONTENT[path])
    assert codes(bundle) == []


@pytest.mark.parametrize("path", sorted(CONTENT))
def test_a_truncated_a_longer_and_a_dropped_file(bundle: Path, path: str) -> None:
    for data in (b"", CONTENT[path][:-1], CONTENT[path] + b"\0"):
        (bundle / path).write_bytes(data)
        assert codes(bundle) == [("bytes_mismatch", path)]
    (bundle / path).unlink()
    assert codes(bundle) == [("required_file_missing", path)]


@pytest.mark.parametrize("path", ["extra.txt", "text/extra.txt", "new/deep/extra", ".hidden", "Manifest.json", "a\nb"])
def test_an_added_file_is_unlisted(bundle: Path, path: str) -> None:
    (bundle / path).parent.mkdir(parents=True, exist_ok=True)
    (bundle / path).write_bytes(b"")
    assert codes(bundle) == [("unlisted_file", printable(path))]


def test_the_manifest_itself_flipped_bit_by_bit_never_passes_for_other_content(bundle: Path) -> None:
    path = bundle / "manifest.json"
    whole = path.read_bytes()
    told = json.loads(whole)
    for position in range(0, len(whole), 3):
        data = bytearray(whole)
        data[position] ^= 1 << (position % 7)
        path.write_bytes(data)
        if not validate_bundle(bundle):
            # What may change without a problem says nothing about the files: a name, a time, a reference's text.
            changed = json.loads(data)
            assert changed["files"] == told["files"] and changed["bundle_version"] == told["bundle_version"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_single_change_is_found(data: st.DataObject) -> None:
    folder = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"voice_bundle_{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        bundle = write_bundle(folder)
        path = data.draw(st.sampled_from(sorted(CONTENT)))
        content = data.draw(st.binary(max_size=40))
        (bundle / path).write_bytes(content)
        assert (codes(bundle) == []) == (content == CONTENT[path])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_problems_come_in_the_manifests_order_one_a_file(bundle: Path) -> None:
    (bundle / "fastpitch.nemo").unlink()
    (bundle / "hifigan.nemo").write_bytes(b"short")
    (bundle / "sample.wav").write_bytes(b"riff....WAVE")
    (bundle / "zzz").write_bytes(b"")
    assert codes(bundle) == [
        ("required_file_missing", "fastpitch.nemo"),
        ("bytes_mismatch", "hifigan.nemo"),
        ("checksum_mismatch", "sample.wav"),
        ("unlisted_file", "zzz"),
    ]
    with pytest.raises(VoiceFailure, match=r"bundle_invalid.*and 1 more"):
        require_valid(bundle, voice="test_voice")


def test_no_manifest_no_folder_and_a_file_for_a_folder(bundle: Path, tmp_path: Path) -> None:
    (bundle / "manifest.json").unlink()
    for folder in (bundle, tmp_path / "nowhere", bundle / "sample.wav", tmp_path / "nul\0"):
        assert codes(folder) == [("manifest_missing", "manifest.json")]


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b"\xff", b"{}", b" " * ((4 << 20) + 1)])
def test_an_unreadable_manifest_is_the_only_problem(bundle: Path, data: bytes) -> None:
    (bundle / "manifest.json").write_bytes(data)
    assert codes(bundle) == [("manifest_invalid", "manifest.json")]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../outside", "text/../../outside", "a\\..\\b", "C:x", "a\0b", "./x", "a//b"]
)
def test_a_listed_path_that_is_not_plain_escapes(bundle: Path, path: str) -> None:
    (bundle.parent / "outside").write_bytes(b"x")
    list_also(bundle, path)
    assert codes(bundle) == [("path_escape", printable(path))]


def test_a_link_out_of_the_bundle_escapes_listed_or_not(bundle: Path) -> None:
    outside = bundle.parent / "outside"
    outside.write_bytes(b"x")
    (bundle / "link").symlink_to(outside)
    assert codes(bundle) == [("path_escape", "link")]
    list_also(bundle, "link")
    assert codes(bundle) == [("path_escape", "link")]


def test_a_linked_folder_out_of_the_bundle_escapes(bundle: Path) -> None:
    outside = bundle.parent / "elsewhere"
    outside.mkdir()
    (outside / "x").write_bytes(b"x")
    (bundle / "folder").symlink_to(outside)
    list_also(bundle, "folder/x")
    assert codes(bundle) == [("path_escape", "folder/x"), ("path_escape", "folder")]


def test_a_listed_link_within_the_bundle_is_read_and_an_unlisted_one_is_not_wanted(bundle: Path) -> None:
    (bundle / "link").symlink_to("sample.wav")
    assert codes(bundle) == [("unlisted_file", "link")]
    list_also(bundle, "link", CONTENT["sample.wav"])
    assert codes(bundle) == []


def test_a_manifest_that_is_a_link_out_of_the_bundle_escapes(bundle: Path) -> None:
    moved = (bundle / "manifest.json").rename(bundle.parent / "manifest.json")
    (bundle / "manifest.json").symlink_to(moved)
    assert codes(bundle) == [("path_escape", "manifest.json")]


@pytest.mark.parametrize("path", ["sample.wav", "manifest.json"])
def test_loops_fifos_sockets_and_folders_are_not_read(bundle: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "required_file_missing" if path == "sample.wav" else "manifest_invalid"
    (bundle / path).unlink()
    os.mkfifo(bundle / path)  # a blocking open would hang here for ever
    assert codes(bundle) == [(code, path)]
    (bundle / path).unlink()
    monkeypatch.chdir(bundle)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        assert codes(bundle) == [(code, path)]
    (bundle / path).unlink()
    (bundle / path).mkdir()
    assert codes(bundle) == [(code, path)]
    (bundle / path).rmdir()
    (bundle / path).symlink_to(path)
    assert [found for _, found in codes(bundle)] == [path]
    (bundle / path).unlink()
    (bundle / path).symlink_to("/dev/zero")
    assert codes(bundle) == [("path_escape", path)]


def test_an_unlisted_fifo_is_reported_not_opened(bundle: Path) -> None:
    os.mkfifo(bundle / "pipe")
    assert codes(bundle) == [("unlisted_file", "pipe")]


def test_the_case_of_a_name_counts(bundle: Path) -> None:
    (bundle / "sample.wav").rename(bundle / "Sample.wav")
    found = codes(bundle)
    if ("required_file_missing", "sample.wav") in found:  # a file system that knows case
        assert found == [("required_file_missing", "sample.wav"), ("unlisted_file", "Sample.wav")]
    else:
        assert found == [("unlisted_file", "Sample.wav")]


def test_names_that_are_not_utf8_are_shown_escaped(bundle: Path) -> None:
    (bundle / os.fsdecode(b"bad\xff\x1b[31m")).write_bytes(b"")
    [problem] = validate_bundle(bundle)
    assert problem.code == "unlisted_file" and str(problem).isprintable()


def test_a_very_long_name_in_the_manifest(bundle: Path) -> None:
    list_also(bundle, "a" * 1000)
    assert codes(bundle) == [("required_file_missing", "a" * 300)]


@pytest.mark.parametrize("path", ["fastpitch.nemo", "hifigan.nemo", "sample.wav", "evaluation.json"])
def test_a_production_bundle_always_holds(tmp_path: Path, path: str) -> None:
    content = {name: data for name, data in CONTENT.items() if name != path}
    bundle = write_bundle(tmp_path / "voice_bundle", content)
    assert codes(bundle) == []
    assert codes(bundle, production=True) == [("required_file_missing", path)]


def test_a_production_bundle_has_provenance_and_the_weights_manifests_it_names(tmp_path: Path) -> None:
    content = {name: data for name, data in CONTENT.items() if not name.startswith("weights/")}
    bundle = write_bundle(tmp_path / "voice_bundle", content)
    assert codes(bundle, production=True) == [("required_file_missing", "weights/base.weights-manifest.json")]
    change_manifest(bundle, provenance=None)
    assert codes(bundle) == []
    assert codes(bundle, production=True) == [("manifest_invalid", "manifest.json")]


def test_problems_have_an_order_and_one_line() -> None:
    one = Problem("bytes_mismatch", "a", "has 1 bytes, the manifest says 2")
    assert one < Problem("checksum_mismatch", "a", "")
    assert str(one) == "bytes_mismatch: a: has 1 bytes, the manifest says 2"
