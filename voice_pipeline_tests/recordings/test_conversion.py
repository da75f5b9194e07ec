from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recordings import conversion, preflight
from voice_pipeline.recordings.conversion import DecoderMissing, as_native
from voice_pipeline.recordings.decoding import DecodeError, Samples, open_audio
from voice_pipeline.store import Store, sha256_file
from voice_pipeline_tests.recordings.material import found, tone, voice, with_text_beside, write

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def samples_of(path: Path) -> tuple[Samples, int]:
    with open_audio(path) as audio:
        return np.concatenate(list(audio.blocks())), audio.sample_rate


def decoded(store: Store, path: Path) -> Path:
    made = as_native(store, path, sha256_file(path))
    assert made is not None
    return made


def ffmpeg(*arguments: str | Path) -> None:
    command = ["ffmpeg", "-nostdin", "-v", "error", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64", "FLAC"])
def test_wav_and_flac_are_read_as_they_are(tmp_path: Path, store: Store, container: str) -> None:
    path = tmp_path / "a.mp3"  # what a file is decides its content
    soundfile.write(path, tone(1), 22_050, format=container)
    assert as_native(store, path, sha256_file(path)) is None


@pytest.mark.parametrize(
    ("container", "subtype", "suffix"),
    [
        ("AIFF", "PCM_16", ".aiff"),
        ("AIFF", "FLOAT", ".aif"),
        ("CAF", "PCM_24", ".caf"),
        ("W64", "PCM_16", ".w64"),
        ("AU", "PCM_16", ".au"),
    ],
)
def test_what_is_not_lossy_stays_what_it_is(
    tmp_path: Path, store: Store, container: str, subtype: str, suffix: str
) -> None:
    samples = np.column_stack([tone(3), -tone(3)])
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, samples, 22_050, format=container, subtype=subtype)
    flac = decoded(store, path)
    got, rate = samples_of(flac)
    expected, _ = soundfile.read(path, dtype="float32")
    assert (rate, soundfile.info(flac).subtype) == (22_050, "PCM_24")
    assert np.abs(got - expected).max() < 2**-23
    again = flac.read_bytes()
    flac.unlink()
    assert decoded(store, path).read_bytes() == again


@pytest.mark.parametrize(
    ("container", "subtype", "rate"),
    [
        ("MP3", "MPEG_LAYER_III", 22_050),
        ("OGG", "VORBIS", 44_100),
        ("OGG", "OPUS", 48_000),
        ("MP3", "MPEG_LAYER_III", 8_000),
    ],
)
def test_lossy_formats_are_decoded(tmp_path: Path, store: Store, container: str, subtype: str, rate: int) -> None:
    samples = tone(3, rate=rate)
    path = tmp_path / "a.bin"
    soundfile.write(path, samples, rate, format=container, subtype=subtype)
    got, found_rate = samples_of(decoded(store, path))
    assert found_rate == rate
    assert len(got) >= len(samples)
    spectrum = np.abs(np.fft.rfft(got[: 2 * rate, 0]))
    assert spectrum.argmax() / 2 == pytest.approx(220, abs=1)


def test_many_channels_become_a_wav(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "a.aiff"
    soundfile.write(path, np.tile(tone(1)[:, np.newaxis], 12), 22_050)
    got, _ = samples_of(decoded(store, path))
    assert got.shape == (22_050, 12)
    assert decoded(store, path).suffix == ".wav"


@pytest.mark.parametrize("container", ["AIFF", "CAF", "W64", "AU"])
@pytest.mark.parametrize("share", [0.5, 0.999])
def test_a_file_that_ends_before_its_header_says_is_refused(
    tmp_path: Path, store: Store, container: str, share: float
) -> None:
    path = tmp_path / "a.bin"
    soundfile.write(path, tone(5), 22_050, format=container, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DecodeError, match="is cut off"):
        decoded(store, path)


@pytest.mark.parametrize(("rate", "channels"), [(4_000, 1), (22_050, 40)])
def test_unlikely_shapes_are_refused(tmp_path: Path, store: Store, rate: int, channels: int) -> None:
    path = tmp_path / "a.aiff"
    soundfile.write(path, np.zeros((1_000, channels), np.int16), rate)
    with pytest.raises(DecodeError, match="is an AIFF file that has"):
        decoded(store, path)
    assert not list(store.root.rglob("*.flac"))


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "codec"), [("a.m4a", "aac"), ("a.mka", "pcm_s16le"), ("a.mov", "alac"), ("a.wma", "wmav2")]
)
def test_ffmpeg_reads_what_libsndfile_does_not(tmp_path: Path, store: Store, name: str, codec: str) -> None:
    source = write(tmp_path / "source.wav", tone(3, rate=44_100), rate=44_100)
    ffmpeg("-i", source, "-c:a", codec, tmp_path / name)
    got, rate = samples_of(decoded(store, tmp_path / name))
    assert rate == 44_100
    assert len(got) / rate == pytest.approx(3, abs=0.1)
    spectrum = np.abs(np.fft.rfft(got[: 2 * rate, 0]))
    assert spectrum.argmax() / 2 == pytest.approx(220, abs=1)


@needs_ffmpeg
def test_the_sound_of_a_video(tmp_path: Path, store: Store) -> None:
    source = write(tmp_path / "source.wav", tone(2))
    video = ["-f", "lavfi", "-i", "color=black:s=64x64:d=2", "-i", source, "-c:v", "mpeg4", "-c:a", "aac"]
    ffmpeg(*video, tmp_path / "a film; $(touch x).mp4")
    got, _ = samples_of(decoded(store, tmp_path / "a film; $(touch x).mp4"))
    assert len(got) > 40_000


@needs_ffmpeg
def test_raw_g722_is_read_by_its_name(tmp_path: Path, store: Store) -> None:
    source = write(tmp_path / "source.wav", tone(2, rate=16_000), rate=16_000)
    ffmpeg("-i", source, "-f", "g722", tmp_path / "a.g722")
    got, rate = samples_of(decoded(store, tmp_path / "a.g722"))
    assert (rate, len(got)) == (16_000, 32_000)
    (tmp_path / "b.g722").write_text("This is a text. " * 100)
    with pytest.raises(DecodeError, match="is a text file"):
        decoded(store, tmp_path / "b.g722")


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.m4a", "-y.m4a", "file:a.m4a", "concat:a|b.m4a"])
def test_a_name_is_never_an_option_or_an_address(
    tmp_path: Path, store: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ffmpeg("-i", write(tmp_path / "source.wav", tone(1)), tmp_path / "made.m4a")
    (tmp_path / "made.m4a").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert decoded(store, Path(name)).exists()


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.mp4", "a.m4a", "a.mkv"])
def test_a_playlist_opens_no_other_file(tmp_path: Path, store: Store, name: str) -> None:
    secret = write(tmp_path / "secret.wav", tone(2))
    playlists = [
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{secret.name}'\n",
    ]
    for text in playlists:
        (tmp_path / name).write_text(text)
        with pytest.raises(DecodeError, match="is a text file, no audio"):
            decoded(store, tmp_path / name)
        (tmp_path / name).write_bytes(text.encode() + b"# caf\xe9 is no text here\n")
        with pytest.raises(DecodeError, match="cannot be decoded: Format not on whitelist"):
            decoded(store, tmp_path / name)


@needs_ffmpeg
def test_ffmpegs_failure_is_one_clause(tmp_path: Path, store: Store) -> None:
    ffmpeg("-i", write(tmp_path / "source.wav", tone(5)), tmp_path / "a.m4a")
    path = tmp_path / "a.m4a"
    path.write_bytes(path.read_bytes()[:9_000])
    with pytest.raises(DecodeError) as caught:
        decoded(store, path)
    assert str(caught.value) == "is an MP4 file that cannot be decoded: moov atom not found"
    assert not list(store.root.rglob("*.tmp*"))


@needs_ffmpeg
def test_a_film_without_sound(tmp_path: Path, store: Store) -> None:
    ffmpeg("-f", "lavfi", "-i", "color=black:s=64x64:d=1", "-c:v", "mpeg4", tmp_path / "a.mp4")
    with pytest.raises(DecodeError, match=r"is an MP4 file that cannot be decoded: .*matches no streams"):
        decoded(store, tmp_path / "a.mp4")


@needs_ffmpeg
def test_a_stream_that_was_cut_off_is_refused(tmp_path: Path, store: Store) -> None:
    ffmpeg("-i", write(tmp_path / "source.wav", tone(20)), "-movflags", "+faststart", tmp_path / "a.m4a")
    path = tmp_path / "a.m4a"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DecodeError, match="cannot be decoded"):
        decoded(store, path)


def test_without_ffmpeg_the_message_says_what_to_do(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = with_text_beside(project / "source")
    (folder / "phone.m4a").write_bytes(b"\x00\x00\x00\x20ftypM4A " + bytes(5_000))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    rows, _ = found(project, store)
    assert rows["phone.m4a"].problem == "audio_undecodable"
    assert rows["phone.m4a"].detail == "is an MP4 file; install ffmpeg to read it, or export it as WAV or FLAC"
    assert sum(row.problem is None for row in rows.values()) == 4


@needs_ffmpeg
def test_ffmpeg_that_is_installed_later_is_used(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ffmpeg("-i", write(tmp_path / "source.wav", tone(2)), tmp_path / "made.m4a")
    (project / "source").mkdir()
    shutil.copy(tmp_path / "made.m4a", project / "source" / "phone.m4a")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path / "nothing"))
        with pytest.raises(VoiceFailure, match="install ffmpeg"):
            preflight.run(project, voice(), store)
    assert preflight.run(project, voice(), store).clip_count == 1


def test_a_decoder_that_hangs_is_stopped(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(conversion, "_LEAST_SECONDS", 0.5)
    (tmp_path / "a.m4a").write_bytes(b"\x00\x00\x00\x20ftypM4A " + bytes(100))
    with pytest.raises(DecoderMissing, match="ffmpeg did not finish in 1 s"):
        decoded(store, tmp_path / "a.m4a")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["a.aiff", pytest.param("a.m4a", marks=needs_ffmpeg)])
def test_a_full_disk_is_called_so(tmp_path: Path, small_disk: Path, name: str) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 60 * 22_050)
    source = write(tmp_path / "source.wav", noise)
    if name.endswith(".m4a"):
        ffmpeg("-i", source, tmp_path / name)
    else:
        soundfile.write(tmp_path / name, noise, 22_050)
    with pytest.raises(VoiceFailure) as caught:
        decoded(Store.open(small_disk), tmp_path / name)
    assert caught.value.reason == "disk_full"
    assert not [path for path in small_disk.rglob("*") if path.is_file()]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["AIFF", "CAF", "W64", "OGG", "MP3", "AU"]), st.data())
def test_a_damaged_file_decodes_or_says_why(tmp_path: Path, store: Store, container: str, data: st.DataObject) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(0.2), 22_050, format=container)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(200, len(content) - 1)))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        made = as_native(store, path, sha256_file(path))
        samples_of(made or path)
    except DecodeError as error:
        assert str(tmp_path) not in str(error)
        assert "\n" not in str(error)


@pytest.mark.parametrize("seconds", [0.4, 31.0])
def test_a_flac_that_was_written_to_a_pipe_is_read_to_its_end(tmp_path: Path, store: Store, seconds: float) -> None:
    path = write(tmp_path / "a.flac", tone(seconds))
    true, _ = samples_of(path)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # STREAMINFO's number of samples, and its MD5: unknown
    data[22:42] = bytes(20)
    path.write_bytes(data)
    assert np.array_equal(samples_of(path)[0], true)
    made = decoded(store, path)
    assert np.array_equal(samples_of(made)[0], true)
    with soundfile.SoundFile(made) as file:
        assert file.frames == len(true), "later stages seek in it"
