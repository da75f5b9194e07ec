"""Two small ONNX models with the inputs and outputs of a bundle's: they speak a hum that depends on the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

MELS = 80
HOP = 256  # samples per frame
FRAMES = 8  # per symbol
AMPLITUDE = 0.3


def write_models(folder: Path) -> None:
    """Write ``acoustic.onnx`` and ``vocoder.onnx`` into ``folder``; the same bytes each time."""
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, value: Any) -> Any:
        return numpy_helper.from_array(np.asarray(value), name)

    def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> bytes:
        graph = helper.make_graph(nodes, "hum", inputs, outputs, constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        made.ir_version = 9
        return bytes(made.SerializeToString(deterministic=True))

    node, value = helper.make_node, helper.make_tensor_value_info
    acoustic = model(
        [
            node("Cast", ["text"], ["ids"], to=TensorProto.FLOAT),
            node("Add", ["ids", "pitch"], ["shifted"]),
            node("Mul", ["shifted", "pace"], ["scaled"]),
            node("Unsqueeze", ["scaled", "axes"], ["wide"]),  # [1, 1, N, 1]
            node("Expand", ["wide", "frames"], ["long"]),  # [1, 80, N, 8]
            node("Reshape", ["long", "shape"], ["spect"]),
        ],
        [
            value("text", TensorProto.INT64, [1, "N"]),
            value("pitch", TensorProto.FLOAT, [1, "N"]),
            value("pace", TensorProto.FLOAT, [1, "N"]),
        ],
        [value("spect", TensorProto.FLOAT, [1, MELS, "T"])],
        [
            constant("axes", np.array([1, 3], np.int64)),
            constant("frames", np.array([1, MELS, 1, FRAMES], np.int64)),
            constant("shape", np.array([1, MELS, -1], np.int64)),
        ],
    )
    hum = AMPLITUDE * np.sin(2 * np.pi * np.arange(HOP) / 64).astype(np.float32).reshape(1, 1, 1, HOP)
    vocoder = model(
        [
            node("ReduceMean", ["spec"], ["mean"], axes=[1], keepdims=1),  # [1, 1, T]
            node("Sin", ["mean"], ["level"]),
            node("Add", ["level", "two"], ["raised"]),
            node("Div", ["raised", "three"], ["gain"]),
            node("Unsqueeze", ["gain", "axes"], ["wide"]),
            node("Mul", ["wide", "hum"], ["samples"]),
            node("Reshape", ["samples", "shape"], ["audio"]),
        ],
        [value("spec", TensorProto.FLOAT, [1, MELS, "T"])],
        [value("audio", TensorProto.FLOAT, [1, 1, "S"])],
        [
            constant("two", np.float32(2)),
            constant("three", np.float32(3)),
            constant("axes", np.array([3], np.int64)),
            constant("hum", hum),
            constant("shape", np.array([1, 1, -1], np.int64)),
        ],
    )
    (folder / "acoustic.onnx").write_bytes(acoustic)
    (folder / "vocoder.onnx").write_bytes(vocoder)
