"""A thin writer of ONNX nodes: each method adds one node and returns the name of its output."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NUMPY_TYPES = {np.float32: TensorProto.FLOAT, np.int64: TensorProto.INT64, np.uint8: TensorProto.UINT8}


class GraphBuilder:
    def __init__(self):
        self.nodes = []
        self.initializers = []
        self.inputs = []
        self._constants = {}
        self._count = 0

    def input(self, name, dtype, shape):
        """Declares a graph input; sizes that change from session to session are strings."""
        self.inputs.append(helper.make_tensor_value_info(name, NUMPY_TYPES[dtype], shape))
        return name

    def constant(self, value, dtype=np.float32):
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"c{len(self._constants)}"
            self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
            self._constants[key] = name
        return self._constants[key]

    def integers(self, *values):
        return self.constant(values, np.int64)

    def op(self, kind, inputs, outputs=1, **attributes):
        names = [f"t{self._count + i}" for i in range(outputs)]
        self._count += outputs
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def _operand(self, value):
        return value if isinstance(value, str) else self.constant(value)

    def _binary(self, kind, a, b):
        return self.op(kind, [self._operand(a), self._operand(b)])

    def add(self, a, b):
        return self._binary("Add", a, b)

    def sub(self, a, b):
        return self._binary("Sub", a, b)

    def mul(self, a, b):
        return self._binary("Mul", a, b)

    def div(self, a, b):
        return self._binary("Div", a, b)

    def min(self, a, b):
        return self._binary("Min", a, b)

    def max(self, a, b):
        return self._binary("Max", a, b)

    def clip(self, x, low=0.0, high=1.0):
        return self.op("Clip", [x, self.constant(low), self.constant(high)])

    def mix(self, a, b, t):
        """a + t * (b - a)"""
        return self.add(a, self.mul(t, self.sub(b, a)))

    def matmul(self, a, b):
        return self.op("MatMul", [a, b])

    def concat(self, parts, axis):
        return self.op("Concat", parts, axis=axis)

    def reshape(self, x, shape):
        return self.op("Reshape", [x, shape if isinstance(shape, str) else self.integers(*shape)])

    def slice(self, x, start, end, axis):
        """Constant bounds on one axis."""
        return self.op("Slice", [x, self.integers(start), self.integers(end), self.integers(axis)])

    def crop(self, x, starts, ends):
        """Rows and columns [starts, ends) of a [1, C, H, W]; both are int64 tensors of two numbers."""
        return self.op("Slice", [x, starts, ends, self.integers(2, 3)])

    def to_float(self, x):
        return self.op("Cast", [x], to=TensorProto.FLOAT)

    def save(self, path, name, output, dtype, shape, description):
        result = helper.make_tensor_value_info("frames", NUMPY_TYPES[dtype], shape)
        self.nodes.append(helper.make_node("Identity", [output], ["frames"]))
        graph = helper.make_graph(self.nodes, name, self.inputs, [result], self.initializers, doc_string=description)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="facecast")
        model.ir_version = 8
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)
