from __future__ import annotations

import json
from pathlib import Path

from voice_pipeline.training.curves import loss_png

POINTS = [
    *({"stage": "fastpitch", "step": step, "loss": 9.0 / step, "mel_loss": 7.0 / step} for step in range(1, 9)),
    *({"stage": "hifigan", "step": step, "loss": 40.0 / step, "stft_loss": 3.0} for step in range(1, 9)),
]


def test_a_loss_curve_is_a_picture_of_its_points(tmp_path: Path) -> None:
    path = tmp_path / "loss.jsonl"
    path.write_text("".join(json.dumps(point) + "\n" for point in POINTS))
    png = loss_png(path)
    assert png is not None
    assert png.startswith(b"\x89PNG")
    assert png == loss_png(path)
    path.write_text("".join(json.dumps({**point, "loss": 1.5}) + "\n" for point in POINTS))
    assert png != loss_png(path)


def test_half_a_line_is_left_out(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    text = "".join(json.dumps(point) + "\n" for point in POINTS)
    whole.write_text(text)
    cut.write_text(text + '{"stage": "hifigan", "st\n[]\n7\n{}\n')
    assert loss_png(whole) == loss_png(cut)


def test_no_curve_is_no_picture(tmp_path: Path) -> None:
    assert loss_png(tmp_path / "missing.jsonl") is None
    (tmp_path / "empty.jsonl").write_text("\n")
    assert loss_png(tmp_path / "empty.jsonl") is None
