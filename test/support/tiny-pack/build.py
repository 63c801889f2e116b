"""Builds the graphs of a model pack so small that tests can say what every frame must be.

    python -m venv venv && venv/bin/pip install "onnx==1.16.2" "numpy<2" && venv/bin/python build.py

It differs from the portrait pack in everything the contract leaves open: a source encoder graph, a generator with a
fixed window, a renderer that takes batches. Frames are one grey: the portrait's mean brightness plus 100 times the mean
magnitude of the frame's sound.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

SIDE, TOKENS, FEATURES, CONTEXT, WINDOW = 32, 4, 4, 10, 10
FLOAT, BYTE = TensorProto.FLOAT, TensorProto.UINT8


def save(name, nodes, inputs, outputs, **constants):
    """Writes a graph; nodes are (operator, inputs, output, attributes)."""
    graph = helper.make_graph(
        [helper.make_node(op, list(ins), [out], **attributes) for op, ins, out, attributes in nodes],
        name,
        [helper.make_tensor_value_info(n, FLOAT, shape) for n, shape in inputs.items()],
        [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in outputs.items()],
        [onnx.numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, f"{name}.onnx")


save(
    "source_encoder",
    [
        ("ReduceMean", ["image"], "mean", {"axes": [1, 2, 3], "keepdims": 0}),
        ("Mul", ["mean", "white"], "bright", {}),
        ("Reshape", ["bright", "one_by_one"], "tone", {}),
        ("Identity", ["zeros"], "motion_ref", {}),
    ],
    {"image": [1, 3, SIDE, SIDE]},
    {"motion_ref": (FLOAT, [1, TOKENS]), "tone": (FLOAT, [1, 1])},
    white=np.float32(255),
    one_by_one=np.array([1, 1], np.int64),
    zeros=np.zeros((1, TOKENS), np.float32),
)
save(
    "audio_encoder",
    [
        ("Reshape", ["waveform", "frames"], "framed", {}),
        ("Abs", ["framed"], "magnitude", {}),
        ("ReduceMean", ["magnitude"], "loudness", {"axes": [2], "keepdims": 1}),
        ("Tile", ["loudness", "repeats"], "features", {}),
    ],
    {"waveform": [1, "samples"]},
    {"features": (FLOAT, [1, "frames_", FEATURES])},
    frames=np.array([1, -1, 640], np.int64),
    repeats=np.array([1, 1, FEATURES], np.int64),
)
# A field that leads straight to the audio features, wherever it starts: (target - x) / (1 - t).
save(
    "motion_generator",
    [
        ("Sub", ["audio", "x"], "way", {}),
        ("Sub", ["one", "t"], "left", {}),
        ("Div", ["way", "left"], "velocity", {}),
    ],
    {
        "t": [1],
        "x": ["batch", WINDOW, TOKENS],
        "audio": ["batch", WINDOW, FEATURES],
        "prev_x": ["batch", CONTEXT, TOKENS],
        "prev_audio": ["batch", CONTEXT, FEATURES],
        "motion_ref": ["batch", TOKENS],
        "pose": ["batch", WINDOW, 3],
        "gaze": ["batch", WINDOW, 2],
        "prev_pose": ["batch", CONTEXT, 3],
        "prev_gaze": ["batch", CONTEXT, 2],
        "guidance": [1],
    },
    {"velocity": (FLOAT, ["batch", WINDOW, TOKENS])},
    one=np.array([1], np.float32),
)
save(
    "renderer",
    [
        ("Slice", ["motion", "first", "second", "axis"], "loudness", {}),
        ("Mul", ["loudness", "hundred"], "lift", {}),
        ("Add", ["lift", "tone"], "level", {}),
        ("Clip", ["level", "black", "white"], "grey", {}),
        ("Unsqueeze", ["grey", "axis"], "pixel", {}),
        ("Tile", ["pixel", "picture"], "picture_", {}),
        ("Round", ["picture_"], "whole", {}),
        ("Cast", ["whole"], "frames", {"to": BYTE}),
    ],
    {"motion": ["batch", TOKENS], "tone": [1, 1]},
    {"frames": (BYTE, ["batch", SIDE * 3 // 2, SIDE])},
    first=np.array([0], np.int64),
    second=np.array([1], np.int64),
    axis=np.array([1], np.int64),
    hundred=np.float32(100),
    black=np.float32(0),
    white=np.float32(255),
    picture=np.array([1, SIDE * 3 // 2, SIDE], np.int64),
)
