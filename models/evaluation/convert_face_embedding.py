#!/usr/bin/env python3
"""Convert a face recognition network from the npm package @vladmandic/face-api to ONNX.

Writes face_embedding.onnx: `image` f32 [N,3,150,150], RGB 0..1, to `embedding` f32 [N,128]. README.md tells where the
weights come from. The weights stay the bytes that they are in the package; the graph expands them when it is loaded.
"""

import argparse
import json
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MODEL = "face_recognition_model"
SIZE, FEATURES = 150, 128
# What the network was trained to have taken off its input, 0..255 RGB.
MEAN_RGB = (122.782, 117.001, 104.298)
# (name, halves the picture): two convolutions each, added to what came in.
BLOCKS = [
    ("conv32_1", False), ("conv32_2", False), ("conv32_3", False),
    ("conv64_down", True), ("conv64_1", False), ("conv64_2", False), ("conv64_3", False),
    ("conv128_down", True), ("conv128_1", False), ("conv128_2", False),
    ("conv256_down", True), ("conv256_1", False), ("conv256_2", False), ("conv256_down_out", True),
]  # fmt: skip


class Weights:
    """The package's weights: most tensors are bytes with the line `value = scale * byte + low`, some are floats."""

    def __init__(self, folder):
        with open(os.path.join(folder, f"{MODEL}-weights_manifest.json"), encoding="utf8") as file:
            (group,) = json.load(file)
        with open(os.path.join(folder, group["paths"][0]), "rb") as file:
            data = file.read()
        self._tensors, at = {}, 0
        for entry in group["weights"]:
            line = entry.get("quantization", {"scale": 1.0, "min": 0.0})
            kind = np.dtype(np.uint8 if "quantization" in entry else "<f4")
            count = int(np.prod(entry["shape"]))
            levels = np.frombuffer(data, kind, count, at).reshape(entry["shape"])
            self._tensors[entry["name"]] = (levels, line["scale"], line["min"])
            at += count * kind.itemsize
        if at != len(data):
            raise SystemExit(f"{folder}: {len(data)} bytes of weights, the manifest tells of {at}")

    def levels(self, name):
        return self._tensors[name]

    def values(self, name):
        levels, scale, low = self._tensors[name]
        return levels * scale + low


class Graph:
    """Nodes and constants under construction."""

    def __init__(self, weights):
        self.weights = weights
        self.nodes, self.constants, self._named = [], [], 0

    def constant(self, values):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind, *inputs, **attributes):
        self._named += 1
        output = f"n{self._named}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def expanded(self, levels, scale, low):
        """A f32 tensor; the runtime computes it from its bytes once, at load."""
        if levels.dtype != np.uint8:
            return self.constant((levels * scale + low).astype(np.float32))
        values = self.node("Cast", self.constant(levels), to=TensorProto.FLOAT)
        values = self.node("Mul", values, self.constant(np.float32(scale)))
        return self.node("Add", values, self.constant(np.float32(low)))

    def convolution(self, x, name, stride):
        """Convolution, bias, and a gain and an offset per channel, which are folded into the first two."""
        levels, scale, low = self.weights.levels(f"{name}/conv/filters")
        gain = self.weights.values(f"{name}/scale/weights")
        bias = self.weights.values(f"{name}/conv/bias") * gain + self.weights.values(f"{name}/scale/biases")
        per_filter = gain.reshape(-1, 1, 1, 1)
        filters = self.expanded(levels.transpose(3, 2, 0, 1), scale * per_filter, low * per_filter)
        # Halving convolutions have no border, the others keep the size.
        border = 0 if stride == 2 else levels.shape[0] // 2
        bias = self.constant(bias.astype(np.float32))
        return self.node("Conv", x, filters, bias, strides=[stride] * 2, pads=[border] * 4)

    def block(self, x, name, halves):
        out = self.node("Relu", self.convolution(x, f"{name}/conv1", 2 if halves else 1))
        out = self.convolution(out, f"{name}/conv2", 1)
        if halves:
            x = self.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            x, out = self._fit(x, out, name)
        return self.node("Relu", self.node("Add", x, out))

    def _fit(self, x, out, name):
        """Adds zero channels to what came in, and a row and a column to what the convolutions left smaller."""
        channels = self.weights.levels(f"{name}/conv2/conv/filters")[0].shape
        extra = channels[3] - self.weights.levels(f"{name}/conv1/conv/filters")[0].shape[2]
        if extra:
            x = self.node("Pad", x, self.constant(np.array([0, 0, 0, 0, 0, extra, 0, 0], np.int64)))
        size, halved = HALVED[name]
        if halved != size:
            out = self.node("Pad", out, self.constant(np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64)))
        return x, out


def _halved_sizes():
    """Per halving block, the sides of what is pooled (rounded down) and of what is convolved without border."""
    side = (SIZE - 7) // 2 + 1  # the first convolution
    side = (side - 3) // 2 + 1  # and its pooling
    sizes = {}
    for name, halves in BLOCKS:
        if halves:
            sizes[name] = (side // 2, (side - 3) // 2 + 1)
            side = side // 2
    return sizes


HALVED = _halved_sizes()


def build(weights):
    graph = Graph(weights)
    mean = np.array(MEAN_RGB, np.float32).reshape(1, 3, 1, 1) / 255
    x = graph.node("Sub", "image", graph.constant(mean))
    x = graph.node("Relu", graph.convolution(x, "conv32_down", 2))
    x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    for name, halves in BLOCKS:
        x = graph.block(x, name, halves)
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    graph.nodes.append(helper.make_node("MatMul", [x, graph.expanded(*weights.levels("fc"))], ["embedding"]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", FEATURES])
    body = helper.make_graph(graph.nodes, "face_embedding", [image], [embedding], graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", required=True, help="the unpacked npm package")
    parser.add_argument("--output", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "face_embedding.onnx"))
    options = parser.parse_args()
    onnx.save(build(Weights(os.path.join(options.package, "model"))), options.output)
    print(options.output, os.path.getsize(options.output), "bytes")


if __name__ == "__main__":
    main()
