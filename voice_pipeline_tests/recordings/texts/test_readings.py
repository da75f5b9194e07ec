"""A long reading and its text, by the real detector and the real recogniser: a person's, and the sample speaker's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voice_pipeline.recognition.recognizer import Samples, load_recognizer
from voice_pipeline.recordings import preflight
from voice_pipeline.recordings.segmentation import stage as segmentation
from voice_pipeline.recordings.tables import Segment, Unmatched, UtteranceText, read_rows
from voice_pipeline.recordings.texts import stage
from voice_pipeline.recordings.texts.comparison import heard_words
from voice_pipeline.recordings.texts.stage import TextsRecord
from voice_pipeline.store import Store
from voice_pipeline.text.frontend import TextFrontend
from voice_pipeline_tests.recordings.material import voice

pytestmark = [pytest.mark.evaluation, pytest.mark.recordings]
VOICE = voice(path="reading", source={"kind": "recording"})


@dataclass(frozen=True)
class Said:
    """One sentence of a reading, and when it was said: seconds."""

    start: float
    end: float
    text: str


class Reading:
    """Sentences joined to one recording, with pauses of 0.6 to 1.2 s, and its way through the stages."""

    def __init__(self, root: Path, clips: Sequence[tuple[str, Samples]], rate: int) -> None:
        self.project, self.store = root, Store.open(root / "store")
        recognizer = load_recognizer(root, VOICE)
        assert recognizer is not None
        self.frontend, self.recognizer = TextFrontend.for_language("en-US"), recognizer
        noise, parts, at = np.random.default_rng(3), list[Samples](), 0
        said = list[Said]()
        for text, samples in clips:
            pause = noise.normal(0, 1e-4, round(noise.uniform(0.6, 1.2) * rate)).astype(np.float32)
            parts += [pause, samples]
            start = at + len(pause)
            at = start + len(samples)
            said.append(Said(start / rate, at / rate, text))
        self.said = tuple(said)
        (root / "reading").mkdir(parents=True)
        soundfile.write(root / "reading/all.flac", np.concatenate(parts), rate, subtype="PCM_16")

    def run(self, text: str | None) -> TextsRecord:
        """The stages with this text beside the recording. What was heard once is not listened to again."""
        path = self.project / "reading/all.txt"
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text, encoding="utf-8")
        found = preflight.run(self.project, VOICE, self.store)
        cut = segmentation.run(self.project, VOICE, self.store, found)
        return stage.run(self.project, VOICE, self.store, self.frontend, found, cut, self.recognizer)

    def rows(self) -> list[tuple[Segment, UtteranceText]]:
        segments = read_rows(self.store.segments("v"), Segment)
        return list(zip(segments, read_rows(self.store.texts("v"), UtteranceText), strict=True))

    def by_sentence(self) -> dict[Said, list[UtteranceText]]:
        """The rows of each sentence; segments may be finer than sentences, and none holds parts of two."""
        found: dict[Said, list[UtteranceText]] = {one: [] for one in self.said}
        for segment, row in self.rows():
            (inside,) = (one for one in self.said if one.start < (segment.start + segment.end) / 2 < one.end)
            assert inside.start - 0.5 < segment.start and segment.end < inside.end + 0.5
            found[inside].append(row)
        return found

    def unspoken(self) -> list[Unmatched]:
        return list(read_rows(self.store.texts("v").with_name("unmatched.jsonl"), Unmatched))

    def words(self, text: str) -> tuple[str, ...]:
        return heard_words(text, self.frontend.normalise)


def _check_recovered(reading: Reading) -> None:
    text = "\n".join(one.text for one in reading.said)
    record = reading.run(text)
    assert (record.unspoken_words, record.unwritten_segments) == (0, 0)
    assert " ".join(row.text for _, row in reading.rows()) == " ".join(text.split())
    for one, rows in reading.by_sentence().items():
        assert " ".join(row.text for row in rows) == one.text
        assert {row.origin for row in rows} == {"aligned"}
    assert record.mean_cer is not None and record.mean_cer < 0.05


def _check_missing_and_extra(reading: Reading) -> None:
    """A paragraph that is not in the text, one that was not read, and two sentences that changed places."""
    said = [one.text for one in reading.said]
    missing, swapped, unread = len(said) // 4, len(said) // 2, "This whole paragraph was never read to anybody, ever."
    text = [*said[:missing], *said[missing + 1 : swapped], said[swapped + 1], said[swapped], *said[swapped + 2 :]]
    text.insert(0, f"{unread}\n\n")
    record = reading.run("\n".join(text))
    found = reading.by_sentence()
    heard = [" ".join(row.text for row in found[one]) for one in reading.said]
    assert heard[missing] == ""
    assert {row.problem for row in found[reading.said[missing]]} == {"unwritten"}
    # Of two that changed places one stays, and nothing gets the words of the other.
    assert sorted((heard[swapped], heard[swapped + 1]))[0] == ""
    assert {heard[swapped], heard[swapped + 1]} - {""} < {said[swapped], said[swapped + 1]}
    for number in set(range(len(said))) - {missing, swapped, swapped + 1}:
        assert heard[number] == said[number]
    assert any(unread in row.detail for row in reading.unspoken())
    assert len(reading.unspoken()) == 2
    assert record.unwritten_segments >= 2


def _check_recognised(reading: Reading, clips: Sequence[tuple[str, Samples]], rate: int) -> None:
    """Without a text, what is heard of a sentence cut from the recording is as good as what is heard of the clip."""
    from rapidfuzz.distance import Levenshtein

    record = reading.run(None)
    assert set(record.origins) == {"recognised"}
    cut = single = characters = 0
    for (one, rows), (text, samples) in zip(reading.by_sentence().items(), clips, strict=False):
        true = " ".join(reading.words(text))
        assert one.text == text
        characters += len(true)
        cut += Levenshtein.distance(true, " ".join(reading.words(" ".join(row.text for row in rows))))
        single += Levenshtein.distance(true, " ".join(reading.words(reading.recognizer.transcribe(samples, rate))))
    assert cut / characters <= single / characters + 0.01


@pytest.mark.slow
def test_a_persons_reading(ljspeech_32: Path, tmp_path: Path) -> None:
    lines = (ljspeech_32 / "metadata.csv").read_text(encoding="utf-8").splitlines()
    clips = []
    for line in lines:
        identifier, text, _ = line.split("|")
        samples, rate = soundfile.read(ljspeech_32 / f"{identifier}.flac", dtype="float32")
        clips.append((text, samples))
    reading = Reading(tmp_path, clips, rate)
    _check_recovered(reading)
    _check_missing_and_extra(reading)
    _check_recognised(reading, clips[:8], rate)


@pytest.mark.demo
def test_the_sample_speakers_reading(tmp_path: Path) -> None:
    from hibari import Hibari

    speaker = Hibari(voice="heart")
    sentences = (
        "The gardener planted three rows of beans behind the old stone wall.",
        "On March 3, 1990, it cost $23.50 to cross the bridge.",
        "Nobody had told them the ferry would be late.",
        "Every window on the north side was broken, and the doors were locked.",
        "Dr. Brown wrote a letter to the owner of the mill.",
        "It took the better part of a week to dry the hay.",
    )
    clips = [(text, np.clip(speaker(text, seed=0), -1, 1).astype(np.float32)) for text in sentences]
    reading = Reading(tmp_path, clips, speaker.sample_rate)
    _check_recovered(reading)
    _check_missing_and_extra(reading)
    _check_recognised(reading, clips[:2], speaker.sample_rate)
