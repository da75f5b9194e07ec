"""How figures and pictures of a record are shown in the Dagster UI."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from voice_pipeline.recordings.decoding import open_audio
from voice_pipeline.recordings.pictures import Overview, spectrogram_png, waveform_png

_NOT_FIGURES = frozenset({"identity", "stage", "picture"})  # pictures are shown, not named


def figures(record: Mapping[str, Any]) -> dict[str, dg.MetadataValue]:
    """The scalars of a record as metadata, so that the UI can plot the numbers over time."""
    shown: dict[str, dg.MetadataValue] = {}
    for key, value in record.items():
        if key in _NOT_FIGURES:
            continue
        if isinstance(value, bool):
            shown[key] = dg.MetadataValue.bool(value)
        elif isinstance(value, int):
            shown[key] = dg.MetadataValue.int(value)
        elif isinstance(value, float):
            shown[key] = dg.MetadataValue.float(value)
        elif isinstance(value, str):
            shown[key] = dg.MetadataValue.text(value)
        elif isinstance(value, Mapping) and value:
            shown[key] = dg.MetadataValue.json(dict(value))
    return shown


def rows_of(values: Iterable[Any]) -> list[dict[str, Any]]:
    """Dataclasses as rows of a table."""
    return [{field.name: getattr(value, field.name) for field in dataclasses.fields(value)} for value in values]


def picture(title: str, png: bytes) -> dg.MetadataValue:
    """A PNG, inline: it is seen in the UI wherever the store is."""
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")


def picture_of(title: str, path: Path) -> dict[str, dg.MetadataValue]:
    """The picture of a file under ``title``; nothing where there is no file."""
    return {title: picture(title, path.read_bytes())} if path.is_file() else {}


def sound(title: str, path: Path) -> dict[str, dg.MetadataValue]:
    """Where a WAV lies, with the pictures of its waveform and its spectrogram."""
    with open_audio(path) as audio:
        overview = Overview(audio.seconds)
        for block in audio.blocks():
            overview.add(block, audio.sample_rate)
    return {
        title: dg.MetadataValue.path(path),
        f"{title} waveform": picture("waveform", waveform_png(overview)),
        f"{title} spectrogram": picture("spectrogram", spectrogram_png(overview)),
    }


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dg.MetadataValue:
    """Rows as a Markdown table."""
    head = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    body = ["| " + " | ".join(_cell(row.get(column)) for column in columns) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join([*head, *body]))


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
