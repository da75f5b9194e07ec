from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from voice_pipeline.failures import ConfigError
from voice_pipeline.licensing.allowlist import (
    ALLOWLIST_PATH,
    MANIFESTS_PATH,
    KnownWeights,
    Packaged,
    load_allowlist,
    manifest_name,
)
from voice_pipeline.licensing.policy import load_policy
from voice_pipeline.licensing.weights_manifest import read_weights_manifest, validate_weights_manifest

PROJECT = Path(__file__).parents[2]
ENTRIES = load_allowlist(PROJECT).weights


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_known_weights_are_what_is_installed(entry: KnownWeights) -> None:
    assert entry.packaged is not None
    file = entry.packaged.locate()
    if file is None:
        pytest.skip(f"{entry.packaged.distribution} is not installed")
    manifest = PROJECT / MANIFESTS_PATH / manifest_name(entry.id)
    assert validate_weights_manifest(manifest, file) == (0, "[weights-manifest] status=ok")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_manifests_agree_with_the_record(entry: KnownWeights) -> None:
    policy = load_policy(PROJECT)
    manifest = read_weights_manifest(PROJECT / MANIFESTS_PATH / manifest_name(entry.id))
    assert manifest.model_id == entry.id
    assert entry.disagreements(manifest, policy) == ()
    assert manifest.checksum in entry.checksums
    for expression in (entry.weights_license, entry.code_license):
        assert policy.decide(expression).verdict == "allowed"


def test_every_manifest_has_its_record() -> None:
    on_disk = {path.name for path in (PROJECT / MANIFESTS_PATH).iterdir()}
    assert on_disk == {manifest_name(entry.id) for entry in ENTRIES}


def test_a_manifest_that_says_otherwise_is_told() -> None:
    entry = ENTRIES[0]
    manifest = read_weights_manifest(PROJECT / MANIFESTS_PATH / manifest_name(entry.id))
    policy = load_policy(PROJECT)
    changed = manifest.model_copy(update={"weights_license": "CC0-1.0", "attribution_required": False})
    assert [line.split(":")[0] for line in entry.disagreements(changed, policy)] == [
        "weights_license",
        "attribution_required",
    ]
    assert entry.disagreements(manifest.model_copy(update={"weights_license": "mit"}), policy) == ()


def test_a_package_that_is_not_there() -> None:
    assert Packaged(distribution="no-such-distribution", path="a/b").locate() is None
    assert Packaged(distribution="pydantic", path="pydantic/no-such-file").locate() is None


def test_wrong_records_are_refused(tmp_path: Path) -> None:
    path = tmp_path / ALLOWLIST_PATH
    path.parent.mkdir(parents=True)
    good = (PROJECT / ALLOWLIST_PATH).read_text()
    for old, new, told in (
        ("hibari-tts/oov\n", "hibari-tts/heart\n", "twice"),
        ("path: hibari/assets/oov.onnx", "path: ../oov.onnx", "without"),
        ("license_url: https", "license_url: ftp", "license_url"),
        ("    provider:", "    maker: x\n    provider:", "maker"),
    ):
        assert old in good
        path.write_text(good.replace(old, new))
        with pytest.raises(ConfigError, match=told):
            load_allowlist(tmp_path)
    shutil.copyfile(PROJECT / ALLOWLIST_PATH, path)
    assert load_allowlist(tmp_path) == load_allowlist(PROJECT)
