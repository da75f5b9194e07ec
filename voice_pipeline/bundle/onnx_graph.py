"""What is done to an exported ONNX graph so that it loads fast, runs fast, and has the same bytes every time.

    fold(path)                       # what onnxruntime would fold at every start
    graph = widened(onnx.load(path)) # one-dimensional convolutions for the blocked two-dimensional kernels
    path.write_bytes(plain_bytes(graph))

None of it changes what the graph computes: the export compares the result with torch afterwards. Imported by the
export program only; onnx and onnxruntime are imported inside functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_ELEMENTWISE = frozenset({"LeakyRelu", "Tanh", "Add", "Mul", "Div"})
_PER_AXIS = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0}  # what the new axis gets


def fold(path: Path) -> None:
    """Constant folding and removal of what does nothing: half of FastPitch's nodes, and of the time to load it.

    The level "basic" keeps to standard ONNX operators, whatever runtime reads them.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    folded = path.with_name(f"{path.stem}.folded{path.suffix}")
    options.optimized_model_filepath = str(folded)
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    folded.replace(path)


def plain_bytes(model: Any) -> bytes:
    """The serialised model without comments, without unused operator sets, its map entries in one order."""
    import onnx

    model.doc_string = model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    domains = {node.domain for node in model.graph.node}  # onnxruntime declares all that it knows
    declared = [opset for opset in model.opset_import if opset.domain in domains]
    del model.opset_import[:]
    model.opset_import.extend(declared)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def widened(model: Any) -> Any:
    """The same vocoder over [B, C, 1, T] instead of [B, C, T] inside: its inputs and outputs stay as they are.

    onnxruntime has blocked kernels (NCHWc) for two-dimensional convolutions only; a one-dimensional one of height 1
    is the same sum. Measured on one core: 1.3 times faster for a small HiFi-GAN, 1.4 times for NeMo's own size.
    A graph with anything but convolutions and elementwise operators comes back unchanged.
    """
    import onnx

    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    graph = wide.graph
    _drop_added_zeros(graph)
    if not _is_plain_convolutional(graph):
        return model
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in _CONVOLUTIONS:
            _widen(node, weights[node.input[1]])
    _wrap(graph)
    del graph.value_info[:]  # shapes of before
    onnx.checker.check_model(wide, full_check=True)
    return wide


def _drop_added_zeros(graph: Any) -> None:
    """HiFi-GAN sums its residual blocks from a tensor of zeros, whose shape is computed: x + 0 becomes x."""
    zeros = {node.output[0] for node in graph.node if node.op_type == "ConstantOfShape" and _fills_with_zero(node)}
    renamed: dict[str, str] = {}
    kept = []
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = renamed.get(name, name)
        if node.op_type == "Add" and (added := zeros.intersection(node.input)):
            renamed[node.output[0]] = next((name for name in node.input if name not in added), node.input[0])
        else:
            kept.append(node)
    for output in graph.output:
        if output.name in renamed:  # the sum itself is the output: leave the graph to be refused
            return
    wanted = {output.name for output in graph.output}
    live = []
    for node in reversed(kept):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            live.append(node)
    live.reverse()
    initializers = [tensor for tensor in graph.initializer if tensor.name in wanted]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(live)
    graph.initializer.extend(initializers)


def _fills_with_zero(node: Any) -> bool:
    from onnx import numpy_helper

    values = [attribute.t for attribute in node.attribute if attribute.name == "value"]
    return not values or not numpy_helper.to_array(values[0]).any()


def _is_plain_convolutional(graph: Any) -> bool:
    """Whether every operator takes a new axis of length 1 without another result."""
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    uses = [name for node in graph.node for name in node.input]
    for node in graph.node:
        if node.op_type in _CONVOLUTIONS:
            attributes = {attribute.name: attribute for attribute in node.attribute}
            padded = "pads" in attributes and ("auto_pad" not in attributes or attributes["auto_pad"].s == b"NOTSET")
            if not padded or len(shapes.get(node.input[1], ())) != 3 or uses.count(node.input[1]) != 1:
                return False
        elif node.op_type not in _ELEMENTWISE or any(shapes.get(name) not in (None, [], [1]) for name in node.input):
            return False
    return len(graph.input) == 1 and len(graph.output) == 1


def _widen(node: Any, weight: Any) -> None:
    from onnx import numpy_helper

    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight)[:, :, None, :], weight.name))
    for attribute in node.attribute:
        values = list(attribute.ints)
        if attribute.name == "pads":  # begin of each axis, then end of each axis
            attribute.ints[:] = [0, values[0], 0, values[1]]
        elif attribute.name in _PER_AXIS:
            attribute.ints[:] = [_PER_AXIS[attribute.name], *values]


def _wrap(graph: Any) -> None:
    """An axis in at the start, out at the end."""
    import numpy as np
    from onnx import helper, numpy_helper

    outside, inside = graph.input[0].name, "wide_input"
    result, wide_result = graph.output[0].name, "wide_output"
    for node in graph.node:
        node.input[:] = [inside if name == outside else name for name in node.input]
        node.output[:] = [wide_result if name == result else name for name in node.output]
    graph.initializer.append(numpy_helper.from_array(np.array([2], np.int64), "wide_axis"))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.append(helper.make_node("Unsqueeze", [outside, "wide_axis"], [inside], name="widen"))
    graph.node.extend(nodes)
    graph.node.append(helper.make_node("Squeeze", [wide_result, "wide_axis"], [result], name="narrow"))
