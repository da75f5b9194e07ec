"""Ways to promote other bytes than were trained, built and judged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from voice_pipeline.atomic import read_json
from voice_pipeline.bundle.format import content_digest
from voice_pipeline.bundle.validation import validate_bundle
from voice_pipeline_tests.promotion.bypass.attacks import (
    Attack,
    Attacks,
    assert_refused,
    flip,
    forge_bundle_record,
)
from voice_pipeline_tests.ready_voice import NAME, ReadyVoice, edit_json

pytestmark = pytest.mark.evaluation
attacks = Attacks()


@attacks.attack("bundle_invalid", "checksum_mismatch: hifigan.nemo")
def file_of_the_same_size_swapped(ready: ReadyVoice) -> None:
    flip(ready.bundle / "hifigan.nemo")


@attacks.attack("verification_failed", "the evaluation judged another bundle")
def file_swapped_and_listed_as_if_it_belonged(ready: ReadyVoice) -> None:
    flip(ready.bundle / "sample.wav")
    ready.seal()
    forge_bundle_record(ready)


@attacks.attack("verification_failed", "not the one that voice_bundle built")
def file_swapped_and_evaluated_again(ready: ReadyVoice) -> None:
    flip(ready.bundle / "sample.wav")
    ready.seal()
    ready.evaluate()


@attacks.attack("verification_failed", "fastpitch.nemo is not the one that was trained")
def weights_of_another_training(ready: ReadyVoice) -> None:
    (ready.bundle / "fastpitch.nemo").unlink()
    (ready.bundle / "fastpitch.nemo").write_bytes(b"other tensors")
    ready.seal()
    forge_bundle_record(ready)
    ready.evaluate()


@attacks.attack("bundle_invalid", "unlisted_file: extra.bin")
def manifest_lists_less(ready: ReadyVoice) -> None:
    (ready.bundle / "extra.bin").write_bytes(b"x")


@attacks.attack("verification_failed", "judged another bundle")
def file_left_out_of_folder_and_manifest(ready: ReadyVoice) -> None:
    (ready.bundle / "text/NOTICE.txt").unlink()
    ready.seal()


@attacks.attack("bundle_invalid", "path_escape: sample.wav")
def link_out_of_the_bundle(ready: ReadyVoice) -> None:
    outside = ready.project / "outside.wav"
    shutil.move(ready.bundle / "sample.wav", outside)
    (ready.bundle / "sample.wav").symlink_to(outside)


@attacks.attack("bundle_invalid", "manifest_missing")
def bundle_taken_away(ready: ReadyVoice) -> None:
    shutil.rmtree(ready.bundle)


@attacks.attack("verification_failed", "the bundle is of another voice")
def bundle_of_another_voice(ready: ReadyVoice) -> None:
    edit_json(ready.bundle / "manifest.json", voice_profile_id="other")


@attacks.attack("bundle_invalid", "provenance")
def bundle_without_provenance(ready: ReadyVoice) -> None:
    path = ready.bundle / "manifest.json"
    value = read_json(path)
    del value["provenance"]
    path.unlink()
    path.write_text(json.dumps(value))


@attacks.attack("bundle_invalid", "required_file_missing: more.bin")
def manifest_lists_more(ready: ReadyVoice) -> None:
    path = ready.bundle / "manifest.json"
    files = [*read_json(path)["files"], {"path": "more.bin", "sha256": "0" * 64, "bytes": 1}]
    edit_json(path, files=files)


@attacks.attack("bundle_invalid", "path_escape")
def manifest_lists_a_file_outside(ready: ReadyVoice) -> None:
    path = ready.bundle / "manifest.json"
    files = [*read_json(path)["files"], {"path": "../../../data", "sha256": "0" * 64, "bytes": 1}]
    edit_json(path, files=files)


@attacks.attack("bundle_invalid", "unlisted_file: extra")
def link_that_is_not_listed(ready: ReadyVoice) -> None:
    (ready.bundle / "extra").symlink_to("sample.wav")


@attacks.attack("verification_failed", "not the one that voice_bundle built")
def bundle_that_is_a_link_to_another(ready: ReadyVoice) -> None:
    other = ready.project / "other_bundle"
    shutil.move(ready.bundle, other)
    ready.bundle.symlink_to(other)
    flip(other / "sample.wav")
    ready.seal()
    ready.evaluate()


def edit_manifest(ready: ReadyVoice, *, provenance: dict[str, str] | None = None, **changes: str) -> None:
    """Change what the manifest says, and no file that it lists."""
    path = ready.bundle / "manifest.json"
    edit_json(path, provenance={**read_json(path)["provenance"], **(provenance or {})}, **changes)


@attacks.attack("verification_failed", "the bundle's manifest is not the one that voice_bundle wrote")
def commit_of_another_work_tree(ready: ReadyVoice) -> None:
    edit_manifest(ready, provenance={"commit": "1" * 40})


@attacks.attack("verification_failed", "the bundle's manifest is not the one that voice_bundle wrote")
def version_of_other_code(ready: ReadyVoice) -> None:
    edit_manifest(ready, provenance={"code_version": "99.0"})


@attacks.attack("verification_failed", "the bundle's manifest is not the one that voice_bundle wrote")
def name_of_somebody_famous(ready: ReadyVoice) -> None:
    edit_manifest(ready, display_name="Somebody Famous (official)")


@attacks.attack("verification_failed", "the bundle's display name is not the voice's")
def name_of_somebody_famous_recorded_too(ready: ReadyVoice) -> None:
    edit_manifest(ready, display_name="Somebody Famous (official)")
    forge_bundle_record(ready)


@attacks.attack("verification_failed", "another digest of the recipe than the training's")
def recipe_digest_of_another_recipe(ready: ReadyVoice) -> None:
    edit_manifest(ready, provenance={"recipe_sha256": "f" * 64})
    forge_bundle_record(ready)


@attacks.attack("verification_failed", "another text frontend than is installed")
def frontend_of_another_language(ready: ReadyVoice) -> None:
    edit_manifest(ready, provenance={"frontend_identity": "e" * 64})
    forge_bundle_record(ready)


@attacks.attack("verification_failed", "there is no record of voice_bundle")
def record_of_an_older_version(ready: ReadyVoice) -> None:
    path = ready.store.record(NAME, "voice_bundle")
    value = read_json(path)
    del value["facts_digest"]
    path.write_text(json.dumps(value))


@attacks.each
def test_no_way_around(ready_voice: ReadyVoice, tmp_path: Path, reason: str, told: str, act: Attack) -> None:
    ready = ready_voice.copy(tmp_path / "project")
    act(ready)
    assert_refused(ready, reason, told)


def test_a_flipped_bit_in_any_file_of_the_bundle_is_found(ready_voice: ReadyVoice, tmp_path: Path) -> None:
    bundle = ready_voice.copy(tmp_path / "project").bundle
    files = [path for path in sorted(bundle.rglob("*")) if path.is_file()]
    assert len(files) >= 12
    for path in files:
        kept = path.read_bytes()
        flip(path)
        found = validate_bundle(bundle, production=True)
        if path.name == "manifest.json" and not found:
            assert content_digest(bundle) != content_digest(ready_voice.bundle)  # a digit of a digest, or created_at
        else:
            assert found, path
        path.write_bytes(kept)
