"""Models that listened to the recordings have a part in the voice, and the gate asks about each of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from voice_pipeline.atomic import write_json
from voice_pipeline.licensing import gate
from voice_pipeline.licensing.allowlist import ALLOWLIST_PATH, load_allowlist
from voice_pipeline.licensing.parts import LISTENING_STAGES, Part, parts_of, weights_manifests
from voice_pipeline.recognition.listeners import ListeningModel
from voice_pipeline.recognition.recognizer import manifest_model_id
from voice_pipeline.recognition.speaker import MODEL_ID as SPEAKER
from voice_pipeline.recognition.voice_activity import MODEL_ID as VOICE_ACTIVITY
from voice_pipeline.recognition.voice_activity import WEIGHTS as VOICE_ACTIVITY_WEIGHTS
from voice_pipeline.store import Store, sha256_file
from voice_pipeline.voice import RecognizerSettings, Voice
from voice_pipeline_tests.conftest import PROJECT, date_licences, make_project
from voice_pipeline_tests.ready_voice import CHECKED, CONFIG, NAME, TODAY

WEIGHTS = b"a recogniser that somebody trained"
ROLES = {"voice activity", "recogniser", "aligner", "speaker encoder"}


def checksum(model_id: str) -> str:
    entry = load_allowlist(PROJECT).entry(model_id)
    assert entry is not None
    return entry.checksums[0].removeprefix("sha256:")


def record(store: Store, stage: str, models: object) -> None:
    write_json(store.record(NAME, stage), {"stage": stage, "identity": "0" * 64, "models": models})


def listening(project: Path, voice: Voice) -> list[Part]:
    return [part for part in parts_of(project, voice, Store(project / "store")) if part.role in ROLES]


def test_every_model_of_every_record_is_a_part_once(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    store = Store(project / "store")
    vad = ListeningModel("voice activity", VOICE_ACTIVITY, checksum(VOICE_ACTIVITY))
    whisper = ListeningModel("recogniser", "whisper/tiny.en", checksum("whisper/tiny.en"))
    sphinx = ListeningModel("aligner", "pocketsphinx/en-us", checksum("pocketsphinx/en-us"))
    speaker = ListeningModel("speaker encoder", SPEAKER, checksum(SPEAKER))
    for stage, models in zip(
        LISTENING_STAGES, ([vad], [whisper, sphinx], [speaker], [vad, whisper, sphinx, speaker]), strict=True
    ):
        record(store, stage, [asdict(model) for model in models])
    found = listening(project, Voice.model_validate(CONFIG))
    assert [(part.role, part.model_id, part.used_sha256) for part in found] == [
        ("aligner", sphinx.model_id, sphinx.sha256),
        ("recogniser", whisper.model_id, whisper.sha256),
        ("speaker encoder", speaker.model_id, speaker.sha256),
        ("voice activity", vad.model_id, vad.sha256),
    ]
    assert not any(part.shipped for part in found)
    assert {"silero-vad-16k", "pocketsphinx-en-us", "resemblyzer-ge2e", "whisper-tiny.en"} <= set(
        weights_manifests(found)
    )


def test_the_voice_activity_model_is_the_one_with_a_licence() -> None:
    entry = load_allowlist(PROJECT).entry(VOICE_ACTIVITY)
    assert entry is not None
    assert entry.packaged is not None
    assert entry.packaged.path == VOICE_ACTIVITY_WEIGHTS


def test_no_record_and_records_without_models_are_no_parts(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    store = Store(project / "store")
    assert listening(project, Voice.model_validate(CONFIG)) == []
    write_json(store.record(NAME, "dataset_manifest"), {"stage": "dataset_manifest"})
    assert listening(project, Voice.model_validate(CONFIG)) == []


@pytest.mark.parametrize("text", ["", "[]", '{"models": 3}', '{"models": [{"role": "spy"}]}', "[" * 60_000, "\x00"])
def test_a_record_that_cannot_be_read_names_an_unknown_model(tmp_path: Path, text: str) -> None:
    project = make_project(tmp_path / "project")
    path = Store(project / "store").record(NAME, "utterance_texts")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (part,) = listening(project, Voice.model_validate(CONFIG))
    assert (part.model_id, part.manifest) == ("unknown/utterance_texts", None)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = make_project(tmp_path / "project")
    date_licences(root, CHECKED)
    return root


def blockers(project: Path, voice: Voice) -> tuple[str, ...]:
    """What the gate says about listeners; there is no bundle here, which it says too."""
    store = Store(project / "store")
    found = gate.judge(project, voice, store, project / "no-bundle", today=TODAY).blockers
    ours = [one for one in found if any(f": {role} " in one for role in ROLES)]
    return tuple(one for one in ours if "the bundle does not carry" not in one)


def with_recogniser(
    project: Path, *, manifest: bool = True, known: bool = True, used: str | None = None, **changes: Any
) -> tuple[str, ...]:
    """Blockers of a voice whose recordings a local recogniser listened to."""
    folder = project / "model"
    folder.mkdir(exist_ok=True)
    (folder / "asr.nemo").write_bytes(WEIGHTS)
    sha256 = sha256_file(folder / "asr.nemo")
    facts = {
        "code_license": "Apache-2.0",
        "weights_license": "CC-BY-4.0",
        "commercial_use_allowed": True,
        "attribution_required": True,
    }
    value = {
        "model_id": "somebody/asr",
        "source_url": "https://example.org/asr",
        "evidence_links": ["https://example.org/license"],
        "checksum": f"sha256:{sha256}",
        "created_at": "2026-01-01T00:00:00Z",
        **facts,
        **changes,
    }
    if manifest:
        (folder / "asr.json").write_text(json.dumps(value))
    if known:
        path = project / ALLOWLIST_PATH
        allowlist = yaml.safe_load(path.read_text())
        entry = {
            "id": "somebody/asr",
            "provider": "Somebody",
            "source": "https://example.org/asr",
            "redistribution_allowed": False,
            "license_url": "https://example.org/license",
            "checksums": [f"sha256:{sha256}"],
            **facts,
        }
        allowlist["weights"] = [one for one in allowlist["weights"] if one["id"] != "somebody/asr"] + [entry]
        path.write_text(yaml.safe_dump(allowlist))
    recognizer = {"kind": "nemo", "path": "model/asr.nemo", "manifest": "model/asr.json"}
    model_id = manifest_model_id(project, RecognizerSettings.model_validate(recognizer))
    models = [asdict(ListeningModel("recogniser", model_id, used or sha256))]
    record(Store(project / "store"), "utterance_texts", models)
    return blockers(project, Voice.model_validate({**CONFIG, "recognizer": recognizer}))


def test_a_recogniser_is_judged_as_any_other_weights(project: Path) -> None:
    assert with_recogniser(project) == ()  # not shipped: it need not be redistributable
    assert with_recogniser(project, weights_license="CC-BY-NC-4.0")[0].startswith(
        "license_noncommercial: recogniser somebody/asr: weights licence CC-BY-NC-4.0: no commercial use"
    )
    assert with_recogniser(project, commercial_use_allowed=False)[0].startswith("license_noncommercial: recogniser")
    assert with_recogniser(project, weights_license="Unknown")[0].startswith("license_unclear: recogniser")
    other = with_recogniser(project, used="0" * 64)
    assert [one.split(":")[0] for one in other] == ["weights_checksum_mismatch"]
    assert "what was used has sha256 0000" in other[0]


def test_a_recogniser_without_a_manifest_is_unclear(project: Path) -> None:
    assert with_recogniser(project, manifest=False, known=False) == (
        "license_unclear: recogniser unknown/asr.nemo: no weights manifest is known for it",
    )


def test_a_recogniser_that_nobody_checked_is_unclear(project: Path) -> None:
    (found,) = with_recogniser(project, known=False)
    assert found == "license_unclear: recogniser somebody/asr: somebody/asr is not in configs/licensing/allowlist.yaml"


def test_a_recogniser_that_the_config_forgot_is_unclear(project: Path) -> None:
    assert with_recogniser(project) == ()
    assert blockers(project, Voice.model_validate(CONFIG)) == (
        "license_unclear: recogniser somebody/asr: no weights manifest is known for it",
    )


def test_other_bytes_under_a_known_name_are_refused(project: Path) -> None:
    record(Store(project / "store"), "clean_utterances", [asdict(ListeningModel("speaker encoder", SPEAKER, "1" * 64))])
    (found,) = blockers(project, Voice.model_validate(CONFIG))
    assert found.startswith(f"weights_checksum_mismatch: speaker encoder {SPEAKER}: what was used has sha256 1111")
