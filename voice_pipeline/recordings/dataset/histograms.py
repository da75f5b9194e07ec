"""How the figures of kept and rejected utterances are distributed, as inline SVG.

for picture in histograms(index, gates):
    picture.title, picture.svg
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voice_pipeline.recordings.dataset.index import RowIndex
from voice_pipeline.recordings.thresholds import DatasetGates

_BINS = 40
_WIDTH, _HEIGHT, _FOOT = 320, 90, 14  # of one picture, in its own units


@dataclass(frozen=True)
class Picture:
    """One histogram."""

    title: str
    svg: str  # safe: numbers only
    unmeasured: int


@dataclass(frozen=True)
class _Axis:
    figure: str
    title: str
    unit: str
    low: float
    high: float
    limits: Callable[[DatasetGates], tuple[float, ...]]


_AXES = (
    _Axis("duration", "Length", "s", 0, 20, lambda gates: (gates.min_seconds, gates.max_seconds)),
    _Axis("snr_db", "Speech above noise", "dB", 0, 80, lambda gates: (gates.min_snr_db,)),
    _Axis("speech_rate", "Characters a second of speech", "", 0, 40, lambda g: (g.min_speech_rate, g.max_speech_rate)),
    _Axis("cer", "Heard otherwise than written (CER)", "", 0, 1, lambda gates: (gates.max_cer,)),
    _Axis("speaker_similarity", "Like the voice's speaker", "", 0, 1, lambda gates: (gates.min_speaker_similarity,)),
    _Axis("loudness_lufs", "Loudness as recorded", "LUFS", -60, 0, lambda gates: ()),
    _Axis("bandwidth_hz", "Bandwidth", "Hz", 0, 12_000, lambda gates: (gates.min_bandwidth_hz,)),
    _Axis("speech_share", "Share of speech", "", 0, 1, lambda gates: (gates.min_speech_share,)),
)


def histograms(index: RowIndex, gates: DatasetGates) -> list[Picture]:
    """One picture for each figure that was measured at all."""
    counts = [([0] * _BINS, [0] * _BINS) for _ in _AXES]
    unmeasured = [0] * len(_AXES)
    figures = ", ".join(axis.figure for axis in _AXES)
    for kept, *values in index.query(f"SELECT kept, {figures} FROM row WHERE kind = 'utterance'"):
        for place, (axis, value) in enumerate(zip(_AXES, values, strict=True)):
            if value is None:
                unmeasured[place] += 1
            else:
                share = (value - axis.low) / (axis.high - axis.low)
                counts[place][0 if kept else 1][min(max(int(share * _BINS), 0), _BINS - 1)] += 1
    return [
        Picture(axis.title, _svg(axis, kept, rejected, axis.limits(gates)), missing)
        for axis, (kept, rejected), missing in zip(_AXES, counts, unmeasured, strict=True)
        if any(kept) or any(rejected)
    ]


def _svg(axis: _Axis, kept: list[int], rejected: list[int], limits: tuple[float, ...]) -> str:
    top = max(one + other for one, other in zip(kept, rejected, strict=True))
    step, parts = _WIDTH / _BINS, []
    for place, (good, bad) in enumerate(zip(kept, rejected, strict=True)):
        for count, base, kind in ((good, 0, "k"), (bad, good, "r")):
            if count:
                height, floor = _HEIGHT * count / top, _HEIGHT - _HEIGHT * base / top
                x, y = place * step, floor - height
                parts.append(
                    f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{step - 1:.1f}" height="{height:.1f}"/>'
                )
    for limit in limits:
        x = _WIDTH * (limit - axis.low) / (axis.high - axis.low)
        if 0 <= x <= _WIDTH:
            parts.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_HEIGHT}"/>')
    unit = f" {axis.unit}" if axis.unit else ""
    foot = _HEIGHT + _FOOT - 2
    parts.append(f'<text x="0" y="{foot}">{axis.low:g}{unit}</text>')
    parts.append(f'<text x="{_WIDTH}" y="{foot}" text-anchor="end">{axis.high:g}{unit} and more</text>')
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _FOOT}" role="img">{"".join(parts)}</svg>'
