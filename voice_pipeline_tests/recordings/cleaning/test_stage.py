"""clean_utterances on real files, cut by hand: what was cleaned is not cleaned again, and a bad part harms no other."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from voice_pipeline.atomic import write_bytes
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition import speaker
from voice_pipeline.recordings.cleaning import stage
from voice_pipeline.recordings.cleaning.fingerprint import distance
from voice_pipeline.recordings.cleaning.stage import CleanRecord
from voice_pipeline.recordings.preflight import Picture, PreflightRecord
from voice_pipeline.recordings.segmentation.stage import SegmentsRecord
from voice_pipeline.recordings.tables import AudioFile, CleanUtterance, Segment, read_rows, write_rows
from voice_pipeline.store import Store, sha256_file
from voice_pipeline.voice import Voice
from voice_pipeline_tests.conftest import make_project
from voice_pipeline_tests.recordings import material
from voice_pipeline_tests.recordings.cleaning.signals import babble, noise

RATE = 22_050
UNASKED = {"min_speaker_similarity": -1.0}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def clip(path: Path, seed: int, *, seconds: float = 1.5, gain: float = 1.0) -> Path:
    """Babble between two half seconds of faint noise."""
    sound = noise(seconds + 1.0, RATE, 1e-4)
    sound[RATE // 2 : RATE // 2 + round(seconds * RATE)] += babble(seconds, RATE, seed, level=0.05)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound * np.float32(gain), RATE, subtype="PCM_16")
    return path


def clips(project: Path, count: int = 4) -> Path:
    for number in range(count):
        clip(project / "source" / f"c{number}.wav", number)
    return project / "source"


def cut(store: Store, preflight: PreflightRecord, *, speech: tuple[float, float] = (0.5, 2.0)) -> SegmentsRecord:
    """Every file one segment with speech where ``clip`` puts it."""
    files = [file for file in read_rows(store.audio_files("v"), AudioFile) if file.problem is None]
    rows = [
        Segment(Path(file.name).stem, file.name, file.sha256, 0.0, file.seconds, True, (speech,) if speech else ())
        for file in files
    ]
    return recorded(store, rows)


def recorded(store: Store, rows: list[Segment]) -> SegmentsRecord:
    count, digest = write_rows(store.segments("v"), rows)
    picture = store.segments("v").with_name("segments.png")
    write_bytes(picture, b"png")
    zero = {
        name: 0
        for name, field in SegmentsRecord.model_fields.items()
        if field.annotation in (int, float) and name not in ("count", "segment_seconds")
    }
    return SegmentsRecord(
        stage="utterance_segments",
        identity=digest,
        voice_profile_id="v",
        table=store.relative(store.segments("v")),
        sha256=digest,
        count=count,
        segment_seconds=sum(row.end - row.start for row in rows),
        silent_files=(),
        models=(),
        picture=Picture(path=store.relative(picture), sha256=sha256_file(picture)),
        **zero,
    )


def voice(**more: Any) -> Voice:
    return material.voice("source", dataset_gates=more.pop("dataset_gates", UNASKED), **more)


def run(project: Path, store: Store, one: Voice | None = None, **more: Any) -> CleanRecord:
    one = one or voice()
    preflight = material.judged(project, store, one)
    return stage.run(project, one, store, preflight, cut(store, preflight), sample_rate=RATE, **more)


def rows(store: Store) -> dict[str, CleanUtterance]:
    return {row.utterance_id: row for row in read_rows(store.utterances("v"), CleanUtterance)}


def test_every_segment_is_a_row_and_a_wav(project: Path, store: Store) -> None:
    clips(project)
    seen: list[tuple[int, int]] = []
    record = run(project, store, progress=lambda done, total: seen.append((done, total)))
    assert (record.count, record.usable_count, record.computed_clips) == (4, 4, 4)
    assert seen[-1] == (10, 10)
    assert seen == sorted(seen)
    assert list(rows(store)) == ["c0", "c1", "c2", "c3"]
    for row in rows(store).values():
        wav = store.resolve(row.wav)
        assert (sha256_file(wav), wav.stat().st_size) == (row.sha256, row.bytes)
        info = soundfile.info(wav)
        assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "PCM_16")
        assert info.duration == pytest.approx(row.duration, abs=1e-6)
        assert row.duration == pytest.approx(1.8, abs=0.1)
        assert row.snr_db is not None and row.snr_db > 30
        assert row.speaker_similarity is None
    assert record.speaker_share is None and record.models == () and record.similarity_below == {}
    assert record.figures["duration"].median == pytest.approx(1.8, abs=0.1)
    assert store.resolve(record.picture.path).read_bytes().startswith(b"\x89PNG")


def test_the_same_again_touches_nothing_and_another_gate_no_audio(project: Path, store: Store) -> None:
    clips(project)
    first = run(project, store)
    again = run(project, store)
    assert (again, again.computed_clips) == (first.model_copy(update={"computed_clips": 0}), 0)
    other_gate = run(project, store, voice(dataset_gates={**UNASKED, "min_snr_db": 30.0}))
    assert (other_gate.identity, other_gate.computed_clips) == (first.identity, 0)


def test_one_clip_more_is_one_clip_cleaned(project: Path, store: Store) -> None:
    clips(project)
    first = run(project, store)
    clip(project / "source" / "b9.wav", 9)
    second = run(project, store)
    assert (second.count, second.computed_clips) == (5, 1)
    assert second.identity != first.identity
    assert list(rows(store)) == ["b9", "c0", "c1", "c2", "c3"]


def test_a_wav_that_vanished_or_shrank_is_made_again(project: Path, store: Store) -> None:
    clips(project)
    run(project, store)
    before = store.utterances("v").read_bytes()
    wavs = [store.resolve(row.wav) for row in rows(store).values()]
    wavs[0].unlink()
    wavs[1].write_bytes(b"")
    assert run(project, store).computed_clips == 2
    assert store.utterances("v").read_bytes() == before
    assert all(sha256_file(wav) == row.sha256 for wav, row in zip(wavs, rows(store).values(), strict=True))


def test_another_loudness_is_another_clip_with_the_same_figures(project: Path, store: Store) -> None:
    clips(project, 2)
    run(project, store)
    before = rows(store)
    assert run(project, store, voice(cleaning={"loudness_lufs": -30.0})).computed_clips == 2
    after = rows(store)
    for name in before:
        assert after[name].gain_db == pytest.approx((before[name].gain_db or 0) - 7.0, abs=0.02)
        assert after[name].snr_db == before[name].snr_db
        assert after[name].wav != before[name].wav


@pytest.mark.slow
def test_the_table_does_not_depend_on_how_many_processes_there_are(
    project: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips(project, 20)
    one = run(project, store)
    monkeypatch.setattr("voice_pipeline.recordings.workers.PARALLEL_FROM", 1.0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    other = Store.open(tmp_path / "other")
    two = run(project, other)
    assert two.sha256 == one.sha256
    assert two.picture.sha256 == one.picture.sha256


def test_the_same_take_in_two_files_is_near_and_another_far(project: Path, store: Store) -> None:
    clips(project, 2)
    clip(project / "source" / "z.wav", 0, gain=0.3)
    run(project, store)
    found = rows(store)
    assert distance(found["c0"].fingerprint, found["z"].fingerprint) < 0.05
    assert distance(found["c0"].fingerprint, found["c1"].fingerprint) > 0.5


def test_what_is_no_utterance_is_a_row_with_its_problem(project: Path, store: Store) -> None:
    source = clips(project, 2)
    soundfile.write(source / "silence.wav", np.zeros(2 * RATE, np.float32), RATE)
    preflight = material.judged(project, store, voice())
    segments = cut(store, preflight)
    listed = list(read_rows(store.segments("v"), Segment))
    listed[1] = dataclasses.replace(listed[1], speech=())
    record = stage.run(project, voice(), store, preflight, recorded(store, listed), sample_rate=RATE)
    assert segments.count == record.count == 3
    assert record.problem_counts == {"no_speech": 1, "silent": 1}
    found = rows(store)
    assert (found["silence"].problem, found["c1"].problem, found["c0"].problem) == ("silent", "no_speech", None)
    assert found["silence"].wav == ""
    assert found["silence"].peak_dbfs == -120.0
    assert found["c1"].snr_db is not None


def test_nothing_usable_is_a_failure_that_says_why(project: Path, store: Store) -> None:
    clips(project, 2)
    preflight = material.judged(project, store, voice())
    with pytest.raises(VoiceFailure, match="nobody was heard") as caught:
        stage.run(project, voice(), store, preflight, cut(store, preflight, speech=()), sample_rate=RATE)  # type: ignore[arg-type]
    assert caught.value.reason == "too_little_speech"


@pytest.mark.parametrize("change", ["other", "gone"])
def test_a_file_that_changed_since_preflight_is_not_cleaned(project: Path, store: Store, change: str) -> None:
    source = clips(project)
    preflight = material.judged(project, store, voice())
    segments = cut(store, preflight)
    if change == "other":
        clip(source / "c2.wav", 77)
    else:
        (source / "c2.wav").unlink()
    with pytest.raises(VoiceFailure, match=r"c2\.wav") as caught:
        stage.run(project, voice(), store, preflight, segments, sample_rate=RATE)
    assert caught.value.reason == "source_changed"


def test_a_table_that_is_not_the_recorded_one_is_refused(project: Path, store: Store) -> None:
    clips(project)
    preflight = material.judged(project, store, voice())
    segments = cut(store, preflight)
    with store.segments("v").open("a") as stream:
        stream.write("{}\n")
    with pytest.raises(VoiceFailure, match=r"segments\.jsonl") as caught:
        stage.run(project, voice(), store, preflight, segments, sample_rate=RATE)
    assert caught.value.reason == "table_damaged"


def test_damaged_measurements_are_made_again(project: Path, store: Store) -> None:
    clips(project)
    first = run(project, store)
    store.record("v", stage.STAGE).unlink()
    store.measurements("utterances").write_bytes(b"no database")
    assert run(project, store) == first


def test_a_killed_run_goes_on_where_it_stopped(project: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clips(project, 40)

    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(project, store, progress=stop)
    resumed = run(project, store)
    assert 0 < resumed.computed_clips <= 24
    assert resumed.usable_count == 40


def test_without_the_encoder_it_says_so_and_how_to_go_without(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips(project)
    monkeypatch.setattr(speaker, "DISTRIBUTION", "no-such-distribution")
    with pytest.raises(VoiceFailure, match="min_speaker_similarity to -1") as caught:
        run(project, store, voice(dataset_gates={}))
    assert caught.value.reason == "speaker_encoder_unavailable"
    assert run(project, store).usable_count == 4


@pytest.mark.recordings
@pytest.mark.demo
def test_a_stranger_among_generated_speech_is_unlike_the_voice(project: Path, store: Store) -> None:
    from hibari import Hibari

    source = project / "source"
    source.mkdir()
    engine = Hibari(voice="heart")
    sentences = ("The morning was cold and clear.", "She opened the window and listened.", "Nobody had come this way.")
    for number, sentence in enumerate(sentences):
        soundfile.write(source / f"c{number}.wav", engine(sentence, seed=0), engine.sample_rate)
    stranger = engine("There was a letter on the table.", seed=0)  # played slowly, a low voice
    soundfile.write(source / "stranger.wav", stranger, int(engine.sample_rate / 1.6))
    record = run(project, store, voice(dataset_gates={}))
    found = rows(store)
    similarity = {name: row.speaker_similarity or 0.0 for name, row in found.items()}
    assert min(similarity[f"c{number}"] for number in range(3)) > 0.8
    assert similarity["stranger"] < 0.7
    assert record.speaker_share == pytest.approx(0.75)
    assert record.similarity_below["0.7"] == 1
    assert [model.role for model in record.models] == ["speaker encoder"]
    assert record.models[0].sha256 == speaker.SpeakerEncoder.load().sha256
