from __future__ import annotations

import json
import math
import threading
from pathlib import Path

import pytest

from voice_pipeline.bundle.format import content_digest, read_manifest
from voice_pipeline.bundle.seal import add_evaluation
from voice_pipeline.bundle.validation import validate_bundle
from voice_pipeline.failures import VoiceFailure
from voice_pipeline_tests.bundle.small_bundle import CONTENT, write_bundle


@pytest.fixture
def unjudged(tmp_path: Path) -> Path:
    content = {path: data for path, data in CONTENT.items() if path != "evaluation.json"}
    return write_bundle(tmp_path / "voice_bundle", content)


def test_the_evaluation_is_listed_and_the_judged_bytes_stay(unjudged: Path) -> None:
    before, digest = read_manifest(unjudged), content_digest(unjudged)
    manifest = add_evaluation(unjudged, {"wer": 0.08, "language": "en-US"}, expected_content_digest=digest)
    assert validate_bundle(unjudged, production=True) == []
    assert read_manifest(unjudged) == manifest
    assert content_digest(unjudged) == digest
    assert json.loads((unjudged / "evaluation.json").read_text()) == {"wer": 0.08, "language": "en-US"}
    assert [entry for entry in manifest.files if entry.path != "evaluation.json"] == list(before.files)
    assert manifest.created_at == before.created_at


def test_a_second_evaluation_replaces_the_first(unjudged: Path) -> None:
    add_evaluation(unjudged, {"wer": 0.5})
    add_evaluation(unjudged, {"wer": 0.1})
    assert validate_bundle(unjudged) == []
    assert json.loads((unjudged / "evaluation.json").read_text()) == {"wer": 0.1}
    once = (unjudged / "manifest.json").read_bytes()
    add_evaluation(unjudged, {"wer": 0.1})
    assert (unjudged / "manifest.json").read_bytes() == once


def test_another_bundle_than_the_judged_one_is_refused(unjudged: Path) -> None:
    with pytest.raises(VoiceFailure, match="bundle_invalid"):
        add_evaluation(unjudged, {"wer": 0.1}, expected_content_digest="0" * 64)
    assert not (unjudged / "evaluation.json").exists()


def test_a_tampered_bundle_is_not_sealed(unjudged: Path) -> None:
    (unjudged / "hifigan.nemo").write_bytes(b"vocoder weightz")
    with pytest.raises(VoiceFailure, match="checksum_mismatch"):
        add_evaluation(unjudged, {"wer": 0.1})
    assert not (unjudged / "evaluation.json").exists()


def test_nan_is_no_evaluation_and_leaves_everything_as_it_was(unjudged: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        add_evaluation(unjudged, {"wer": math.nan})
    assert validate_bundle(unjudged) == []
    assert sorted(path.name for path in unjudged.parent.iterdir()) == ["voice_bundle"]


def test_a_reader_always_finds_a_whole_bundle(unjudged: Path) -> None:
    stop = threading.Event()
    seen: list[object] = []

    def read() -> None:
        while not stop.is_set():
            try:
                seen.append(len(read_manifest(unjudged).files))
            except Exception as error:
                seen.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for n in range(20):
            add_evaluation(unjudged, {"round": n})
    finally:
        stop.set()
        reader.join()
    assert set(seen) <= {len(CONTENT) - 1, len(CONTENT)} and seen
