"""Measurements of long files: in parts, by several processes, and never of other bytes than the source's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voice_pipeline.failures import VoiceFailure
from voice_pipeline.recognition.voice_activity import VoiceActivity
from voice_pipeline.recordings import workers
from voice_pipeline.recordings.segmentation import activity, measuring
from voice_pipeline.recordings.segmentation.measuring import MeasuredActivity, Piece
from voice_pipeline.recordings.tables import AudioFile
from voice_pipeline.store import Store, sha256_file
from voice_pipeline_tests.recordings.segmentation.speech_material import not_speech

pytestmark = pytest.mark.recordings


@pytest.fixture
def piece(tmp_path: Path) -> Piece:
    """Five minutes and ten seconds: two parts."""
    path = tmp_path / "long.flac"
    samples = np.tile(not_speech("music", 10.0, 8_000), 31)
    soundfile.write(path, samples, 8_000)
    file = AudioFile(path.name, sha256_file(path), path.stat().st_size, len(samples) / 8_000, 8_000, 1)
    return Piece("v", file, path, "long.flac")


def opened(store: Store, piece: Piece, detector: VoiceActivity) -> MeasuredActivity:
    return MeasuredActivity.open(store, lambda: [piece], detector, channel="mix")


def test_what_comes_out_does_not_depend_on_the_processes(
    piece: Piece, store: Store, detector: VoiceActivity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "processes", lambda: 2)
    with opened(store, piece, detector) as one:
        assert one.measure_missing() == pytest.approx(310.0)
        in_two = one.of(piece)
        assert one.measure_missing() == 0.0
    monkeypatch.setattr(workers, "processes", lambda: 1)
    with opened(Store.open(tmp_path / "other"), piece, detector) as other:
        other.measure_missing()
        in_one = other.of(piece)
    with opened(Store.open(tmp_path / "third"), piece, detector) as third:
        unasked = third.of(piece)
    assert in_one.to_bytes() == in_two.to_bytes() == unasked.to_bytes()
    assert in_one.samples == 310 * 16_000


def test_a_part_that_is_missing_is_the_only_one_measured(
    piece: Piece, store: Store, detector: VoiceActivity, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    real = activity.measure

    def counted(path: Path, *, part: int, **more: object) -> activity.Activity:
        measured.append(part)
        return real(path, part=part, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(activity, "measure", counted)
    monkeypatch.setattr(workers, "processes", lambda: 1)
    with opened(store, piece, detector) as one:
        one._part(piece, 1)
        assert one.measure_missing() == pytest.approx(300.0)
    assert measured == [1, 0]


def test_nothing_is_kept_of_other_bytes(
    piece: Piece, store: Store, detector: VoiceActivity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is another than preflight saw, of the same length."""
    monkeypatch.setattr(workers, "processes", lambda: 1)
    content = bytearray(piece.path.read_bytes())
    content[len(content) // 2] ^= 1
    piece.path.write_bytes(content)
    with pytest.raises(VoiceFailure) as failure, opened(store, piece, detector) as one:
        one.measure_missing()
    assert (failure.value.reason, failure.value.file) == ("source_changed", "long.flac")
    with opened(store, piece, detector) as one:
        assert [one._cache.get(one._key(piece, part)) for part in (0, 1)] == [None, None]


def test_nothing_is_kept_of_a_file_that_is_written_to(
    piece: Piece, store: Store, detector: VoiceActivity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second part is read after somebody touched the file: the first is right, the second might not be."""
    real = activity.measure

    def touched(path: Path, *, part: int, **more: object) -> activity.Activity:
        if part == 1:
            os.utime(path, ns=(1, 1))
        return real(path, part=part, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(activity, "measure", touched)
    monkeypatch.setattr(workers, "processes", lambda: 1)
    with pytest.raises(VoiceFailure, match="written to") as failure, opened(store, piece, detector) as one:
        one.measure_missing()
    assert failure.value.reason == "source_changed"
    with opened(store, piece, detector) as one:
        assert [one._cache.get(one._key(piece, part)) is None for part in (0, 1)] == [False, True]


def test_a_file_that_is_gone(piece: Piece, store: Store, detector: VoiceActivity) -> None:
    piece.path.unlink()
    with pytest.raises(VoiceFailure) as failure, opened(store, piece, detector) as one:
        one.measure_missing()
    assert failure.value.reason == "source_changed"


def test_the_key_is_of_all_that_decides(piece: Piece, store: Store, detector: VoiceActivity) -> None:
    with opened(store, piece, detector) as mixed:
        keys = {mixed._key(piece, part) for part in range(2)}
    with MeasuredActivity.open(store, lambda: [piece], detector, channel=0) as first:
        keys.add(first._key(piece, 0))
    assert len(keys) == 3
    assert measuring.KIND == "voice_activity"
