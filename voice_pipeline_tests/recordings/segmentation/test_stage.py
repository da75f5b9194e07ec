"""utterance_segments from real files: true pauses found, nothing lost, nothing measured twice."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings import preflight
from voice_pipeline.recordings.segmentation import activity, stage
from voice_pipeline.recordings.segmentation.stage import SegmentsRecord
from voice_pipeline.recordings.tables import Segment, read_rows
from voice_pipeline.store import Store, sha256_file
from voice_pipeline_tests.recordings import material
from voice_pipeline_tests.recordings.segmentation.speech_material import (
    Joined,
    Samples,
    join,
    lost_seconds,
    not_speech,
)

pytestmark = pytest.mark.recordings

Speech = tuple[list[Samples], int]


def run(project: Path, store: Store, path: str, **source: object) -> SegmentsRecord:
    voice = material.voice(path, source=source)
    return stage.run(project, voice, store, preflight.run(project, voice, store))


def segments(store: Store) -> list[Segment]:
    return list(read_rows(store.segments("v"), Segment))


def check_borders(joined: Joined, found: list[Segment]) -> None:
    """Every border within 150 ms of a true pause; every pause that always divides has one."""
    for before, after in pairwise(found):
        near = [gap for gap in joined.gaps if before.end > gap[0] - 0.15 and after.start < gap[1] + 0.15]
        assert near, f"the border at {before.end:.2f}-{after.start:.2f} s is in no pause"
    for start, end in joined.gaps:
        if end - start > 0.75:
            assert any(start - 0.15 < one.end < end for one in found), f"the pause at {start:.2f} s does not divide"


@pytest.mark.demo
@pytest.mark.parametrize("seed", [1, 2])
def test_generated_speech_is_cut_at_its_true_pauses(seed: int, spoken: Speech, project: Path, store: Store) -> None:
    joined = join(spoken[0] * 2, spoken[1], seed=seed)
    joined.write(project / "reading.flac")
    record = run(project, store, "reading.flac")
    found = segments(store)
    check_borders(joined, found)
    assert lost_seconds(joined, [(one.start, one.end) for one in found]) < 0.05
    assert all(1.0 <= one.end - one.start <= 15.0 for one in found)
    assert record.count == len(found)
    assert record.long_count == record.short_count == 0


def test_a_person_is_cut_at_the_true_pauses(read_aloud: Speech, project: Path, store: Store) -> None:
    """32 clips as one recording of four minutes. Pauses inside of the clips are true pauses too, if they are long."""
    joined = join(*read_aloud, seed=3)
    joined.write(project / "reading.flac")
    run(project, store, "reading.flac")
    found = segments(store)
    pauses = joined.gaps + quiet_stretches(joined, 0.3)
    for before, after in pairwise(found):
        assert any(before.end > start - 0.15 and after.start < end + 0.15 for start, end in pauses)
    for start, end in joined.gaps:
        assert end - start < 0.75 or any(start - 0.15 < one.end < end for one in found)
    assert lost_seconds(joined, [(one.start, one.end) for one in found]) < 0.1
    assert all(1.0 <= one.end - one.start <= 15.0 for one in found)


def quiet_stretches(joined: Joined, least: float) -> tuple[tuple[float, float], ...]:
    """Stretches in which no 10 ms is within 36 dB of the loudest: a truth that the detector has no part in."""
    step = joined.rate // 100
    count = len(joined.samples) // step
    power = np.square(joined.samples[: count * step].reshape(count, step)).mean(axis=1)
    quiet = np.concatenate([[False], power < power.max() * 10**-3.6, [False]])
    edges = np.flatnonzero(np.diff(quiet.astype(int))) / 100
    return tuple((start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if end - start >= least)


@pytest.mark.demo
def test_the_table_says_what_is_in_it(spoken: Speech, project: Path, store: Store) -> None:
    joined = join(spoken[0], spoken[1], seed=4)
    path = joined.write(project / "talks" / "my reading.flac")
    join(spoken[0][:3], spoken[1], seed=5).write(project / "talks" / "another.flac")
    record = run(project, store, "talks", kind="recording")
    found = segments(store)
    assert [one.source for one in found] == sorted(one.source for one in found)
    first = next(one for one in found if one.source == "my reading.flac")
    assert first.source_sha256 == sha256_file(path)
    assert first.utterance_id.endswith(f"-{round(first.start * 1000):09d}")
    assert " " not in first.utterance_id
    assert not first.whole
    assert len({one.utterance_id for one in found}) == len(found)
    assert record.sha256 == sha256_file(store.segments("v"))
    lengths = [one.end - one.start for one in found]
    speech = sum(end - start for one in found for start, end in one.speech)
    assert record.segment_seconds == pytest.approx(sum(lengths), abs=0.01)
    assert record.speech_seconds == pytest.approx(speech, abs=0.01)
    assert record.silence_seconds == pytest.approx(sum(lengths) - speech, abs=0.01)
    assert record.median_seconds == pytest.approx(float(np.median(lengths)), abs=0.01)
    assert record.source_seconds == pytest.approx(record.segment_seconds + record.left_out_seconds, abs=0.01)
    assert [model.role for model in record.models] == ["voice activity"]
    assert store.resolve(record.picture.path).read_bytes().startswith(b"\x89PNG")


@pytest.mark.demo
def test_clips_are_taken_whole(spoken: Speech, project: Path, store: Store) -> None:
    for number, clip in enumerate(spoken[0][:3]):
        padded = np.concatenate([np.zeros(12_000, np.float32), clip, np.zeros(12_000, np.float32)])
        material.write(project / "clips" / "wavs" / f"c{number}.wav", padded, spoken[1])
    (project / "clips" / "metadata.csv").write_text("c0|One.\nc1|Two.\n", encoding="utf-8")
    record = run(project, store, "clips")
    found = segments(store)
    assert [one.utterance_id for one in found][:2] == ["c0", "c1"]
    assert all(one.whole and one.start == 0.0 for one in found)
    for one, clip in zip(found, spoken[0], strict=False):
        assert one.end == pytest.approx(1.0 + len(clip) / spoken[1], abs=0.001)
        assert one.speech[0][0] == pytest.approx(0.5, abs=0.1)
        assert one.speech[-1][1] == pytest.approx(one.end - 0.5, abs=0.1)
    assert record.whole_count == record.count == 3


@pytest.mark.parametrize("kind", ["silence", "noise", "hum", "clicks", "music"])
def test_where_nobody_speaks_there_is_no_utterance(kind: str, project: Path, store: Store) -> None:
    material.write(project / "sound.wav", not_speech(kind), 16_000)
    with pytest.raises(VoiceFailure) as failure:
        run(project, store, "sound.wav")
    assert (failure.value.reason, failure.value.voice) == ("too_little_speech", "v")
    assert stage.read_record(store, "v") is None


@pytest.mark.demo
def test_a_file_without_speech_beside_others_is_named(spoken: Speech, project: Path, store: Store) -> None:
    join(spoken[0][:2], spoken[1], seed=1).write(project / "talks" / "a.wav")
    material.write(project / "talks" / "hum.wav", not_speech("hum"), 16_000)
    (project / "talks" / "broken.flac").write_bytes(b"fLaC" + bytes(100))
    record = run(project, store, "talks", kind="recording")
    assert {one.source for one in segments(store)} == {"a.wav"}
    assert (record.file_count, record.silent_count, record.silent_files) == (2, 1, ("hum.wav",))


@pytest.mark.demo
def test_the_same_recordings_are_the_same_bytes(spoken: Speech, project: Path, store: Store, tmp_path: Path) -> None:
    join(spoken[0][:4], spoken[1], seed=1).write(project / "a.flac")
    record = run(project, store, "a.flac")
    other = Store.open(tmp_path / "another")
    assert run(project, other, "a.flac") == record
    assert store.segments("v").read_bytes() == other.segments("v").read_bytes()


@pytest.mark.demo
def test_nothing_is_done_twice(spoken: Speech, project: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    join(spoken[0][:4], spoken[1], seed=1).write(project / "a.flac")
    record = run(project, store, "a.flac")
    measured: list[Path] = []
    real = activity.measure

    def counted(path: Path, **more: object) -> activity.Activity:
        measured.append(path)
        return real(path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(activity, "measure", counted)
    written = store.segments("v").stat().st_mtime_ns
    assert run(project, store, "a.flac") == record
    assert store.segments("v").stat().st_mtime_ns == written, "the same identity is not even written again"

    shorter = dataclasses.replace(stage.DEFAULT_CUTS, max_seconds=4.0)
    monkeypatch.setattr(stage, "DEFAULT_CUTS", shorter)
    changed = run(project, store, "a.flac")
    assert changed.identity != record.identity
    assert changed.count > record.count
    assert measured == [], "other cuts are other cuts of the same measurements"

    store.segments("v").write_text("damaged", encoding="utf-8")
    assert run(project, store, "a.flac") == changed
    assert measured == []

    join(spoken[0][:4], spoken[1], seed=2).write(project / "a.flac")
    assert run(project, store, "a.flac").identity != changed.identity
    assert len(measured) == 1


@pytest.mark.demo
def test_a_damaged_measurement_is_made_again(spoken: Speech, project: Path, store: Store) -> None:
    join(spoken[0][:4], spoken[1], seed=1).write(project / "a.flac")
    record = run(project, store, "a.flac")
    store.measurements("voice_activity").write_bytes(b"no database")
    store.record("v", stage.STAGE).unlink()
    assert run(project, store, "a.flac") == record


@pytest.mark.demo
def test_a_recording_that_changed_after_preflight(spoken: Speech, project: Path, store: Store) -> None:
    path = join(spoken[0][:2], spoken[1], seed=1).write(project / "a.wav")
    voice = material.voice("a.wav")
    record = preflight.run(project, voice, store)
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(VoiceFailure) as failure:
        stage.run(project, voice, store, record)
    assert (failure.value.reason, failure.value.voice, failure.value.file) == ("source_changed", "v", "a.wav")


@pytest.mark.demo
def test_a_table_that_preflight_did_not_write(spoken: Speech, project: Path, store: Store) -> None:
    join(spoken[0][:2], spoken[1], seed=1).write(project / "a.wav")
    voice = material.voice("a.wav")
    record = preflight.run(project, voice, store)
    store.audio_files("v").write_text("{}\n", encoding="utf-8")
    with pytest.raises(VoiceFailure) as failure:
        stage.run(project, voice, store, record)
    assert failure.value.reason == "source_changed"


def test_a_channel_that_is_not_there(project: Path, store: Store) -> None:
    material.write(project / "a.wav", not_speech("noise", 2.0), 16_000)
    with pytest.raises(VoiceFailure, match="channel") as failure:
        run(project, store, "a.wav", channel=1)
    assert failure.value.reason == "config_invalid"


@pytest.mark.demo
def test_the_chosen_channel_is_heard(spoken: Speech, project: Path, store: Store) -> None:
    speech = join(spoken[0][:3], spoken[1], seed=1).samples
    soundfile.write(project / "a.wav", np.stack([not_speech("hum", 30.0)[: len(speech)], speech], axis=1), spoken[1])
    assert run(project, store, "a.wav", channel=1).count
    with pytest.raises(VoiceFailure) as failure:
        run(project, store, "a.wav", channel=0)
    assert failure.value.reason == "too_little_speech"


@pytest.mark.demo
def test_progress_ends_at_its_total(spoken: Speech, project: Path, store: Store) -> None:
    joined = join(spoken[0][:4], spoken[1], seed=1)
    joined.write(project / "talks" / "a.flac")
    joined.write(project / "talks" / "b.wav")
    voice = material.voice("talks", source={"kind": "recording"})
    ticks: list[tuple[int, int]] = []
    stage.run(project, voice, store, preflight.run(project, voice, store), progress=lambda *tick: ticks.append(tick))
    currents = [current for current, _ in ticks]
    assert currents == sorted(currents)
    assert ticks[-1][0] == ticks[-1][1] == -(-2 * len(joined.samples) // joined.rate)


_KILLED = """
import os, signal, sys
from pathlib import Path
from voice_pipeline.recordings import preflight
from voice_pipeline.recordings.segmentation import stage
from voice_pipeline.store import Store
from voice_pipeline_tests.recordings import material

def stop(current, total):
    if current >= 300:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    project, store, voice = Path(sys.argv[1]), Store.open(sys.argv[2]), material.voice("a.wav")
    stage.run(project, voice, store, preflight.run(project, voice, store), progress=stop)
"""


@pytest.mark.demo
@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_stopped(spoken: Speech, project: Path, store: Store, tmp_path: Path) -> None:
    """Five minutes and a bit are two parts; killed when the first is done, the other is measured later."""
    clips = [soxr.resample(clip, spoken[1], 16_000) for clip in spoken[0]]
    short = join(clips * 2, 16_000, seed=1)
    long = np.tile(short.samples, round(310 / short.seconds) + 1)
    soundfile.write(project / "a.wav", long, 16_000)
    program = tmp_path / "killed.py"
    program.write_text(_KILLED, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, program, project, store.root]
    killed = subprocess.run(command, capture_output=True, timeout=120, env=environment)
    assert killed.returncode == -9, killed.stderr.decode()
    assert stage.read_record(store, "v") is None
    voice = material.voice("a.wav")
    ready = preflight.run(project, voice, store)
    ticks: list[int] = []
    resumed = stage.run(project, voice, store, ready, progress=lambda current, _: ticks.append(current))
    assert ticks[0] >= 300, "what was measured is known at once"
    other = Store.open(tmp_path / "other")
    assert stage.run(project, voice, other, preflight.run(project, voice, other)) == resumed


def _clock(seconds: float) -> str:
    assert seconds < 60
    return f"00:00:{int(seconds):02d},{round(seconds * 1000) % 1000:03d}"


@pytest.mark.demo
def test_subtitles_are_utterances_with_borders_in_silence(spoken: Speech, project: Path, store: Store) -> None:
    """Cues that begin 0.2 s late and end 0.2 s late, so that they run into the next words."""
    joined = join(spoken[0], spoken[1], seed=6, shortest=0.3, longest=0.5)
    joined.write(project / "film.flac")
    cues = [(start + 0.2, end + 0.2) for start, end in joined.clips]
    lines = [f"{n}\n{_clock(start)} --> {_clock(end)}\nWords.\n" for n, (start, end) in enumerate(cues, start=1)]
    (project / "film.srt").write_text("\n".join(lines), encoding="utf-8")
    run(project, store, "film.flac", kind="recording", text="srt")
    found = segments(store)
    assert len(found) == len(joined.clips)
    check_borders(joined, found)
    assert lost_seconds(joined, [(one.start, one.end) for one in found]) < 0.1


@pytest.mark.demo
def test_the_segments_of_a_corpus_keep_their_ids_and_times(spoken: Speech, project: Path, store: Store) -> None:
    joined = join(spoken[0][:3], spoken[1], seed=6)
    folder = project / "corpus"
    joined.write(folder / "rec.wav")
    (folder / "wav.scp").write_text("rec rec.wav\n", encoding="utf-8")
    rows = [(f"ada-{number}", start, end) for number, (start, end) in enumerate(joined.clips)]
    (folder / "segments").write_text("".join(f"{i} rec {a:.3f} {b:.3f}\n" for i, a, b in rows), encoding="utf-8")
    (folder / "text").write_text("".join(f"{i} words\n" for i, _, _ in rows), encoding="utf-8")
    run(project, store, "corpus", text="kaldi")
    assert [(one.utterance_id, one.start, one.end, one.whole) for one in segments(store)] == [
        (i, float(f"{a:.3f}"), min(float(f"{b:.3f}"), joined.seconds), False) for i, a, b in rows
    ]


@pytest.mark.demo
def test_other_words_of_the_same_clips_cut_nothing_anew(spoken: Speech, project: Path, store: Store) -> None:
    for number, clip in enumerate(spoken[0][:2]):
        material.write(project / "clips" / f"c{number}.wav", clip, spoken[1])
    table = project / "clips" / "metadata.csv"
    table.write_text("c0|One.\nc1|Two.\n", encoding="utf-8")
    record = run(project, store, "clips")
    table.write_text("c0|One.\nc1|Three.\n", encoding="utf-8")
    assert run(project, store, "clips") == record
