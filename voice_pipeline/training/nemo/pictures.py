"""The picture of a learned alignment: frames against symbols. A diagonal is what one wants to see."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_pipeline.atomic import write_bytes


def write_alignment(path: Path, alignment: NDArray[np.float32]) -> None:
    """Write ``alignment`` [frames, symbols] as a PNG; the same alignment gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(7, 4), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(alignment.T, origin="lower", aspect="auto", interpolation="nearest", cmap="viridis")
    axes.set(xlabel="frame", ylabel="symbol", title="Alignment of a validation utterance")
    figure.colorbar(image, ax=axes, label="probability")
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())
