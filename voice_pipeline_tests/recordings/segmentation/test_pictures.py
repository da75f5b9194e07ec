from __future__ import annotations

import io

import numpy as np
from PIL import Image

from voice_pipeline.recordings.segmentation.activity import SILENCE_DB
from voice_pipeline.recordings.segmentation.pictures import Excerpt, segments_png


def excerpt(seconds: float = 60.0) -> Excerpt:
    levels = np.where(np.arange(round(seconds * 100)) % 500 < 400, -20.0, -70.0).astype(np.float32)
    speech = tuple((float(start), start + 4.0) for start in range(0, round(seconds), 5))
    return Excerpt("a.flac", seconds, levels, speech, speech)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_the_same_segments_are_the_same_small_picture() -> None:
    lengths = np.array([2.0, 3.5, 14.0, 40.0], np.float32)
    first = segments_png(excerpt(), lengths)
    assert first == segments_png(excerpt(), lengths)
    assert len(first) < 30_000
    assert b"Software" not in first


def test_speech_is_green_and_cuts_are_red() -> None:
    shown = pixels(segments_png(excerpt(), np.array([4.0], np.float32)))
    red, green, blue = shown[..., 0], shown[..., 1], shown[..., 2]
    assert ((green > red + 10) & (green > blue + 10)).sum() > 1_000
    assert ((red > green + 60) & (red > blue + 60)).sum() > 500
    silent = Excerpt("a", 60.0, np.full(6000, SILENCE_DB, np.float32), (), ())
    shown = pixels(segments_png(silent, np.zeros(0, np.float32)))
    red, green, blue = shown[..., 0], shown[..., 1], shown[..., 2]
    assert not ((green > red + 10) & (green > blue + 10)).any()
    assert not ((red > green + 60) & (red > blue + 60)).any()


def test_a_tenth_of_a_second_can_be_drawn() -> None:
    assert segments_png(excerpt(0.1), np.array([0.1], np.float32)).startswith(b"\x89PNG")
