"""A TFLite graph as ONNX: only the operators that MediaPipe's face models use, and an error for any other.

TFLite is NHWC, ONNX is NCHW: every 4-D activation is kept NCHW, and turned back before a reshape. Weights that TFLite
stores as fp16 (each behind a DEQUANTIZE) stay fp16 initializers behind a Cast, which a runtime folds when it loads.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
OPERATOR_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
TO_NHWC = [0, 2, 3, 1]


@dataclass(frozen=True)
class Output:
    name: str
    shape: tuple[int, ...]


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TFLite's SAME padding before and after one axis."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Converter:
    def __init__(self, content: bytes):
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
        if len(self.model.subgraphs) != 1:
            raise ValueError("only one subgraph is supported")
        self.graph = self.model.subgraphs[0]
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.halves: dict[int, np.ndarray] = {}  # dequantized fp16 constants by tensor index

    def constant(self, index: int) -> np.ndarray | None:
        """The tensor's stored value, None for an activation."""
        if index in self.halves:
            return self.halves[index]
        tensor = self.graph.tensors[index]
        data = self.model.buffers[tensor.buffer].data
        if data is None or len(data) == 0:
            return None
        kinds = {
            schema.TensorType.FLOAT32: np.float32,
            schema.TensorType.FLOAT16: np.float16,
            schema.TensorType.INT32: np.int32,
        }
        return np.frombuffer(bytes(data), kinds[tensor.type]).reshape(tensor.shape)

    def shape(self, index: int) -> list[int]:
        return [int(n) for n in self.graph.tensors[index].shape]

    def initializer(self, name: str, value: np.ndarray) -> str:
        """Adds a constant; gives the name of its fp32 (or integer) value."""
        if value.dtype == np.float16:
            self.initializers[f"{name}_f16"] = numpy_helper.from_array(np.ascontiguousarray(value), f"{name}_f16")
            self.nodes.append(helper.make_node("Cast", [f"{name}_f16"], [name], to=TensorProto.FLOAT))
        else:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attributes) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))

    def pads(self, options, source: int, kernel: tuple[int, int]) -> list[int]:
        """ONNX pads of a convolution or pooling."""
        if options.padding == schema.Padding.VALID:
            return [0, 0, 0, 0]
        _, height, width, _ = self.shape(source)
        top, bottom = same_padding(height, kernel[0], options.strideH)
        left, right = same_padding(width, kernel[1], options.strideW)
        return [top, left, bottom, right]

    def convolve(self, operator, output: str, depthwise: bool) -> None:
        options = operator.builtinOptions
        source, weights_index, bias_index = (int(i) for i in operator.inputs)
        weights, bias = self.constant(weights_index), self.constant(bias_index)
        if weights is None or bias is None or (options.dilationHFactor, options.dilationWFactor) != (1, 1):
            raise ValueError(f"{output}: only constant weights without dilation are supported")
        if depthwise and options.depthMultiplier != 1:
            raise ValueError(f"{output}: only a depth multiplier of 1 is supported")
        # TFLite: (out, h, w, in), depthwise (1, h, w, channels). ONNX: (out, in, h, w), depthwise (channels, 1, h, w).
        weights = weights.transpose(3, 0, 1, 2) if depthwise else weights.transpose(0, 3, 1, 2)
        inputs = [f"t{source}", self.initializer(f"{output}_w", weights), self.initializer(f"{output}_b", bias)]
        self.add(
            "Conv",
            inputs,
            output,
            group=weights.shape[0] if depthwise else 1,
            kernel_shape=weights.shape[2:],
            pads=self.pads(options, source, weights.shape[2:]),
            strides=[options.strideH, options.strideW],
        )

    def operator(self, operator) -> None:
        code = self.model.operatorCodes[operator.opcodeIndex]
        kind = OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
        sources = [int(i) for i in operator.inputs]
        target = int(operator.outputs[0])
        output, options = f"t{target}", operator.builtinOptions
        if getattr(options, "fusedActivationFunction", 0) != schema.ActivationFunctionType.NONE:
            raise ValueError(f"{output}: fused activations are not supported")
        match kind:
            case "DEQUANTIZE":
                value = self.constant(sources[0])
                if value is None or value.dtype != np.float16:
                    raise ValueError(f"{output}: only fp16 constants are supported")
                self.halves[target] = value
            case "CONV_2D" | "DEPTHWISE_CONV_2D":
                self.convolve(operator, output, kind == "DEPTHWISE_CONV_2D")
            case "MAX_POOL_2D":
                kernel = (options.filterHeight, options.filterWidth)
                pads, strides = self.pads(options, sources[0], kernel), [options.strideH, options.strideW]
                self.add("MaxPool", [f"t{sources[0]}"], output, kernel_shape=kernel, pads=pads, strides=strides)
            case "RELU":
                self.add("Relu", [f"t{sources[0]}"], output)
            case "PRELU":
                slope = self.constant(sources[1]).transpose(2, 0, 1)  # (1, 1, C) -> (C, 1, 1)
                self.add("PRelu", [f"t{sources[0]}", self.initializer(f"{output}_s", slope)], output)
            case "ADD":
                self.add("Add", [f"t{i}" for i in sources], output)
            case "PAD":
                amounts = self.constant(sources[1])[[0, 3, 1, 2]]  # NHWC -> NCHW, rows of (before, after)
                pads = self.initializer(f"{output}_p", amounts.T.reshape(-1).astype(np.int64))
                self.add("Pad", [f"t{sources[0]}", pads], output)
            case "RESHAPE":
                self.add("Transpose", [f"t{sources[0]}"], f"{output}_nhwc", perm=TO_NHWC)
                shape = self.initializer(f"{output}_n", np.array(self.shape(target), np.int64))
                self.add("Reshape", [f"{output}_nhwc", shape], output)
            case "CONCATENATION":
                if len(self.shape(target)) == 4:
                    raise ValueError(f"{output}: only reshaped tensors can be joined")
                self.add("Concat", [f"t{i}" for i in sources], output, axis=options.axis)
            case _:
                raise ValueError(f"{output}: operator {kind} is not supported")

    def convert(self, name: str, outputs: list[Output]) -> bytes:
        source = int(self.graph.inputs[0])
        _, height, width, channels = self.shape(source)
        shape = [1, channels, height, width]
        self.add("Identity", ["image"], f"t{source}")
        for operator in self.graph.operators:
            self.operator(operator)
        for index, output in zip((int(i) for i in self.graph.outputs), outputs, strict=True):
            value = f"t{index}"
            if len(self.shape(index)) == 4:
                self.add("Transpose", [value], f"{value}_nhwc", perm=TO_NHWC)
                value = f"{value}_nhwc"
            wanted = self.initializer(f"{output.name}_n", np.array(output.shape, np.int64))
            self.add("Reshape", [value, wanted], output.name)
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(o.name, TensorProto.FLOAT, o.shape) for o in outputs],
            list(self.initializers.values()),
            doc_string="Converted from MediaPipe (Apache-2.0), npm package @mediapipe/face_mesh",
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="facecast")
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def convert(content: bytes, name: str, outputs: list[Output]) -> bytes:
    """The bytes of an ONNX model: input `image` f32[1,C,H,W], and the TFLite outputs under new names and shapes."""
    return Converter(content).convert(name, outputs)
