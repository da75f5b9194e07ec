"""Which weights have a part in a voice, and what the gate says of each."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from voice_pipeline.atomic import read_json
from voice_pipeline.licensing import gate
from voice_pipeline.licensing.allowlist import ALLOWLIST_PATH, load_allowlist, manifest_name
from voice_pipeline.licensing.parts import Judge, Part, parts_of, weights_manifests
from voice_pipeline.store import Store, sha256_file
from voice_pipeline.voice import Voice, load_voice
from voice_pipeline_tests.conftest import PROJECT, make_project
from voice_pipeline_tests.ready_voice import CONFIG, NAME, TODAY, ReadyVoice

FRONTEND = {"gruut-lang-en/g2p", "gruut-lang-en/lexicon"}
JUDGE = {"whisper/tiny.en"}


def parts(project: Path, voice: Voice) -> dict[str, Part]:
    return {part.model_id: part for part in parts_of(project, voice, Store(project / "store"))}


def human(**changes: Any) -> Voice:
    return Voice.model_validate({**CONFIG, **changes})


def test_a_human_voice_from_nothing(tmp_path: Path) -> None:
    found = parts(make_project(tmp_path / "project"), human())
    assert set(found) == FRONTEND | JUDGE
    assert [found[one].shipped for one in sorted(found)] == [True, True, False]


def test_the_sample_voice_has_its_speaker_as_an_ancestor() -> None:
    voice = load_voice(PROJECT / "configs/voices/sample_speaker.yaml")
    assert set(parts(PROJECT, voice)) == FRONTEND | JUDGE | {"hibari-tts/heart", "hibari-tts/oov"}


def test_recordings_that_say_they_are_synthetic_are_believed_over_the_config(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    folder = project / "data" / NAME
    folder.mkdir(parents=True)
    about = folder / "about.json"
    about.write_text(json.dumps({"synthetic": True, "speaker": "hibari-tts 0.2.1, voice heart"}))
    assert "hibari-tts/heart" in parts(project, human())
    about.write_text(json.dumps({"synthetic": True}))
    assert parts(project, human())["unknown"].manifest is None
    about.write_text(json.dumps({"synthetic": False}))
    assert set(parts(project, human())) == FRONTEND | JUDGE


DAMAGED = {
    "empty": "",
    "no object": "[]",
    "no JSON": "\x00",
    "nested": "[" * 60_000,
    "padded": json.dumps({"synthetic": True, "speaker": "hibari-tts 0.2.1"}) + " " * 70_000,
    "a key twice": '{"synthetic": true, "synthetic": false}',
    "no boolean": '{"synthetic": "yes"}',
    "nothing said": "{}",
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_an_about_json_that_cannot_be_believed_is_an_unknown_speaker(tmp_path: Path, text: str) -> None:
    project = make_project(tmp_path / "project")
    folder = project / "data" / NAME
    folder.mkdir(parents=True)
    (folder / "about.json").write_text(text)
    assert parts(project, human())["unknown"] == Part("synthetic speaker", "unknown", None, None)


def test_an_about_json_that_is_no_file_is_an_unknown_speaker(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    about = project / "data" / NAME / "about.json"
    about.parent.mkdir(parents=True)
    about.mkdir()
    assert "unknown" in parts(project, human())
    about.rmdir()
    about.symlink_to("nowhere")
    assert "unknown" in parts(project, human())
    about.unlink()
    os.mkfifo(about)
    assert "unknown" in parts(project, human())


@pytest.mark.parametrize("path", [f"data/{NAME}/wavs", f"data/{NAME}/wavs/a.wav", "data/link", "data/link.wav"])
def test_a_part_of_synthetic_recordings_is_synthetic_too(tmp_path: Path, path: str) -> None:
    project = make_project(tmp_path / "project")
    folder = project / "data" / NAME
    (folder / "wavs").mkdir(parents=True)
    (folder / "wavs/a.wav").write_bytes(b"RIFF")
    (project / "data/link").symlink_to(folder / "wavs")
    (project / "data/link.wav").symlink_to(folder / "wavs/a.wav")
    voice = human(source={**CONFIG["source"], "path": path})
    (project / "about.json").write_text("no about.json of recordings")
    assert set(parts(project, voice)) == FRONTEND | JUDGE
    (folder / "about.json").write_text(json.dumps({"synthetic": True, "speaker": "hibari-tts 0.2.1, voice heart"}))
    assert set(parts(project, voice)) == FRONTEND | JUDGE | {"hibari-tts/heart", "hibari-tts/oov"}


def test_an_unknown_synthetic_speaker_has_no_manifest(tmp_path: Path) -> None:
    voice = human(consent={"speaker_type": "synthetic", "speaker": "some program", "status": "not_applicable"})
    assert parts(make_project(tmp_path / "project"), voice)["unknown/some program"].manifest is None


def test_names_in_the_bundle() -> None:
    voice = load_voice(PROJECT / "configs/voices/sample_speaker.yaml")
    named = weights_manifests(parts_of(PROJECT, voice, Store(PROJECT / "store")))
    known = {manifest_name(entry.id) for entry in load_allowlist(PROJECT).weights}
    assert {f"{name}.weights-manifest.json" for name in named} <= known
    assert len(named) >= len(FRONTEND | JUDGE) + 2
    assert all(path.is_file() for path in named.values())


@pytest.fixture
def ready(ready_voice: ReadyVoice, tmp_path: Path) -> ReadyVoice:
    return ready_voice.copy(tmp_path / "project")


def listeners(ready: ReadyVoice) -> set[str]:
    """The models that listened to the recordings."""
    return {one["model_id"] for one in read_json(ready.store.record(NAME, "dataset_manifest"))["models"]}


def judged(ready: ReadyVoice) -> gate.LicenseRecord:
    return gate.run(ready.project, ready.voice, ready.store, ready.bundle, today=TODAY)


def of_licences(record: gate.LicenseRecord) -> tuple[str, ...]:
    """The blockers but those of a bundle that was built from other facts."""
    return tuple(one for one in record.blockers if not one.startswith("bundle_invalid: "))


@pytest.mark.evaluation
def test_go_and_what_is_stored(ready: ReadyVoice) -> None:
    record = judged(ready)
    assert (record.go, record.blockers) == (True, ())
    assert listeners(ready)
    assert {weights.model_id for weights in record.weights} == FRONTEND | JUDGE | listeners(ready)
    for path in (ready.store.license_decision(NAME), ready.store.record(NAME, "license_gate")):
        assert gate.LicenseRecord.model_validate(read_json(path)) == record
    assert judged(ready) == record
    assert gate.judges_of(ready.bundle)[0].model_id == "whisper/tiny.en"


@pytest.mark.evaluation
def test_an_evaluation_that_cannot_be_read_names_no_judge(ready: ReadyVoice) -> None:
    (ready.bundle / "evaluation.json").unlink()
    assert gate.judges_of(ready.bundle) == ()
    (ready.bundle / "evaluation.json").write_text('{"judges": 1}')
    assert gate.judges_of(ready.bundle) == (Judge("unknown", None),)
    assert not judged(ready).go


@pytest.mark.evaluation
def test_one_record_names_every_blocker(ready: ReadyVoice) -> None:
    weights = ready.project / "configs/licensing/weights"
    shutil.rmtree(weights)
    reasons = [blocker.split(":")[0] for blocker in of_licences(judged(ready))]
    named = sum(len(one) for one in (FRONTEND, JUDGE, listeners(ready)))
    assert reasons == ["license_unclear"] * named
    assert not gate.run(ready.project, ready.voice, ready.store, ready.project / "nowhere", today=TODAY).go


BASE_BYTES = b"a base that somebody else trained"


def with_base(ready: ReadyVoice, *, known: bool = True, **changes: Any) -> tuple[str, ...]:
    """Blockers of a voice that begins from a base acoustic model, with its manifest and its record in the allowlist."""
    folder = ready.project / "base"
    folder.mkdir(exist_ok=True)
    (folder / "base.nemo").write_bytes(BASE_BYTES)
    checksum = f"sha256:{sha256_file(folder / 'base.nemo')}"
    facts = {
        "code_license": "Apache-2.0",
        "weights_license": "CC-BY-4.0",
        "commercial_use_allowed": True,
        "attribution_required": True,
    }
    value = {
        "model_id": "somebody/base",
        "source_url": "https://example.org/base",
        "evidence_links": ["https://example.org/license"],
        "checksum": checksum,
        "created_at": "2026-01-01T00:00:00Z",
        **facts,
        **changes,
    }
    (folder / "base.json").write_text(json.dumps(value))
    if known:
        path = ready.project / ALLOWLIST_PATH
        allowlist = yaml.safe_load(path.read_text())
        entry = {
            "id": "somebody/base",
            "provider": "Somebody",
            "source": "https://example.org/base",
            "redistribution_allowed": True,
            "license_url": "https://example.org/license",
            "checksums": [checksum],
            **facts,
        }
        allowlist["weights"] = [one for one in allowlist["weights"] if one["id"] != "somebody/base"] + [entry]
        path.write_text(yaml.safe_dump(allowlist))
    ready.configure(base={"fastpitch": {"path": "base/base.nemo", "manifest": "base/base.json"}})
    return of_licences(gate.judge(ready.project, ready.voice, ready.store, ready.bundle, today=TODAY))


@pytest.mark.evaluation
def test_base_weights(ready: ReadyVoice) -> None:
    assert with_base(ready, known=False) == (
        "license_unclear: fastpitch base somebody/base: somebody/base is not in configs/licensing/allowlist.yaml",
    )
    assert with_base(ready) == ()
    assert with_base(ready, weights_license="CC-BY-NC-4.0")[0].startswith(
        "license_noncommercial: fastpitch base somebody/base: weights licence CC-BY-NC-4.0: no commercial use"
    )
    assert with_base(ready, code_license="LicenseRef-Research-Only")[0].startswith("license_noncommercial: ")
    assert with_base(ready, commercial_use_allowed=False)[0].startswith("license_noncommercial: ")
    assert with_base(ready, attribution_required=False)[0].startswith("license_unclear: ")
    assert with_base(ready, evidence_links=[])[0].startswith("license_unclear: ")
    assert {one.split(":")[0] for one in with_base(ready, checksum="sha256:" + "0" * 64)} == {
        "weights_checksum_mismatch"
    }


@pytest.mark.evaluation
def test_a_base_that_the_training_used_and_the_config_forgot(ready: ReadyVoice) -> None:
    spec = ready.work_dir / "spec.json"
    value = read_json(spec)
    value["base"] = {"hifigan": {"path": "/somewhere/vocoder.nemo", "sha256": "0" * 64}}
    spec.write_text(json.dumps(value))
    assert of_licences(judged(ready)) == (
        "license_unclear: hifigan base unknown/vocoder.nemo: no weights manifest is known for it",
    )


@pytest.mark.evaluation
def test_a_base_exchanged_after_the_training(ready: ReadyVoice) -> None:
    assert with_base(ready) == ()
    spec = ready.work_dir / "spec.json"
    value = read_json(spec)
    value["base"] = {"fastpitch": {"path": str(ready.project / "base/base.nemo"), "sha256": "0" * 64}}
    spec.write_text(json.dumps(value))
    assert any("what was used has sha256 0000" in blocker for blocker in with_base(ready))
