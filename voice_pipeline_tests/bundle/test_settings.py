from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.bundle.settings import SynthesizerSettings

SETTINGS = SynthesizerSettings(
    language="en-US", sample_rate=22_050, hop=256, mels=80, symbols=115, frontend_identity="a" * 64
)


def changed(**changes: Any) -> dict[str, Any]:
    return SETTINGS.to_json() | changes


def test_settings_read_back_as_themselves(tmp_path: Path) -> None:
    path = tmp_path / "synthesizer.json"
    path.write_text(json.dumps(SETTINGS.to_json()))
    assert SynthesizerSettings.read(path) == SETTINGS == SynthesizerSettings.from_json(SETTINGS.to_json())


@given(st.integers(8_000, 192_000), st.integers(1, 8_192), st.floats(0, 10), st.floats(0.01, 1), st.integers(20, 2_000))
def test_every_setting_in_range_survives_json(rate: int, hop: int, pause: float, ceiling: float, chars: int) -> None:
    value = changed(sample_rate=rate, hop=hop, sentence_pause=pause, ceiling=ceiling, max_sentence_chars=chars)
    read = SynthesizerSettings.from_json(json.loads(json.dumps(value)))
    assert read.to_json() == value


@pytest.mark.parametrize("name", [field.name for field in fields(SynthesizerSettings)])
def test_every_field_must_be_there_with_its_type(name: str) -> None:
    missing = SETTINGS.to_json()
    del missing[name]
    for wrong in (missing, changed(**{name: None}), changed(**{name: True}), changed(**{name: [1]})):
        with pytest.raises(ValueError, match=name):
            SynthesizerSettings.from_json(wrong)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schema", "voice_synthesizer/2"),
        ("sample_rate", 0),
        ("sample_rate", 10**12),
        ("hop", -256),
        ("symbols", 0),
        ("max_text_chars", 10**9),
        ("sentence_pause", -0.1),
        ("sentence_pause", float("nan")),
        ("ceiling", 1.1),
        ("acoustic", "../acoustic.onnx"),
        ("vocoder", "/tmp/vocoder.onnx"),
        ("frontend", ".."),
        ("frontend", ""),
        ("surprise", 1),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        SynthesizerSettings.from_json(changed(**{name: value}))


@pytest.mark.parametrize("data", [b"", b"[]", b"[" * 60_000, b"{}" + b" " * 70_000, b"\xff\x00"])
def test_hostile_files_raise_a_value_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "synthesizer.json"
    path.write_bytes(data)
    with pytest.raises(ValueError):
        SynthesizerSettings.read(path)
