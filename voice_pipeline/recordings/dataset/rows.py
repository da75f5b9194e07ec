"""One row of the dataset: an utterance, or something of the source that never became one, kept or rejected.

    row = Row(utterance_id="a", source="a.wav", duration=2.5, ...)
    row.entry(), row.rejection()       # as the manifest has it

Everything that is decided, shown or exported about an utterance is in its row; figures that were not measured are None.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

# Figures that a rejected row of the manifest carries; None where they were not measured.
FIGURES = (
    "duration",
    "cer",
    "snr_db",
    "speaker_similarity",
    "speech_rate",
    "speech_share",
    "clipping_share",
    "bandwidth_hz",
    "peak_dbfs",
    "loudness_lufs",
    "noise_floor_dbfs",
)


@dataclass(frozen=True, order=True)
class Reason:
    """One reason against an utterance: a stable snake_case word, and a clause with the figure and its limit."""

    code: str
    detail: str


@dataclass(frozen=True)
class Row:
    """One row. ``kept`` rows are trained on; the others say why not, in ``reasons``."""

    utterance_id: str
    source: str  # as the manifest shows it
    number: int = 0  # of the row, as the tables had it
    kind: str = "utterance"  # or file: one without any; or text: one without audio
    kept: bool = True
    split: str = ""  # of kept rows: train or validation
    reasons: tuple[Reason, ...] = ()
    overruled: tuple[Reason, ...] = ()  # reasons that a person overruled
    review: str = ""  # the person's why
    text_as_given: str | None = None  # where a person corrected the text
    source_sha256: str = ""
    start: float | None = None  # seconds in the source
    end: float | None = None
    origin: str = "none"
    text: str = ""
    normalized_text: str = ""
    hypothesis: str | None = None
    cer: float | None = None
    wav: str = ""  # the cleaned clip in the cache, store-relative
    target: str = ""  # the clip in the dataset, store-relative
    sha256: str = ""
    bytes: int = 0
    duration: float | None = None  # seconds of the cleaned clip
    sample_rate: int = 0  # Hz
    peak_dbfs: float | None = None
    loudness_lufs: float | None = None
    gain_db: float | None = None
    clipping_share: float | None = None
    noise_floor_dbfs: float | None = None
    snr_db: float | None = None
    bandwidth_hz: float | None = None
    speech_seconds: float | None = None
    speech_share: float | None = None  # of the cleaned clip's duration
    speech_rate: float | None = None  # characters of the normalised text a second of speech
    speaker_similarity: float | None = None
    fingerprint: str = ""
    audio_problem: str = ""
    audio_detail: str = ""
    text_problem: str = ""
    text_detail: str = ""
    content: str = ""  # sha256 of the source's bytes and the range in them: decides the split

    @property
    def reason(self) -> str:
        """The first reason; empty for a kept row."""
        return self.reasons[0].code if self.reasons else ""

    @property
    def detail(self) -> str:
        """All reasons' clauses."""
        return "; ".join(reason.detail for reason in self.reasons)

    def entry(self) -> dict[str, Any]:
        """A kept row as the manifest lists it."""
        return {
            "source": self.source,
            "target": self.target,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "utterance_id": self.utterance_id,
            "text": self.text,
            "normalized_text": self.normalized_text,
            "origin": self.origin,
            "split": self.split,
            "sample_rate": self.sample_rate,
            "source_sha256": self.source_sha256,
            "start": self.start,
            "end": self.end,
            "speech_seconds": self.speech_seconds,
            "gain_db": self.gain_db,
            **self.figures(),
            **self._reviewed(),
        }

    def rejection(self) -> dict[str, Any]:
        """A rejected row as the manifest lists it."""
        return {
            "kind": self.kind,
            "utterance_id": self.utterance_id,
            "source": self.source,
            "start": self.start,
            "end": self.end,
            "text": self.text,
            "reason": self.reason,
            "reasons": [reason.code for reason in self.reasons],
            "detail": self.detail,
            "figures": self.figures(),
            **self._reviewed(),
        }

    def figures(self) -> dict[str, float | None]:
        """What was measured, by name."""
        return {name: getattr(self, name) for name in FIGURES}

    def _reviewed(self) -> dict[str, Any]:
        if not self.review and self.text_as_given is None:
            return {}
        reviewed: dict[str, Any] = {}
        if self.review:
            reviewed["why"] = self.review
        if self.overruled:
            reviewed["overruled"] = [reason.code for reason in self.overruled]
        if self.text_as_given is not None:
            reviewed["text_as_given"] = self.text_as_given
        return {"review": reviewed}


# -- rows in a database ----------------------------------------------------------------------------

_TYPES = {"str": "TEXT", "int": "INTEGER", "bool": "INTEGER", "float": "REAL"}
_JSON = ("reasons", "overruled")
_FLAGS = ("kept",)


def _sql_type(name: str, annotation: str) -> str:
    return "TEXT" if name in _JSON else _TYPES[annotation.removesuffix(" | None")]


# Column name -> SQL type, in the order of the fields.
COLUMNS: Mapping[str, str] = MappingProxyType(
    {field.name: _sql_type(field.name, str(field.type)) for field in dataclasses.fields(Row)}
)
_NAMES = tuple(COLUMNS)
_PLACES = tuple((_NAMES.index(name), name) for name in (*_JSON, *_FLAGS))


def values_of(row: Row) -> tuple[Any, ...]:
    """The row's columns."""
    values = [getattr(row, name) for name in _NAMES]
    for place, name in _PLACES:
        values[place] = reasons_json(values[place]) if name in _JSON else int(values[place])
    return tuple(values)


def row_of(values: tuple[Any, ...]) -> Row:
    """The row of its columns: ``row_of(values_of(row)) == row``."""
    parts = list(values)
    for place, name in _PLACES:
        if name in _FLAGS:
            parts[place] = bool(parts[place])
        else:
            parts[place] = tuple(Reason(*one) for one in json.loads(parts[place])) if parts[place] != "[]" else ()
    return Row(*parts)


def reasons_json(reasons: tuple[Reason, ...]) -> str:
    """Reasons as one column holds them."""
    if not reasons:
        return "[]"
    return json.dumps([[one.code, one.detail] for one in reasons], ensure_ascii=False, separators=(",", ":"))
