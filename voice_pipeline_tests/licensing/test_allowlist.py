from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from voice_pipeline.failures import ConfigError
from voice_pipeline.licensing.allowlist import (
    ALLOWLIST_PATH,
    MANIFESTS_PATH,
    TEXTS_PATH,
    Allowlist,
    KnownWeights,
    Packaged,
    load_allowlist,
    manifest_name,
)
from voice_pipeline.licensing.policy import load_policy
from voice_pipeline.licensing.weights_manifest import read_weights_manifest, validate_weights_manifest

PROJECT = Path(__file__).parents[2]
ALLOWLIST = load_allowlist(PROJECT)
ENTRIES = [entry for entry in ALLOWLIST.weights if entry.packaged is not None]  # the others are known as bases only

# stored text -> the file of an installed package that it is a copy of
SHIPPED = {
    "faster-whisper.license.txt": ("faster-whisper", "LICENSE"),
    "hibari-tts.license.txt": ("hibari-tts", "licenses/LICENSE"),
    "hibari-tts.notice.txt": ("hibari-tts", "licenses/NOTICE"),
    "pocketsphinx.license.txt": ("pocketsphinx", "licenses/LICENSE"),
    "pocketsphinx-en-us.license.txt": ("pocketsphinx", "en-us/README"),
    "resemblyzer.license.txt": ("Resemblyzer", "LICENSE"),
    "silero-vad.license.txt": ("silero-vad", "licenses/LICENSE"),
}
WRITTEN_BY_US = {"gruut-lang-en.license.txt", "whisper.license.txt"}  # the packages ship none


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


def test_what_the_weights_were_made_from_is_recorded_too() -> None:
    policy = load_policy(PROJECT)
    for entry in ALLOWLIST.weights:
        for base in entry.bases:
            known = ALLOWLIST.entry(base)
            assert known is not None and policy.decide(known.weights_license).verdict == "allowed", base
        for name in entry.trained_on:
            dataset = ALLOWLIST.dataset(name)
            assert dataset is not None and policy.decide(dataset.license).verdict == "allowed", name
    assert ALLOWLIST.dataset("somebody/else") is None
    heart = ALLOWLIST.entry("hibari-tts/heart")
    assert heart is not None and heart.bases == ("hexgrad/kokoro-82m",)


def test_what_nobody_says_about_the_used_weights_is_written_down() -> None:
    """Each names its base, its data, or what is not known of them."""
    for entry in ALLOWLIST.weights:
        assert entry.bases or entry.trained_on or entry.not_known, entry.id


@pytest.mark.parametrize("name", SHIPPED)
def test_stored_texts_are_those_that_the_packages_ship(name: str) -> None:
    distribution, ending = SHIPPED[name]
    try:
        files = metadata.distribution(distribution).files or []
    except metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed")
    (shipped,) = [file for file in files if str(file).endswith(f"/{ending}")]
    assert (PROJECT / TEXTS_PATH / name).read_bytes() == Path(str(shipped.locate())).read_bytes()


def test_every_stored_text_is_named_and_of_known_origin() -> None:
    stored = {path.name for path in (PROJECT / TEXTS_PATH).glob("*.txt")}
    assert stored == {*SHIPPED, *WRITTEN_BY_US}
    links = "".join(path.read_text() for path in (PROJECT / MANIFESTS_PATH).iterdir())
    assert {name for name in stored if f"texts/{name}#sha256=" in links} == stored


def test_every_used_set_of_weights_has_a_text_a_notice_and_a_day() -> None:
    for entry in ENTRIES:
        assert entry.license_text and entry.attribution and entry.checked_on, entry.id


def test_the_keys_of_the_contract_suffice() -> None:
    keys = {
        "id": "somebody/base",
        "provider": "Somebody",
        "source": "https://example.org/base",
        "weights_license": "MIT",
        "code_license": "MIT",
        "commercial_use_allowed": True,
        "redistribution_allowed": True,
        "attribution_required": True,
        "license_url": "https://example.org/LICENSE",
    }
    entry = KnownWeights.model_validate(keys)
    assert (entry.bases, entry.checked_on, entry.checksums, entry.license_text) == ((), None, (), None)


def test_a_licence_that_asks_for_attribution_is_not_recorded_without() -> None:
    entry = ENTRIES[0].model_copy(update={"attribution_required": False})
    manifest = read_weights_manifest(PROJECT / MANIFESTS_PATH / manifest_name(entry.id))
    agreed = manifest.model_copy(update={"attribution_required": False})
    assert entry.disagreements(agreed, load_policy(PROJECT)) == (
        "attribution_required: MIT asks for it, the allowlist says it does not",
    )


def test_what_may_not_be_handed_on_is_not_recorded_as_if_it_might() -> None:
    """Recordings of one's own stay where they are; weights under their name would be handed on in the bundle."""
    own = {"weights_license": "LicenseRef-Proprietary-Own-Recording"}
    entry = ENTRIES[0].model_copy(update=own)
    manifest = read_weights_manifest(PROJECT / MANIFESTS_PATH / manifest_name(entry.id)).model_copy(update=own)
    (found,) = entry.disagreements(manifest, load_policy(PROJECT))
    assert found.startswith("redistribution_allowed: LicenseRef-Proprietary-Own-Recording does not grant it")
    honest = entry.model_copy(update={"redistribution_allowed": False})
    assert honest.disagreements(manifest, load_policy(PROJECT)) == ()


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
        ("bases: [hexgrad/kokoro-82m]", "bases: [hibari-tts/heart]", "from itself"),
        ("license_text: silero-vad.license.txt\n", "license_text: ../silero-vad.license.txt\n", "license_text"),
        ("    license_text: silero-vad.license.txt\n", "", "go together"),
        ("checked_on: 2026-11-22\n", "checked_on: yesterday\n", "checked_on"),
        ("id: keithito/lj-speech", "id: agentlans/high-quality-english-sentences", "datasets: agentlans"),
    ):
        assert old in good
        path.write_text(good.replace(old, new))
        with pytest.raises(ConfigError, match=told):
            load_allowlist(tmp_path)
    shutil.copyfile(PROJECT / ALLOWLIST_PATH, path)
    assert load_allowlist(tmp_path) == load_allowlist(PROJECT)


def test_the_documented_entry_is_one() -> None:
    text = (PROJECT / "docs/licensing.md").read_text()
    example = text.split("```yaml\n")[1].split("```")[0].replace("…", "a" * 64)
    (entry,) = Allowlist.model_validate({"weights": yaml.safe_load(example)}).weights
    assert set(entry.model_dump(exclude_unset=True)) == set(KnownWeights.model_fields) - {"packaged", "relicensed"}
