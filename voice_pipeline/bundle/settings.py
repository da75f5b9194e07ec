"""``synthesizer.json``: what the synthesizer needs to know about its bundle.

Standard library only: the speaking path must start fast, so it carries no pydantic. The file is checked all the
same: each field's type and range, no unknown field, no path that leaves the bundle.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

SYNTHESIZER_NAME = "synthesizer.json"
SCHEMA = "voice_synthesizer/1"
_MAX_BYTES = 65_536

# field -> (least, most)
_RANGES: dict[str, tuple[float, float]] = {
    "sample_rate": (8_000, 192_000),
    "hop": (1, 8_192),
    "mels": (1, 1_024),
    "symbols": (1, 65_536),
    "max_sentence_chars": (20, 2_000),
    "max_text_chars": (1, 1_000_000),
    "clause_pause": (0.0, 10.0),
    "sentence_pause": (0.0, 10.0),
    "paragraph_pause": (0.0, 10.0),
    "ceiling": (0.01, 1.0),
}
_FILES = ("acoustic", "vocoder", "frontend")


@dataclass(frozen=True)
class SynthesizerSettings:
    """How a bundle speaks. Pauses are in seconds at pace 1.0 and come on top of what the voice itself leaves."""

    language: str
    sample_rate: int  # Hz
    hop: int  # samples per mel frame
    mels: int
    symbols: int  # size of the symbol table
    frontend_identity: str
    acoustic: str = "acoustic.onnx"
    vocoder: str = "vocoder.onnx"
    frontend: str = "text"
    max_sentence_chars: int = 200  # some twelve seconds: longer ones are rare in training
    max_text_chars: int = 20_000
    clause_pause: float = 0.15
    sentence_pause: float = 0.30
    paragraph_pause: float = 0.60
    ceiling: float = 0.891  # of full scale: -1 dBFS
    schema: str = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema is {self.schema!r}, this version reads {SCHEMA!r}")
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be within {least}..{most}, not {getattr(self, name)}")
        for name in _FILES:
            value = getattr(self, name)
            if not value or "/" in value or "\\" in value or "\0" in value or value in (".", ".."):
                raise ValueError(f"{name} must name something in the bundle itself, not {value!r}")

    @classmethod
    def read(cls, path: Path) -> SynthesizerSettings:
        """Read the file. Raises OSError, or ValueError that names the field."""
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError(f"{path.name} is larger than {_MAX_BYTES} bytes")
        try:
            value = json.loads(data)
        except RecursionError:
            raise ValueError(f"{path.name} is nested too deeply") from None
        return cls.from_json(value)

    @classmethod
    def from_json(cls, value: Any) -> SynthesizerSettings:
        """Check a JSON value. Raises ValueError that names the field.

        Law: ``from_json(s.to_json()) == s``.
        """
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, found {type(value).__name__}")
        kinds = {field.name: str(field.type) for field in fields(cls)}
        if unknown := sorted(set(value) - set(kinds)):
            raise ValueError(f"unknown field {unknown[0]!r}")
        if missing := sorted(set(kinds) - set(value)):
            raise ValueError(f"missing field {missing[0]!r}")
        accepted = {"str": (str,), "int": (int,), "float": (int, float)}
        for name, kind in kinds.items():
            if not isinstance(value[name], accepted[kind]) or isinstance(value[name], bool):
                raise ValueError(f"{name} must be {kind}, found {type(value[name]).__name__}")
        return cls(**value)

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the file: every field, also those at their defaults."""
        return asdict(self)
