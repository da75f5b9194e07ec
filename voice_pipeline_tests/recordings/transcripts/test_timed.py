from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings.transcripts import Cue, SourceText, TranscriptError, subtitles, textgrid
from voice_pipeline.store import Store
from voice_pipeline_tests.recordings.material import found, tone, voice, write

SRT = """\
1
00:00:02,500 --> 00:00:04,000
<i>Second</i> line,
broken in two.

2
00:00:00,250 --> 00:00:01,750
{\\an8}First & foremost.

3
00:00:05,000 --> 00:00:04,000
Ends before it begins.

4
00:00:06,000 --> 00:00:07,000

"""
VTT = """\
WEBVTT - a talk

NOTE made by hand

intro
00:00.250 --> 00:01.750 align:start
<v Ann>First &amp; <c.loud>foremost</c>.

NOTE this is no text

second
00:00:02.500 --> 00:00:04.000
Second line.
"""
GRID = """\
File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4
tiers? <exists>
size = {count}
item []:
{tiers}"""
TIER = """\
    item [{number}]:
        class = "{kind}"
        name = "{name}"
        xmin = 0
        xmax = 4
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "{name} one"
        intervals [2]:
            xmin = 1.5
            xmax = 2
            text = "sil"
        intervals [3]:
            xmin = 2
            xmax = 4
            text = "caf\u00e9 ""two"" "
"""


def grid(*names: str, kind: str = "IntervalTier") -> str:
    tiers = "".join(TIER.format(number=number, name=name, kind=kind) for number, name in enumerate(names, start=1))
    return GRID.format(count=len(names), tiers=tiers)


def read(project: Path, store: Store, **source: object) -> SourceText:
    return found(project, store, voice(source=source))[1]


def recordings(project: Path, *names: str, seconds: float = 8.0) -> Path:
    for number, name in enumerate(names):
        write(project / "source" / name, tone(seconds, rate=8_000, hertz=100 + 20 * number), rate=8_000)
    return project / "source"


# -- subtitles -------------------------------------------------------------------------------------


def test_srt() -> None:
    cues, _ = subtitles.parse_srt(SRT.replace("\n", "\r\n").encode("utf-8-sig"))
    assert cues == (Cue(0.25, 1.75, "First & foremost."), Cue(2.5, 4.0, "Second line, broken in two."))


def test_vtt() -> None:
    cues, _ = subtitles.parse_vtt(VTT.encode())
    assert cues == (Cue(0.25, 1.75, "First & foremost."), Cue(2.5, 4.0, "Second line."))


@pytest.mark.parametrize("data", [b"", b"Just text.\n", SRT.encode("utf-16"), b"caf\xe9"])
def test_what_are_no_subtitles(data: bytes) -> None:
    for parse in (subtitles.parse_srt, subtitles.parse_vtt):
        with pytest.raises(TranscriptError):
            parse(data)


TIMES = ["00:00:01,000", " --> ", "00:00:02.500", "99999:99:99,999"]
MARKS = [
    "1",
    "\n",
    "\n\n",
    "<i>",
    "{\\i1}",
    "{",
    "\\N",
    "x",
    "\u0663",
    "WEBVTT\n",
    "NOTE",
    "&#x110000;",
    "&amp;",
    "<v ",
    ">",
]
pieces_of_srt = st.sampled_from([*TIMES, *MARKS])


@settings(deadline=None, max_examples=200)
@given(st.lists(pieces_of_srt | st.text(max_size=5), max_size=30))
def test_any_subtitles_are_cues_or_one_clear_error(pieces: list[str]) -> None:
    for parse, head in ((subtitles.parse_srt, ""), (subtitles.parse_vtt, "WEBVTT\n")):
        try:
            cues, _ = parse((head + "".join(pieces)).encode("utf-8", "surrogatepass"))
        except TranscriptError as error:
            assert "\n" not in str(error)
        else:
            assert all(cue.text and 0 <= cue.start < cue.end for cue in cues)
            assert list(cues) == sorted(cues)


@pytest.mark.parametrize(("form", "data"), [("srt", SRT), ("vtt", VTT), ("TextGrid", grid("words"))])
def test_text_with_times_beside_recordings(project: Path, store: Store, form: str, data: str) -> None:
    folder = recordings(project, "one.wav", "two.wav", "three.wav")
    (folder / f"one.{form}").write_text(data)
    (folder / f"two.en.{form}" if form != "TextGrid" else folder / f"two.{form}").write_text(data)
    (folder / f"four.{form}").write_text(data)
    text = read(project, store)
    assert text.kind == form.lower()
    assert sorted(text.cues) == ["one.wav", "two.wav"]
    assert len(text.cues["one.wav"]) == 2
    assert [(one.source, one.reason) for one in text.unmatched] == [(f"four.{form}", "audio_missing")]


def test_a_bad_subtitle_among_several_is_its_recordings_problem(project: Path, store: Store) -> None:
    folder = recordings(project, "one.wav", "two.wav", "three.wav")
    (folder / "one.srt").write_text(SRT)
    (folder / "two.srt").write_bytes("caf\xe9".encode("latin-1"))
    for name in ("three.en.srt", "three.de.srt"):
        (folder / name).write_text(SRT)
    text = read(project, store)
    assert list(text.cues) == ["one.wav"]
    assert "two.srt is not UTF-8" in text.problems["two.wav"].detail
    assert text.problems["three.wav"].reason == "ambiguous_text"


def test_a_bad_subtitle_of_the_one_recording_is_a_failure(project: Path, store: Store) -> None:
    folder = recordings(project, "one.wav")
    (folder / "one.srt").write_bytes(SRT.encode("utf-16"))
    with pytest.raises(VoiceFailure) as caught:
        found(project, store, voice("source/one.wav"))
    assert (caught.value.reason, caught.value.file) == ("transcript_missing", "source/one.srt")
    assert "save it as UTF-8" in caught.value.detail


def test_the_subtitles_that_the_config_names(project: Path, store: Store) -> None:
    recordings(project, "one.wav")
    (project / "subtitles.srt").write_text(SRT)
    _, text = found(project, store, voice("source/one.wav", source={"text_path": "subtitles.srt"}))
    assert len(text.cues["one.wav"]) == 2


# -- TextGrid --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["phones", "words", "utterances"], "utterances"),
        (["ann - phones", "ann - words"], "ann - words"),
        (["phones", "notes"], "notes"),
        (["phones"], "phones"),
        (["Sentence"], "Sentence"),
    ],
)
def test_the_tier_that_is_read_is_said(names: list[str], chosen: str) -> None:
    cues, note = textgrid.parse(grid(*names).encode())
    assert [cue.text for cue in cues] == [f"{chosen} one", 'caf\xe9 "two"']
    assert (cues[1].start, cues[1].end) == (2.0, 4.0)
    assert repr(chosen) in note


def test_praats_own_encoding_is_read() -> None:
    assert textgrid.parse(grid("words").encode("utf-16"))[0] == textgrid.parse(grid("words").encode())[0]


@pytest.mark.parametrize(
    "data",
    [b"", b"no grid", grid("a", kind="TextTier").encode(), GRID.format(count=0, tiers="").encode(), b'"ooTextFile"'],
)
def test_what_is_no_grid_of_intervals(data: bytes) -> None:
    with pytest.raises(TranscriptError):
        textgrid.parse(data)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_any_grid_is_cues_or_one_clear_error(data: st.DataObject) -> None:
    text = list(grid("words", "phones"))
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at] = data.draw(st.sampled_from(["", '"', "\n", "-", "[", "x", "9", ".", "="]))
    whole = "".join(text)[: data.draw(st.integers(0, len(text)))]
    try:
        cues, note = textgrid.parse(whole.encode())
    except TranscriptError as error:
        assert "\n" not in str(error)
    else:
        assert note
        assert all(cue.text and 0 <= cue.start < cue.end for cue in cues)


def test_grids_of_clips_are_their_text(project: Path, store: Store) -> None:
    folder = recordings(project, "a b.wav", "c.wav", seconds=4)
    (folder / "a b.TextGrid").write_text(grid("words"))
    text = read(project, store, kind="clips")
    assert text.clips["a b.wav"].text == 'words one caf\xe9 "two"'
    assert text.clips["a b.wav"].utterance_id.startswith("a_b_")
    assert not text.cues


# -- the whole text --------------------------------------------------------------------------------


def test_one_recording_and_its_text(project: Path, store: Store) -> None:
    folder = recordings(project, "talk.wav")
    (folder / "talk.txt").write_bytes(b"\xef\xbb\xbfOne line.\r\n\r\nAnother \x07line.\r\n")
    (folder / "other.txt").write_text("Not of this recording.")
    rows, text = found(project, store, voice("source/talk.wav"))
    assert list(rows) == ["talk.wav"]
    (whole,) = text.whole
    assert (whole.files, whole.path_shown) == (("talk.wav",), "source/talk.txt")
    assert whole.text == "One line.\n\nAnother  line."
    assert not text.unmatched


def test_recordings_each_with_its_text(project: Path, store: Store) -> None:
    folder = recordings(project, "1.wav", "2.wav", seconds=25)
    (folder / "1.txt").write_text("First.")
    (folder / "2.txt").write_text("Second.")
    (folder / "3.txt").write_text("Third.")
    (folder / "4.txt").write_text("Fourth.")
    text = read(project, store)
    assert [(one.files, one.text) for one in text.whole] == [(("1.wav",), "First."), (("2.wav",), "Second.")]
    assert [one.source for one in text.unmatched] == ["3.txt", "4.txt"]


def test_one_text_of_several_recordings(project: Path, store: Store) -> None:
    folder = recordings(project, "part 1.wav", "part 2.wav", seconds=25)
    (folder / "book.txt").write_text("All of it.")
    text = read(project, store)
    assert [(one.files, one.text) for one in text.whole] == [(("part 1.wav", "part 2.wav"), "All of it.")]


def test_a_note_is_no_reading(project: Path, store: Store) -> None:
    folder = recordings(project, "1.wav", "2.wav", seconds=25)
    (folder / "README.txt").write_text("Recorded in May.")
    text = read(project, store)
    assert (text.kind, text.whole) == ("none", ())


@pytest.mark.parametrize("data", [b"", b"\n", "caf\xe9".encode("latin-1"), "x".encode("utf-16")])
def test_a_whole_text_that_cannot_be_read_is_a_failure(project: Path, store: Store, data: bytes) -> None:
    folder = recordings(project, "talk.wav")
    (folder / "talk.txt").write_bytes(data)
    with pytest.raises(VoiceFailure) as caught:
        found(project, store, voice("source/talk.wav"))
    assert (caught.value.reason, caught.value.file) == ("transcript_missing", "source/talk.txt")


def test_phone_recordings_without_text(project: Path, store: Store) -> None:
    recordings(project, "2026-01-01 memo.wav", "2026-01-02 memo.wav", seconds=30)
    rows, text = found(project, store)
    assert len(rows) == 2
    assert text == SourceText({}, {}, (), {}, (), "none", text.sha256)


def test_recordings_in_a_table_have_whole_texts(project: Path, store: Store) -> None:
    folder = recordings(project, "day1.wav", "day2.wav", seconds=25)
    (folder / "metadata.csv").write_text("day1|All of the first day.\nday2|It cost $5.|It cost five dollars.\n")
    text = read(project, store, kind="recording")
    assert [(one.files, one.text) for one in text.whole] == [
        (("day1.wav",), "All of the first day."),
        (("day2.wav",), "It cost five dollars."),
    ]
    assert not text.clips
