from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings import detection
from voice_pipeline.recordings.source import Recordings, find_recordings
from voice_pipeline_tests.recordings.material import ljspeech, tone, voice, with_text_beside, write


def find(project: Path, path: str = "source", **source: object) -> Recordings:
    return find_recordings(project, voice(path, source={"min_bytes": 1, **source}))


def audio(folder: Path, *names: str, seconds: float = 1.0) -> Path:
    for name in names:
        write(folder / name, tone(seconds, rate=8_000), rate=8_000)
    return folder


def test_the_config_decides_where_it_says(project: Path) -> None:
    ljspeech(project / "source")
    found = find(project, kind="recording", text="none")
    assert (found.kind, found.text, found.because) == ("recording", "none", ())


def test_ljspeech(project: Path) -> None:
    ljspeech(project / "source")
    found = find(project)
    assert (found.kind, found.text) == ("clips", "ljspeech")
    assert found.because == (
        "its text is in metadata.csv (ljspeech)",
        "its text is given clip by clip: one utterance each",
    )


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("metadata.csv", "a.wav|One.\nb.wav|Two.\n", "piper"),
        ("train.csv", "a.wav|ann|One.\nb.wav|ann|Two.\n", "piper"),
        ("metadata.csv", "a|One.\nb|Two words|two words\n", "ljspeech"),
        ("metadata.csv", "", "ljspeech"),
        ("metadata.csv", "file_name,text\na.wav,One.\n", "audiofolder"),
        ("metadata.jsonl", json.dumps({"file_name": "a.wav", "text": "One."}), "audiofolder"),
        ("val_manifest.json", json.dumps({"audio_filepath": "a.wav", "text": "One."}), "nemo"),
        ("other.csv", "date,place\n2026,here\n", "none"),
        ("about.json", '{"engine": "x"}', "none"),
        ("broken.jsonl", "[" * 100_000, "none"),
        ("x.srt", "", "none"),
    ],
)
def test_tables_are_known_by_their_lines(project: Path, name: str, content: str, text: str) -> None:
    folder = audio(project / "source", "a.wav", "b.wav")
    (folder / name).write_text(content)
    assert find(project).text == text


@given(st.binary(max_size=300), st.sampled_from(["metadata.csv", "x.csv", "x.jsonl"]))
def test_any_table_is_of_some_kind_or_none(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data)
    assert detection.kind_of_table(path) in (None, "ljspeech", "piper", "nemo", "audiofolder")


def test_kaldi(project: Path) -> None:
    folder = audio(project / "source", "a.wav")
    (folder / "wav.scp").write_text("a a.wav\n")
    (folder / "text").write_text("a ONE\n")
    assert (find(project).kind, find(project).text) == ("clips", "kaldi")
    (folder / "segments").write_text("a1 a 0 1\n")
    assert find(project).kind == "recording"


def test_kaldi_elsewhere(project: Path) -> None:
    audio(project / "source", "a.wav")
    (project / "data").mkdir()
    for name, line in (("wav.scp", "a a.wav\n"), ("text", "a1 ONE\n"), ("segments", "a1 a 0 1\n")):
        (project / "data" / name).write_text(line)
    found = find(project, text_path="data")
    assert (found.kind, found.text) == ("recording", "kaldi")


@pytest.mark.parametrize(("suffix", "kind"), [("srt", "recording"), ("TextGrid", "recording"), ("lab", "clips")])
def test_the_files_beside_decide(project: Path, suffix: str, kind: str) -> None:
    folder = audio(project / "source", "a.wav", "b.wav")
    (folder / f"a.{suffix}").write_text("x")
    found = find(project)
    assert (found.kind, found.text) == (kind, suffix.lower())
    assert f"1 of its 2 audio files have a .{suffix.lower()} beside them" in found.because


@pytest.mark.parametrize(("seconds", "kind"), [(3.0, "clips"), (25.0, "recording")])
def test_the_length_decides_about_text_beside(project: Path, seconds: float, kind: str) -> None:
    with_text_beside(project / "source", 3, seconds=seconds)
    found = find(project)
    assert (found.kind, found.text) == (kind, "txt")
    assert found.because[-1].startswith(f"half of its files last up to {seconds} s")


@pytest.mark.parametrize(("seconds", "kind"), [(3.0, "clips"), (25.0, "recording")])
def test_the_length_decides_without_text(project: Path, seconds: float, kind: str) -> None:
    audio(project / "source", "memo 1.wav", "memo 2.wav", "memo 3.wav", seconds=seconds)
    found = find(project)
    assert (found.kind, found.text) == (kind, "none")


def test_a_single_file_is_a_recording(project: Path) -> None:
    audio(project / "source", "a.wav", "b.wav")
    assert (find(project, "source/a.wav").kind, find(project, "source/a.wav").text) == ("recording", "none")
    for suffix in ("txt", "vtt", "srt", "TextGrid"):
        (project / "source" / f"a.{suffix}").write_text("x")
        (project / "source" / f"b.c.{suffix}").write_text("x")
        assert find(project, "source/a.wav").text == suffix.lower()
        assert find(project, "source/b.wav").text == "none"


@pytest.mark.parametrize(
    ("name", "text"), [("t.txt", "txt"), ("t.srt", "srt"), ("t.TextGrid", "textgrid"), ("t.csv", "ljspeech")]
)
def test_a_text_that_the_config_names(project: Path, name: str, text: str) -> None:
    audio(project / "source", "a.wav")
    (project / name).write_text("a|One.\n")
    assert find(project, text_path=name).text == text


def test_a_name_cannot_break_out_of_its_line(project: Path) -> None:
    folder = audio(project / "source", "a.wav", "b.wav", seconds=25)
    (folder / "a\nkind: evil.txt").write_text("Text.")
    assert all("\n" not in reason for reason in find(project).because)


@pytest.mark.parametrize(
    ("path", "source", "words"),
    [
        ("source/a.wav", {"kind": "clips"}, "is one file"),
        ("source/a.wav", {"text": "ljspeech"}, "is one file"),
        ("source", {"kind": "parquet"}, "holds no .parquet file"),
        ("source", {"text": "column"}, "is no Parquet table"),
        ("table", {"text": "ljspeech"}, "is a table, whose text is in a column"),
    ],
)
def test_a_config_that_contradicts_the_source(project: Path, path: str, source: dict[str, str], words: str) -> None:
    audio(project / "source", "a.wav", "b.wav")
    (project / "table").mkdir()
    (project / "table" / "a.parquet").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(VoiceFailure, match=words) as caught:
        find(project, path, **source)
    assert caught.value.reason == "config_invalid"


def test_a_pipe_is_not_waited_for(project: Path) -> None:
    folder = audio(project / "source", "a.wav")
    for name in ("metadata.csv", "x.jsonl", "a.txt"):
        os.mkfifo(folder / name)
    assert find(project).text == "ljspeech"
