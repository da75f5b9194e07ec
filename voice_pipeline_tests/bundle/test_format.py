from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.bundle.format import (
    BundleManifest,
    FileEntry,
    ManifestError,
    content_digest,
    default_created_at,
    is_rfc3339,
    manifest_bytes,
    parse_manifest,
    plain_path_problem,
)
from voice_pipeline.failures import ConfigError
from voice_pipeline_tests.bundle.small_bundle import manifest

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
entries = st.builds(
    FileEntry,
    path=names,
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    bytes=st.integers(0, 2**31),
)
manifests = st.builds(
    BundleManifest,
    bundle_version=st.just("voice_bundle/1"),
    voice_profile_id=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True),
    display_name=names,
    created_at=st.datetimes().map(lambda time: time.replace(microsecond=0).isoformat() + "Z"),
    files=st.lists(entries, min_size=1, max_size=5, unique_by=lambda entry: entry.path.casefold())
    .filter(lambda files: len({plain(entry.path) for entry in files}) == len(files))
    .map(tuple),
)


def plain(path: str) -> str:
    """A coarse key: paths that differ in it cannot be two spellings of one file."""
    return "".join(char for char in path if "a" <= char <= "z" or "0" <= char <= "9")


def value() -> dict[str, object]:
    """A manifest as JSON, to spoil."""
    loaded = json.loads(manifest_bytes(manifest()))
    assert isinstance(loaded, dict)
    return loaded


def parse(spoilt: object) -> BundleManifest:
    return parse_manifest(json.dumps(spoilt).encode())


@given(manifests)
def test_a_written_manifest_reads_back_as_itself(written: BundleManifest) -> None:
    data = manifest_bytes(written)
    assert parse_manifest(data) == written
    assert manifest_bytes(parse_manifest(data)) == data


@given(st.binary(max_size=300))
def test_any_bytes_are_a_manifest_or_a_manifest_error(data: bytes) -> None:
    with pytest.raises(ManifestError):
        parse_manifest(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(json.loads(manifest_bytes(manifest())))), json_values)
def test_any_value_in_any_field_is_taken_or_refused_with_the_fields_name(field: str, replaced: object) -> None:
    spoilt = value() | {field: replaced}
    try:
        parsed = parse(spoilt)
    except ManifestError as error:
        assert field in str(error) or "NaN" in str(error) or "Infinity" in str(error) or "surrogate" in str(error)
        assert "\n" not in str(error)
    else:
        # None is how an optional block is spelled when it is absent.
        assert parsed.model_dump(mode="json")[field] == replaced


@pytest.mark.parametrize("key", ["bundle_version", "voice_profile_id", "display_name", "created_at", "files"])
def test_each_of_the_five_keys_is_required(key: str) -> None:
    spoilt = value()
    del spoilt[key]
    with pytest.raises(ManifestError, match=key):
        parse(spoilt)


def test_the_five_keys_are_enough() -> None:
    spoilt = value()
    del spoilt["provenance"]
    assert parse(spoilt).provenance is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"bundle_version": "voice_bundle/2"}, "bundle_version"),
        ({"voice_profile_id": "../up"}, "voice_profile_id"),
        ({"voice_profile_id": "Upper"}, "voice_profile_id"),
        ({"created_at": "2026-02-23"}, "created_at"),
        ({"created_at": "2026-02-23T00:00:00"}, "created_at"),
        ({"created_at": 1771900000}, "created_at"),
        ({"files": []}, "files"),
        ({"files": {}}, "files"),
        ({"surprise": 1}, "surprise"),
        ({"provenance": {"commit": "HEAD"}}, "provenance"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ManifestError, match=named):
        parse(value() | changes)


@pytest.mark.parametrize(
    "change",
    [
        {"bytes": -1},
        {"bytes": True},
        {"bytes": "12"},
        {"bytes": 1.0},
        {"sha256": "A" * 64},
        {"sha256": "a" * 63},
        {"sha256": "a" * 64 + "\n"},
        {"path": ""},
        {"path": 7},
        {"mode": "0755"},
    ],
)
def test_a_wrong_entry_is_refused(change: dict[str, object]) -> None:
    good = {"path": "a.bin", "sha256": "a" * 64, "bytes": 1}
    assert parse(value() | {"files": [good]}).files[0].path == "a.bin"
    with pytest.raises(ManifestError, match="files"):
        parse(value() | {"files": [good | change]})


@pytest.mark.parametrize(
    "paths",
    [
        ("a.bin", "a.bin"),
        ("sample.wav", "Sample.WAV"),
        ("straße.txt", "STRASSE.txt"),
        ("caf\u00e9", "cafe\u0301"),
        ("manifest.json",),
        ("MANIFEST.json",),
    ],
)
def test_two_names_for_one_file_are_refused(paths: tuple[str, ...]) -> None:
    files = [{"path": path, "sha256": "a" * 64, "bytes": 1} for path in paths]
    with pytest.raises(ManifestError, match=r"two entries|list itself"):
        parse(value() | {"files": files})


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"files": [], "files": []}',
        b'{"bytes": NaN}',
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b" " * ((4 << 20) + 1),
        b'{"bytes": ' + b"9" * 10_000 + b"}",
        b"",
        b"null",
    ],
    ids=["deep list", "deep object", "key twice", "NaN", "UTF-16", "BOM", "huge", "long number", "empty", "null"],
)
def test_hostile_json_is_refused_with_one_short_line(data: bytes) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data)
    assert len(str(caught.value)) < 700 and str(caught.value).isprintable()


def test_a_thousand_wrong_entries_are_reported_briefly() -> None:
    with pytest.raises(ManifestError) as caught:
        parse(value() | {"files": [{"path": f"{n}"} for n in range(1000)]})
    assert len(str(caught.value)) < 700 and "more" in str(caught.value)


def test_the_content_digest_is_of_the_files_alone() -> None:
    whole = manifest()
    later = whole.model_copy(update={"created_at": "2027-01-01T00:00:00Z", "files": tuple(reversed(whole.files))})
    judged = whole.model_copy(update={"files": tuple(e for e in whole.files if e.path != "evaluation.json")})
    assert content_digest(whole) == content_digest(later) == content_digest(judged)
    assert whole.files[1].path == "fastpitch.nemo"
    other = whole.files[1].model_copy(update={"sha256": "0" * 64})
    assert content_digest(whole) != content_digest(whole.model_copy(update={"files": (other, *whole.files[2:])}))
    renamed = whole.files[1].model_copy(update={"path": "acoustic.nemo"})
    assert content_digest(whole) != content_digest(whole.model_copy(update={"files": (renamed, *whole.files[2:])}))


@pytest.mark.parametrize("path", ["a", "a/b.c", "weights/x.weights-manifest.json", "text/caf\u00e9", ".hidden", "a b"])
def test_plain_paths(path: str) -> None:
    assert plain_path_problem(path) is None


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/a",
            "//a",
            "..",
            "a/../b",
            "a/..",
            "./a",
            "a/./b",
            "a//b",
            "a/",
            "a\\b",
            "C:a",
            "c:/a",
            "a\0",
            "a\nb",
            "a\x7f",
        ),
        *("a\u202eb", "a\u200bb", "a\u2028b", "cafe\u0301", "\ud800", "a" * 1025, ""),
    ],
)
def test_paths_that_are_not_plain(path: str) -> None:
    assert plain_path_problem(path) is not None


def test_created_at_follows_source_date_epoch() -> None:
    assert default_created_at({"SOURCE_DATE_EPOCH": "1771804800"}) == "2026-02-23T00:00:00Z"
    assert is_rfc3339(default_created_at({}))
    for wrong in ("", "soon", "9" * 30):
        with pytest.raises(ConfigError, match="SOURCE_DATE_EPOCH"):
            default_created_at({"SOURCE_DATE_EPOCH": wrong})


@pytest.mark.parametrize("text", ["2026-02-23T00:00:00Z", "2026-02-23T00:00:00.5+02:00"])
def test_rfc3339_times(text: str) -> None:
    assert is_rfc3339(text)


@pytest.mark.parametrize(
    "text", ["", "2026-02-23", "2026-02-23T00:00:00", "2026-13-01T00:00:00Z", "2026-W09-1T00:00:00Z"]
)
def test_other_times(text: str) -> None:
    assert not is_rfc3339(text)


def test_a_bundle_of_holes_is_refused_by_its_manifest() -> None:
    """A sparse file of 4 TiB costs its sender nothing, and whoever hashes it days."""
    files = [{"path": "vocoder.onnx", "sha256": "0" * 64, "bytes": 4 << 40}]
    value = {"bundle_version": "voice_bundle/1", "voice_profile_id": "a", "display_name": "A", "files": files}
    with pytest.raises(ManifestError, match="bytes together"):
        parse_manifest(json.dumps({**value, "created_at": "2026-02-23T00:00:00Z"}).encode())
