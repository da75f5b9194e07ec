from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition.recognizer import Samples
from voice_pipeline.recordings.preflight import Picture, PreflightRecord
from voice_pipeline.recordings.segmentation.stage import SegmentsRecord
from voice_pipeline.recordings.tables import AudioFile, Segment, Unmatched, UtteranceText, read_rows, write_rows
from voice_pipeline.recordings.texts import stage
from voice_pipeline.recordings.texts.stage import TextsRecord
from voice_pipeline.store import Store
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline_tests.recordings.material import judged, voice, write
from voice_pipeline_tests.recordings.texts.letters import RATE, ToneRecognizer, spoken

SENTENCES = (
    "The keeper lit the lamp.",
    "Then he went down to the shore, and waited.",
    "No boat came back that evening!",
    "Nobody in the village slept.",
    "By morning the wind had dropped.",
    "They counted the nets again and again.",
)


@pytest.fixture(scope="module")
def english() -> TextFrontend:
    return TextFrontend.for_language("en-US")


class _Source:
    """A voice's source of tones, and its way through the stage."""

    def __init__(self, project: Path, store: Store, english: TextFrontend) -> None:
        self.project, self.store, self._english = project, store, english
        self.folder = project / "source"
        self.voice = voice()
        self.cuts: dict[str, list[tuple[float, float]]] = {}
        self.ids: dict[str, str] = {}

    def clips(self, texts: dict[str, str | None], *, said: dict[str, str] | None = None) -> None:
        """Clips with one .txt beside each, None: none; ``said`` where that is something else."""
        for name, text in texts.items():
            self._write(f"{name}.wav", spoken((said or {}).get(name) or text or "something"))
            if text is not None:
                (self.folder / f"{name}.txt").write_text(text, encoding="utf-8")

    def recording(self, *sentences: str, name: str = "all.wav", text: str | None = None, suffix: str = ".txt") -> None:
        """A long recording, a segment for each sentence, 0.3 s between them."""
        sounds, at = list[Samples](), 0.0
        self.cuts[name] = []
        for sentence in sentences:
            sounds += [np.zeros(round(0.3 * RATE), np.float32), spoken(sentence)]
            at += 0.3
            self.cuts[name].append((at, at + len(sounds[-1]) / RATE))
            at = self.cuts[name][-1][1]
        self._write(name, np.concatenate(sounds))
        self.voice = voice(source={"kind": "recording"})
        if text is not None:
            (self.folder / name).with_suffix(suffix).write_text(text, encoding="utf-8")

    def run(self, recognizer: ToneRecognizer | None = None, **more: object) -> TextsRecord:
        preflight = judged(self.project, self.store, self.voice)
        segments = self.segmented(preflight)
        return stage.run(
            self.project, self.voice, self.store, self._english, preflight, segments, recognizer, **more  # type: ignore[arg-type]
        )  # fmt: skip

    def segmented(self, preflight: PreflightRecord) -> SegmentsRecord:
        """Segmentation as it would be if tones were speech: the cuts are known."""
        rows = []
        for file in read_rows(self.store.audio_files("v"), AudioFile):
            cuts = self.cuts.get(file.name, [(0.0, file.seconds)])
            for number, (start, end) in enumerate(cuts):
                whole = file.name not in self.cuts
                identifier = Path(file.name).stem + ("" if whole else f"-{number}")
                identifier = self.ids.get(identifier, identifier)
                rows.append(Segment(identifier, file.name, file.sha256, start, end, whole, ((start, end),)))
        count, digest = write_rows(self.store.segments("v"), rows)
        picture = Picture(path="none", sha256="0" * 64)
        return SegmentsRecord(
            stage="utterance_segments", identity=digest, voice_profile_id="v", table="x", sha256=digest, count=count,
            whole_count=0, file_count=1, silent_count=0, silent_files=(), source_seconds=1, segment_seconds=1,
            speech_seconds=1, silence_seconds=0, left_out_seconds=0, min_seconds=1, median_seconds=1, max_seconds=1,
            short_count=0, long_count=0, models=(), picture=picture,
        )  # fmt: skip

    def rows(self) -> dict[str, UtteranceText]:
        return {row.utterance_id: row for row in read_rows(self.store.texts("v"), UtteranceText)}

    def unmatched(self) -> list[Unmatched]:
        return list(read_rows(self.store.texts("v").with_name("unmatched.jsonl"), Unmatched))

    def _write(self, name: str, samples: Samples) -> None:
        write(self.folder / name, samples, RATE)


@pytest.fixture
def source(project: Path, store: Store, english: TextFrontend) -> _Source:
    return _Source(project, store, english)


def test_a_clips_text_stays_as_given_and_is_compared(source: _Source) -> None:
    source.clips({"a": SENTENCES[0], "b": "It cost $3.", "c": SENTENCES[2]}, said={"b": "it cost three dollars"})
    record = source.run(ToneRecognizer())
    row = source.rows()["b"]
    assert (row.origin, row.text, row.normalized) == ("given", "It cost $3.", "it cost three dollars.")
    assert (row.hypothesis, row.cer, row.problem) == ("it cost three dollars", 0.0, None)
    assert record.origins == {"given": 3}
    assert (record.count, record.mean_cer, record.problems) == (3, 0.0, {})
    assert [model.model_id for model in record.models] == ["tests/tones"]


def test_two_clips_with_each_others_text_are_kept_with_an_error_rate_that_tells(source: _Source) -> None:
    source.clips({"a": SENTENCES[1], "b": SENTENCES[0], "c": SENTENCES[2]}, said={"a": SENTENCES[0], "b": SENTENCES[1]})
    source.run(ToneRecognizer())
    rates = {name: row.cer or 0 for name, row in source.rows().items()}
    assert rates["a"] > 0.5 < rates["b"]
    assert rates["c"] == 0
    assert source.rows()["a"].text == SENTENCES[1]


def test_a_clip_without_text_is_a_row_that_says_so(source: _Source) -> None:
    source.clips({"a": SENTENCES[0], "b": None, "c": ""})
    record = source.run(ToneRecognizer())
    rows = source.rows()
    assert rows["a"].problem is None
    assert rows["b"].problem == rows["c"].problem == "transcript_missing"
    assert rows["b"].origin == "none" and rows["b"].detail
    assert record.problems == {"transcript_missing": 2}


def test_a_text_that_cannot_be_spoken_is_a_row_that_says_so(source: _Source) -> None:
    source.clips({"a": SENTENCES[0], "b": "Это по-русски."})
    source.run(ToneRecognizer())
    assert source.rows()["b"].problem == "text_unusable"
    assert source.rows()["b"].text == "Это по-русски."
    assert source.rows()["a"].problem is None


def test_without_a_recogniser_given_texts_pass_unheard(source: _Source) -> None:
    source.clips({"a": SENTENCES[0], "b": SENTENCES[1]})
    record = source.run(None)
    assert record.mean_cer is None and record.recognised_seconds == 0 and record.models == ()
    assert all(row.cer is None and row.hypothesis is None and row.normalized for row in source.rows().values())


@pytest.mark.parametrize("text", [" ".join(SENTENCES), None])
def test_what_only_listening_can_tell_needs_a_recogniser(source: _Source, text: str | None) -> None:
    source.recording(*SENTENCES, text=text)
    with pytest.raises(VoiceFailure, match=r"source.*name one under recognizer|source.*name a recogniser") as failure:
        source.run(None)
    assert failure.value.reason == "recognizer_unavailable"


def test_no_text_at_all_is_recognised(source: _Source) -> None:
    source.recording(*SENTENCES[:3], "")
    record = source.run(ToneRecognizer())
    rows = source.rows()
    assert rows["all-1"].text == "then he went down to the shore and waited"
    assert (rows["all-1"].origin, rows["all-1"].cer) == ("recognised", None)
    assert rows["all-3"].problem == "transcript_missing"
    assert record.origins == {"none": 1, "recognised": 3}


def test_a_whole_text_is_divided_among_the_segments(source: _Source) -> None:
    source.recording(*SENTENCES, text="\n".join(SENTENCES))
    record = source.run(ToneRecognizer())
    assert [row.text for row in source.rows().values()] == list(SENTENCES)
    assert record.origins == {"aligned": 6}
    assert (record.unspoken_words, record.unwritten_segments, record.unmatched_count) == (0, 0, 0)


def test_what_nobody_spoke_and_what_nobody_wrote_are_marked(source: _Source) -> None:
    heading = "CHAPTER TWO, in which the reader is told what nobody ever said aloud."
    read = [*SENTENCES[:3], "wait let me begin once more please", *SENTENCES[3:]]
    source.recording(*read, text=" ".join(SENTENCES[:4]) + f"\n\n{heading}\n\n" + " ".join(SENTENCES[4:]))
    record = source.run(ToneRecognizer())
    rows = list(source.rows().values())
    assert [row.text for row in rows] == [*SENTENCES[:3], "", *SENTENCES[3:]]
    assert rows[3].problem == "unwritten" and rows[3].hypothesis == "wait let me begin once more please"
    assert source.unmatched() == [
        Unmatched("source/all.txt:3", "", "unspoken", f"13 words that nobody spoke: “{heading}”")
    ]
    assert (record.unspoken_words, record.unwritten_segments) == (13, 1)


def test_words_that_the_recogniser_dropped_stay_where_there_is_time_for_them(source: _Source) -> None:
    read = (*SENTENCES[:4], "He tied the boat to the pier and then he carried the wet nets home.", *SENTENCES[4:])
    source.recording(*read, text=" ".join(read))
    record = source.run(ToneRecognizer(stops_at=" and then he"))
    rows = source.rows()
    assert rows["all-4"].hypothesis == "he tied the boat to the pier"
    assert [row.text for row in rows.values()] == list(read)
    assert rows["all-4"].cer == pytest.approx(0.55, abs=0.05)
    assert record.unspoken_words == 0


def test_one_text_runs_through_several_recordings(source: _Source) -> None:
    source.recording(*SENTENCES[:3], name="part1.wav")
    source.recording(*SENTENCES[3:], name="part2.wav")
    (source.folder / "book.txt").write_text(" ".join(SENTENCES), encoding="utf-8")
    source.voice = voice(source={"kind": "recording", "text": "txt", "text_path": "source/book.txt"})
    source.run(ToneRecognizer())
    assert [row.text for row in source.rows().values()] == list(SENTENCES)


def test_cues_give_their_text_to_the_segment_that_their_middle_is_in(source: _Source) -> None:
    cues = (
        "1\n00:00:00,300 --> 00:00:00,700\nThe keeper\n\n2\n00:00:00,700 --> 00:00:01,050\nlit the lamp.\n\n"
        "3\n00:00:01,300 --> 00:00:02,600\nThen he went down\nto the shore, and waited.\n\n"
        "4\n00:10:01,300 --> 00:10:02,600\nLong after.\n"
    )
    source.recording(*SENTENCES[:3], text=cues, suffix=".srt")
    record = source.run(ToneRecognizer())
    rows = source.rows()
    assert [row.text for row in rows.values()] == [*SENTENCES[:2], ""]
    assert [row.origin for row in rows.values()] == ["cue", "cue", "none"]
    assert rows["all-2"].problem == "unwritten"
    assert record.unmatched_count == 1
    assert source.unmatched()[0].reason == "unspoken" and "Long after." in source.unmatched()[0].detail


def test_segments_of_a_corpus_find_their_text_by_id(source: _Source) -> None:
    source.recording(*SENTENCES[:3], name="talk.wav")
    cuts = source.cuts["talk.wav"]
    data = source.project / "source"
    (data / "wav.scp").write_text("talk talk.wav\n")
    (data / "segments").write_text("".join(f"u{n} talk {a:.4f} {b:.4f}\n" for n, (a, b) in enumerate(cuts)))
    (data / "text").write_text("".join(f"u{n} {text}\n" for n, text in enumerate(SENTENCES[:3])))
    source.cuts["talk.wav"] = [(round(a, 4), round(b, 4)) for a, b in cuts]
    source.ids = {f"talk-{number}": f"u{number}" for number in range(3)} | {"talk-1": "u1_0123456789ab"}
    source.voice = voice(source={"text": "kaldi"})
    record = source.run(ToneRecognizer())
    assert {name: row.text for name, row in source.rows().items()} == dict(
        zip(["u0", "u1_0123456789ab", "u2"], SENTENCES, strict=False)
    )
    assert record.origins == {"cue": 3} and record.unmatched_count == 0


def test_nothing_usable_at_all_is_one_failure(source: _Source) -> None:
    source.recording("", "", "")
    with pytest.raises(VoiceFailure, match="none of 3 segments") as failure:
        source.run(ToneRecognizer())
    assert failure.value.reason == "transcript_missing"


def test_the_text_of_another_book_is_one_failure(source: _Source) -> None:
    source.recording(*SENTENCES, text="Quick brown foxes jump; lazy dogs bark. Zebras vex us with jazz. Pack my box.")
    with pytest.raises(VoiceFailure, match=r"none of 6 segments has a usable text.*text does not have it") as failure:
        source.run(ToneRecognizer())
    assert failure.value.reason == "transcript_missing"


def test_clips_with_empty_texts_only_are_one_failure_that_says_so(source: _Source) -> None:
    source.clips({"a": "", "b": ""})
    with pytest.raises(VoiceFailure, match="none of 2 segments has a usable text; the first: a: ") as failure:
        source.run(None)
    assert failure.value.reason == "transcript_missing"


def test_the_same_is_not_listened_to_again(source: _Source) -> None:
    source.clips(dict(zip("abcdef", SENTENCES, strict=True)))
    first, recognizer = source.run(ToneRecognizer()), ToneRecognizer()
    assert source.run(recognizer) == first
    assert recognizer.asked == 0
    source.clips({"c": "Another text for it."}, said={"c": SENTENCES[2]})
    changed = source.run(recognizer)
    assert changed.identity != first.identity
    assert recognizer.asked == 0
    assert (source.rows()["c"].cer or 0) > 0.5
    source.clips({"c": "Another sound altogether."})
    source.run(recognizer)
    assert recognizer.asked == 1
    source.run(other := ToneRecognizer(version=2))
    assert other.asked == 6


def test_a_table_that_was_lost_is_written_anew(source: _Source) -> None:
    source.clips(dict(zip("abc", SENTENCES, strict=False)))
    first = source.run(ToneRecognizer())
    before = source.store.texts("v").read_bytes()
    source.store.texts("v").write_bytes(before[:-10])
    assert source.run(ToneRecognizer()) == first
    assert source.store.texts("v").read_bytes() == before


def test_a_killed_run_goes_on_where_it_was(source: _Source) -> None:
    source.clips({f"c{number:02d}": f"This is number {chr(97 + number)}." for number in range(20)})
    with pytest.raises(KeyboardInterrupt):
        source.run(ToneRecognizer(patience=11))
    source.run(recognizer := ToneRecognizer())
    assert recognizer.asked == 20 - 8  # a batch of eight was kept


def test_progress_counts_seconds_to_the_end(source: _Source) -> None:
    source.recording(*SENTENCES * 2, text=" ".join(SENTENCES * 2))
    told = list[tuple[int, int]]()
    source.run(ToneRecognizer(), progress=lambda current, total: told.append((current, total)))
    assert told == sorted(told) and len({total for _, total in told}) == 1
    assert told[-1][0] == told[-1][1] >= 10


def test_the_same_inputs_give_the_same_bytes(project: Path, tmp_path: Path, english: TextFrontend) -> None:
    written = []
    for name in ("one", "other"):
        source = _Source(project, Store.open(tmp_path / name), english)
        source.recording(*SENTENCES, "more than there is", text=" ".join([*SENTENCES, "And a long rest unread."]))
        source.run(ToneRecognizer())
        paths = [source.store.texts("v"), source.store.record("v", stage.STAGE)]
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]


def test_audio_that_changed_after_preflight_is_not_heard(source: _Source) -> None:
    source.clips({"a": SENTENCES[0], "b": SENTENCES[1]})
    preflight = judged(source.project, source.store, source.voice)
    segments = source.segmented(preflight)
    write(source.folder / "b.wav", spoken("something else"), RATE)
    with pytest.raises(VoiceFailure, match=r"v: source/b.wav: is not what audio_preflight measured") as failure:
        stage.run(source.project, source.voice, source.store, source._english, preflight, segments, ToneRecognizer())
    assert failure.value.reason == "source_changed"


@pytest.mark.parametrize("table", ["segments", "audio_files"])
def test_a_damaged_table_is_named(source: _Source, table: str) -> None:
    source.clips({"a": SENTENCES[0]})
    preflight = judged(source.project, source.store, source.voice)
    segments = source.segmented(preflight)
    path: Path = getattr(source.store, table)("v")
    path.write_text("{}\n")
    with pytest.raises(VoiceFailure, match=path.name) as failure:
        stage.run(source.project, source.voice, source.store, source._english, preflight, segments, None)
    assert failure.value.reason == "table_damaged"


def test_a_channel_is_listened_to_alone(source: _Source) -> None:
    left, right = spoken("said on the left"), spoken("never on the right")[: len(spoken("said on the left"))]
    write(source.folder / "a.wav", np.stack([right, left], axis=1), RATE)
    source.voice = voice(source={"channel": 1, "text": "none"})
    source.run(ToneRecognizer())
    assert source.rows()["a"].text == "said on the left"


def test_a_clip_of_minutes_is_not_listened_to(source: _Source) -> None:
    source.clips({"a": SENTENCES[0], "b": "A few words."}, said={"b": "word " * 500})
    record = source.run(recognizer := ToneRecognizer())
    assert recognizer.asked == 1
    assert (source.rows()["b"].hypothesis, source.rows()["b"].cer, source.rows()["b"].problem) == (None, None, None)
    assert record.recognised_seconds < 2
