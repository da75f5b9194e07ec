from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx comes with the NeMo runtime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from voice_pipeline.bundle import onnx_graph  # noqa: E402

RANDOM = np.random.default_rng(0)


def graph(*nodes: Any, constants: dict[str, Any]) -> Any:
    """A model from x [B, 4, T] to y [B, C, T'], with the given nodes between them."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 4, "T"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", None, "S"])
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(list(nodes), "test", [x], [y], tensors, doc_string="a comment")
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def small_vocoder() -> Any:
    """What HiFi-GAN is made of: convolution, transposed convolution, a sum from zeros, a mean."""
    weight = {"w": RANDOM.normal(size=(6, 4, 3)), "up": RANDOM.normal(size=(6, 2, 8)), "b": RANDOM.normal(size=6)}
    constants = {name: value.astype(np.float32) for name, value in weight.items()}
    return graph(
        helper.make_node("Conv", ["x", "w", "b"], ["c"], kernel_shape=[3], pads=[2, 2], dilations=[2], strides=[1]),
        helper.make_node("LeakyRelu", ["c"], ["l"], alpha=0.1),
        helper.make_node(
            "ConvTranspose", ["l", "up"], ["u"], auto_pad="NOTSET", kernel_shape=[8], pads=[2, 2], strides=[4]
        ),
        helper.make_node("Shape", ["u"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("Add", ["zeros", "u"], ["first"]),
        helper.make_node("Add", ["first", "u"], ["sum"]),
        helper.make_node("Div", ["sum", "two"], ["mean"]),
        helper.make_node("Tanh", ["mean"], ["y"]),
        constants=constants | {"two": np.float32(2)},
    )


def run(model: Any, x: Any) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("length", [1, 2, 17, 300])
def test_a_widened_graph_computes_the_same(length: int) -> None:
    model = small_vocoder()
    wide = onnx_graph.widened(model)
    assert wide is not model
    x = RANDOM.normal(size=(2, 4, length)).astype(np.float32)
    expected = run(model, x)
    assert run(wide, x).shape == expected.shape == (2, 2, 4 * length)
    assert np.abs(run(wide, x) - expected).max() < 1e-5


def test_widening_turns_every_convolution_and_drops_the_zeros() -> None:
    wide = onnx_graph.widened(small_vocoder())
    kinds = [node.op_type for node in wide.graph.node]
    assert kinds == ["Unsqueeze", "Conv", "LeakyRelu", "ConvTranspose", "Add", "Div", "Tanh", "Squeeze"]
    shapes = {tensor.name: list(tensor.dims) for tensor in wide.graph.initializer}
    assert (shapes["w"], shapes["up"]) == ([6, 4, 1, 3], [6, 2, 1, 8])


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Softmax", ["c"], ["y"], axis=1),
        helper.make_node("Add", ["c", "per_channel"], ["y"]),
        helper.make_node("Conv", ["c", "w2"], ["y"], kernel_shape=[3], auto_pad="SAME_UPPER"),
    ],
    ids=["another operator", "a constant with axes", "automatic padding"],
)
def test_a_graph_of_another_kind_is_left_alone(node: Any) -> None:
    constants = {
        "w": RANDOM.normal(size=(6, 4, 1)).astype(np.float32),
        "w2": RANDOM.normal(size=(6, 6, 3)).astype(np.float32),
        "per_channel": RANDOM.normal(size=(6, 1)).astype(np.float32),
    }
    model = graph(helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[1], pads=[0, 0]), node, constants=constants)
    before = model.SerializeToString(deterministic=True)
    assert onnx_graph.widened(model) is model
    assert model.SerializeToString(deterministic=True) == before


def test_folding_and_plain_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = small_vocoder()
    onnx.save(model, str(path))
    onnx_graph.fold(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]
    folded = onnx.load(str(path))
    data = onnx_graph.plain_bytes(folded)
    plain = onnx.load_from_string(data)
    assert data == onnx_graph.plain_bytes(onnx.load_from_string(data))
    assert [opset.domain for opset in plain.opset_import] == [""] and plain.graph.doc_string == ""
    x = RANDOM.normal(size=(1, 4, 50)).astype(np.float32)
    assert np.abs(run(plain, x) - run(model, x)).max() < 1e-6
