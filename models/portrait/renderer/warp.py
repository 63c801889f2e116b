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


def enlarge(b, nodes, rows, columns):
    """Nodes [N, C, r, c] -> pixels [N, C, h, w], linearly: `rows` [h, r] and `columns` [c, w] hold the weights."""
    return b.matmul(rows, b.matmul(nodes, columns))


def table_index(b, places, shift_steps, pixel_steps):
    """Places in pixels, planes x of one or more layers before their planes y -> entries (whole floats), a plane for each layer.

    A table is nine pictures, one for each third of a pixel by which it is shifted, first across and then down. So neighbours in a frame are
    mostly neighbours in memory. The steps are those between shifted pictures and those between pixels, for each plane.
    """
    whole = b.op("Floor", [places])
    third = b.op("Floor", [b.mul(b.sub(places, whole), float(TABLE_SCALE))])
    return _sum_of_axes(b, b.add(b.mul(third, shift_steps), b.mul(whole, pixel_steps)))


def picture_index(b, places, pixel_steps):
    """As `table_index`, for a table that is one picture: the nearest pixel. Places are half a third of a pixel on."""
    nearest = b.op("Floor", [b.add(places, 0.5 - 0.5 / TABLE_SCALE)])
    return _sum_of_axes(b, b.mul(nearest, pixel_steps))


def _sum_of_axes(b, steps):
    return b.add(*b.op("Split", [steps], outputs=2, axis=1))


def to_index(b, entries):
    return b.op("Cast", [entries], to=TensorProto.INT32)


class Coordinates:
    """Where the layers of the picture that the nodes see are, in grid units (-1..1)."""

    # Planes of `layers`, x and y of each; the rest is the skin of either layer, outside the composed regions.
    UPPER, LOWER, REST, POSE = ((2 * k, 2 * k + 1) for k in range(4))

    def __init__(self, b, expression, pose):
        planes = b.constant(node_places())
        nodes = NODES * NODES
        forward = b.reshape(b.matmul(expression, b.input("field_expression", np.float32, ["controls", 4 * nodes])), (2, 2, NODES, NODES))
        head = b.reshape(b.matmul(pose, b.input("field_pose", np.float32, [11, 2 * nodes])), (1, 2, NODES, NODES))
        at = b.sub(planes, self._turn(b, head))
        both = b.sub(b.concat([at, at], 1), self._expression(b, forward, planes, at))
        upper, lower = b.op("Split", [both], outputs=2, axis=1)
        self.rest = b.mix(upper, lower, b.input("select_lower", np.float32, [1, 1, NODES, NODES]))
        self.layers = b.concat([both, self.rest, at], 1)

    # An inverse displacement D'(x) = D(x - D'(x)) is found by two fixed-point steps; a place sees what lies at x - D'(x).

    def _turn(self, b, head):
        """The inverse of the head's motion. It is smooth: every second node is enough, and half the time."""
        here = b.constant(node_places()[:, :, ::2, ::2])
        moved = b.op("Slice", [head, b.integers(0, 0), b.integers(NODES, NODES), b.integers(2, 3), b.integers(2, 2)])
        for _ in range(2):
            moved = sample(b, head, b.sub(here, moved))
        apart = b.constant([1.0, 1.0, NODES / (CELLS // 2 + 1), NODES / (CELLS // 2 + 1)])
        return b.op("Resize", [moved, "", apart], mode="linear", coordinate_transformation_mode="align_corners")

    def _expression(self, b, forward, planes, at):
        """The expression's inverse, looked up where the pose leads to: [1, 4, nodes, nodes]. Computed on the face only."""
        whole = b.integers(NODES, NODES)
        first, count = b.input("face_nodes", np.int64, [2]), b.input("face_node_count", np.int64, [2])
        past = b.op("Add", [first, count])
        scale, shift = (b.input(f"face_grid_{what}", np.float32, [1, 2, 1, 1]) for what in ("scale", "shift"))
        # Places in the sampling coordinates of a field that is cut to the face.
        locate = lambda places: b.add(b.mul(places, scale), shift)
        forward = b.crop(forward, first, past)
        here = locate(b.crop(planes, first, past))
        moved = forward
        for _ in range(2):
            moved = sample(b, forward, b.sub(here, b.mul(moved, scale)))
        moved = b.op("Reshape", [moved, b.concat([b.integers(1, 4), count], 0)])
        # Where the head may take the face.
        reach = b.input("face_reach", np.int64, [1])
        start = b.op("Max", [b.op("Sub", [first, reach]), b.integers(0, 0)])
        end = b.op("Min", [b.op("Add", [past, reach]), whole])
        moved = sample(b, moved, locate(b.crop(at, start, end)))
        none = b.integers(0, 0)
        return b.op("Pad", [moved, b.concat([none, start, none, b.op("Sub", [whole, end])], 0), b.constant(0.0)])


class Blocks:
    """Blocks of grid cells that are composed by themselves. They follow the head by whole cells."""

    def __init__(self, b, names, pose, corner, cell):
        """`corner`: the moving square's first row and column; `cell`: pixels of a cell."""
        self.b = b
        shape = [len(names), 2]
        count = b.input("block_cell_count", np.int64, shape)
        moved = b.matmul(pose, b.input("block_motion", np.float32, [11, 2 * len(names)]))
        moved = b.reshape(b.op("Cast", [b.op("Round", [moved])], to=TensorProto.INT64), shape)
        start = b.op("Add", [b.input("block_cells", np.int64, shape), moved])
        start = b.op("Max", [b.op("Min", [start, b.op("Sub", [b.integers(CELLS), count])]), b.integers(0)])
        end = b.op("Add", [start, count])
        pixels = b.op("Add", [b.op("Mul", [b.concat([start, end], 0), cell]), corner])
        pairs = b.op("Div", [pixels, b.integers(2)])
        every = b.reshape(b.concat([start, b.op("Add", [end, b.integers(1)]), pixels, pairs], 0), (-1,))
        bounds = b.op("Split", [every], outputs=6 * len(names), axis=0)
        # Rows and columns from and to: of nodes, of luma, of chroma.
        self._bounds = {
            name: [tuple(bounds[(2 * kind + end) * len(names) + i] for end in (0, 1)) for kind in range(3)]
            for i, name in enumerate(names)
        }

    def nodes(self, name, planes):
        return self.b.crop(planes, *self._bounds[name][0])

    def pixels(self, name, planes, chroma=False):
        return self.b.crop(planes, *self._bounds[name][2 if chroma else 1])

    def paste(self, name, planes, block, chroma=False):
        b = self.b
        ends = [b.op("Split", [end], outputs=2, axis=0) for end in self._bounds[name][2 if chroma else 1]]
        (top, left), (bottom, right) = ends
        return paste(b, planes, block, top, bottom, left, right)


def paste(b, planes, block, top, bottom, left, right):
    """`planes` [1, C, H, W] with `block` in rows [top, bottom) and columns [left, right)."""
    far, zero = b.integers(1 << 30), b.integers(0)
    cut = lambda x, a, e, axis: b.op("Slice", [x, a, e, b.integers(axis)])
    band = cut(planes, top, bottom, 2)
    band = b.concat([cut(band, zero, left, 3), block, cut(band, right, far, 3)], 3)
    return b.concat([cut(planes, zero, top, 2), band, cut(planes, bottom, far, 2)], 2)


class LayerTables:
    """Tables of one or more regions with several layers each, and where a region's pixels find each of these layers."""

    def __init__(self, b, name, regions, layers, grid_pixels):
        """`layers`: the two planes of `Coordinates.layers` that each is found by."""
        self.b = b
        self.name = name
        self.regions = regions
        self.layers = len(layers)
        self._order = b.integers(*(planes[0] for planes in layers), *(planes[1] for planes in layers))
        self._scale = grid_pixels
        vector = lambda what, planes: b.input(f"{name}_{what}", np.float32, [regions, planes, 1, 1])
        self._offset, self._last, self._shift_steps, self._pixel_steps = (
            vector(what, 2 * self.layers) for what in ("offset", "last", "shift_steps", "pixel_steps")
        )
        # The layers' tables lie one after another.
        self._start, self._chroma_start = vector("start", self.layers), vector("chroma_start", self.layers)
        self._rows = b.input(f"{name}_rows", np.float32, [f"{name}_height", f"{name}_row_nodes"])
        self._columns = b.input(f"{name}_columns", np.float32, [f"{name}_column_nodes", f"{name}_width"])
        size = b.input(f"{name}_size", np.int64, [2])
        self._sizes = size, b.op("Div", [size, b.integers(2)])

    def index(self, nodes, shift):
        """Nodes of `Coordinates.layers` [regions, 8, r, c] -> [regions, layers, h, w], and the same for chroma. `shift` is taken
        from the places: pixels, [*, 2 * layers, 1, 1]."""
        b = self.b
        at = b.op("Gather", [nodes, self._order], axis=1)
        at = b.add(b.mul(at, self._scale), b.sub(self._offset, shift))
        # Bounded at the nodes: what is interpolated between bounded values stays within them.
        at = enlarge(b, b.min(b.max(at, 0.0), self._last), self._rows, self._columns)
        far = b.integers(1 << 30, 1 << 30)
        half = b.op("Slice", [at, b.integers(0, 0), far, b.integers(2, 3), b.integers(2, 2)])
        luma = b.add(table_index(b, at, self._shift_steps, self._pixel_steps), self._start)
        chroma = b.add(picture_index(b, half, self._pixel_steps), self._chroma_start)
        return to_index(b, luma), to_index(b, chroma)

    def look_up(self, what, index, channels=1, layers=None, chroma=False):
        """Floats [regions, channels, h, w] of each of the first `layers` layers."""
        b = self.b
        layers = layers or self.layers
        if layers < self.layers:
            index = b.slice(index, 0, layers, 1)
        index = b.reshape(index, (self.regions, 1, -1))
        if channels > 1:
            index = b.op("Expand", [index, b.integers(1, channels, 1)])
        table = b.input(f"{self.name}_{what}", np.uint8, [self.regions, channels, f"{self.name}_{what}_entries"])
        found = b.to_float(b.op("GatherElements", [table, index], axis=2))
        height, width = b.op("Split", [self._sizes[chroma]], outputs=2, axis=0)
        high = height if layers == 1 else b.op("Mul", [height, b.integers(layers)])
        found = b.op("Reshape", [found, b.concat([b.integers(self.regions, channels), high, width], 0)])
        return [found] if layers == 1 else b.op("Split", [found], outputs=layers, axis=2)
