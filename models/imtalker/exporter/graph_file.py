"""Writes modules as ONNX files and runs them."""

import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

OPSET = 17


def write_graph(
    path: Path, module: nn.Module, inputs: dict[str, torch.Tensor], outputs: list[str], open_axes: dict[str, dict]
) -> None:
    """Traces `module` on example `inputs` into a checked ONNX file; `open_axes` names the axes of any size."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            buffer,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=open_axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def to_half(path: Path, keep: tuple[str, ...] = (), half_inputs: tuple[str, ...] = ()) -> None:
    """Turns a graph's weights and arithmetic into fp16, in place; its inputs and outputs stay as they are.

    keep: names of submodules that stay fp32. half_inputs: inputs that become fp16 as well.
    """
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = onnx.load(path)
    kept = [node.name for node in model.graph.node if node.name.startswith(tuple(f"/{name}/" for name in keep))]
    ends = [value.name for value in (*model.graph.input, *model.graph.output) if value.name not in half_inputs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = convert_float_to_float16(
            model, keep_io_types=ends, op_block_list=DEFAULT_OP_BLOCK_LIST, node_block_list=kept
        )
    _join_kept(model.graph)
    OnnxModel(model).topological_sort()
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _join_kept(graph: onnx.GraphProto) -> None:
    """Lets operators that stay fp32 hand their values on as they are.

    The converter casts every single one's inputs up and outputs down again, so that values between two of them are
    rounded to fp16: what was kept for its digits would lose them.
    """

    def casts(node: onnx.NodeProto, to: int) -> bool:
        return node.op_type == "Cast" and node.attribute[0].i == to

    before_rounding = {node.output[0]: node.input[0] for node in graph.node if casts(node, onnx.TensorProto.FLOAT16)}
    whole = {
        node.output[0]: before_rounding[node.input[0]]
        for node in graph.node
        if casts(node, onnx.TensorProto.FLOAT) and node.input[0] in before_rounding
    }
    ends = {value.name for value in graph.output}
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name in whole:
                node.input[index] = whole[name]
    while True:
        used = {name for node in graph.node for name in node.input} | ends
        unused = [node for node in graph.node if node.op_type == "Cast" and node.output[0] not in used]
        if not unused:
            return
        for node in unused:
            graph.node.remove(node)


class Graph:
    """An ONNX file on the CPU with one thread; `probes` are operators whose output is handed out as well."""

    def __init__(self, path: Path, probes: tuple[str, ...] = ()):
        model: bytes | str = str(path)
        if probes:
            proto = onnx.load(path)
            for probe in probes:
                last = [node for node in proto.graph.node if node.op_type == probe][-1]
                proto.graph.output.append(onnx.ValueInfoProto(name=last.output[0]))
            model = proto.SerializeToString()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def __call__(self, inputs: dict[str, torch.Tensor | np.ndarray]) -> list[np.ndarray]:
        feeds = {name: np.asarray(value) for name, value in inputs.items()}
        return self.session.run(None, feeds)
