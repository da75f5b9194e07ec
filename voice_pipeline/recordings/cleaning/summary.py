"""What a person judges the cleaned utterances by: percentiles and histograms of their figures."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from voice_pipeline.recordings.tables import CleanUtterance

_SHOWN = (
    ("duration", "seconds"),
    ("snr_db", "speech above noise, dB"),
    ("loudness_lufs", "loudness, LUFS"),
    ("speaker_similarity", "similarity to the speaker"),
)
_OTHERS = ("bandwidth_hz", "clipping_share", "gain_db", "noise_floor_dbfs", "peak_dbfs", "speech_seconds")
FIGURES = tuple(sorted([*(name for name, _ in _SHOWN), *_OTHERS]))
_BARS = 40
_DPI = 80


class Spread(BaseModel):
    """Percentiles of one figure over the usable utterances."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    p1: float
    p5: float
    median: float
    p95: float
    p99: float


class Summary:
    """Collects one utterance after the other; memory is 40 bytes each."""

    def __init__(self) -> None:
        self.count = self.usable = self.held_back = 0
        self.seconds = 0.0
        self.problems = Counter[str]()
        self.first_problem = ""
        self._values = {name: array("f") for name in FIGURES}

    def add(self, row: CleanUtterance, *, wanted_gain_db: float | None) -> None:
        """``wanted_gain_db`` is the gain to the wanted loudness, of which the true peak may have allowed less."""
        self.count += 1
        if row.problem:
            self.problems[row.problem] += 1
            self.first_problem = self.first_problem or f"{row.utterance_id}: {row.detail}"
            return
        self.usable += 1
        self.seconds += row.duration
        if wanted_gain_db is not None and row.gain_db is not None and row.gain_db < wanted_gain_db - 0.05:
            self.held_back += 1
        for name, values in self._values.items():
            value = getattr(row, name)
            if value is not None:
                values.append(value)

    def spreads(self) -> dict[str, Spread]:
        """By figure; those that no utterance has are left out."""
        return {name: _spread(self.values(name)) for name in FIGURES if self._values[name]}

    def values(self, name: str) -> NDArray[np.float32]:
        """All values of one figure."""
        return np.frombuffer(self._values[name], np.float32) if self._values[name] else np.zeros(0, np.float32)

    def png(self) -> bytes:
        """Histograms of duration, ratio, loudness and similarity; the same figures give the same bytes."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.0, 4.6), dpi=_DPI)
        FigureCanvasAgg(figure)
        for position, (name, label) in enumerate(_SHOWN, start=1):
            axes = figure.add_subplot(2, 2, position)
            values = self.values(name)
            if len(values):
                axes.hist(values, bins=_BARS, color="#1f5f8b")
            else:
                axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes)
            axes.set_xlabel(label)
            axes.set_ylabel("utterances")
        figure.tight_layout()
        return _png(figure)


def _spread(values: NDArray[np.float32]) -> Spread:
    found = [round(float(value), 4) for value in np.percentile(values.astype(np.float64), [1, 5, 50, 95, 99])]
    return Spread(p1=found[0], p5=found[1], median=found[2], p95=found[3], p99=found[4])


def _png(figure: Any) -> bytes:
    """A palette PNG without the library's name and version in it."""
    import io

    from PIL import Image

    figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    stream = io.BytesIO()
    image.quantize(colors=64, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()
