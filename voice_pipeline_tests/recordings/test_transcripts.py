from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.source import LFS_SIGNATURE, find_recordings
from voice_pipeline.recordings.transcripts import (
    MAX_TEXT_CHARACTERS,
    TextKind,
    TranscriptError,
    Transcripts,
    parse_metadata,
    read_transcripts,
    safe_id,
)
from voice_pipeline_tests.recordings.material import ljspeech, tone, voice, write

plain = st.text(st.characters(blacklist_categories=["Cc", "Cs", "Z"], blacklist_characters="|\ufeff"), min_size=1)


def read(project: Path, kind: TextKind | None = None) -> Transcripts:
    return read_transcripts(find_recordings(project, voice(source={"min_bytes": 1})), kind)


def reasons(transcripts: Transcripts) -> dict[str, str]:
    return {one.source: one.reason for one in transcripts.rejected}


# -- metadata.csv, the parser ----------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_any_bytes_are_rows_or_one_clear_error(data: bytes) -> None:
    try:
        rows = parse_metadata(data)
    except TranscriptError as error:
        assert "UTF-" in str(error)
    else:
        for row in rows:
            assert row.problem or (row.identifier and 0 < len(row.text) <= MAX_TEXT_CHARACTERS and row.reading)


@given(
    st.lists(st.tuples(plain, plain, st.none() | plain), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_what_is_written_is_read(rows: list[tuple[str, str, str | None]], newline: str, mark: bool) -> None:
    lines = ["|".join(column for column in row if column is not None) for row in rows]
    data = ("\ufeff" if mark else "").encode() + newline.join(lines).encode()
    read_back = [(row.identifier, row.text, row.reading) for row in parse_metadata(data)]
    assert read_back == [(identifier, text, reading or text) for identifier, text, reading in rows]


@given(st.lists(st.text(string.ascii_letters + "| \t", max_size=20)))
def test_every_line_that_is_not_blank_is_a_row(lines: list[str]) -> None:
    rows = parse_metadata("\n".join(lines).encode())
    assert [row.line for row in rows] == [n for n, line in enumerate(lines, start=1) if line.strip()]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a", "transcript_missing"),
        ("a|", "transcript_missing"),
        ("a| \t ", "transcript_missing"),
        ("|text", "malformed_row"),
        ("a|b|c|d", "malformed_row"),
        ("a|te\x00xt", "malformed_row"),
        ("a|" + "x" * (MAX_TEXT_CHARACTERS + 1), "text_unusable"),
        ("a|x|" + "x" * (MAX_TEXT_CHARACTERS + 1), "text_unusable"),
    ],
)
def test_a_bad_line_says_why(line: str, reason: str) -> None:
    (row,) = parse_metadata(line.encode())
    assert row.problem is not None
    assert row.problem[0] == reason


def test_the_third_column_is_read_and_the_second_kept() -> None:
    one, two = parse_metadata(b"a|It cost $5.|It cost five dollars.\nb|Two.|\n")
    assert (one.text, one.reading) == ("It cost $5.", "It cost five dollars.")
    assert (two.text, two.reading) == ("Two.", "Two.")


def test_unusual_line_breaks_belong_to_the_text() -> None:
    (row,) = parse_metadata("a|one\u2028two".encode())
    assert row.text == "one\u2028two"


# -- metadata.csv and its clips --------------------------------------------------------------------


def test_clips_and_lines_find_each_other(project: Path) -> None:
    folder = ljspeech(project / "source", 3)
    write(folder / "loose.flac", tone(0.5))
    with (folder / "metadata.csv").open("a") as stream:
        stream.write("loose.flac|A clip beside the table.\n")
    transcripts = read(project)
    assert [one.utterance_id for one in transcripts.found] == ["c00", "c01", "c02", "loose"]
    assert transcripts.found[0].file.name == "wavs/c00.wav"
    assert not transcripts.rejected


def test_nothing_is_dropped_in_silence(project: Path) -> None:
    folder = ljspeech(project / "source", 3)
    write(folder / "wavs" / "forgotten.wav", tone(0.5))
    write(folder / "c02.flac", tone(0.5))
    with (folder / "metadata.csv").open("a") as stream:
        stream.write("gone|No clip.\n../../etc/passwd|Out.\n/etc/passwd|Out.\nwavs\\c00|Windows.\nc01|Said twice.\n")
    transcripts = read(project)
    assert [one.utterance_id for one in transcripts.found] == ["c00"]
    assert reasons(transcripts) == {
        "metadata.csv:3": "ambiguous_audio",
        "metadata.csv:4": "audio_missing",
        "metadata.csv:5": "unsafe_id",
        "metadata.csv:6": "unsafe_id",
        "metadata.csv:7": "unsafe_id",
        "wavs/c01.wav": "duplicate_id",
        "wavs/forgotten.wav": "transcript_missing",
    }
    assert sum(one.reason == "duplicate_id" for one in transcripts.rejected) == 2
    assert all(one.detail for one in transcripts.rejected)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("c00|caf\xe9\n".encode("latin-1"), "not UTF-8 (byte 0xe9 in line 1)"),
        (b"c00|one\nc01|two \x92\n", "byte 0x92 in line 2"),
        ("c00|text\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_another_encoding_names_the_file(project: Path, data: bytes, words: str) -> None:
    (ljspeech(project / "source") / "metadata.csv").write_bytes(data)
    with pytest.raises(VoiceFailure) as caught:
        read(project)
    assert (caught.value.reason, caught.value.file) == ("transcript_missing", "source/metadata.csv")
    assert words in caught.value.detail


def test_a_table_that_is_announced_must_be_there(project: Path) -> None:
    (ljspeech(project / "source") / "metadata.csv").unlink()
    with pytest.raises(VoiceFailure, match=r"transcript_missing: v: source/metadata\.csv: is missing"):
        read(project, "ljspeech")


def test_a_table_that_was_not_fetched(project: Path) -> None:
    (ljspeech(project / "source") / "metadata.csv").write_bytes(LFS_SIGNATURE + b"\n")
    with pytest.raises(VoiceFailure, match="lfs_pointer"):
        read(project)


def test_a_table_outside_of_the_source_is_refused(project: Path, tmp_path: Path) -> None:
    table = ljspeech(project / "source") / "metadata.csv"
    table.rename(tmp_path / "elsewhere.csv")
    table.symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(VoiceFailure, match="leaves the source folder"):
        read(project)


@pytest.mark.parametrize("table", ["", "\n\n", "gone|Text.\n"])
def test_clips_without_any_text(project: Path, table: str) -> None:
    (ljspeech(project / "source", 2) / "metadata.csv").write_text(table)
    with pytest.raises(VoiceFailure) as caught:
        read(project)
    assert (caught.value.reason, caught.value.file) == ("transcript_missing", "source/wavs/c00.wav")


# -- one .txt beside each clip ---------------------------------------------------------------------


def test_text_beside_the_clips(project: Path) -> None:
    folder = project / "source"
    texts = {
        "a": b"\xef\xbb\xbfOne  clip,\r\ntwo lines.\r\n",
        "b": b"   \n",
        "c": "na\xefve".encode("latin-1"),
        "e": b"x" * 70_000,
        "f": b"word " * 300,
    }
    for name in "abcdef":
        write(folder / f"{name}.wav", tone(0.5))
    for name, data in texts.items():
        (folder / f"{name}.txt").write_bytes(data)
    (folder / "notes.txt").write_text("Recorded in May.")
    transcripts = read(project)
    assert [(one.utterance_id, one.text) for one in transcripts.found] == [("a", "One clip, two lines.")]
    assert reasons(transcripts) == {
        "b.wav": "transcript_missing",
        "c.wav": "transcript_missing",
        "d.wav": "transcript_missing",
        "e.wav": "transcript_missing",
        "f.wav": "text_unusable",
        "notes.txt": "audio_missing",
    }
    details = {one.source: one.detail for one in transcripts.rejected}
    assert details["d.wav"] == "d.txt is missing"
    assert "not UTF-8" in details["c.wav"]


def test_clips_of_one_name_in_two_formats_are_both_refused(project: Path) -> None:
    folder = project / "source"
    for name in ("a.wav", "a.flac", "b.wav"):
        write(folder / name, tone(0.5))
    (folder / "a.txt").write_text("Which one?")
    (folder / "b.txt").write_text("This one.")
    transcripts = read(project)
    assert [one.utterance_id for one in transcripts.found] == ["b"]
    assert reasons(transcripts) == {"a.flac": "duplicate_id", "a.wav": "duplicate_id"}


def test_names_that_are_no_ids_become_ids(project: Path) -> None:
    folder = project / "source"
    names = ["take 1", "take_1", "day 2/take 1", "\u30dc\u30a4\u30b9", "x" * 150, "-rf"]
    for name in names:
        write(folder / f"{name}.wav", tone(0.5))
        (folder / f"{name}.txt").write_text("Text.")
    found = read(project).found
    assert len({one.utterance_id for one in found}) == len(names)
    assert {one.file.name.removesuffix(".wav") for one in found} == set(names)


@given(st.text())
def test_an_id_is_a_plain_name_and_stays_one(name: str) -> None:
    if not name.isprintable():
        name = name.encode("utf-8", "replace").decode()
    identifier = safe_id(name)
    assert safe_id(identifier) == identifier
    assert identifier.isascii()
    assert not set(identifier) & set("/\\ \0\n")
    assert identifier[0].isalnum()
    assert len(identifier) <= 100


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_names_have_two_ids(one: str, other: str) -> None:
    names = [name.encode("utf-8", "replace").decode() for name in (one, other)]
    assert (safe_id(names[0]) == safe_id(names[1])) == (names[0] == names[1])


def test_the_digest_follows_the_text(project: Path) -> None:
    folder = ljspeech(project / "source", 2)
    digests = {read(project).sha256}
    (folder / "metadata.csv").write_text("c00|Other.\nc01|Text.\n")
    digests.add(read(project).sha256)
    (folder / "metadata.csv").unlink()
    for text in ("One.", "Two."):
        (folder / "wavs" / "c00.txt").write_text(text)
        digests.add(read(project).sha256)
    assert len(digests) == 4


def test_one_long_recording_says_what_it_needs(project: Path) -> None:
    write(project / "long.wav", tone(3))
    recordings = find_recordings(project, voice("long.wav"))
    with pytest.raises(VoiceFailure, match="cut it into clips, each with its text") as caught:
        read_transcripts(recordings, None)
    assert caught.value.reason == "transcript_missing"
