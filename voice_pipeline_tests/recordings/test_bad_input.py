"""One bad thing in a folder of good clips: one clear line, the right reason, the other clips untouched."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voice_pipeline.recordings.source import LFS_SIGNATURE
from voice_pipeline.recordings.tables import AudioFile
from voice_pipeline.recordings.transcripts import SourceText
from voice_pipeline.store import Store
from voice_pipeline_tests.recordings.material import found, tone, voice, with_text_beside, write

GOOD = ("good00.wav", "good01.wav", "good02.wav", "good03.wav")


@pytest.fixture
def folder(project: Path) -> Path:
    return with_text_beside(project / "source")


def look(project: Path, store: Store) -> tuple[dict[str, AudioFile], SourceText]:
    """What is found, after a look at the good clips: they are as they are without the bad thing."""
    rows, text = found(project, store)
    for number, name in enumerate(GOOD):
        assert (rows[name].problem, rows[name].seconds) == (None, 0.5)
        assert text.clips[name].text == f"This is good clip {number}."
    for row in rows.values():
        assert "\n" not in row.detail
        assert len(row.detail) < 200
        assert (row.problem is None) == (not row.detail)
    return rows, text


def _zero_bytes(path: Path) -> None:
    path.write_bytes(b"")


def _header_only(path: Path) -> None:
    path.write_bytes(write(path, tone(0.5)).read_bytes()[:44])


def _header_of_nothing(path: Path) -> None:
    write(path, np.zeros(0, np.int16))


def _truncated_flac(path: Path) -> None:
    soundfile.write(path, tone(5), 22_050, format="FLAC")
    path.write_bytes(path.read_bytes()[:-2_000])


def _text_by_another_name(path: Path) -> None:
    path.write_text("Dear listener, this is no sound at all. " * 100)


def _noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 20)


def _broken_mp3(path: Path) -> None:
    path.write_bytes(b"ID3\x04" + bytes(5_000))


def _pointer(path: Path) -> None:
    path.write_bytes(LFS_SIGNATURE + b"\noid sha256:00\nsize 123\n")


def _link_loop(path: Path) -> None:
    path.symlink_to(path.name)


def _link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing.wav")


def _link_out(path: Path) -> None:
    outside = write(path.parent.parent / "outside.wav", tone(1))
    path.symlink_to(outside)


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _channels(path: Path) -> None:
    write(path, np.zeros((1_000, 200), np.int16))


def _one_kilohertz(path: Path) -> None:
    write(path, tone(1, rate=1_000), rate=1_000)


def _not_a_number(path: Path) -> None:
    samples = tone(1)
    samples[15_000] = np.nan
    write(path, samples, subtype="FLOAT")


@pytest.mark.parametrize(
    ("spoil", "reason", "words"),
    [
        (_zero_bytes, "audio_undecodable", "is empty (0 bytes)"),
        (_header_only, "audio_undecodable", "is cut off"),
        (_header_of_nothing, "audio_undecodable", "holds a header and no audio"),
        (_truncated_flac, "audio_undecodable", "breaks off after"),
        (_text_by_another_name, "audio_undecodable", "is a text file, no audio"),
        (_noise, "audio_undecodable", "is a file of another kind, no audio"),
        (_broken_mp3, "audio_undecodable", "is an MP3 file that cannot be decoded"),
        (_pointer, "lfs_pointer", "is a Git LFS pointer"),
        (_link_loop, "missing_audio_path", "cannot be reached"),
        (_link_to_nothing, "missing_audio_path", "cannot be reached: No such file"),
        (_link_out, "missing_audio_path", "is a link that leaves the source folder"),
        (_folder, "audio_undecodable", "is a folder, not a recording"),
        (_pipe, "audio_undecodable", "is not a regular file"),
        (_channels, "audio_undecodable", "has 200 channels"),
        (_one_kilohertz, "audio_undecodable", "has a sample rate of 1000 Hz"),
        (_not_a_number, "audio_undecodable", "holds samples that are no numbers"),
    ],
)
def test_a_bad_file_is_a_row_with_its_problem(
    project: Path, store: Store, folder: Path, spoil: Callable[[Path], None], reason: str, words: str
) -> None:
    (folder / "bad.txt").write_text("Its text is there.")
    spoil(folder / "bad.wav")
    rows, text = look(project, store)
    assert (rows["bad.wav"].problem, rows["bad.wav"].seconds) == (reason, 0.0)
    assert words in rows["bad.wav"].detail
    assert not text.unmatched


def test_a_loop_of_folders_is_not_followed(project: Path, store: Store, folder: Path) -> None:
    (folder / "again").symlink_to(folder)
    rows, _ = look(project, store)
    assert len(rows) == 5
    assert rows["again"].problem == "missing_audio_path"
    assert "link to a folder" in rows["again"].detail


def test_what_is_in_a_folder_named_wav_is_read(project: Path, store: Store, folder: Path) -> None:
    write(folder / "take.wav" / "inner.wav", tone(0.5))
    rows, _ = look(project, store)
    assert rows["take.wav"].problem == "audio_undecodable"
    assert rows["take.wav/inner.wav"].problem is None


@pytest.mark.parametrize("name", ["a take with spaces.wav", "\u00fcber-\u97f3\u58f0.wav", "-rf.wav", "a'b\"c;$(d).wav"])
def test_an_unusual_name_is_a_name(project: Path, store: Store, folder: Path, name: str) -> None:
    write(folder / name, tone(0.5))
    (folder / name).with_suffix(".txt").write_text("An unusual name.")
    rows, text = look(project, store)
    assert rows[name].problem is None
    assert text.clips[name].text == "An unusual name."
    assert text.clips[name].utterance_id.isascii()


def test_a_name_that_is_not_utf8(project: Path, store: Store, folder: Path) -> None:
    shutil.copy(folder / "good00.wav", folder / os.fsdecode(b"caf\xe9.wav"))
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("Text.")
    rows, text = look(project, store)
    assert rows["caf\\xe9.wav"].problem == "audio_undecodable"
    assert "not UTF-8" in rows["caf\\xe9.wav"].detail
    assert [one.source for one in text.unmatched] == ["caf\\xe9.txt"]


@contextmanager
def not_root() -> Iterator[None]:
    """Root may read everything: be nobody for a while."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_files_that_may_not_be_read(project: Path, store: Store, folder: Path) -> None:
    look(project, store)  # what is imported late is imported now: nobody may not read this interpreter's folder
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        top.chmod(0o777)
        shutil.copytree(folder, top / "source")
        write(top / "source" / "bad.wav", tone(0.5)).chmod(0)
        (top / "source" / "good00.txt").chmod(0)
        (top / "source" / "closed").mkdir(mode=0)
        with not_root():
            rows, text = found(top, Store.open(top / "store"))
        (top / "source" / "closed").chmod(0o700)
    assert [name for name, row in rows.items() if row.problem] == ["bad.wav", "closed"]
    assert (rows["bad.wav"].problem, rows["bad.wav"].detail) == (
        "audio_undecodable",
        "cannot be read: Permission denied",
    )
    assert text.problems["good00.wav"].detail == "good00.txt cannot be read: Permission denied"
    assert sorted(text.clips) == list(GOOD[1:])


def test_384_kilohertz_is_a_rate(project: Path, store: Store, folder: Path) -> None:
    write(folder / "fine.wav", tone(0.5, rate=384_000), rate=384_000)
    rows, _ = look(project, store)
    assert (rows["fine.wav"].problem, rows["fine.wav"].sample_rate) == (None, 384_000)


def test_a_very_short_clip_is_for_later_stages_to_judge(project: Path, store: Store, folder: Path) -> None:
    write(folder / "short.wav", tone(0.05))
    rows, _ = look(project, store)
    assert (rows["short.wav"].problem, rows["short.wav"].seconds) == (None, pytest.approx(0.05, abs=1e-4))


def test_an_mp3_with_the_name_of_a_wav_is_an_mp3(project: Path, store: Store, folder: Path) -> None:
    soundfile.write(folder / "song.wav", tone(0.5), 22_050, format="MP3")
    rows, _ = look(project, store)
    assert rows["song.wav"].problem is None
    assert rows["song.wav"].decoded is not None


def test_hidden_files_are_no_part_of_the_source(project: Path, store: Store, folder: Path) -> None:
    _noise(folder / "._good00.wav")
    (folder / ".git").mkdir()
    _noise(folder / ".git" / "x.wav")
    (folder / "._good00.txt").write_bytes(b"\x00\xff")
    rows, text = look(project, store)
    assert len(rows) == 4
    assert not text.unmatched


# -- text ------------------------------------------------------------------------------------------


def test_text_for_missing_audio(project: Path, store: Store, folder: Path) -> None:
    (folder / "gone.txt").write_text("The clip of this is gone.")
    _, text = look(project, store)
    (one,) = text.unmatched
    assert (one.source, one.utterance_id, one.reason) == ("gone.txt", "gone", "audio_missing")


def test_audio_without_text(project: Path, store: Store, folder: Path) -> None:
    write(folder / "mute.wav", tone(0.5))
    rows, text = look(project, store)
    assert rows["mute.wav"].problem is None
    assert "mute.wav" not in text.clips
    assert "mute.wav" not in text.problems


def test_two_texts_for_one_clip(project: Path, store: Store, folder: Path) -> None:
    write(folder / "bad.wav", tone(0.5))
    (folder / "bad.txt").write_text("One text.")
    (folder / "bad.lab").write_text("Another text.")
    _, text = look(project, store)
    assert text.problems["bad.wav"].reason == "ambiguous_text"
    assert text.problems["bad.wav"].detail == "its text is given twice: bad.lab and bad.txt"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            "na\xefve caf\xe9".encode("latin-1"),
            "is not UTF-8 (byte 0xef in line 1; it may be Latin-1); save it as UTF-8",
        ),
        ("Text.".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        (b"", "has no text"),
        (b" \r\n", "has no text"),
        (b"x" * 70_000, "has 70000 bytes"),
    ],
)
def test_a_text_that_cannot_be_used(project: Path, store: Store, folder: Path, data: bytes, words: str) -> None:
    write(folder / "bad.wav", tone(0.5))
    (folder / "bad.txt").write_bytes(data)
    _, text = look(project, store)
    assert text.problems["bad.wav"].reason == "transcript_missing"
    assert words in text.problems["bad.wav"].detail
    assert "bad.txt" in text.problems["bad.wav"].detail


def test_a_mark_and_windows_lines_are_not_text(project: Path, store: Store, folder: Path) -> None:
    write(folder / "fine.wav", tone(0.5))
    (folder / "fine.txt").write_bytes(b"\xef\xbb\xbfOne  clip,\r\ntwo lines.\r\n")
    _, text = look(project, store)
    assert text.clips["fine.wav"].text == "One clip, two lines."


def test_a_text_outside_of_the_source_is_not_read(project: Path, store: Store, folder: Path) -> None:
    write(folder / "bad.wav", tone(0.5))
    (project / "secret.txt").write_text("Secret.")
    (folder / "bad.txt").symlink_to(project / "secret.txt")
    _, text = look(project, store)
    assert "leaves the source folder" in text.problems["bad.wav"].detail


def test_a_source_of_its_own_problem_is_no_problem_of_the_voice(project: Path, store: Store, folder: Path) -> None:
    for number in range(8):
        _noise(folder / f"bad{number}.wav")
    rows, _ = found(project, store, voice())
    assert sum(row.problem is None for row in rows.values()) == 4
