"""What has a part in a voice that is not English: no text weights, and a judge that hears its language."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voice_pipeline.licensing.parts import Part, parts_of
from voice_pipeline.store import Store
from voice_pipeline.voice import Voice
from voice_pipeline_tests.conftest import make_project
from voice_pipeline_tests.ready_voice import CONFIG


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def parts(project: Path, **changes: Any) -> list[Part]:
    return list(parts_of(project, Voice.model_validate({**CONFIG, **changes}), Store(project / "store")))


@pytest.mark.parametrize("language", ["it-IT", "es-MX", "fr-CA", "ru"])
def test_a_language_read_by_its_letters_has_no_text_weights(project: Path, language: str) -> None:
    assert parts(project, language=language) == []


def test_a_language_that_nothing_reads_is_a_part_that_no_gate_passes(project: Path) -> None:
    (part,) = parts(project, language="ja-JP")
    assert (part.role, part.model_id, part.manifest) == ("text frontend", "unknown/ja-JP", None)


def test_the_local_recogniser_of_the_config_judges_and_its_manifest_is_carried(project: Path) -> None:
    (project / "model").mkdir()
    (project / "model" / "asr.nemo").write_bytes(b"weights")
    (project / "model" / "asr.json").write_text(json.dumps({"model_id": "somebody/italian"}))
    recognizer = {"kind": "nemo", "path": "model/asr.nemo", "manifest": "model/asr.json"}
    (part,) = parts(project, language="it-IT", recognizer=recognizer)
    assert (part.role, part.model_id) == ("judge", "somebody/italian")
    assert part.manifest == project / "model" / "asr.json"
    assert part.file == project / "model" / "asr.nemo"
