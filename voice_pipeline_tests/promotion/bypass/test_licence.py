"""Ways around the licence gate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from voice_pipeline.licensing.allowlist import ALLOWLIST_PATH, MANIFESTS_PATH
from voice_pipeline_tests.promotion.bypass.attacks import Attack, Attacks, assert_refused, forge_bundle_record
from voice_pipeline_tests.ready_voice import CONFIG, NAME, ReadyVoice, edit_json

pytestmark = pytest.mark.evaluation
attacks = Attacks()


def edit_weights(ready: ReadyVoice, **changes: object) -> None:
    """Edit a weights manifest in the project and in the bundle, and make everything else fit."""
    name = "gruut-lang-en-lexicon.weights-manifest.json"
    edit_json(ready.project / MANIFESTS_PATH / name, **changes)
    shutil.copyfile(ready.project / MANIFESTS_PATH / name, ready.bundle / "weights" / name)
    ready.seal()
    forge_bundle_record(ready)
    ready.evaluate()


@attacks.attack("license_noncommercial", "CC-BY-NC-4.0: no commercial use")
def noncommercial_weights(ready: ReadyVoice) -> None:
    edit_weights(ready, weights_license="CC-BY-NC-4.0")


@attacks.attack("license_noncommercial", "commercial_use_required")
def weights_that_say_no(ready: ReadyVoice) -> None:
    edit_weights(ready, commercial_use_allowed=False)


@attacks.attack("license_unclear", "did you mean Apache-2.0?")
def licence_in_words(ready: ReadyVoice) -> None:
    edit_weights(ready, weights_license="apache 2.0")


@attacks.attack("license_unclear", "weights_license: the manifest says CC0-1.0")
def manifest_nicer_than_the_record(ready: ReadyVoice) -> None:
    edit_weights(ready, weights_license="CC0-1.0")


@attacks.attack("weights_checksum_mismatch", "lexicon.db")
def manifest_of_other_bytes(ready: ReadyVoice) -> None:
    edit_weights(ready, checksum="sha256:" + "0" * 64)


@attacks.attack("license_unclear", "is not in configs/licensing/allowlist.yaml")
def weights_nobody_knows(ready: ReadyVoice) -> None:
    path = ready.project / ALLOWLIST_PATH
    value = yaml.safe_load(path.read_text())
    value["weights"] = [entry for entry in value["weights"] if entry["id"] != "whisper/tiny.en"]
    path.write_text(yaml.safe_dump(value))


@attacks.attack("bundle_invalid", "does not carry weights/whisper-tiny.en.weights-manifest.json")
def weights_manifest_left_out_of_the_bundle(ready: ReadyVoice) -> None:
    (ready.bundle / "weights/whisper-tiny.en.weights-manifest.json").unlink()
    ready.seal()


@attacks.attack("license_noncommercial", "recordings: CC-BY-NC-4.0")
def noncommercial_recordings(ready: ReadyVoice) -> None:
    ready.configure(source={**CONFIG["source"], "license": "CC-BY-NC-4.0"})


@attacks.attack("license_unclear", "not made of the known sources")
def lexicon_of_unknown_origin(ready: ReadyVoice) -> None:
    path = ready.bundle / "text/lexicon.tsv"
    lines = path.read_text().splitlines(keepends=True)
    path.unlink()
    path.write_text("".join(line for line in lines if not line.startswith("zebra\t")))
    ready.seal()
    forge_bundle_record(ready)
    ready.evaluate()


@attacks.attack("license_unclear", "unknown/some program")
def synthetic_speaker_of_unknown_weights(ready: ReadyVoice) -> None:
    about = ready.project / "data" / NAME / "about.json"
    about.write_text(json.dumps({"synthetic": True, "speaker": "some program"}))


@attacks.each
def test_no_way_around(ready_voice: ReadyVoice, tmp_path: Path, reason: str, told: str, act: Attack) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    act(ready)
    assert_refused(ready, reason, told)
