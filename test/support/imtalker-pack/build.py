"""Builds the graphs of a small model pack with the tensors of an IMTalker export, for tests without a GPU.

    python -m venv venv && venv/bin/pip install "onnx==1.16.2" "numpy<2" && venv/bin/python build.py

Names, ranks and element types are those of a full fp16 export (docs/imtalker-export.md), sizes are small. The networks
are this script's own and their weights are random from one seed: nothing is taken from IMTalker. A frame shows the
portrait in blocks of source cells, moved by the motion tokens: not a talking face, but plain to see when a portrait, a
motion or a session is mixed up with another.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

# Pixels: the source image, the frame, and the finest level with attention, whose cells the frame is put together from.
SOURCE, FRAME, CELLS = 64, 128, 16
BLOCK = SOURCE // CELLS
# The names count pixels of a full export; a level's side here is a quarter.
LEVELS = {8: 2, 16: 4, 32: 8, 64: 16}
HEADS, HEAD_WIDTH = 2, 8
CHANNELS = HEADS * HEAD_WIDTH
TOKENS, FEATURES, WINDOW, CONTEXT, WIDTH = 32, 32, 50, 10, 32
FRAMES_TOTAL = CONTEXT + WINDOW
REACH = 5  # Frames that the generator's attention looks back and ahead.
SAMPLE_WEIGHT = 0.6  # Share of the sampled motion in what is drawn; the rest is the source's own.
FLOAT, HALF, INT32, BYTE = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.UINT8

# RGB 0..1 to limited-range BT.601, rows Y, U, V; the offsets carry the half that rounds.
BT601 = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
OFFSETS = np.array([16.5, 128.5, 128.5])

random = np.random.default_rng(1)


def weights(*shape, scale=None):
    """Random numbers that keep the variance of what they are multiplied with; the second axis is the input's."""
    scale = np.prod(shape[1:]) ** -0.5 if scale is None else scale
    return (random.standard_normal(shape) * scale).astype(np.float32)


class Graph:
    """A graph that is written one operator after the other; tensors go by their names."""

    def __init__(self, name):
        self.name, self.nodes, self.constants = name, [], []

    def constant(self, value, kind=np.float32):
        name = f"constant_{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def sizes(self, *values):
        return self.constant(values, np.int64)

    def __call__(self, operator, *inputs, outputs=1, name=None, **attributes):
        """Adds an operator; arrays among the inputs become constants. -> its output's name, or a list of them."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        made = [name or f"{operator}_{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, names, made, **attributes))
        return made[0] if outputs == 1 else made

    def reshape(self, x, *shape):
        return self("Reshape", x, self.sizes(*shape))

    def linear(self, x, inputs, outputs, bias=True):
        """The last axis through a linear layer."""
        product = self("MatMul", x, weights(outputs, inputs).T)
        return self("Add", product, weights(1, outputs, scale=0.1)[0]) if bias else product

    def column(self, x, inputs, outputs, scale=None):
        """`[B, inputs, 1]` through a linear layer. The weights stand on the left: each of the batch is a product of
        its own then, whose rounding cannot depend on what else is in the batch."""
        return self("MatMul", weights(outputs, inputs, scale=scale), x)

    def half(self, x, name):
        return self("Cast", x, name=name, to=HALF)

    def save(self, inputs, outputs):
        """Writes the checked graph; `inputs` and `outputs` are name -> (element type, shape)."""
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, f"{self.name}.onnx")


def positions(side):
    """Cell centres `[2, side * side]`, x and y, in cells, 0 in the middle of the picture. Halves: exact in fp16."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.stack([x.ravel(), y.ravel()])


def identity_tensors(first):
    """What the source encoder hands to the renderer, in order: name -> shape."""
    shapes = {"identity_bias": [first, WIDTH]}
    for level, side in LEVELS.items():
        shapes[f"key_{level}"] = [first, HEADS, HEAD_WIDTH, side**2]
        shapes[f"value_{level}"] = [first, HEADS, side**2, HEAD_WIDTH]
    shapes["pooled_128"] = [first, CELLS**2, CHANNELS]
    shapes["pooled_256"] = [first, CELLS**2, 3 * BLOCK**2]
    return shapes


def source_encoder():
    g = Graph("source_encoder")
    centred = g("Sub", "image", np.full(1, 0.5))
    thumbnail = g("AveragePool", centred, kernel_shape=[SOURCE // 4] * 2, strides=[SOURCE // 4] * 2)
    thumbnail = g.reshape(thumbnail, 1, 48)
    g("Tanh", g.linear(thumbnail, 48, TOKENS), name="motion_ref")
    share = g("Mul", "motion_ref", np.full(1, 1 - SAMPLE_WEIGHT))
    g.half(g("Add", g.linear(thumbnail, 48, WIDTH), g.linear(share, TOKENS, WIDTH)), "identity_bias")
    cells = None
    for level, side in LEVELS.items():
        pixels = SOURCE // side
        seen = g("AveragePool", centred, kernel_shape=[pixels] * 2, strides=[pixels] * 2)
        cells = g("Tanh", g("Conv", seen, weights(CHANNELS, 3, 1, 1, scale=2.0)))
        value = g.reshape(cells, 1, HEADS, HEAD_WIDTH, side**2)
        g.half(g("Transpose", value, perm=[0, 1, 3, 2]), f"value_{level}")
        # The product of a query (2p, -1) and a key (k, |k|^2) is greatest where k is nearest to p. The other channels
        # hold what the cell shows.
        place = positions(side)
        place = np.concatenate([place, (place**2).sum(0, keepdims=True)])[None, None]
        shows = HEAD_WIDTH - place.shape[2]
        content = g("Conv", cells, weights(HEADS * shows, CHANNELS, 1, 1))
        content = g.reshape(content, 1, HEADS, shows, side**2)
        place = np.broadcast_to(place, [1, HEADS, *place.shape[2:]])
        g.half(g("Concat", place, content, axis=2), f"key_{level}")
    means = g("Conv", cells, weights(CHANNELS, CHANNELS, 1, 1))
    means = g("Transpose", g.reshape(means, 1, CHANNELS, CELLS**2), perm=[0, 2, 1])
    g.half(means, "pooled_128")
    # A full export holds the mean of a cell's features. Here it is the cell's pixels: frames can be recognised.
    blocks = g.reshape("image", 1, 3, CELLS, BLOCK, CELLS, BLOCK)
    blocks = g("Transpose", blocks, perm=[0, 2, 4, 1, 3, 5])
    g.half(g.reshape(blocks, 1, CELLS**2, 3 * BLOCK**2), "pooled_256")
    g.save(
        {"image": (FLOAT, [1, 3, SOURCE, SOURCE])},
        {"motion_ref": (FLOAT, [1, TOKENS])} | {name: (HALF, shape) for name, shape in identity_tensors(1).items()},
    )


def audio_encoder():
    g = Graph("audio_encoder")
    heard = g.reshape("waveform", 1, 1, -1)
    # Two strided convolutions make 2T - 1 rows of 640 T samples, as those of wav2vec2 do; every second is a frame's.
    heard = g("Relu", g("Conv", heard, weights(CHANNELS, 1, 40), strides=[32]))
    heard = g("Relu", g("Conv", heard, weights(CHANNELS, CHANNELS, 10, scale=0.15), strides=[10]))
    heard = g("Slice", heard, g.sizes(0), g.sizes(2**62), g.sizes(2), g.sizes(2))
    # Twelve frames of the past and two of the future.
    around = g("Conv", heard, weights(CHANNELS, CHANNELS, 15), pads=[12, 2])
    rows = g("Transpose", g("Add", heard, around), perm=[0, 2, 1])
    rows = g.linear(rows, CHANNELS, FEATURES)
    rows = g("LayerNormalization", rows, np.ones(FEATURES), np.zeros(FEATURES))
    g("Mul", rows, g("Sigmoid", rows), name="features")
    g.save({"waveform": (FLOAT, [1, "samples"])}, {"features": (FLOAT, [1, "sound_frames", FEATURES])})


def motion_generator():
    g = Graph("motion_generator")

    pose_weights, gaze_weights = weights(3, FEATURES, scale=1), weights(2, FEATURES, scale=1)
    now = g("Add", g("MatMul", "pose", pose_weights), g("MatMul", "gaze", gaze_weights))
    before = g("Add", g("MatMul", "prev_pose", pose_weights), g("MatMul", "prev_gaze", gaze_weights))
    before = g("Add", "prev_audio", before)
    heard = g("Concat", before, g("Add", "audio", now), axis=1)
    unheard = g("Concat", before, now, axis=1)
    # The first half of the batch hears silence in the current window, the second half the speech.
    condition = g.linear(g("Concat", unheard, heard, axis=0), FEATURES, WIDTH)
    moment = g("Mul", "t", np.exp(np.linspace(0, 3, WIDTH // 2)))
    moment = g("Concat", g("Sin", moment), g("Cos", moment), axis=0)
    condition = g("Add", condition, g.linear(g.reshape(moment, 1, 1, WIDTH), WIDTH, WIDTH))

    reference = g.column(g("Unsqueeze", "motion_ref", g.sizes(2)), TOKENS, WIDTH)
    reference = g("Transpose", reference, perm=[0, 2, 1])
    tokens = g.linear(g("Concat", "prev_x", "x", axis=1), TOKENS, WIDTH)
    tokens = g("Add", g("Add", tokens, reference), weights(1, FRAMES_TOTAL, WIDTH, scale=0.3))
    tokens = g("Add", g("Concat", tokens, tokens, axis=0), condition)

    normalised = g("LayerNormalization", tokens, np.ones(WIDTH), np.zeros(WIDTH))
    query, key, value = g("Split", g.linear(normalised, WIDTH, 3 * WIDTH), outputs=3, axis=-1)
    near = np.abs(np.subtract.outer(np.arange(FRAMES_TOTAL), np.arange(FRAMES_TOTAL))) <= REACH
    scores = g("Mul", g("MatMul", query, g("Transpose", key, perm=[0, 2, 1])), np.full(1, WIDTH**-0.5))
    attention = g("Softmax", g("Add", scores, np.where(near, 0, -1e4)), axis=-1)
    tokens = g("Add", tokens, g.linear(g("MatMul", attention, value), WIDTH, WIDTH))
    hidden = g("Relu", g.linear(tokens, WIDTH, 2 * WIDTH))
    goal = g("Tanh", g.linear(hidden, 2 * WIDTH, TOKENS))
    goal = g("Slice", goal, g.sizes(CONTEXT), g.sizes(FRAMES_TOTAL), g.sizes(1))
    goal = g("Split", goal, outputs=2, axis=0)
    # A field that leads most of the way to the goal: about a tenth of the noise is left at t = 1.
    unguided, guided = (g("Mul", g("Sub", part, "x"), np.full(1, 2)) for part in goal)
    g("Add", unguided, g("Mul", g("Sub", guided, unguided), "guidance"), name="velocity")
    g.save(
        {
            "t": (FLOAT, [1]),
            "x": (FLOAT, ["batch", WINDOW, TOKENS]),
            "audio": (FLOAT, ["batch", WINDOW, FEATURES]),
            "prev_x": (FLOAT, ["batch", CONTEXT, TOKENS]),
            "prev_audio": (FLOAT, ["batch", CONTEXT, FEATURES]),
            "motion_ref": (FLOAT, ["batch", TOKENS]),
            "pose": (FLOAT, ["batch", WINDOW, 3]),
            "gaze": (FLOAT, ["batch", WINDOW, 2]),
            "prev_pose": (FLOAT, ["batch", CONTEXT, 3]),
            "prev_gaze": (FLOAT, ["batch", CONTEXT, 2]),
            "guidance": (FLOAT, [1]),
        },
        {"velocity": (FLOAT, ["batch", WINDOW, TOKENS])},
    )


def motion_basis(side):
    """Ways in which a picture can move, `[6, side * side]`: as a whole, growing and turning, and three places of it."""
    x, y = positions(side) * (2 / side)
    bumps = [np.exp(-((x - u) ** 2 + (y - v) ** 2) / 0.15) for u, v in [(0, 0.4), (-0.4, -0.2), (0.4, -0.2)]]
    return np.stack([np.ones_like(x), x, y, *bumps])


def renderer():
    g = Graph("renderer")

    def of_session(name):
        """An identity tensor's rows for the frames of the batch, as fp32."""
        return g("Cast", g("Gather", name, "source_index", axis=0), to=FLOAT)

    motion = g("Unsqueeze", g("Mul", "motion", np.full(1, SAMPLE_WEIGHT)), g.sizes(2))
    adapted = g("Add", g.column(motion, TOKENS, WIDTH), g("Unsqueeze", of_session("identity_bias"), g.sizes(2)))
    adapted = g("Tanh", adapted)
    looks = HEAD_WIDTH - 3
    x, attention = None, None
    for level, side in LEVELS.items():
        # Where each cell of the frame looks for its source, in cells, and what for: the query to the source's keys.
        basis = motion_basis(side)
        moves = 2 + HEADS * looks
        moved = g.reshape(g.column(adapted, WIDTH, moves * len(basis), scale=0.02 * side), -1, moves, len(basis))
        place, *tastes = g("Split", g("MatMul", moved, basis), g.sizes(2, *[looks] * HEADS), outputs=1 + HEADS, axis=1)
        place = g("Mul", g("Add", place, positions(side)[None]), np.full(1, 2))
        place = g("Pad", place, g.sizes(0, 0, 0, 0, 1, 0), g.constant(-1))
        heads = [g("Unsqueeze", g("Concat", place, taste, axis=1), g.sizes(1)) for taste in tastes]
        query = g("Transpose", g("Concat", *heads, axis=1), perm=[0, 1, 3, 2])
        attention = g("Softmax", g("MatMul", query, of_session(f"key_{level}")), axis=-1)
        rows = g("MatMul", attention, of_session(f"value_{level}"))
        found = g.reshape(g("Transpose", rows, perm=[0, 1, 3, 2]), -1, CHANNELS, side, side)
        if x is not None:
            x = g("ConvTranspose", x, weights(CHANNELS, CHANNELS, 2, 2, scale=0.2), strides=[2, 2])
        x = g("Tanh", found if x is None else g("Add", x, found))
    chosen = g("ArgMax", g("ReduceMean", attention, axes=[1], keepdims=0), axis=-1, keepdims=0)
    first = g("Mul", g("Cast", "source_index", to=TensorProto.INT64), g.sizes(CELLS**2))
    chosen = g("Add", chosen, g("Unsqueeze", first, g.sizes(1)))

    def of_cell(name, width):
        """Of each cell of the frame, the row of the source cell it has chosen: `[B, cells, width]`."""
        return g("Cast", g("Gather", g.reshape(name, -1, width), chosen, axis=0), to=FLOAT)

    means = g.reshape(g("Transpose", of_cell("pooled_128", CHANNELS), perm=[0, 2, 1]), -1, CHANNELS, CELLS, CELLS)
    x = g("Tanh", g("Add", x, means))
    shade = g("Conv", x, weights(3, CHANNELS, 1, 1, scale=0.04))
    shade = g("Resize", shade, "", g.constant([1, 1, FRAME / CELLS, FRAME / CELLS]), mode="linear")
    pixels = g.reshape(of_cell("pooled_256", 3 * BLOCK**2), -1, CELLS, CELLS, 3, BLOCK, BLOCK)
    pixels = g.reshape(g("Transpose", pixels, perm=[0, 3, 1, 4, 2, 5]), -1, 3, SOURCE, SOURCE)
    pixels = g("Resize", pixels, "", g.constant([1, 1, FRAME / SOURCE, FRAME / SOURCE]), mode="linear")
    rgb = g("Clip", g("Add", pixels, shade), g.constant(0), g.constant(1))

    luma = g("Conv", rgb, BT601[:1, :, None, None], OFFSETS[:1])
    chroma = np.tile(BT601[1:, :, None, None] / 4, [1, 1, 2, 2])
    chroma = g("Conv", rgb, chroma, OFFSETS[1:], strides=[2, 2])
    planes = g("Concat", g.reshape(luma, -1, FRAME, FRAME), g.reshape(chroma, -1, FRAME // 2, FRAME), axis=1)
    g("Cast", planes, name="frames", to=BYTE)
    g.save(
        {"motion": (FLOAT, ["frames", TOKENS]), "source_index": (INT32, ["frames"])}
        | {name: (HALF, shape) for name, shape in identity_tensors("sessions").items()},
        {"frames": (BYTE, ["frames", FRAME * 3 // 2, FRAME])},
    )


source_encoder()
audio_encoder()
motion_generator()
renderer()
