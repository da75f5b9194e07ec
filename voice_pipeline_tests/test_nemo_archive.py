"""A .nemo is looked at before anything in it is loaded; old Pythons unpack it as new ones do."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import subprocess
import sys
import tarfile
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.nemo_archive import CONFIG, WEIGHTS, open_archive
from voice_pipeline.store import sha256_file
from voice_pipeline_tests.nemo_files import (
    LEGACY_START,
    archive,
    hostile_pickles,
    member,
    nemo,
    torch_zip,
    weights,
)

OLD_PYTHON = """
import io, sys, tarfile
del tarfile.data_filter                       # as before Python 3.11.4
from voice_pipeline.nemo_archive import give_extraction_filters
give_extraction_filters()
import tarfile as seen
assert seen is not tarfile
data = io.BytesIO()
with seen.open(fileobj=data, mode="w") as archive:
    archive.addfile(seen.TarInfo("../out"), io.BytesIO())
data.seek(0)
with seen.open(fileobj=data) as archive:
    try:
        archive.extract("../out", sys.argv[1], filter="data")
    except seen.OutsideDestinationError:
        print("refused")
"""


def test_an_old_python_gets_extraction_filters(tmp_path: object) -> None:
    pytest.importorskip("backports.tarfile")
    done = subprocess.run([sys.executable, "-c", OLD_PYTHON, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"


def numpy_file(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


SHAPES = {"linear.weight": (2, 3)}
WEIGHTS_MEMBER = member("model_weights.ckpt", weights(SHAPES))
CONFIG_MEMBER = member("model_config.yaml", b"target: x\n")


HARMLESS = (
    member("./", type=tarfile.DIRTYPE),
    member("./words.txt", b"cat\ndog\nbird\n"),
    member(
        "numbers.npy",
        b"\x93NUMPY\x01\x00\x3a\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } |O|" + bytes(9),
    ),
)


def refused(path: Path, reason: str = "base_checkpoint_unsafe", **expected: str) -> str:
    with pytest.raises(VoiceFailure) as caught, open_archive(path, **expected):
        pass
    assert caught.value.reason == reason, str(caught.value)
    assert caught.value.root_cause_class == "runtime_blocked"
    return caught.value.detail


def test_a_good_archive_is_opened(tmp_path: Path) -> None:
    path = nemo(tmp_path / "a.nemo", {"target": "x"}, weights(SHAPES), *HARMLESS)
    for one in (path, compressed(path)):
        with open_archive(one, sha256=sha256_file(one)) as archived:
            assert archived.config == {"target": "x"}
            assert {name: tensor.shape for name, tensor in archived.tensors.items()} == SHAPES
            assert archived.sha256 == sha256_file(one)
            assert archived.weights.read() == weights(SHAPES)


def compressed(path: Path) -> Path:
    packed = path.with_suffix(".gz.nemo")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


def test_another_file_than_the_checked_one_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.nemo", CONFIG_MEMBER, WEIGHTS_MEMBER)
    assert "was checked" in refused(path, sha256="0" * 64)


@pytest.mark.parametrize(
    ("hostile", "said"),
    [
        (member("../escape.txt", b"x"), "leaves"),
        (member("/etc/escape.txt", b"x"), "leaves"),
        (member("a/../../escape.txt", b"x"), "leaves"),
        (member("back\\slash", b"x"), "leaves"),
        (member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link"),
        (member("hard", type=tarfile.LNKTYPE, linkname="model_config.yaml"), "is a link"),
        (member("device", type=tarfile.CHRTYPE), "neither"),
        (member("disk", type=tarfile.BLKTYPE), "neither"),
        (member("pipe", type=tarfile.FIFOTYPE), "neither"),
        (member("sparse", type=tarfile.GNUTYPE_SPARSE), "unknown kind"),
        (member("strange", type=b"Q"), "unknown kind"),
        (member("global", type=tarfile.XGLTYPE), "unknown kind"),
        (member("./model_config.yaml", b"target: y\n"), "stands twice"),
        (member("MODEL_CONFIG.yaml", b"target: y\n"), "stands twice"),
        (member("sub/model_weights.ckpt", b""), "second model_weights.ckpt"),
        (member("words.txt", b"PK\x03\x04"), "archive within"),
        (member("words.txt", gzip.compress(b"x")), "archive within"),
        (member("other.ckpt", weights(SHAPES)), "archive within"),
        (member("words.txt", b"text" + torch_zip(b"\x80\x02}.")), "archive within"),
        (member("array.npy", numpy_file("{'descr': '|O', 'shape': ()}")), "else than numbers"),
        (member("array.npy", numpy_file("{'descr': '\\x4f', 'shape': ()}")), "else than numbers"),
        (member("array.npy", numpy_file("{'descr': [('a', '|O')]}")), "else than numbers"),
        (member("array.npy", numpy_file("().__class__")), "else than numbers"),
    ],
    ids=lambda value: value[0].name if isinstance(value, tuple) else "",
)
def test_hostile_members_are_refused(tmp_path: Path, hostile: tuple[tarfile.TarInfo, bytes], said: str) -> None:
    for order in ([CONFIG_MEMBER, hostile, WEIGHTS_MEMBER], [CONFIG_MEMBER, WEIGHTS_MEMBER, hostile]):
        detail = refused(archive(tmp_path / "a.nemo", *order))
        assert said in detail
        assert repr(hostile[0].name)[1:-1] in detail


@pytest.mark.parametrize("field", ["size", "linkpath", "GNU.sparse.realsize", "GNU.sparse.name", "hdrcharset"])
def test_extended_headers_that_deceive_are_refused(tmp_path: Path, field: str) -> None:
    info, data = member("words.txt", b"x" * 600)
    info.pax_headers = {"comment": "harmless", field: "1"}
    path = archive(tmp_path / "a.nemo", CONFIG_MEMBER, (info, data), WEIGHTS_MEMBER, format=tarfile.PAX_FORMAT)
    assert f"changes {field}" in refused(path)


def test_extended_headers_as_nemo_writes_them_are_fine(tmp_path: Path) -> None:
    info, data = member("wörter-" + 200 * "x" + ".txt", b"x" * 600)
    info.mtime = 1.5  # type: ignore[assignment]  # as of a real file
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        path = archive(tmp_path / "a.nemo", CONFIG_MEMBER, (info, data), WEIGHTS_MEMBER, format=form)
        with open_archive(path) as archived:
            assert list(archived.tensors) == list(SHAPES)


def test_an_absurd_extended_header_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.nemo"
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        info, _ = member("x", type=kind)
        info.size = 1 << 20
        with path.open("wb") as stream:
            stream.write(info.tobuf())
            stream.truncate(info.size + 2048)
        assert "extended header of absurd size" in refused(path)


@pytest.mark.parametrize(
    ("size", "reason"), [(64 * 2**30, "base_checkpoint_unsafe"), (5000, "base_checkpoint_incompatible")]
)
def test_a_member_that_is_not_there_is_refused_before_it_is_read(tmp_path: Path, size: int, reason: str) -> None:
    path = tmp_path / "a.nemo"
    info, _ = member("model_weights.ckpt")
    info.size = size
    path.write_bytes(info.tobuf() + bytes(1024))
    refused(path, reason)


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nemo"
    info, _ = member("model_weights.ckpt")
    info.size = -512
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "impossible size" in refused(path)


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.nemo", *(member(f"{number}.txt") for number in range(1001)))
    assert "more than 1000" in refused(path)


def test_a_large_member_beside_the_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nemo"
    info, _ = member("words.txt")
    info.size = 65 * 2**20
    with path.open("wb") as stream:
        stream.write(info.tobuf())
        stream.truncate(info.size + 2048)
    assert "larger than 64 MiB" in refused(path)


def test_a_bomb_is_refused_fast_and_in_flat_memory(tmp_path: Path) -> None:
    """Two megabytes that unpack to two gigabytes: gzip lets its members be repeated."""
    path = tmp_path / "bomb.nemo"
    info, _ = member("model_weights.ckpt")
    info.size = 2 * 2**30
    path.write_bytes(gzip.compress(info.tobuf()) + 128 * gzip.compress(bytes(1 << 24)))
    assert path.stat().st_size < 3 * 2**20
    start = time.monotonic()
    tracemalloc.start()
    try:
        assert re.search("it unpacks to more than 39 MiB, from 20.* bytes", refused(path))
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - start < 5


def test_an_absurdly_large_file_is_not_even_hashed(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.nemo", CONFIG_MEMBER, WEIGHTS_MEMBER)
    os.truncate(path, 17 * 2**30)
    start = time.monotonic()
    assert "larger than 16 GiB" in refused(path)
    assert time.monotonic() - start < 1


def test_weights_are_never_held_in_memory(tmp_path: Path) -> None:
    large = nemo(tmp_path / "a.nemo", {"target": "x"}, weights({"large": (4096, 2048)}))
    assert large.stat().st_size > 32 * 2**20
    for path in (large, compressed_little(large)):
        tracemalloc.start()
        try:
            with open_archive(path) as archived:
                assert archived.tensors["large"].shape == (4096, 2048)
            assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
        finally:
            tracemalloc.stop()


def compressed_little(path: Path) -> Path:
    packed = path.with_suffix(".gz.nemo")
    packed.write_bytes(gzip.compress(path.read_bytes(), compresslevel=0))
    return packed


def test_hostile_pickles_in_every_member(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for sample, data in hostile_pickles(canary).items():
        for name in ("words.txt", "tokenizer.model", "sub/vocab.json", "model.pkl"):
            path = archive(tmp_path / "a.nemo", CONFIG_MEMBER, member(name, data), WEIGHTS_MEMBER)
            assert "pickle" in refused(path), sample
        assert "pickle" in refused(archive(tmp_path / "a.nemo", member(CONFIG, data), WEIGHTS_MEMBER)), sample
        for state in (data, torch_zip(data), LEGACY_START + data):
            if sample != "a second pickle" or state is data:
                assert refused(archive(tmp_path / "a.nemo", CONFIG_MEMBER, member(WEIGHTS, state))), sample
    assert not canary.exists()


def test_what_is_no_archive_is_incompatible(tmp_path: Path) -> None:
    path = tmp_path / "a.nemo"
    for data in (b"", b"no archive", b"\x1f\x8b broken gzip", b"PK\x03\x04", b"BZh9", bytes(2048), b"x" * 4096):
        path.write_bytes(data)
        refused(path, "base_checkpoint_incompatible")
    cut = archive(tmp_path / "b.nemo", CONFIG_MEMBER, WEIGHTS_MEMBER).read_bytes()
    for length in (100, 512, 1000, 1536, 1700):
        path.write_bytes(cut[:length])
        refused(path, "base_checkpoint_incompatible")
    packed = gzip.compress(cut)
    path.write_bytes(packed[: len(packed) // 2])
    refused(path, "base_checkpoint_incompatible")
    refused(archive(path, WEIGHTS_MEMBER), "base_checkpoint_incompatible")
    refused(archive(path, CONFIG_MEMBER), "base_checkpoint_incompatible")
    refused(archive(path, CONFIG_MEMBER, member(WEIGHTS, b"words")), "base_checkpoint_incompatible")


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(10 * ['*' + old])}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("!!python/object/apply:os.system ['true']\n", "base_checkpoint_incompatible"),
        ("[1, 2]", "base_checkpoint_incompatible"),
        ("a: [", "base_checkpoint_incompatible"),
        ("\udcff".encode("utf-8", "surrogatepass").decode("latin-1"), "base_checkpoint_incompatible"),
        ("a: " + 5000 * "[" + 5000 * "]", "base_checkpoint_incompatible"),
        ("a: " + "1" * 10_000, "base_checkpoint_incompatible"),
        ("a: '" + "x" * 2**20 + "'", "base_checkpoint_incompatible"),
        (LAUGHS, "base_checkpoint_unsafe"),
        ("a: &a [*a]\n", "base_checkpoint_unsafe"),
        ("a: &a {b: *a}\n", "base_checkpoint_unsafe"),
    ],
    ids=range(10),
)
def test_configs_that_are_no_plain_data_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    refused(archive(tmp_path / "a.nemo", member(CONFIG, text.encode()), WEIGHTS_MEMBER), reason)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_changed_archives_are_opened_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.nemo"
    whole = archive(path, CONFIG_MEMBER, member("words.txt", b"cat\n"), WEIGHTS_MEMBER).read_bytes()
    content = bytearray(whole.rstrip(b"\0"))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(0, len(content)))
    packed = data.draw(st.booleans())
    path.write_bytes(gzip.compress(bytes(content[:cut]), 1) if packed else bytes(content[:cut]))
    with contextlib.suppress(VoiceFailure), open_archive(path):
        pass


@given(st.binary(max_size=1500))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.nemo"
    path.write_bytes(data)
    with pytest.raises(VoiceFailure), open_archive(path):
        pass
