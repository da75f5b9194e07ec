from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from voice_pipeline.atomic import read_json
from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings import measuring, preflight, workers
from voice_pipeline.recordings.decoding import open_audio
from voice_pipeline.recordings.levels import Levels
from voice_pipeline.recordings.source import LFS_SIGNATURE, read_from
from voice_pipeline.recordings.tables import AudioFile, read_rows
from voice_pipeline.store import Store, sha256_file
from voice_pipeline_tests.recordings.material import PERSON, ljspeech, tone, voice, write


def failure(project: Path, store: Store, **more: Any) -> VoiceFailure:
    with pytest.raises(VoiceFailure) as caught:
        preflight.run(project, voice(**more), store, today=date(2026, 6, 1))
    assert not store.record("v", preflight.STAGE).exists()
    return caught.value


def test_a_recording_is_measured(project: Path, store: Store) -> None:
    path = write(project / "a.flac", tone(12.3, level=0.5))
    record = preflight.run(project, voice("a.flac"), store)
    assert (record.kind, record.clip_count, record.sample_rate, record.channels) == ("recording", 1, 22_050, 1)
    assert record.duration_seconds == pytest.approx(12.3, abs=1e-4)
    assert record.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert record.clipping_share == 0.0
    assert record.noise_floor_dbfs < -60
    assert (record.bytes, record.sha256) == (path.stat().st_size, sha256_file(path))
    for picture in (record.waveform, record.spectrogram):
        file = store.resolve(picture.path)
        assert sha256_file(file) == picture.sha256
        assert file.read_bytes().startswith(b"\x89PNG")
        assert file.stat().st_size < 60_000


def test_a_folder_of_clips_is_measured_as_a_whole(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 4, seconds=0.7)
    write(folder / "wavs" / "d.wav", tone(1.0, rate=16_000), rate=16_000)
    record = preflight.run(project, voice(), store)
    assert (record.kind, record.clip_count) == ("clips", 5)
    assert record.duration_seconds == pytest.approx(3.8, abs=1e-3)
    assert (record.sample_rate, record.sample_rates) == (16_000, (16_000, 22_050))
    assert record.bytes == sum(path.stat().st_size for path in folder.rglob("*.wav"))
    assert record.loudness_lufs is not None


def test_the_same_recordings_give_the_same_record_elsewhere(project: Path, store: Store, tmp_path: Path) -> None:
    ljspeech(project / "source")
    other = tmp_path / "other"
    ljspeech(other / "source")
    second = Store.open(tmp_path / "store 2")
    assert preflight.run(project, voice(), store) == preflight.run(other, voice(), second)
    path = store.record("v", preflight.STAGE)
    assert path.read_bytes() == second.record("v", preflight.STAGE).read_bytes()
    assert str(tmp_path) not in path.read_text()


def test_what_was_measured_is_not_measured_again(project: Path, store: Store) -> None:
    ljspeech(project / "source")
    seen: list[tuple[int, int]] = []
    record = preflight.run(project, voice(), store, progress=lambda *at: seen.append(at))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    seen.clear()
    assert preflight.run(project, voice(), store, progress=lambda *at: seen.append(at)) == record
    assert not seen
    store.resolve(record.waveform.path).write_bytes(b"not a picture")
    assert preflight.run(project, voice(), store, progress=lambda *at: seen.append(at)) == record
    assert seen


def test_another_sound_or_name_is_another_identity(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source")
    first = preflight.run(project, voice(), store)
    (folder / "wavs" / "c00.wav").rename(folder / "wavs" / "x.wav")
    renamed = preflight.run(project, voice(), store)
    write(folder / "wavs" / "x.wav", tone(0.5, hertz=999))
    changed = preflight.run(project, voice(), store)
    assert len({one.identity for one in (first, renamed, changed)}) == 3
    assert len({one.sha256 for one in (first, renamed, changed)}) == 3


def test_a_clip_of_one_frame_is_measured_with_the_others(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 2)
    write(folder / "wavs" / "tick.wav", tone(0.0001))
    assert preflight.run(project, voice(), store).clip_count == 3


# -- the checks, in their order --------------------------------------------------------------------


def test_a_missing_source(project: Path, store: Store) -> None:
    caught = failure(project, store, path="data/a.flac")
    assert (caught.reason, caught.file, caught.exit_code) == ("missing_audio_path", "data/a.flac", 2)


@pytest.mark.parametrize("path", ["a.txt/b.wav", "a\0b", "x" * 300])
def test_a_path_that_cannot_exist(project: Path, store: Store, path: str) -> None:
    (project / "a.txt").write_text("x")
    assert failure(project, store, path=path).reason == "missing_audio_path"


def test_a_folder_without_recordings(project: Path, store: Store) -> None:
    (project / "source" / ".hidden").mkdir(parents=True)
    write(project / "source" / ".hidden" / "a.wav", tone(1))
    write(project / "source" / "._a.wav", tone(1))
    assert failure(project, store).reason == "missing_audio_path"


def test_a_pointer_comes_before_its_size(project: Path, store: Store) -> None:
    (project / "a.flac").write_bytes(LFS_SIGNATURE + b"\noid sha256:00\nsize 123\n")
    caught = failure(project, store, path="a.flac")
    assert (caught.reason, caught.file) == ("lfs_pointer", "a.flac")
    assert "git lfs pull" in caught.next_unblock_action


def test_a_folder_of_pointers_fails_with_them(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 8)
    for path in (folder / "wavs").iterdir():
        path.write_bytes(LFS_SIGNATURE + b"\n")
    caught = failure(project, store)
    assert (caught.reason, caught.file) == ("lfs_pointer", "source/wavs/c00.wav")
    assert "source/wavs/c04.wav and 3 more" in caught.detail


@pytest.mark.parametrize(("margin", "passes"), [(-1, True), (0, False)])
def test_a_source_must_be_larger_than_the_minimum(project: Path, store: Store, margin: int, passes: bool) -> None:
    size = write(project / "a.wav", tone(1)).stat().st_size
    source = {"min_bytes": size + margin}
    if passes:
        preflight.run(project, voice("a.wav", source=source), store)
    else:
        caught = failure(project, store, path="a.wav", source=source)
        assert caught.reason == "audio_too_small"
        assert str(size) in caught.detail


def test_the_minimum_holds_for_the_sum_of_the_clips(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 3)
    total = sum(path.stat().st_size for path in folder.rglob("*.wav"))
    assert failure(project, store, source={"min_bytes": total}).reason == "audio_too_small"
    preflight.run(project, voice(source={"min_bytes": total - 1}), store)


def test_size_comes_before_decoding(project: Path, store: Store) -> None:
    (project / "a.wav").write_bytes(b"")
    assert failure(project, store, path="a.wav").reason == "audio_too_small"


def _text(path: Path) -> None:
    path.write_text("Dear listener, this is no sound at all. " * 100)


def test_when_nothing_is_usable_the_first_file_says_why(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 3)
    _text(folder / "wavs" / "c00.wav")
    for name in ("c01.wav", "c02.wav"):
        (folder / "wavs" / name).write_bytes(b"RIFF" + bytes(2_000))
    caught = failure(project, store)
    assert (caught.reason, caught.file) == ("audio_undecodable", "source/wavs/c00.wav")
    assert "is a text file" in caught.detail
    assert "none of the 3 files is usable" in caught.detail


def test_what_is_usable_must_be_enough(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 3)
    size = (folder / "wavs" / "c00.wav").stat().st_size
    _text(folder / "wavs" / "c01.wav")
    caught = failure(project, store, source={"min_bytes": 2 * size})
    assert caught.reason == "audio_too_small"
    assert "the 2 usable files" in caught.detail
    assert "1 more cannot be used, the first: source/wavs/c01.wav is a text file" in caught.detail


@pytest.mark.parametrize("spoil", [_text, lambda path: path.write_bytes(path.read_bytes()[:9_000])])
def test_a_single_recording_fails_with_its_problem(
    project: Path, store: Store, spoil: Callable[[Path], object]
) -> None:
    spoil(write(project / "a.wav", tone(1)))
    caught = failure(project, store, path="a.wav")
    assert (caught.reason, caught.file) == ("audio_undecodable", "a.wav")


def test_a_link_inside_the_folder_is_followed(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 3)
    (folder / "wavs" / "x.wav").symlink_to("c00.wav")
    assert preflight.run(project, voice(), store).clip_count == 4


def test_the_source_itself_may_be_a_link(project: Path, store: Store, tmp_path: Path) -> None:
    write(tmp_path / "disk" / "a.flac", tone(2))
    (project / "a.flac").symlink_to(tmp_path / "disk" / "a.flac")
    assert preflight.run(project, voice("a.flac"), store).duration_seconds == pytest.approx(2)


def test_one_file_is_no_folder_of_clips(project: Path, store: Store) -> None:
    ljspeech(project / "source")
    caught = failure(project, store, path="source/wavs/c00.wav", source={"kind": "clips"})
    assert caught.reason == "config_invalid"
    assert "kind: clips" in caught.detail


def test_a_channel_that_no_file_has(project: Path, store: Store) -> None:
    ljspeech(project / "source", 2)
    caught = failure(project, store, source={"channel": 1})
    assert caught.reason == "config_invalid"
    assert "has 1 channel; source.channel is 1, counted from 0" in caught.detail
    write(project / "source" / "wavs" / "c01.wav", np.column_stack([tone(0.5), tone(0.5)]))
    record = preflight.run(project, voice(source={"channel": 1}), store)
    assert (record.clip_count, record.problem_count) == (1, 1)


# -- the table of files, and what is measured once ------------------------------------------------


def rows(store: Store) -> list[AudioFile]:
    return list(read_rows(store.audio_files("v"), AudioFile))


def test_the_table_lists_every_file(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 3)
    _text(folder / "wavs" / "c01.wav")
    record = preflight.run(project, voice(), store)
    found = rows(store)
    assert [row.name for row in found] == ["wavs/c00.wav", "wavs/c01.wav", "wavs/c02.wav"]
    assert [row.problem for row in found] == [None, "audio_undecodable", None]
    assert all(row.sha256 == sha256_file(folder / row.name) for row in found)
    assert (found[0].seconds, found[0].sample_rate, found[0].channels) == (0.5, 22_050, 1)
    assert (record.file_count, record.problem_count, record.clip_count) == (3, 1, 2)
    assert record.files_sha256 == sha256_file(store.resolve(record.files))
    assert read_from(store, project / "source", found[0]) == folder / "wavs" / "c00.wav"


def test_an_added_clip_measures_one_clip(
    project: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ljspeech(project / "source", 5, seconds=1.3)
    preflight.run(project, voice(), store)
    write(folder / "wavs" / "added.wav", tone(2.1, hertz=700, level=0.5))
    opened: list[str] = []
    real = measuring.open_audio
    monkeypatch.setattr(measuring, "open_audio", lambda path: opened.append(path.name) or real(path))
    second = preflight.run(project, voice(), store)
    assert set(opened) == {"added.wav"}
    fresh = Store.open(tmp_path / "fresh")
    assert preflight.run(project, voice(), fresh) == second
    assert [row.name for row in rows(store)] == [row.name for row in rows(fresh)]


def test_figures_from_the_cache_are_those_of_one_pass(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 4, seconds=2.7)
    write(folder / "wavs" / "quiet.wav", tone(3.3, level=0.01))
    record = preflight.run(project, voice(), store)
    levels = Levels()
    for path in sorted((folder / "wavs").iterdir()):
        with open_audio(path) as audio:
            for _ in levels.follow(audio):
                pass
    figures = levels.figures()
    assert record.loudness_lufs == figures.loudness_lufs
    assert record.noise_floor_dbfs == figures.noise_floor_dbfs
    assert (record.peak_dbfs, record.duration_seconds) == (figures.peak_dbfs, figures.seconds)


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(project: Path, tmp_path: Path) -> None:
    folder = ljspeech(project / "source", 30, seconds=5.0)
    _text(folder / "wavs" / "c07.wav")
    stores = [Store.open(tmp_path / "many"), Store.open(tmp_path / "one")]
    records = [preflight.run(project, voice(), stores[0])]  # 150 s of audio: in processes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "processes", lambda: 1)
        records.append(preflight.run(project, voice(), stores[1]))
    assert records[0] == records[1]
    assert rows(stores[0]) == rows(stores[1])


def test_what_was_measured_before_a_kill_is_kept(project: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ljspeech(project / "source", 5)
    opened: list[str] = []
    real = measuring.open_audio

    def killed_at_the_fourth(path: Path) -> Any:
        opened.append(path.name)
        if path.name == "c03.wav":
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(measuring, "open_audio", killed_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        preflight.run(project, voice(), store)
    assert not store.record("v", preflight.STAGE).exists()
    opened.clear()
    monkeypatch.setattr(measuring, "open_audio", lambda path: opened.append(path.name) or real(path))
    assert preflight.run(project, voice(), store).clip_count == 5
    assert set(opened) == {"c03.wav", "c04.wav"}


_LONG = """
import sys
from pathlib import Path
from voice_pipeline.recordings import preflight
from voice_pipeline.store import Store
from voice_pipeline_tests.memory import peak_kib
from voice_pipeline_tests.recordings.material import voice
record = preflight.run(Path(sys.argv[1]), voice("long.flac"), Store.open(sys.argv[2]))
print(record.duration_seconds, peak_kib())
"""


@pytest.mark.slow
def test_a_long_recording_is_streamed(project: Path, tmp_path: Path) -> None:
    """Twenty minutes at 48 kHz are 230 MB of float32; what is kept of it is 16 bytes for every 100 ms."""
    minute = np.random.default_rng(0).uniform(-0.2, 0.2, 60 * 48_000).astype(np.float32)
    with soundfile.SoundFile(project / "long.flac", "w", 48_000, 1, "PCM_16") as stream:
        for _ in range(20):
            stream.write(minute)
    command = [sys.executable, "-c", _LONG, str(project), str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    seconds, kilobytes = map(float, done.stdout.split())
    assert seconds == 1200
    assert kilobytes < 300_000


def test_what_was_decoded_is_made_again_when_it_is_gone_or_damaged(project: Path, store: Store) -> None:
    folder = project / "source"
    write(folder / "a.aiff", tone(2))
    record = preflight.run(project, voice(), store)
    (row,) = rows(store)
    assert row.decoded is not None
    decoded = read_from(store, folder, row)
    data = decoded.read_bytes()
    decoded.unlink()
    assert preflight.run(project, voice(), store) == record
    assert decoded.read_bytes() == data
    decoded.write_bytes(data[:-100])
    store.record("v", preflight.STAGE).unlink()
    assert preflight.run(project, voice(), store) == record
    assert decoded.read_bytes() == data


# -- consent ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "missing"}, "no consent"),
        ({"status": "revoked"}, "revoked"),
        ({"expires_on": "2026-05-31"}, "expired on 2026-05-31"),
        ({"granted_on": "2026-06-02"}, "not yet"),
        ({"commercial_use": False}, "commercial"),
        ({"purposes": []}, "names no purposes"),
        ({"territories": ["DE"]}, "distribution names worldwide"),
        ({"evidence_sha256": None}, "add the sha256"),
    ],
)
def test_the_production_lane_needs_consent(project: Path, store: Store, change: dict[str, Any], words: str) -> None:
    ljspeech(project / "source")
    caught = failure(project, store, consent=PERSON | change)
    assert caught.reason == "consent_missing"
    assert words in caught.detail
    experimental = voice(consent=PERSON | change, lane="experimental")
    if change.get("status") == "revoked":  # nothing is made of a voice that was taken back
        with pytest.raises(VoiceFailure, match="consent_missing"):
            preflight.run(project, experimental, store)
    else:
        assert preflight.run(project, experimental, store).clip_count == 6


def test_consent_holds_on_its_last_day(project: Path, store: Store) -> None:
    ljspeech(project / "source")
    person = voice(consent=PERSON | {"expires_on": "2026-06-01"})
    preflight.run(project, person, store, today=date(2026, 6, 1))


def test_consent_is_asked_for_on_every_run(project: Path, store: Store) -> None:
    ljspeech(project / "source")
    preflight.run(project, voice(consent=PERSON), store, today=date(2026, 6, 1))
    with pytest.raises(VoiceFailure, match="consent_missing"):
        preflight.run(project, voice(consent=PERSON | {"status": "revoked"}), store, today=date(2026, 6, 1))


@pytest.mark.parametrize("lane", ["production", "experimental"])
def test_a_revocation_in_the_store_stops_the_preparation(project: Path, store: Store, lane: str) -> None:
    ljspeech(project / "source")
    preflight.run(project, voice(consent=PERSON, lane=lane), store, today=date(2026, 6, 1))
    store.revocation("v").write_text("{}")
    with pytest.raises(VoiceFailure, match=r"consent_missing.*cannot be read, so it holds"):
        preflight.run(project, voice(consent=PERSON, lane=lane), store, today=date(2026, 6, 1))


def test_the_evidence_in_the_project_is_compared(project: Path, store: Store) -> None:
    ljspeech(project / "source")
    (project / "signed.txt").write_text("Another paper.")
    with pytest.raises(VoiceFailure, match=r"consent_missing.*signed\.txt, has sha256"):
        preflight.run(project, voice(consent=PERSON | {"evidence": "signed.txt"}), store, today=date(2026, 6, 1))


def test_the_sound_is_judged_before_the_consent(project: Path, store: Store) -> None:
    assert failure(project, store, consent=PERSON | {"status": "missing"}).reason == "missing_audio_path"


def test_a_damaged_record_is_made_again(project: Path, store: Store) -> None:
    ljspeech(project / "source")
    record = preflight.run(project, voice(), store)
    path = store.record("v", preflight.STAGE)
    for spoiled in ("", "{", "[]", '{"stage": "audio_preflight"}'):
        path.write_text(spoiled)
        assert preflight.run(project, voice(), store) == record
    assert read_json(path)["identity"] == record.identity


def test_ljspeech(store: Store, ljspeech_32: Path) -> None:
    record = preflight.run(ljspeech_32.parent, voice("ljspeech_32"), store)
    assert (record.clip_count, record.sample_rate) == (32, 22_050)
    assert record.duration_seconds == pytest.approx(221.75, abs=0.01)
    assert record.loudness_lufs is not None
    assert -24 < record.loudness_lufs < -16
    assert record.clipping_share == 0
