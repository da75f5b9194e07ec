"""The picture of a training's loss curve, read from its loss.jsonl."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

_SHOWN = ("loss", "mel_loss", "align_loss", "stft_loss")


def loss_png(path: Path) -> bytes | None:
    """One panel a stage, one line a loss, over steps, as a PNG; None where nothing was logged.

    Lines of ``path`` that are cut or are no objects with a stage and a step are left out.
    """
    curves = _read(path)
    if not curves:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(5 * len(curves), 3.2), dpi=90, layout="constrained")
    for axes, (stage, losses) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        for name, points in losses.items():
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1)
        axes.set(title=stage, xlabel="step", yscale="log")
        axes.legend(fontsize="small")
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _read(path: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    curves: dict[str, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            entry = json.loads(line)
            stage, step = str(entry["stage"]), int(entry["step"])
        except (ValueError, KeyError, TypeError):
            continue
        for name in _SHOWN:
            if isinstance(value := entry.get(name), float) and value > 0:  # the axis is logarithmic
                curves[stage][name].append((step, value))
    return curves
