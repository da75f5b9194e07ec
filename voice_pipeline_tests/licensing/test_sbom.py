"""The bill of materials: valid CycloneDX 1.6, the same bytes each time, with everything that speaks in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from voice_pipeline.licensing.lineage import Lineage, lineage_of
from voice_pipeline.licensing.packages import SPEAKING_ROOTS
from voice_pipeline.licensing.sbom import sbom_json
from voice_pipeline.store import Store
from voice_pipeline.voice import load_voice
from voice_pipeline_tests.conftest import PROJECT
from voice_pipeline_tests.licensing.lineages import allowlist, known, lineage, part


def problems(data: bytes) -> str | None:
    """What CycloneDX's own schema says, without a network."""
    pytest.importorskip("jsonschema")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode())
    return None if found is None else str(found)


@pytest.fixture(scope="module")
def sample() -> Lineage:
    return lineage_of(PROJECT, load_voice(PROJECT / "configs/voices/sample_speaker.yaml"), Store(PROJECT / "store"))


def components(data: bytes) -> dict[str, dict[str, Any]]:
    return {one["bom-ref"]: one for one in json.loads(data)["components"]}


def test_valid_and_the_same_each_time(sample: Lineage) -> None:
    data = sbom_json(sample)
    assert problems(data) is None
    assert sbom_json(sample) == data
    value = json.loads(data)
    assert (value["bomFormat"], value["specVersion"], value["version"]) == ("CycloneDX", "1.6", 1)
    assert "timestamp" not in value["metadata"]
    assert re.fullmatch(
        r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", value["serialNumber"]
    )


def test_the_validator_refuses_what_is_wrong(sample: Lineage) -> None:
    assert problems(sbom_json(sample).replace(b'"library"', b'"libary"')) is not None


def test_everything_that_speaks_and_the_weights_in_it(sample: Lineage) -> None:
    found = components(sbom_json(sample))
    assert {f"package:{name}" for name in (*SPEAKING_ROOTS, "voice-pipeline")} <= set(found)
    numpy = found["package:numpy"]
    assert numpy["purl"] == f"pkg:pypi/numpy@{numpy['version']}"
    assert "LGPL-2.1-or-later" in numpy["licenses"][0]["expression"]
    lexicon = found["weights:gruut-lang-en/lexicon"]
    assert lexicon["type"] == "machine-learning-model"
    assert lexicon["hashes"] == [
        {"alg": "SHA-256", "content": "f736287913499c93b493b42963b66f74d59e0c083d9bc6d914c1096bc27658fc"}
    ]
    assert "weights:whisper/tiny.en" not in found  # it only judged
    assert json.loads(sbom_json(sample))["metadata"]["component"]["name"] == "sample_speaker"


def test_what_requires_what(sample: Lineage) -> None:
    value = {one["ref"]: one.get("dependsOn", []) for one in json.loads(sbom_json(sample))["dependencies"]}
    assert "package:numpy" in value["package:onnxruntime"]
    assert "package:voice-pipeline" in value["voice:sample_speaker"]
    assert "weights:hibari-tts/heart" in value["voice:sample_speaker"]


def test_other_facts_have_another_serial_number(tmp_path: Path) -> None:
    entries = [known("joe"), known("joe", "MIT")]
    serials = set()
    for number, entry in enumerate(entries):
        data = sbom_json(lineage(allowlist([entry]), [part(tmp_path / str(number), entry)]))
        assert problems(data) is None
        serials.add(json.loads(data)["serialNumber"])
    assert len(serials) == 2


def test_what_is_no_expression_is_a_name(tmp_path: Path) -> None:
    entry = known("joe", "as is, ask us", code_license="LicenseRef-Research-Only OR MIT")
    data = sbom_json(lineage(allowlist([entry]), [part(tmp_path, entry)]))
    assert problems(data) is None
    names = [one["license"]["name"] for one in components(data)["weights:joe"]["licenses"]]
    assert sorted(names) == ["LicenseRef-Research-Only OR MIT", "as is, ask us"]
