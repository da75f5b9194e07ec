from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.source import LFS_SIGNATURE
from voice_pipeline.recordings.transcripts import (
    Cue,
    SourceText,
    TranscriptError,
    audiofolder,
    kaldi,
    ljspeech,
    nemo,
    piper,
)
from voice_pipeline.recordings.transcripts.files import decode_text, safe_id, without_suffix
from voice_pipeline.recordings.transcripts.model import MAX_CLIP_CHARACTERS
from voice_pipeline.recordings.transcripts.rows import Row
from voice_pipeline.store import Store
from voice_pipeline_tests.recordings.material import found, tone, voice, write
from voice_pipeline_tests.recordings.material import ljspeech as write_ljspeech

plain = st.text(st.characters(blacklist_categories=["Cc", "Cs", "Z"], blacklist_characters="|\ufeff"), min_size=1)


def read(project: Path, store: Store, **source: object) -> SourceText:
    return found(project, store, voice(source=source))[1]


def clips(folder: Path, *names: str, seconds: float = 0.3) -> Path:
    for number, name in enumerate(names):
        write(folder / name, tone(seconds, hertz=100 + 20 * number))
    return folder


def texts(text: SourceText) -> dict[str, str]:
    return {name: clip.text for name, clip in text.clips.items()}


def reasons(text: SourceText) -> dict[str, str]:
    return {one.source: one.reason for one in text.unmatched} | {k: v.reason for k, v in text.problems.items()}


# -- text and ids ----------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_any_bytes_are_text_or_one_clear_error(data: bytes) -> None:
    try:
        assert "\r" not in decode_text(data)
    except TranscriptError as error:
        assert "save it as UTF-8" in str(error)


@given(st.text())
def test_an_id_is_a_plain_name_and_stays_one(name: str) -> None:
    identifier = safe_id(name)
    assert safe_id(identifier) == identifier
    assert identifier.isascii()
    assert not set(identifier) & set("/\\ \0\n")
    assert identifier[0].isalnum()
    assert len(identifier) <= 100


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_names_have_two_ids(one: str, other: str) -> None:
    assert (safe_id(one) == safe_id(other)) == (one == other)


@pytest.mark.parametrize(
    ("name", "stem"), [("a/b.wav", "a/b"), ("a.b", "a.b"), ("x.M4A", "x"), ("t.parquet#000001", "t.parquet#000001")]
)
def test_only_the_suffix_of_audio_is_a_suffix(name: str, stem: str) -> None:
    assert without_suffix(name) == stem


# -- LJ Speech -------------------------------------------------------------------------------------


def checked(rows: list[Row]) -> None:
    for row in rows:
        assert row.where
        assert row.problem or (row.key and 0 < len(row.text) <= MAX_CLIP_CHARACTERS and row.reading)


@given(st.text(max_size=300))
def test_any_text_is_rows_of_every_table(text: str) -> None:
    checked(ljspeech.parse("metadata.csv", text))
    checked([row for row, _ in piper.parse("metadata.csv", text)])
    checked([row for row, _, _ in nemo.parse("manifest.jsonl", text)])
    checked(audiofolder.parse("metadata.jsonl", text))
    kaldi.parse(text)
    try:
        checked(audiofolder.parse("metadata.csv", text))
    except TranscriptError as error:
        assert "\n" not in str(error)


@given(
    st.lists(st.tuples(plain, plain, st.none() | plain), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_what_is_written_is_read(rows: list[tuple[str, str, str | None]], newline: str, mark: bool) -> None:
    lines = ["|".join(column for column in row if column is not None) for row in rows]
    data = ("\ufeff" if mark else "").encode() + newline.join(lines).encode()
    read_back = [(row.key, row.text, row.reading) for row in ljspeech.parse("m", decode_text(data))]
    assert read_back == [(identifier, text, reading or text) for identifier, text, reading in rows]


@given(st.lists(st.text(string.ascii_letters + "| \t", max_size=20)))
def test_every_line_that_is_not_blank_is_a_row(lines: list[str]) -> None:
    rows = ljspeech.parse("m", "\n".join(lines))
    assert [row.where for row in rows] == [f"m:{n}" for n, line in enumerate(lines, start=1) if line.strip()]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a", "transcript_missing"),
        ("a|", "transcript_missing"),
        ("a| \t ", "transcript_missing"),
        ("|text", "malformed_row"),
        ("a|b|c|d", "malformed_row"),
        ("a|te\x00xt", "malformed_row"),
        ("a|" + "x" * (MAX_CLIP_CHARACTERS + 1), "text_unusable"),
        ("a|x|" + "x" * (MAX_CLIP_CHARACTERS + 1), "text_unusable"),
    ],
)
def test_a_bad_line_says_why(line: str, reason: str) -> None:
    (row,) = ljspeech.parse("m", line)
    assert row.problem is not None
    assert row.problem.reason == reason


def test_the_third_column_is_read_and_the_second_kept() -> None:
    one, two = ljspeech.parse("m", "a|It cost $5.|It cost five dollars.\nb|Two.|\n")
    assert (one.text, one.reading) == ("It cost $5.", "It cost five dollars.")
    assert (two.text, two.reading) == ("Two.", "Two.")


def test_unusual_line_breaks_belong_to_the_text() -> None:
    (row,) = ljspeech.parse("m", "a|one\u2028two")
    assert row.text == "one\u2028two"


def test_clips_and_lines_find_each_other(project: Path, store: Store) -> None:
    folder = write_ljspeech(project / "source", 3)
    write(folder / "loose.flac", tone(0.5))
    with (folder / "metadata.csv").open("a") as stream:
        stream.write("loose.flac|A clip beside the table.\n")
    text = read(project, store)
    assert text.kind == "ljspeech"
    assert {name: clip.utterance_id for name, clip in text.clips.items()} == {
        "wavs/c00.wav": "c00", "wavs/c01.wav": "c01", "wavs/c02.wav": "c02", "loose.flac": "loose",
    }  # fmt: skip
    assert not text.problems
    assert not text.unmatched


def test_nothing_is_dropped_in_silence(project: Path, store: Store) -> None:
    folder = write_ljspeech(project / "source", 3)
    write(folder / "wavs" / "forgotten.wav", tone(0.5))
    write(folder / "c02.flac", tone(0.5))
    with (folder / "metadata.csv").open("a") as stream:
        stream.write("gone|No clip.\n../../etc/passwd|Out.\n/etc/passwd|Out.\nwavs\\c00|Windows.\nc01|Said twice.\n")
    text = read(project, store)
    assert texts(text) == {"wavs/c00.wav": "Sentence number a."}
    assert reasons(text) == {
        "c02.flac": "ambiguous_audio",
        "metadata.csv:4": "audio_missing",
        "metadata.csv:5": "unsafe_id",
        "metadata.csv:6": "unsafe_id",
        "metadata.csv:7": "unsafe_id",
        "wavs/c01.wav": "duplicate_id",
        "wavs/c02.wav": "ambiguous_audio",
    }
    assert text.problems["wavs/c01.wav"].detail == "its text is given twice: metadata.csv:2 and metadata.csv:8"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("c00|caf\xe9\n".encode("latin-1"), "not UTF-8 (byte 0xe9 in line 1; it may be Latin-1)"),
        (b"c00|one\nc01|two \x92\n", "byte 0x92 in line 2"),
        ("c00|text\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_another_encoding_names_the_file(project: Path, store: Store, data: bytes, words: str) -> None:
    (write_ljspeech(project / "source") / "metadata.csv").write_bytes(data)
    with pytest.raises(VoiceFailure) as caught:
        read(project, store)
    assert (caught.value.reason, caught.value.file) == ("transcript_missing", "source/metadata.csv")
    assert words in caught.value.detail


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_mark_and_windows_lines_are_not_text(project: Path, store: Store, mark: bytes, newline: bytes) -> None:
    table = write_ljspeech(project / "source", 2) / "metadata.csv"
    table.write_bytes(mark + newline.join([b"c00|One.", b"c01|Two.", b""]))
    assert texts(read(project, store)) == {"wavs/c00.wav": "One.", "wavs/c01.wav": "Two."}


def test_a_table_that_is_announced_must_be_there(project: Path, store: Store) -> None:
    (write_ljspeech(project / "source") / "metadata.csv").unlink()
    with pytest.raises(VoiceFailure, match=r"transcript_missing: v: source/metadata\.csv: is missing"):
        read(project, store, text="ljspeech")


def test_a_table_that_was_not_fetched(project: Path, store: Store) -> None:
    (write_ljspeech(project / "source") / "metadata.csv").write_bytes(LFS_SIGNATURE + b"\n")
    with pytest.raises(VoiceFailure, match="lfs_pointer"):
        read(project, store)


def test_a_table_outside_of_the_source_is_refused(project: Path, store: Store, tmp_path: Path) -> None:
    table = write_ljspeech(project / "source") / "metadata.csv"
    table.rename(tmp_path / "elsewhere.csv")
    table.symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(VoiceFailure, match="leaves the source folder"):
        read(project, store)


def test_a_table_that_the_config_names_may_lie_elsewhere(project: Path, store: Store) -> None:
    table = write_ljspeech(project / "source", 2) / "metadata.csv"
    (project / "texts").mkdir()
    table.rename(project / "texts" / "metadata.csv")
    assert len(read(project, store, text_path="texts").clips) == 2
    assert len(read(project, store, text_path="texts/metadata.csv").clips) == 2


def test_the_digest_follows_the_text(project: Path, store: Store) -> None:
    folder = write_ljspeech(project / "source", 2)
    digests = {read(project, store).sha256}
    (folder / "metadata.csv").write_text("c00|Other.\nc01|Text.\n")
    digests.add(read(project, store).sha256)
    (folder / "metadata.csv").unlink()
    for text in ("One.", "Two."):
        (folder / "wavs" / "c00.txt").write_text(text)
        digests.add(read(project, store).sha256)
    assert len(digests) == 4
    assert read(project, store).sha256 in digests


# -- one small file beside each clip ---------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".txt", ".lab"])
def test_text_beside_the_clips(project: Path, store: Store, suffix: str) -> None:
    folder = clips(project / "source", "a.wav", "sub/b.flac", "c.wav")
    (folder / f"a{suffix}").write_text("One.")
    (folder / f"sub/b{suffix}").write_text("Two.")
    text = read(project, store)
    assert text.kind == suffix[1:]
    assert texts(text) == {"a.wav": "One.", "sub/b.flac": "Two."}
    assert not text.problems


def test_clips_of_one_name_in_two_formats_are_both_refused(project: Path, store: Store) -> None:
    folder = clips(project / "source", "a.wav", "a.flac", "b.wav")
    (folder / "a.txt").write_text("Which one?")
    (folder / "b.txt").write_text("This one.")
    text = read(project, store)
    assert texts(text) == {"b.wav": "This one."}
    assert reasons(text) == {"a.flac": "ambiguous_audio", "a.wav": "ambiguous_audio"}


def test_names_that_are_no_ids_become_ids(project: Path, store: Store) -> None:
    names = ["take 1", "take_1", "day 2/take 1", "\u30dc\u30a4\u30b9", "x" * 150, "-rf"]
    folder = clips(project / "source", *(f"{name}.wav" for name in names))
    for name in names:
        (folder / f"{name}.txt").write_text("Text.")
    text = read(project, store)
    assert {name.removesuffix(".wav") for name in text.clips} == set(names)
    assert len({clip.utterance_id for clip in text.clips.values()}) == len(names)


# -- Piper -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["", "wav/", "wavs/"])
def test_piper(project: Path, store: Store, where: str) -> None:
    folder = clips(project / "source", *(f"{where}{name}.wav" for name in "abc"))
    (folder / "metadata.csv").write_text("a.wav|One.\nb.wav|Two.\nc.wav|Three.\nd.wav|Gone.\nb.wav|x|y|z\n")
    text = read(project, store)
    assert text.kind == "piper"
    assert texts(text) == {f"{where}a.wav": "One.", f"{where}c.wav": "Three."}
    assert reasons(text) == {"metadata.csv:4": "audio_missing", f"{where}b.wav": "duplicate_id"}


def test_piper_with_speakers_says_so(project: Path, store: Store) -> None:
    folder = clips(project / "source", *(f"wav/{number}.wav" for number in range(8)))
    lines = (f"{number}|{'ann' if number % 2 else 'bob'}|Sentence {number}.\n" for number in range(8))
    (folder / "train.csv").write_text("".join(lines))
    text = read(project, store)
    assert (text.kind, len(text.clips)) == ("piper", 8)
    assert text.clips["wav/3.wav"].text == "Sentence 3."
    assert text.notes == ("the text names 2 speakers (ann, bob); a voice has one",)


# -- NeMo ------------------------------------------------------------------------------------------


def jsonl(path: Path, *rows: object) -> None:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def test_nemo(project: Path, store: Store) -> None:
    folder = clips(project / "source", "audio/a.wav", "audio/b.wav", "audio/c.wav", "audio/d.wav")
    write(project / "secret.wav", tone(0.5))
    jsonl(
        folder / "train_manifest.jsonl",
        {"audio_filepath": "audio/a.wav", "text": "One $.", "normalized_text": "One dollar.", "duration": 0.3},
        {"audio_filepath": str(folder / "audio" / "b.wav"), "text": "Two.", "duration": 0.3},
        {"audio_filepath": "../secret.wav", "text": "Outside."},
        {"audio_filepath": "/etc/passwd", "text": "Outside."},
        {"audio_filepath": "audio/gone.wav", "text": "Gone."},
        {"audio_filepath": ["audio/c.wav"], "text": "A list."},
        {"audio_filepath": "audio/c.wav", "text": 7},
        {"audio_filepath": "audio/d.wav", "text": "Later.", "offset": 0.1, "duration": 0.1},
        '{"audio_filepath": "audio/c.wav", ',
    )
    text = read(project, store)
    assert text.kind == "nemo"
    assert texts(text) == {"audio/a.wav": "One $.", "audio/b.wav": "Two."}
    assert text.clips["audio/a.wav"].reading == "One dollar."
    assert reasons(text) == {
        "train_manifest.jsonl:3": "unsafe_id",
        "train_manifest.jsonl:4": "unsafe_id",
        "train_manifest.jsonl:5": "audio_missing",
        "train_manifest.jsonl:6": "malformed_row",
        "train_manifest.jsonl:9": "malformed_row",
        "audio/c.wav": "transcript_missing",
        "audio/d.wav": "malformed_row",
    }
    assert "source.kind must be recording" in text.problems["audio/d.wav"].detail


def test_nemo_stretches_of_a_recording_are_cues(project: Path, store: Store) -> None:
    folder = clips(project / "source", "long.wav", seconds=3)
    jsonl(
        folder / "m.jsonl",
        {"audio_filepath": "long.wav", "text": "Two.", "offset": 1.5, "duration": 1.0},
        {"audio_filepath": "long.wav", "text": "One.", "offset": 0.25, "duration": 1.0},
    )
    text = read(project, store, kind="recording", text="nemo")
    assert [(cue.start, cue.end, cue.text) for cue in text.cues["long.wav"]] == [
        (0.25, 1.25, "One."),
        (1.5, 2.5, "Two."),
    ]


def test_a_manifest_of_one_recording(project: Path, store: Store) -> None:
    write(project / "source" / "long.wav", tone(3))
    jsonl(
        project / "cues.jsonl",
        {"audio_filepath": "long.wav", "text": "One.", "offset": 0, "duration": 1.25},
        {"audio_filepath": "long.wav", "text": "Two.", "offset": 1.5, "duration": 1.0},
    )
    _, text = found(project, store, voice("source/long.wav", source={"text_path": "cues.jsonl"}))
    assert text.cues == {"long.wav": (Cue(0.0, 1.25, "One."), Cue(1.5, 2.5, "Two."))}


# -- audiofolder -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_audiofolder(project: Path, store: Store, form: str) -> None:
    folder = clips(project / "source", "train/a.wav", "train/b.wav", "test/c.mp3.wav")
    rows = {"train": [("a.wav", 'She said: "One, two."'), ("b.wav", "Two."), ("no.wav", "Gone.")], "test": [
        ("c.mp3.wav", "Three."), ("../../x.wav", "Out.")]}  # fmt: skip
    for name, some in rows.items():
        if form == "jsonl":
            lines = [json.dumps({"file_name": file, "transcription": text}) for file, text in some]
        else:
            quoted = [text.replace('"', '""') for _, text in some]
            lines = ["file_name,transcription", *(f'{one[0]},"{text}"' for one, text in zip(some, quoted, strict=True))]
        (folder / name / f"metadata.{form}").write_text("\n".join(lines) + "\n")
    text = read(project, store)
    assert text.kind == "audiofolder"
    assert texts(text) == {"test/c.mp3.wav": "Three.", "train/a.wav": 'She said: "One, two."', "train/b.wav": "Two."}
    assert sorted(one.reason for one in text.unmatched) == ["audio_missing", "unsafe_id"]


def test_an_audiofolder_without_text_says_what_it_needs(project: Path, store: Store) -> None:
    folder = clips(project / "source", "a.wav")
    (folder / "metadata.csv").write_text("file_name,label\na.wav,dog\n")
    with pytest.raises(VoiceFailure, match="needs the columns file_name and one of text, sentence"):
        read(project, store)


# -- Kaldi -----------------------------------------------------------------------------------------


def test_kaldi_clips(project: Path, store: Store) -> None:
    folder = clips(project / "source", "wav/a.wav", "wav/b.wav", "wav/c.wav")
    marker = project / "executed"
    scp = f"u1 wav/a.wav\nu2 {folder}/wav/b.wav\nu3 touch {marker} |\nu4 /etc/passwd\nu5 wav/gone.wav\nu6\n"
    (folder / "wav.scp").write_text(scp)
    (folder / "text").write_text("u1 ONE\nu2 TWO  TWO\nu3 THREE\nu4 FOUR\nu5 FIVE\nu9 NINE\n")
    (folder / "utt2spk").write_text("u1 ann\nu2 bob\n")
    text = read(project, store)
    assert text.kind == "kaldi"
    assert {name: (clip.utterance_id, clip.text) for name, clip in text.clips.items()} == {
        "wav/a.wav": ("u1", "ONE"), "wav/b.wav": ("u2", "TWO TWO"),
    }  # fmt: skip
    assert not marker.exists()
    said = {one.source: one for one in text.unmatched}
    assert said["wav.scp:3"].reason == "unsafe_id"
    assert "is a command, which is never run" in said["wav.scp:3"].detail
    assert [said[f"wav.scp:{line}"].reason for line in (4, 5, 6)] == ["unsafe_id", "audio_missing", "audio_missing"]
    assert said["text:6"].reason == "audio_missing"
    assert text.notes == ("the text names 2 speakers (ann, bob); a voice has one",)


def test_kaldi_segments(project: Path, store: Store) -> None:
    folder = clips(project / "source", "rec.wav", seconds=4)
    (folder / "wav.scp").write_text("r rec.wav\n")
    (folder / "segments").write_text(
        "s2 r 2.0 -1\ns1 r 0.5 1.75\ns3 r 3 2\ns4 r nan 2\ns5 q 0 1\ns6 r 0 1\ns7 r 0 1\ns7 r 1 2\n"
    )
    (folder / "text").write_text("s1 first\ns2 second\ns3 x\ns4 x\ns5 x\ns7 x\ns8 nowhere\n")
    text = read(project, store)
    assert [(cue.start, cue.end, cue.text, cue.utterance_id) for cue in text.cues["rec.wav"]] == [
        (0.5, 1.75, "first", "s1"), (2.0, 4.0, "second", "s2"),
    ]  # fmt: skip
    assert {one.source: one.reason for one in text.unmatched} == {
        "segments:3": "malformed_row",
        "segments:4": "malformed_row",
        "segments:5": "audio_missing",
        "segments:6": "transcript_missing",
        "segments:7": "duplicate_id",
        "segments:8": "duplicate_id",
        "text:7": "audio_missing",
    }
