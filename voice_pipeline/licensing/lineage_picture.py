"""A picture of a lineage: the voice at the left, what it was made from to the right of it.

    png = lineage_png(lineage)

Colours say the verdict; a dashed frame is shown only, and does not count for the voice.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from voice_pipeline.licensing.lineage import Lineage, Node

_COLUMN, _ROW = 3.1, 0.74  # inches from one box to the next
_BOX_WIDTH, _BOX_HEIGHT = 2.5, 0.58  # inches
_MARGIN, _LEGEND = 0.2, 0.45  # inches
_DPI = 110
_MAX_ROWS = 40  # boxes above each other; a lineage that is taller is cut, and says so
_NAME_CHARS, _LICENSE_CHARS, _ROLE_CHARS = 30, 38, 40
_FILL = {"allowed": "#e3f3e6", "unclear": "#fff1cc", "forbidden": "#fbdcdc"}
_FRAME = {"allowed": "#2e7d4f", "unclear": "#b07700", "forbidden": "#b3261e"}
_INK, _QUIET, _LINE = "#1c1f23", "#565d66", "#9aa3ad"


def lineage_png(lineage: Lineage) -> bytes:
    """The picture as a PNG. The same lineage gives the same bytes on the same machine."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    columns, hidden = _columns(lineage)
    rows = max(len(column) for column in columns)
    width = len(columns) * _COLUMN - (_COLUMN - _BOX_WIDTH) + 2 * _MARGIN
    height = rows * _ROW + _LEGEND + _MARGIN
    figure = Figure(figsize=(max(width, 6.5), height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0.0, max(width, 6.5))
    axes.set_ylim(0.0, height)
    axes.axis("off")
    places = {
        node_id: (
            _MARGIN + place * _COLUMN,
            _LEGEND + (rows - len(column)) * _ROW / 2 + (len(column) - 1 - row + 0.5) * _ROW,
        )
        for place, column in enumerate(columns)
        for row, node_id in enumerate(column)
    }
    _draw_edges(axes, lineage, places)
    for node_id, (left, middle) in places.items():
        _draw_node(axes, lineage, lineage.node(node_id), left, middle)
    _draw_legend(axes, hidden)
    figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])  # type: ignore[attr-defined]
    stream = io.BytesIO()
    image.quantize(colors=128, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _columns(lineage: Lineage) -> tuple[list[list[str]], int]:
    """Node ids by their distance from the voice, each beside what was made from it; and how many are left out."""
    columns: list[list[str]] = [[lineage.root.id]]
    seen = {lineage.root.id}
    hidden = 0
    while True:
        following: list[str] = []
        for child in columns[-1]:
            for edge in sorted(lineage.parents(child), key=lambda edge: _order(lineage.node(edge.parent))):
                if edge.parent not in seen:
                    seen.add(edge.parent)
                    following.append(edge.parent)
        if not following:
            return columns, hidden
        hidden += max(0, len(following) - _MAX_ROWS)
        columns.append(following[:_MAX_ROWS])


def _order(node: Node) -> tuple[int, str]:
    """Recordings, weights, data, code: and by name."""
    return ["voice", "recordings", "weights", "dataset", "package"].index(node.kind), node.name


def _draw_edges(axes: Any, lineage: Lineage, places: dict[str, tuple[float, float]]) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Curve

    for edge in lineage.edges:
        if edge.child not in places or edge.parent not in places:
            continue
        (left, low), (right, high) = places[edge.child], places[edge.parent]
        style = "-" if edge.binds != "none" else (0, (4, 3))
        start, end, bend = left + _BOX_WIDTH, right, (_COLUMN - _BOX_WIDTH) / 2
        points = [(start, low), (start + bend, low), (end - bend, high), (end, high)]
        if right <= left:  # in the same column or back, as in a circle: around the right ends of both boxes
            end += _BOX_WIDTH
            points = [(start, low - 0.08), (start + bend, low - 0.08), (end + bend, high), (end, high)]
        curve = Curve(points, [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4])
        axes.add_patch(PathPatch(curve, fill=False, edgecolor=_LINE, linewidth=1.1, linestyle=style))
        axes.plot([start + 0.05], [points[0][1]], marker="<", markersize=4, color=_LINE)


def _draw_node(axes: Any, lineage: Lineage, node: Node, left: float, middle: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch(
            (left, middle - _BOX_HEIGHT / 2),
            _BOX_WIDTH,
            _BOX_HEIGHT,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor=_FILL[node.verdict] if node.judged else "white",
            edgecolor=_FRAME[node.verdict],
            linewidth=1.8 if node.verdict != "allowed" and node.judged else 1.0,
            linestyle="-" if node.judged else (0, (4, 3)),
        )
    )
    roles = dict.fromkeys(edge.role for edge in lineage.edges if edge.parent == node.id)
    version = f" {node.version}" if node.version else ""
    licenses = " / ".join(dict.fromkeys(node.licenses)) or "no licence named"
    if node.kind == "voice":
        licenses = f"licence: {licenses}" if node.licenses else "its own licence is not set"
    lines = (
        (_cut(node.name, _NAME_CHARS - len(version)) + version, 0.17, 8.5, _INK, "bold"),
        (_cut(licenses, _LICENSE_CHARS), 0.0, 7.5, _FRAME[node.verdict], "normal"),
        (
            _cut((", ".join(roles) or "the voice") + (" · see its note" if node.note else ""), _ROLE_CHARS),
            -0.165,
            7.0,
            _QUIET,
            "normal",
        ),
    )
    for text, above, size, colour, weight in lines:
        axes.text(
            left + 0.1, middle + above, text, fontsize=size, color=colour, fontweight=weight, va="center",
            parse_math=False,
        )  # fmt: skip


def _draw_legend(axes: Any, hidden: int) -> None:
    from matplotlib.patches import Rectangle

    entries = (("allowed", "-"), ("unclear", "-"), ("forbidden", "-"), ("shown only", (0, (4, 3))))
    for place, (name, style) in enumerate(entries):
        left = _MARGIN + place * 1.15
        colour, frame = _FILL.get(name, "white"), _FRAME.get(name, _LINE)
        axes.add_patch(Rectangle((left, 0.15), 0.2, 0.14, facecolor=colour, edgecolor=frame, linestyle=style))
        axes.text(left + 0.27, 0.22, name, fontsize=7.5, color=_QUIET, va="center")
    if hidden:
        axes.text(_MARGIN + 4.7, 0.22, f"{hidden} more are not drawn", fontsize=7.5, color=_QUIET, va="center")


def _cut(text: str, length: int) -> str:
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown if len(shown) <= length else shown[: length - 1] + "…"
