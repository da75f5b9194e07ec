from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from voice_pipeline.atomic import read_json, write_json
from voice_pipeline.bundle.build import SAMPLE_TEXT, BundleRecord, TrainedModels, facts_digest
from voice_pipeline.bundle.format import content_digest, read_manifest
from voice_pipeline.bundle.seal import add_evaluation
from voice_pipeline.bundle.synthesizer import Synthesizer, wav_bytes
from voice_pipeline.bundle.validation import validate_bundle
from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.store import Store, sha256_file
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline_tests.bundle.conftest import NemoServer
from voice_pipeline_tests.tiny_bundle import CREATED_AT, DOCUMENTS, WEIGHTS_MANIFEST, TinyBundle

pytestmark = pytest.mark.nemo

NO_INTERPRETER = "/nonexistent/python"  # with it an export fails at once: what succeeds did not export


@pytest.fixture
def spoilable(tiny_bundle: TinyBundle, tmp_path: Path) -> TinyBundle:
    shutil.copytree(tiny_bundle.root, tmp_path / "copy")
    return TinyBundle(tmp_path / "copy")


def test_the_bundle_is_whole_and_holds_what_it_should(tiny_bundle: TinyBundle) -> None:
    assert validate_bundle(tiny_bundle.folder) == []
    manifest = read_manifest(tiny_bundle.folder)
    text = {"NOTICE.txt", "g2p.crf", "lexicon.tsv", "normaliser.json", "symbols.json"}
    assert {entry.path for entry in manifest.files} == {
        *("acoustic.onnx", "vocoder.onnx", "fastpitch.nemo", "hifigan.nemo"),
        *("export.json", "sample.wav", "synthesizer.json", "weights/tiny_base.weights-manifest.json"),
        *(f"text/{name}" for name in text),
        *DOCUMENTS,
    }
    assert (tiny_bundle.folder / "NOTICE").read_bytes() == DOCUMENTS["NOTICE"]
    assert (manifest.voice_profile_id, manifest.display_name) == ("tiny_voice", "Tiny Voice")
    assert manifest.created_at == CREATED_AT
    missing = {(problem.code, problem.path) for problem in validate_bundle(tiny_bundle.folder, production=True)}
    assert missing == {("required_file_missing", "evaluation.json")}


def test_the_provenance_names_what_it_was_made_from(tiny_bundle: TinyBundle) -> None:
    provenance = read_manifest(tiny_bundle.folder).provenance
    trained = json.loads((tiny_bundle.models.folder / "result.json").read_text())["models"]
    assert provenance is not None
    assert provenance.weights_refs == ("weights/tiny_base.weights-manifest.json",)
    assert provenance.tensors_sha256 == {name: trained[name]["tensors_sha256"] for name in trained}
    assert provenance.frontend_identity == TextFrontend.load(tiny_bundle.folder / "text").identity
    shipped = tiny_bundle.folder / provenance.weights_refs[0]
    assert json.loads(shipped.read_text()) == WEIGHTS_MANIFEST


def test_nothing_in_the_bundle_names_this_machine(tiny_bundle: TinyBundle) -> None:
    for path in tiny_bundle.folder.rglob("*"):
        if path.is_file() and path.suffix != ".nemo":
            data = path.read_bytes()
            assert str(tiny_bundle.root).encode() not in data, path
            assert b"/site-packages/" not in data, path


def test_the_sample_was_spoken_by_this_bundle(tiny_bundle: TinyBundle) -> None:
    spoken = Synthesizer.load(tiny_bundle.folder).speak(SAMPLE_TEXT)
    assert (tiny_bundle.folder / "sample.wav").read_bytes() == wav_bytes(spoken)
    assert tiny_bundle.record.sample_seconds == round(spoken.duration, 3)


def test_the_record_says_what_is_there(tiny_bundle: TinyBundle) -> None:
    record, store = tiny_bundle.record, tiny_bundle.store
    assert BundleRecord.from_json(record.to_json()) == record
    assert store.resolve(record.bundle) == tiny_bundle.folder
    assert record.content_digest == content_digest(tiny_bundle.folder)
    assert record.facts_digest == facts_digest(read_manifest(tiny_bundle.folder))
    assert record.manifest_sha256 == sha256_file(store.resolve(record.manifest))
    assert record.files == 14 and record.bytes > 1_000_000
    assert store.resolve(record.export_log).stat().st_size > 0
    assert 0 < record.mel_difference < 1e-4 and 0 < record.audio_difference < 1e-4


def test_other_documents_are_another_bundle(spoilable: TinyBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICE_TRAINER_PYTHON", NO_INTERPRETER)
    assert spoilable.run_stage() == spoilable.record
    for other in ({}, {"NOTICE": b"Tiny Voice\n"}, {**DOCUMENTS, "consent.json": b"{}\n"}):
        with pytest.raises(VoiceFailure):  # it would be exported anew
            spoilable.run_stage(other)
    with pytest.raises(ConfigError, match=r"'fastpitch\.nemo' is no document of a bundle"):
        spoilable.run_stage({"fastpitch.nemo": b"x"})


def test_the_same_inputs_are_not_built_twice(spoilable: TinyBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICE_TRAINER_PYTHON", NO_INTERPRETER)
    record = spoilable.record
    assert spoilable.run_stage() == record
    add_evaluation(spoilable.folder, {"wer": 0.1}, expected_content_digest=record.content_digest)
    assert spoilable.run_stage() == record  # the evaluation is no other bundle
    assert validate_bundle(spoilable.folder, production=True) == []


@pytest.mark.parametrize("path", ["sample.wav", "manifest.json", "weights/tiny_base.weights-manifest.json"])
def test_a_spoilt_bundle_is_built_again(spoilable: TinyBundle, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("VOICE_TRAINER_PYTHON", NO_INTERPRETER)
    data = bytearray((spoilable.folder / path).read_bytes())
    data[len(data) // 2] ^= 1
    (spoilable.folder / path).write_bytes(data)
    with pytest.raises(VoiceFailure, match="nemo_runtime_unavailable"):
        spoilable.run_stage()
    # A build that fails leaves the old folder as it was, and nothing beside it.
    assert (spoilable.folder / path).read_bytes() == data
    assert [entry.name for entry in spoilable.folder.parent.iterdir()] == ["voice_bundle"]


@pytest.mark.parametrize("spoil", ["another name", "a record of an older version"])
def test_another_manifest_or_record_is_built_again(
    spoilable: TinyBundle, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    monkeypatch.setenv("VOICE_TRAINER_PYTHON", NO_INTERPRETER)
    if spoil == "another name":
        path = spoilable.folder / "manifest.json"
        value = {**read_json(path), "display_name": "Somebody Famous"}
    else:
        path = spoilable.store.record(spoilable.record.voice_profile_id, "voice_bundle")
        value = read_json(path)
        del value["facts_digest"]
    write_json(path, value)
    with pytest.raises(VoiceFailure, match="nemo_runtime_unavailable"):
        spoilable.run_stage()


def test_a_checkpoint_that_changed_since_its_training_is_refused(spoilable: TinyBundle) -> None:
    with spoilable.models.hifigan.open("r+b") as file:
        file.seek(100_000)
        file.write(b"\xff\x00\xff")
    (spoilable.folder / "sample.wav").unlink()
    with pytest.raises(VoiceFailure, match=r"bundle_invalid.*hifigan.nemo|bundle_invalid.*sha256"):
        spoilable.run_stage()


def test_a_training_without_its_result_is_refused(tmp_path: Path) -> None:
    for text in (None, "{", "[]", '{"models": {"fastpitch": {}}}'):
        if text is not None:
            (tmp_path / "result.json").write_text(text)
        with pytest.raises(VoiceFailure, match="checkpoint_missing"):
            TrainedModels.from_result(tmp_path, voice="tiny_voice")


def test_a_nemo_server_restores_both_models_and_says_the_same(tiny_bundle: TinyBundle, nemo_server: NemoServer) -> None:
    synthesizer = Synthesizer.load(tiny_bundle.folder)
    ids = TextFrontend.load(tiny_bundle.folder / "text").encode(nemo_server.text)
    assert tuple(nemo_server.ids) == ids
    audio = synthesizer._synthesize(ids, 1.0)
    assert audio.shape == nemo_server.audio.shape and len(audio) == nemo_server.mel.shape[1] * 256
    assert np.abs(nemo_server.audio).max() > 0.05
    assert np.abs(audio - nemo_server.audio).max() < 1e-4


def test_two_exports_write_the_same_bytes(tiny_bundle: TinyBundle, nemo_server: NemoServer) -> None:
    for name in ("acoustic.onnx", "vocoder.onnx", "export.json"):
        assert sha256_file(nemo_server.second_export / name) == sha256_file(tiny_bundle.folder / name), name


def test_the_vocoder_runs_on_two_dimensional_kernels(tiny_bundle: TinyBundle) -> None:
    onnx = pytest.importorskip("onnx")
    vocoder = onnx.load(str(tiny_bundle.folder / "vocoder.onnx")).graph
    assert {node.op_type for node in vocoder.node} >= {"Unsqueeze", "Conv", "ConvTranspose", "Squeeze"}
    assert "ConstantOfShape" not in {node.op_type for node in vocoder.node}
    weights = {tensor.name: len(tensor.dims) for tensor in vocoder.initializer}
    assert all(weights[node.input[1]] == 4 for node in vocoder.node if node.op_type.startswith("Conv"))


def test_the_store_holds_the_bundle_where_it_belongs(tiny_bundle: TinyBundle) -> None:
    assert tiny_bundle.folder == Store(tiny_bundle.root / "store").bundle("tiny_voice")
    assert tiny_bundle.store.relative(tiny_bundle.folder) == "bundles/tiny_voice/voice_bundle"
