from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from voice_pipeline.cli import main
from voice_pipeline.consent import problem
from voice_pipeline.failures import ConfigError, VoiceFailure
from voice_pipeline.recordings import preflight
from voice_pipeline.recordings.importing import Agreement, Imported, import_source
from voice_pipeline.recordings.source import find_recordings
from voice_pipeline.store import Store
from voice_pipeline.voice import DEFAULT_MIN_BYTES, load_voice, load_voice_by_id
from voice_pipeline_tests.recordings.material import ljspeech, tone, with_text_beside, write


@pytest.fixture
def project(project: Path) -> Path:
    (project / "configs" / "recipes").mkdir(parents=True)
    (project / "configs" / "recipes" / "cpu_small.yaml").write_text("name: cpu_small\n")
    return project


def bring(project: Path, path: Path, **more: Any) -> Imported:
    return import_source(project, path, "anna", **more)


def said(imported: Imported) -> str:
    return "\n".join(imported.assumptions)


def test_a_folder_of_clips(project: Path) -> None:
    folder = ljspeech(project / "data" / "anna", 4)
    imported = bring(project, folder, speaker="Anna B.")
    voice = load_voice_by_id(project, "anna")
    assert imported.voice == voice
    assert imported.path == project / "configs/voices/anna.yaml"
    assert (voice.source.path, voice.source.kind, voice.source.text) == (Path("data/anna"), "clips", "ljspeech")
    assert (voice.consent.speaker, voice.consent.status, voice.consent.commercial_use) == ("Anna B.", "missing", False)
    assert voice.source.min_bytes < DEFAULT_MIN_BYTES
    find_recordings(project, voice)
    assert "4 of 4 audio files have text." in imported.assumptions
    assert "No consent of Anna B. is recorded" in said(imported)
    assert f"fewer than the usual minimum of {DEFAULT_MIN_BYTES}" in said(imported)
    assert "The language is en-US." in imported.assumptions


def test_consent_is_never_invented(project: Path, store: Store) -> None:
    imported = bring(project, ljspeech(project / "anna"))
    with pytest.raises(VoiceFailure, match="consent_missing"):
        preflight.run(project, imported.voice, store)


def test_a_synthetic_speaker_can_be_trained_when_its_licence_is_known(project: Path, store: Store) -> None:
    folder = ljspeech(project / "anna")
    imported = bring(project, folder, synthetic=True, license="Apache-2.0", speaker="hibari-tts")
    assert imported.voice.source.license == "Apache-2.0"
    assert preflight.run(project, imported.voice, store).clip_count == 6
    unknown = bring(project, folder, synthetic=True, overwrite=True)
    assert not unknown.voice.consent.commercial_use
    assert "licence is not known" in said(unknown)


def test_a_large_source_keeps_the_usual_minimum(project: Path) -> None:
    write(project / "anna.wav", tone(120))
    imported = bring(project, project / "anna.wav")
    assert imported.voice.source.min_bytes == DEFAULT_MIN_BYTES
    assert (imported.voice.source.kind, imported.voice.source.text) == ("recording", "none")
    assert "minimum" not in said(imported)


def test_a_source_elsewhere_is_absolute(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ljspeech(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    assert bring(project, Path("elsewhere")).voice.source.path == folder
    monkeypatch.chdir(ljspeech(project / "inside"))
    assert bring(project, Path(), overwrite=True).voice.source.path == Path("inside")


def test_a_config_is_not_overwritten_unasked(project: Path) -> None:
    folder = ljspeech(project / "anna")
    path = bring(project, folder).path
    path.write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        bring(project, folder)
    assert path.read_text() == "mine"
    bring(project, folder, overwrite=True)
    assert load_voice(path).voice_profile_id == "anna"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"language": "english"}, "language"),
        ({"recipe": "nothing"}, "no recipe 'nothing'"),
        ({"kind": "song"}, "source.kind"),
        ({"text": "song"}, "source.text"),
    ],
)
def test_a_wrong_argument_writes_nothing(project: Path, more: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        bring(project, ljspeech(project / "anna"), **more)
    assert not (project / "configs" / "voices").exists()


def test_a_wrong_id(project: Path) -> None:
    with pytest.raises(ConfigError, match="is no voice id"):
        import_source(project, ljspeech(project / "anna"), "../anna")


def test_nothing_to_import(project: Path) -> None:
    with pytest.raises(VoiceFailure, match="missing_audio_path"):
        bring(project, project / "nothing")
    (project / "empty").mkdir()
    with pytest.raises(VoiceFailure, match="holds no audio file"):
        bring(project, project / "empty")


@pytest.mark.parametrize("name", ['it\'s: a #1 "folder"', "- x", "\u30dc\u30a4\u30b9", "{a: b}", "true", "a\tb"])
def test_any_name_is_written_so_that_it_is_read_back(project: Path, name: str) -> None:
    ljspeech(project / name)
    imported = bring(project, project / name, speaker=name)
    assert load_voice_by_id(project, "anna").source.path == Path(name)
    assert imported.voice.consent.speaker == name.strip()


def test_a_file_name_cannot_write_into_the_config(project: Path) -> None:
    folder = project / "anna"
    for number in range(2):
        write(folder / f"{number}.wav", tone(25, rate=8_000), rate=8_000)
    (folder / "x\nconsent: {status: granted}.txt").write_text("Text.")
    imported = bring(project, folder)
    value = yaml.safe_load(imported.path.read_text())
    assert value["consent"]["status"] == "missing"
    assert imported.voice.source.text == "txt"


def test_what_cannot_be_used_is_said(project: Path) -> None:
    folder = with_text_beside(project / "anna", 4)
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "gone.txt").write_text("No clip.")
    write(folder / "mute.wav", tone(0.5))
    imported = bring(project, folder)
    assert "1 of 6 files cannot be used; the first: anna/loop.wav cannot be reached" in said(imported)
    assert "4 of 5 audio files have text." in imported.assumptions
    assert "Texts without audio: 1; the first is in gone.txt." in imported.assumptions


def test_a_text_that_cannot_be_read_is_said(project: Path) -> None:
    (ljspeech(project / "anna") / "metadata.csv").write_bytes("c00|caf\xe9\n".encode("latin-1"))
    imported = bring(project, project / "anna")
    assert "Its text cannot be read yet: anna/metadata.csv: is not UTF-8" in said(imported)


def test_channels_are_said(project: Path) -> None:
    write(project / "anna.wav", tone(3)[:, None].repeat(2, axis=1))
    assert "The 2 channels are mixed evenly" in said(bring(project, project / "anna.wav"))


def test_what_was_asked_for_is_kept(project: Path) -> None:
    folder = ljspeech(project / "anna")
    imported = bring(project, folder, kind="recording", text="none", language="de-DE", license="CC-BY-4.0")
    source = imported.voice.source
    assert (source.kind, source.text, source.license, imported.voice.language) == (
        "recording",
        "none",
        "CC-BY-4.0",
        "de-DE",
    )


def test_nobody_is_taken_to_have_licensed_the_recordings(project: Path) -> None:
    imported = bring(project, ljspeech(project / "anna"))
    assert imported.voice.source.license == "NOASSERTION"
    assert "The recordings' licence is not known" in said(imported)


def test_several_speakers_are_said(project: Path) -> None:
    folder = ljspeech(project / "anna", 2)
    (folder / "metadata.csv").unlink()
    rows = ({"audio_filepath": f"wavs/c0{n}.wav", "text": "One.", "speaker": n} for n in range(2))
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    imported = bring(project, folder)
    assert "The text names 2 speakers (0, 1); a voice has one." in imported.assumptions


def test_a_consent_that_was_signed_is_written_down(project: Path) -> None:
    folder = ljspeech(project / "data" / "anna", 4)
    agreement = Agreement(date(2026, 1, 31), "drawer 3: top", commercial_use=True)
    imported = bring(project, folder, speaker="Anna B.", agreement=agreement)
    consent = load_voice_by_id(project, "anna").consent
    assert (consent.status, consent.granted_on, consent.evidence) == ("granted", date(2026, 1, 31), "drawer 3: top")
    assert consent.commercial_use
    assert "No consent" not in said(imported)
    for field in ("evidence_sha256", "purposes", "territories"):  # nothing is invented
        assert field in said(imported)
    assert imported.consent_problem is not None
    with pytest.raises(ConfigError, match="a program cannot agree"):
        bring(project, folder, synthetic=True, agreement=agreement, overwrite=True)


def signed(**more: Any) -> Agreement:
    said: dict[str, Any] = {"purposes": ("text_to_speech",), "territories": ("worldwide",), **more}
    return Agreement(date(2026, 1, 31), said.pop("evidence", "papers/anna.txt"), commercial_use=True, **said)


def test_the_signed_file_is_named_and_its_digest_computed(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ljspeech(project / "data" / "anna")
    (project / "papers").mkdir()
    paper = project / "papers/anna.txt"
    paper.write_text("I agree.")
    digest = hashlib.sha256(b"I agree.").hexdigest()
    monkeypatch.chdir(paper.parent)
    for evidence in ("anna.txt", "papers/anna.txt", str(paper)):  # from here, from the project, from anywhere
        imported = bring(project, folder, speaker="Anna", agreement=signed(evidence=evidence), overwrite=True)
        consent = imported.voice.consent
        assert (consent.evidence, consent.evidence_sha256) == ("papers/anna.txt", digest)
        assert imported.consent_problem is None
        assert "The signed consent is the file papers/anna.txt as it is now." in imported.assumptions
        assert preflight.run(project, imported.voice, store, today=date(2026, 6, 1)).clip_count == 6
    wrong = signed(evidence_sha256="a" * 64)
    with pytest.raises(ConfigError, match=f"has sha256 {digest}, not {'a' * 64}"):
        bring(project, folder, agreement=wrong, overwrite=True)
    paper.write_text("")
    with pytest.raises(ConfigError, match="empty file"):
        bring(project, folder, agreement=signed(), overwrite=True)


def test_evidence_that_is_kept_elsewhere_keeps_its_words(project: Path) -> None:
    folder = ljspeech(project / "data" / "anna")
    for evidence in ("drawer 3: top", "x" * 5000, "/nowhere/anna.pdf"):
        agreement = signed(evidence=evidence, evidence_sha256="a" * 64)
        imported = bring(project, folder, agreement=agreement, overwrite=True)
        assert (imported.voice.consent.evidence, imported.consent_problem) == (evidence, None)


def test_everything_that_was_agreed_to_is_written_and_explained(project: Path) -> None:
    agreement = signed(
        evidence_sha256="a" * 64, territories=("NO", "SE"), languages=("no", "en"), purposes=("text_to_speech", "song"),
        expires_on=date(2031, 1, 31), how="signed: on paper # twice", pseudonymous=True,
    )  # fmt: skip
    imported = bring(project, ljspeech(project / "data" / "anna"), speaker="Peaker", agreement=agreement)
    consent = load_voice_by_id(project, "anna").consent
    for field in ("territories", "languages", "purposes", "expires_on", "how", "pseudonymous", "evidence_sha256"):
        assert getattr(consent, field) == getattr(agreement, field), field
    assert "set it to what is covered" in said(imported)  # the voice is handed on worldwide
    for line in imported.path.read_text().split("consent:")[1].splitlines()[3:-1]:
        assert "  # " in line or "status" in line, line


def test_the_command_takes_everything_that_was_agreed_to(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ljspeech(project / "data" / "anna")
    (project / "configs/voices").mkdir()
    (project / "anna.txt").write_text("I agree.")
    monkeypatch.setenv("VOICE_PROJECT", str(project))
    monkeypatch.chdir(project)
    said = ["--consented-on", "2026-01-31", "--evidence", "anna.txt", "--commercial-use", "--purpose", "text_to_speech"]
    assert main(["import", str(folder), "--voice", "anna", *said]) == 0
    assert "Next: complete the consent there, then: voice-pipeline dataset anna" in capsys.readouterr().out
    more = ["--territory", "worldwide", "--consent-language", "en", "--consent-until", "2031-01-31", "--how", "signed"]
    assert main(["import", str(folder), "--voice", "anna", "--overwrite", *said, *more, "--pseudonymous"]) == 0
    assert "Next: voice-pipeline dataset anna" in capsys.readouterr().out
    voice = load_voice_by_id(project, "anna")
    assert problem(voice, date(2026, 6, 1), project=project, revocation=None) is None
    consent = voice.consent
    assert (consent.languages, consent.expires_on, consent.how) == (("en",), date(2031, 1, 31), "signed")
    assert consent.pseudonymous
    for lonely in (["--how", "x"], ["--territory", "US"], ["--pseudonymous"], ["--consent-until", "2031-01-31"]):
        assert main(["import", str(folder), "--voice", "anna", "--overwrite", *lonely]) == 64


def test_an_uncommented_example_is_a_consent(project: Path) -> None:
    """Who follows the comments of a config that import wrote has a valid one."""
    path = bring(project, ljspeech(project / "data" / "anna"), speaker="Anna").path
    head, terms = path.read_text().split("consent:")
    terms = terms.replace("status: missing", "status: granted").replace("what sha256sum prints", "a" * 64)
    lines = [
        line.replace("  # ", "  ", 1) if line.startswith("  # ") else line
        for line in terms.split("\n")
        if "Nothing is trained" not in line
    ]
    lines[0] = ""
    path.write_text(f"{head}consent:" + "\n".join(lines))
    voice = load_voice(path)
    assert problem(voice, date(2026, 6, 1), project=project, revocation=None) is None
    assert voice.consent.pseudonymous


def test_text_that_lies_elsewhere_must_be_there(project: Path) -> None:
    write(project / "data/long.wav", tone(30.0))
    text = project / "texts/reading.txt"
    with pytest.raises(ConfigError, match="there is no such file"):
        bring(project, project / "data/long.wav", text_path=text)
    assert not (project / "configs/voices/anna.yaml").exists()
    text.parent.mkdir()
    text.write_text("One long sentence.")
    source = bring(project, project / "data/long.wav", text_path=text).voice.source
    assert (source.kind, source.text, source.text_path) == ("recording", "txt", Path("texts/reading.txt"))
