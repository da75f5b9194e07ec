"""The stage on a bundle that really speaks, and a recogniser that hears what the test says it hears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voice_pipeline.atomic import read_json, write_json
from voice_pipeline.bundle.format import content_digest
from voice_pipeline.bundle.validation import validate_bundle
from voice_pipeline.evaluation import run as stage
from voice_pipeline.evaluation.format import parse_evaluation, read_evaluation
from voice_pipeline.evaluation.verification import timing_faults
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.store import sha256_file
from voice_pipeline_tests.ready_voice import NAME, Listener, ReadyVoice

pytestmark = pytest.mark.evaluation


@pytest.fixture
def ready(ready_voice: ReadyVoice, tmp_path: Path) -> ReadyVoice:
    return ready_voice.copy(tmp_path / "project")


def test_the_evaluation_and_where_it_is(ready: ReadyVoice) -> None:
    record = ready.evaluate()
    path = ready.store.resolve(record.evaluation)
    evaluation = read_evaluation(path)
    assert evaluation.problems() == ()
    assert (ready.bundle / "evaluation.json").read_bytes() == path.read_bytes()
    assert validate_bundle(ready.bundle, production=True) == []
    assert evaluation.content_digest == content_digest(ready.bundle) == record.content_digest
    assert {one.source for one in evaluation.sentences} == {"validation", "test"}
    assert len([one for one in evaluation.sentences if one.source == "test"]) == 20
    assert len(evaluation.recordings) == len([one for one in evaluation.sentences if one.source == "validation"])
    for one in evaluation.sentences:
        assert one.file is not None
        assert (path.parent / one.file).is_file()
        assert one.seconds > 0
    assert record.metrics["wer"] == 0.0
    assert record.timing.real_time_factor > 0
    assert record.gate_metrics(evaluation) == record.metrics
    assert timing_faults(evaluation, record) == ()
    rows = list(stage.shown_sentences(evaluation))
    assert len(rows) == len(evaluation.sentences)


def test_errors_are_counted_over_all_sentences(ready: ReadyVoice) -> None:
    record = ready.evaluate(wrong_words=2)
    assert 0.4 < record.metrics["wer"] < 0.7
    assert record.recordings_metrics["wer"] == 0.0
    assert record.metrics["wer_above_recordings"] == record.metrics["wer"]


def test_the_same_bundle_is_not_judged_twice(ready: ReadyVoice) -> None:
    before = (ready.bundle / "manifest.json").read_bytes()
    nobody = Listener([], 0)  # StopIteration for whoever asks it
    again = stage.run(ready.project, ready.voice, ready.store, ready.bundle, _frontend(), recognizer=nobody)
    assert again.identity == ready.evaluate().identity
    assert (ready.bundle / "manifest.json").read_bytes() == before


def test_a_lost_evaluation_is_made_again_with_the_same_digest(ready: ReadyVoice) -> None:
    first = ready.evaluate()
    ready.store.resolve(first.evaluation).unlink()
    second = ready.evaluate()
    assert (second.digest, second.identity) == (first.digest, first.identity)


def test_an_evaluation_is_sealed_again_into_a_bundle_without_it(ready: ReadyVoice) -> None:
    (ready.bundle / "evaluation.json").unlink()
    ready.seal()
    ready.evaluate()
    assert validate_bundle(ready.bundle, production=True) == []


def test_a_broken_bundle_is_not_judged(ready: ReadyVoice) -> None:
    (ready.bundle / "sample.wav").unlink()
    with pytest.raises(VoiceFailure, match="bundle_invalid"):
        ready.evaluate()


@pytest.mark.parametrize("spoil", ["record", "manifest", "clip"])
def test_another_dataset_is_not_used(ready: ReadyVoice, spoil: str) -> None:
    record = ready.store.record(NAME, "dataset_manifest")
    value = read_json(record)
    if spoil == "record":
        record.unlink()
    elif spoil == "manifest":
        ready.store.resolve(value["manifest"]).write_text("{}")
    else:
        entries = read_json(ready.store.resolve(value["manifest"]))["entries"]
        clip = next(entry["target"] for entry in entries if entry["split"] == "validation")
        ready.store.resolve(clip).write_bytes(b"RIFF")
    with pytest.raises(VoiceFailure, match="verification_failed"):
        stage.run(ready.project, ready.voice, ready.store, ready.bundle, _frontend(), recognizer=Listener([]))


def test_a_voice_that_says_nothing_is_heard_as_nothing(ready: ReadyVoice, monkeypatch: pytest.MonkeyPatch) -> None:
    say = stage._say

    def mute(synthesizer: Any, text: str) -> Any:
        return None if "gardener" in text else say(synthesizer, text)

    monkeypatch.setattr(stage, "_say", mute)
    (ready.store.evaluation(NAME) / "evaluation.json").unlink()
    record = stage.run(ready.project, ready.voice, ready.store, ready.bundle, _frontend(), recognizer=Deaf())
    evaluation = read_evaluation(ready.store.resolve(record.evaluation))
    silent = [one for one in evaluation.sentences if one.file is None]
    assert len(silent) == 1
    assert silent[0].word_errors == silent[0].words
    assert record.metrics["wer"] == 1.0
    assert evaluation.problems() == ()


def test_no_time_is_in_the_bundle(ready: ReadyVoice, monkeypatch: pytest.MonkeyPatch) -> None:
    first, before = ready.evaluate(), (ready.bundle / "manifest.json").read_bytes()
    monkeypatch.setattr(stage.time, "perf_counter", SlowClock())
    ready.store.record(NAME, stage.STAGE).unlink()
    second = ready.evaluate()
    assert second.timing.real_time_factor > first.timing.real_time_factor
    assert (second.evaluation_sha256, second.digest) == (first.evaluation_sha256, first.digest)
    assert (ready.bundle / "manifest.json").read_bytes() == before
    text = (ready.bundle / "evaluation.json").read_text()
    assert not any(word in text for word in ("real_time_factor", "compute_seconds", str(ready.project)))


def test_an_evaluation_with_times_in_it_is_made_again(ready: ReadyVoice) -> None:
    record = read_json(ready.store.record(NAME, stage.STAGE))
    path = ready.store.resolve(record["evaluation"])
    write_json(path, {**read_json(path), "schema": "voice_evaluation/1", "timing": record.pop("timing")})
    write_json(ready.store.record(NAME, stage.STAGE), {**record, "evaluation_sha256": sha256_file(path)})
    assert stage.read_finished(ready.store, NAME) is None
    ready.evaluate()
    assert read_evaluation(ready.bundle / "evaluation.json").schema_id == "voice_evaluation/2"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"real_time_factor": 0.5}, "does not follow from its times"),
        ({"compute_seconds": 999.0}, "does not follow from its times"),
        ({"speech_seconds": 9999.0, "real_time_factor": 1e-9}, "of other speech"),
    ],
)
def test_edited_times_contradict(ready: ReadyVoice, changes: dict[str, float], told: str) -> None:
    record = ready.evaluate()
    edited = record.model_copy(update={"timing": record.timing.model_copy(update=changes)})
    found = timing_faults(read_evaluation(ready.store.resolve(record.evaluation)), edited)
    assert any(told in fault for fault in found), found


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_an_evaluation_or_one_line(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^evaluation\.json: ") as caught:
        parse_evaluation(data)
    assert "\n" not in str(caught.value)


class SlowClock:
    """Half an hour passes whenever it is asked."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1800
        return self.now


class Deaf(Listener):
    """Hears nothing."""

    def __init__(self) -> None:
        super().__init__([], 99)

    def transcribe(self, samples: NDArray[np.float32], sample_rate: int) -> str:
        return ""


def _frontend() -> Any:
    from voice_pipeline.licensing.gate import installed_frontend

    return installed_frontend("en-US")
