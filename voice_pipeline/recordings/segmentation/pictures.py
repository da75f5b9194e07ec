"""A minute of a recording with its speech and cuts, and how long the segments are, as a small PNG for the UI.

The same segments give the same bytes. It is drawn from the measured levels: no audio is read for it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.recordings.segmentation.activity import LEVEL_SECONDS, Activity
from voice_pipeline.recordings.segmentation.cuts import Cut
from voice_pipeline.recordings.segmentation.speech import Interval

_INCHES = (10.0, 2.8)
_DPI = 80
_COLUMNS = 600  # of the waveform
_LONGEST_BIN = 20.0  # seconds; longer segments are counted in the last bin
_WAVE, _SPEECH, _CUT = "#1f5f8b", "#cfe8cf", "#b3372f"


@dataclass(frozen=True)
class Excerpt:
    """The beginning of one file: what is drawn above."""

    name: str
    seconds: float
    levels: NDArray[np.float32]  # dBFS, one for 10 ms
    speech: tuple[Interval, ...]
    segments: tuple[Interval, ...]

    @classmethod
    def of(cls, name: str, activity: Activity, cuts: Sequence[Cut], seconds: float) -> Excerpt:
        """The first ``seconds`` of a file."""
        near = [cut for cut in cuts if cut.start < seconds]
        speech = tuple(one for cut in near for one in cut.speech if one[0] < seconds)
        levels = activity.levels[: max(1, round(seconds / LEVEL_SECONDS))]
        return cls(name, seconds, levels, speech, tuple((cut.start, cut.end) for cut in near))


def segments_png(excerpt: Excerpt, lengths: NDArray[np.float32]) -> bytes:
    """The picture as a PNG; ``lengths`` are the seconds of all segments, float32 [N]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, dpi=_DPI)
    FigureCanvasAgg(figure)
    _draw_excerpt(figure.add_axes((0.06, 0.2, 0.58, 0.68)), excerpt)
    _draw_lengths(figure.add_axes((0.72, 0.2, 0.26, 0.68)), lengths)
    return _png(figure)


def _draw_excerpt(axes: Any, excerpt: Excerpt) -> None:
    amplitude = 10 ** (excerpt.levels / 20)
    columns = np.array_split(amplitude, min(_COLUMNS, len(amplitude)))
    envelope = np.array([column.max() for column in columns])
    envelope = envelope / max(float(envelope.max()), 1e-6)
    times = np.linspace(0.0, excerpt.seconds, len(envelope))
    for start, end in excerpt.speech:
        axes.axvspan(start, min(end, excerpt.seconds), color=_SPEECH, linewidth=0)
    axes.fill_between(times, -envelope, envelope, color=_WAVE, linewidth=0.3)
    for start, end in excerpt.segments:
        axes.axvline(start, color=_CUT, linewidth=0.9)
        if end <= excerpt.seconds:
            axes.axvline(end, color=_CUT, linewidth=0.9, linestyle=":")
    axes.set_xlim(0.0, excerpt.seconds)
    axes.set_ylim(-1.05, 1.05)
    axes.set_yticks([])
    axes.set_xlabel("seconds: speech (green), utterances (red, from line to dots)", fontsize=8)
    axes.tick_params(labelsize=8)


def _draw_lengths(axes: Any, lengths: NDArray[np.float32]) -> None:
    axes.hist(np.minimum(lengths, _LONGEST_BIN - 0.01), bins=np.arange(0.0, _LONGEST_BIN + 1), color=_WAVE)
    axes.set_xlim(0.0, _LONGEST_BIN)
    axes.set_xlabel("seconds of an utterance", fontsize=8)
    axes.set_ylabel("utterances", fontsize=8)
    axes.tick_params(labelsize=8)


def _png(figure: Any) -> bytes:
    """A palette PNG without the library's name and version in it."""
    from PIL import Image

    figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    stream = io.BytesIO()
    image.quantize(colors=64, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()
