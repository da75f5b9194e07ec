from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings import preflight
from voice_pipeline.recordings.source import LFS_SIGNATURE
from voice_pipeline.store import Store, read_json, sha256_file
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


def test_pointers_among_clips_are_named(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 8)
    for number in (2, 5):
        (folder / "wavs" / f"c{number:02d}.wav").write_bytes(LFS_SIGNATURE + b"\n")
    (folder / "wavs" / "c00.wav").write_bytes(b"broken too, but that is looked at later")
    caught = failure(project, store)
    assert (caught.reason, caught.file) == ("lfs_pointer", "source/wavs/c02.wav")
    assert "source/wavs/c05.wav" in caught.detail


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


def _cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def _header_only(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:44])


def _text(path: Path) -> None:
    path.write_text("Dear listener, this is no sound at all. " * 100)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _mp3(path: Path) -> None:
    path.write_bytes(b"ID3\x04" + bytes(5_000))


def _noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 20)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_cut, "cut off"),
        (_header_only, "cut off"),
        (_text, "is a text file"),
        (_empty, "is empty"),
        (_folder, "is a folder"),
        (_pipe, "not a regular file"),
        (_mp3, "an MP3 file"),
        (_noise, "not WAV or FLAC"),
    ],
)
def test_a_spoiled_clip_is_named(project: Path, store: Store, spoil: Callable[[Path], None], words: str) -> None:
    folder = ljspeech(project / "source")
    spoil(folder / "wavs" / "c03.wav")
    caught = failure(project, store)
    assert (caught.reason, caught.file) == ("audio_undecodable", "source/wavs/c03.wav")
    assert words in caught.detail


def test_all_spoiled_clips_are_named_at_once(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 12)
    for number in range(8):
        _text(folder / "wavs" / f"c{number:02d}.wav")
    caught = failure(project, store)
    assert caught.file == "source/wavs/c00.wav"
    assert "source/wavs/c04.wav and 3 more" in caught.detail


@pytest.mark.parametrize("name", ["a.mp3", "a.m4a", "a.ogg"])
def test_audio_of_other_formats_is_not_ignored(project: Path, store: Store, name: str) -> None:
    folder = ljspeech(project / "source")
    (folder / name).write_bytes(b"\x01\x02" * 600)
    caught = failure(project, store)
    assert (caught.reason, caught.file) == ("audio_undecodable", f"source/{name}")


def test_a_link_out_of_the_folder_is_refused(project: Path, store: Store, tmp_path: Path) -> None:
    folder = ljspeech(project / "source")
    outside = write(tmp_path / "outside.wav", tone(1))
    (folder / "wavs" / "x.wav").symlink_to(outside)
    caught = failure(project, store)
    assert (caught.reason, caught.file) == ("missing_audio_path", "source/wavs/x.wav")
    assert "leaves the source folder" in caught.detail


@pytest.mark.parametrize("target", ["nothing.wav", "x.wav"])
def test_a_link_to_nothing_is_refused(project: Path, store: Store, target: str) -> None:
    folder = ljspeech(project / "source")
    (folder / "wavs" / "x.wav").symlink_to(target)
    caught = failure(project, store)
    assert (caught.reason, caught.file) == ("missing_audio_path", "source/wavs/x.wav")


def test_a_linked_folder_is_refused(project: Path, store: Store, tmp_path: Path) -> None:
    ljspeech(tmp_path / "elsewhere")
    (ljspeech(project / "source") / "more").symlink_to(tmp_path / "elsewhere")
    assert failure(project, store).file == "source/more"


def test_a_link_inside_the_folder_is_followed(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source", 3)
    (folder / "wavs" / "x.wav").symlink_to("c00.wav")
    assert preflight.run(project, voice(), store).clip_count == 4


def test_the_source_itself_may_be_a_link(project: Path, store: Store, tmp_path: Path) -> None:
    write(tmp_path / "disk" / "a.flac", tone(2))
    (project / "a.flac").symlink_to(tmp_path / "disk" / "a.flac")
    assert preflight.run(project, voice("a.flac"), store).duration_seconds == pytest.approx(2)


def test_the_kind_must_be_what_the_config_says(project: Path, store: Store) -> None:
    ljspeech(project / "source")
    assert failure(project, store, source={"kind": "recording"}).reason == "audio_undecodable"
    caught = failure(project, store, path="source/wavs/c00.wav", source={"kind": "clips"})
    assert caught.reason == "audio_undecodable"
    assert "kind: clips" in caught.detail


def test_a_name_that_is_not_utf8(project: Path, store: Store) -> None:
    folder = ljspeech(project / "source")
    (folder / "wavs" / "c00.wav").rename(folder / "wavs" / os.fsdecode(b"caf\xe9.wav"))
    caught = failure(project, store)
    assert caught.reason == "audio_undecodable"
    str(caught).encode()


# -- consent ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "missing"}, "no consent"),
        ({"status": "revoked"}, "revoked"),
        ({"expires_on": "2026-05-31"}, "expired on 2026-05-31"),
        ({"granted_on": "2026-06-02"}, "not yet"),
        ({"commercial_use": False}, "commercial"),
    ],
)
def test_the_production_lane_needs_consent(project: Path, store: Store, change: dict[str, Any], words: str) -> None:
    ljspeech(project / "source")
    caught = failure(project, store, consent=PERSON | change)
    assert caught.reason == "consent_missing"
    assert words in caught.detail
    experimental = voice(consent=PERSON | change, lane="experimental")
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
