from __future__ import annotations

import shutil
import sys
from importlib import metadata, resources
from pathlib import Path

import pytest
import soundfile

from voice_pipeline.atomic import read_json
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings import preflight, sample_speaker
from voice_pipeline.recordings.preparation import prepare
from voice_pipeline.store import Store, sha256_file
from voice_pipeline.voice import RecognizerSettings, load_voice

CONFIGS = Path(__file__).parents[2] / "configs" / "voices"


def _test_sentences() -> list[str]:
    text = resources.files("voice_pipeline.evaluation").joinpath("test_sentences.txt").read_text(encoding="utf-8")
    return text.splitlines()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hibari", reason="the sample speaker needs the demo extra")
    return sample_speaker.record(tmp_path_factory.mktemp("project") / "data" / "sample_speaker")


def test_the_sentences_are_many_short_and_different() -> None:
    sentences = sample_speaker.sentences()
    assert 80 <= len(sentences) <= 100
    assert len(set(sentences)) == len(sentences)
    assert all(25 <= len(sentence) <= 92 for sentence in sentences)
    assert all(sentence.isascii() and "|" not in sentence for sentence in sentences)
    assert sum(any(letter.isdigit() for letter in sentence) for sentence in sentences) >= 8


def test_the_test_sentences_are_never_in_training() -> None:
    tests = _test_sentences()
    assert len(set(tests)) == len(tests) == 20

    def words(text: str) -> frozenset[str]:
        return frozenset(text.lower().strip(".!?").replace(",", "").split())

    for one in tests:
        for other in sample_speaker.sentences():
            assert len(words(one) & words(other)) / len(words(one) | words(other)) < 0.5, (one, other)


def test_the_test_sentences_have_the_length_of_sentences() -> None:
    assert not [sentence for sentence in _test_sentences() if "|" in sentence or not 25 <= len(sentence) <= 90]


def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", _not_installed)
    with pytest.raises(VoiceFailure) as caught:
        sample_speaker.record(tmp_path / "s")
    assert (caught.value.reason, caught.value.exit_code) == ("sample_speaker_unavailable", 2)
    assert "voice-pipeline[demo]" in caught.value.next_unblock_action
    assert not (tmp_path / "s").exists()


def test_a_broken_installation_is_the_same_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hibari")
    monkeypatch.setitem(sys.modules, "hibari", None)
    with pytest.raises(VoiceFailure, match="sample_speaker_unavailable"):
        sample_speaker.record(tmp_path / "s")


def _not_installed(name: str) -> str:
    raise metadata.PackageNotFoundError(name)


@pytest.mark.demo
def test_the_folder_has_the_form_of_lj_speech(recorded: Path) -> None:
    rows = [line.split("|") for line in (recorded / "metadata.csv").read_text(encoding="utf-8").splitlines()]
    assert [text for _, text in rows] == list(sample_speaker.sentences())
    assert {path.stem for path in (recorded / "wavs").iterdir()} == {identifier for identifier, _ in rows}
    for path in (recorded / "wavs").iterdir():
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (24_000, 1, "PCM_16")
        assert 1 < info.duration < 12
    about = read_json(recorded / "about.json")
    assert about["synthetic"] is True
    assert "hibari" in about["speaker"]


@pytest.mark.demo
def test_a_second_call_adds_what_is_missing_and_removes_what_is_stale(recorded: Path) -> None:
    clips = sorted((recorded / "wavs").iterdir())
    digests = {path.name: sha256_file(path) for path in clips}
    times = {path: path.stat().st_mtime_ns for path in clips[1:-1]}
    clips[0].unlink()
    clips[-1].unlink()
    stale = recorded / "wavs" / "sample_001_00000000.wav"
    stale.write_bytes(b"of a former sentence")
    seen: list[tuple[int, int]] = []
    sample_speaker.record(recorded, lambda *at: seen.append(at))
    assert seen == [(number, len(clips)) for number in range(1, len(clips) + 1)]
    assert {path.name: sha256_file(path) for path in (recorded / "wavs").iterdir()} == digests
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert not stale.exists()


@pytest.mark.demo
@pytest.mark.recordings
@pytest.mark.slow
def test_the_sample_voice_becomes_a_dataset(recorded: Path, store: Store) -> None:
    from voice_pipeline.text.frontend import TextFrontend

    pytest.importorskip("silero_vad")
    unheard = {"recognizer": RecognizerSettings(kind="none")}  # the main job's test listens
    voice = load_voice(CONFIGS / "sample_speaker.yaml").model_copy(update=unheard)
    project = recorded.parents[1]
    shutil.copytree(CONFIGS.parent, project / "configs", dirs_exist_ok=True)
    dataset = prepare(project, voice, store, TextFrontend.for_language(voice.language), sample_rate=22_050)
    assert (dataset.count, dataset.rejected_count) == (len(sample_speaker.sentences()), 0)
    assert dataset.blockers == ()
    assert 240 < dataset.duration_seconds < 600
    assert dataset.validation_count >= 5
    entries = read_json(store.resolve(dataset.manifest))["entries"]
    assert not [one["normalized_text"] for one in entries if any(letter.isdigit() for letter in one["normalized_text"])]


def test_auntie_dottie_without_her_recording(store: Store, project: Path) -> None:
    voice = load_voice(CONFIGS / "dottie_default.yaml")
    assert voice.display_name == "Auntie Dottie"
    with pytest.raises(VoiceFailure) as caught:
        preflight.run(project, voice, store)
    assert (caught.value.reason, caught.value.exit_code) == ("missing_audio_path", 2)
    assert caught.value.file == "data/knowledge_audio_source/auntie_dottie.flac"
