"""Where each output pixel comes from: displacement fields, their inversion, and table indices."""

import numpy as np
from onnx import TensorProto

NODES = 65
CELLS = NODES - 1
# Nodes of the shading fields, over the same square.
FINE_NODES = 2 * CELLS + 1
TABLE_SCALE = 3


def node_places():
    """The nodes' own places in grid units: planes x and y of [1, 2, nodes, nodes]."""
    line = np.linspace(-1, 1, NODES, dtype=np.float32)
    return np.stack(np.meshgrid(line, line))[None]


def sample(b, field, places):
    """`field` at places given as planes x and y."""
    grid = b.op("Transpose", [places], perm=[0, 2, 3, 1])
    return b.op("GridSample", [field, grid], mode="bilinear", padding_mode="border", align_corners=1)


def invert(b, forward, here, locate, start=None):
    """u with u(x) = -D(x + u(x)): two fixed-point steps. `here` are the nodes' own places, `locate` turns places into the
    field's sampling coordinates, `start` is the field at these places where it has other nodes. Returns u as [N, 2, rows, columns]."""
    moved = start if start else forward
    for _ in range(2):
        moved = sample(b, forward, locate(b.sub(here, moved)))
    return b.op("Neg", [moved])


class Coordinates:
    """Source positions of every layer at the grid's nodes, in table entries from the window's corner."""

    def __init__(self, b, expression, pose):
        planes = node_places()
        nodes = NODES * NODES
        forward = b.reshape(b.matmul(expression, b.input("field_expression", np.float32, ["controls", 4 * nodes])), (2, 2, NODES, NODES))
        head = b.reshape(b.matmul(pose, b.input("field_pose", np.float32, [11, 2 * nodes])), (1, 2, NODES, NODES))
        every_second = b.op("Slice", [head, b.integers(0, 0), b.integers(NODES, NODES), b.integers(2, 3), b.integers(2, 2)])
        # A head turns smoothly: every second node is enough, and half the time.
        turned = invert(b, head, b.constant(planes[:, :, ::2, ::2]), lambda places: places, every_second)
        apart = b.constant([1.0, 1.0, NODES / (CELLS // 2 + 1), NODES / (CELLS // 2 + 1)])
        turned = b.op("Resize", [turned, "", apart], mode="linear", coordinate_transformation_mode="align_corners")
        at = b.add(turned, planes)
        skin = self._expression(b, forward, b.constant(planes), at)
        entries = b.mul(b.input("grid_pixels", np.float32, [1]), float(TABLE_SCALE))
        scale = lambda x: b.mul(b.add(x, 1.0), entries)
        upper, lower = (b.add(at, b.slice(skin, k, k + 2, 1)) for k in (0, 2))
        select = b.input("select_lower", np.float32, [1, 1, NODES, NODES])
        # In units of the grid, -1..1.
        self.source = b.mix(upper, lower, select)
        self.pose, self.upper, self.lower, self.base = map(scale, (at, upper, lower, self.source))

    def _expression(self, b, forward, planes, at):
        """The expression's inverse, looked up where the pose leads to: [1, 4, nodes, nodes]. Computed on the face only."""
        whole = b.integers(NODES, NODES)
        first, count = b.input("face_nodes", np.int64, [2]), b.input("face_node_count", np.int64, [2])
        past = b.op("Add", [first, count])
        scale, shift = (b.input(f"face_grid_{what}", np.float32, [1, 2, 1, 1]) for what in ("scale", "shift"))
        locate = lambda places: b.add(b.mul(places, scale), shift)
        skin = invert(b, b.crop(forward, first, past), b.crop(planes, first, past), locate)
        skin = b.op("Reshape", [skin, b.concat([b.integers(1, 4), count], 0)])
        # Where the head may take the face.
        reach = b.input("face_reach", np.int64, [1])
        start = b.op("Max", [b.op("Sub", [first, reach]), b.integers(0, 0)])
        end = b.op("Min", [b.op("Add", [past, reach]), whole])
        skin = sample(b, skin, locate(b.crop(at, start, end)))
        none = b.integers(0, 0)
        return b.op("Pad", [skin, b.concat([none, start, none, b.op("Sub", [whole, end])], 0), b.constant(0.0)])


class Enlarger:
    """Nodes to pixels, linearly. Resize widens the rows; what lies between two rows is a broadcast, three times as fast."""

    def __init__(self, b, cell_scales, part):
        """`part`: 1 for luma, a half for chroma."""
        self.b = b
        cell = b.mul(b.slice(cell_scales, 2, 3, 0), part)
        self.across = b.concat([b.constant([1.0, 1.0, 1.0]), cell], 0)
        one_cell = b.op("Squeeze", [cell])
        steps = b.op("Range", [b.constant(0.0), one_cell, b.constant(1.0)])
        self.steps = b.reshape(b.div(steps, cell), (1, 1, -1, 1))

    def pixels(self, nodes, size):
        """[N, 1, rows + 1, columns + 1] -> [N, rows, cell, width]: the pixels in order. The last node only ends the last cell."""
        b = self.b
        wide = b.op("Resize", [nodes, "", self.across], mode="linear", coordinate_transformation_mode="asymmetric")
        width = b.slice(size, 1, 2, 0)
        wide = b.op("Slice", [wide, b.integers(0), width, b.integers(3)])
        shape = b.concat([b.integers(0, -1, 1), width], 0)
        above = b.reshape(b.slice(wide, 0, -1, 2), shape)
        below = b.reshape(b.slice(wide, 1, 1 << 30, 2), shape)
        return b.add(above, b.mul(b.sub(below, above), self.steps))


class TableIndex:
    """Turns node coordinates into flat indices of a table of `width` entries, for full- and half-resolution planes."""

    def __init__(self, b, origin, limit, stride, enlargers):
        self.b = b
        self.origin = origin
        self.limit = limit
        self.half_limit = b.mul(b.sub(limit, 1.0), 0.5)
        self.stride = stride
        self.half_stride = b.mul(stride, 0.5)
        self.enlargers = enlargers

    def full(self, layers, size):
        """Indices [1, pixels] for each of several layers' coordinates."""
        return self._index(self._inside(layers), self.limit, self.stride, self.enlargers[0], size, len(layers))

    def half(self, layers, size):
        halved = self.b.mul(self._inside(layers), 0.5)
        return self._index(halved, self.half_limit, self.half_stride, self.enlargers[1], size, len(layers))

    def _inside(self, layers):
        # Layers go through the same few nodes together, as a batch.
        stacked = layers[0] if len(layers) == 1 else self.b.concat(layers, 0)
        return self.b.add(stacked, self.origin)

    def _index(self, at, limit, stride, enlarger, size, count):
        b = self.b
        # Bounded at the nodes: what is interpolated between bounded values stays within them. Half added to round.
        at = b.add(b.min(b.max(at, 0.0), limit), 0.5)
        # One plane at a time: full-size planes are expensive to take apart.
        x, y = (enlarger.pixels(p, size) for p in b.op("Split", [at], outputs=2, axis=1))
        # The cast rounds x down; y has to be whole before it counts rows.
        flat = b.op("Cast", [b.add(b.mul(b.op("Floor", [y]), stride), x)], to=TensorProto.INT32)
        flat = b.reshape(flat, (count, -1))
        return [flat] if count == 1 else b.op("Split", [flat], outputs=count, axis=0)


def look_up(b, table, index):
    return b.op("GatherElements", [table, index], axis=1)
