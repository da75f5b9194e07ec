from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voice_pipeline.recordings.decoding import DecodeError, open_audio
from voice_pipeline_tests.recordings.material import tone, write


def frames(path: Path) -> int:
    with open_audio(path) as audio:
        return sum(len(block) for block in audio.blocks())


@pytest.mark.parametrize(
    ("name", "container", "subtype"),
    [
        ("a.wav", "WAV", "PCM_16"),
        ("a.wav", "WAV", "PCM_24"),
        ("a.wav", "WAV", "FLOAT"),
        ("a.wav", "WAV", "ULAW"),
        ("a.wav", "WAVEX", "PCM_16"),
        ("a.wav", "RF64", "PCM_16"),
        ("a.flac", "FLAC", "PCM_16"),
        ("a.flac", "FLAC", "PCM_24"),
        ("flac by content.wav", "FLAC", "PCM_16"),
    ],
)
def test_a_whole_file_is_read_and_a_cut_one_is_not(tmp_path: Path, name: str, container: str, subtype: str) -> None:
    path = tmp_path / name
    soundfile.write(path, tone(25), 22_050, format=container, subtype=subtype)
    assert frames(path) == 25 * 22_050
    data = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(DecodeError):
            frames(path)


def test_samples_are_as_they_were_written(tmp_path: Path) -> None:
    samples = np.column_stack([tone(11), -tone(11)])
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    with open_audio(path) as audio:
        assert (audio.sample_rate, audio.channels, audio.seconds) == (22_050, 2, 11.0)
        blocks = list(audio.blocks(seconds=2))
    assert [len(block) for block in blocks] == [44_100] * 5 + [22_050]
    assert np.array_equal(np.concatenate(blocks), samples)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    samples = tone(15)
    samples[-5] = value
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    with pytest.raises(DecodeError, match="no numbers"):
        frames(path)


def test_a_header_without_audio(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="no audio"):
        frames(write(tmp_path / "a.wav", np.zeros(0, np.int16)))


@pytest.mark.parametrize(("rate", "channels"), [(1, 1), (7_999, 1), (400_000, 1), (22_050, 33), (22_050, 200)])
def test_unlikely_headers_are_refused(tmp_path: Path, rate: int, channels: int) -> None:
    path = write(tmp_path / "a.wav", np.zeros((100, channels), np.int16), rate)
    with pytest.raises(DecodeError, match="sample rate" if channels == 1 else "channels"):
        frames(path)


def test_a_size_that_a_pipe_could_not_know_is_no_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(1))
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", 0xFFFF_FFFF)
    path.write_bytes(data)
    assert frames(path) == 22_050


def test_a_riff_of_endless_chunks_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF\xff\xff\xff\x7fWAVE" + b"junk\0\0\0\0" * 20_000)
    with pytest.raises(DecodeError, match="chunks"):
        frames(path)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["WAV", "FLAC", "RF64"]), st.data())
def test_a_damaged_file_decodes_or_says_why(tmp_path: Path, container: str, data: st.DataObject) -> None:
    stream = io.BytesIO()
    soundfile.write(stream, tone(0.2), 22_050, format=container)
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(200, len(content) - 1)))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.wav"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert frames(path) > 0
    except DecodeError as error:
        assert str(tmp_path) not in str(error)
