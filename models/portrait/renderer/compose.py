"""Composition of the layers inside the mouth's and the eyes' regions. Tables hold bytes; codes of distances sit at 128."""

import numpy as np
from onnx import TensorProto

from warp import CELLS, FINE_NODES, TABLE_SCALE, TableIndex, look_up, sample

# Codes per u of the analyser's signed distances (analyser.ts: LIP_RANGE, EYE_RANGE).
LIP_CODES = 127 / 0.06
EYE_CODES = 127 / 0.16
# Brightness of the line between closed lips against the lip's edge.
SEAM_LIGHT = 0.6
BLACK = {"y": 16.0, "u": 128.0, "v": 128.0}


class Block:
    """A block of grid cells; with a number it follows the head."""

    def __init__(self, b, name, number, shifts, cell, corner):
        self.b = b
        self.name = name
        starts = b.input(f"{name}_cells", np.int64, [2])
        count = b.input(f"{name}_cell_count", np.int64, [2])
        start = starts if number is None else b.op("Add", [starts, b.slice(shifts, 2 * number, 2 * number + 2, 0)])
        room = b.op("Sub", [b.integers(CELLS, CELLS), count])
        start = b.op("Max", [b.op("Min", [start, room]), b.integers(0, 0)])
        self.first = start
        self.past = b.op("Add", [b.op("Add", [start, count]), b.integers(1, 1)])
        self.size = b.op("Mul", [count, cell])
        self.from_ = b.op("Add", [b.op("Mul", [start, cell]), corner])
        half = lambda x: b.op("Div", [x, b.integers(2, 2)])
        self.half_size, self.half_from = half(self.size), half(self.from_)

    def bounds(self, half):
        start, size = (self.half_from, self.half_size) if half else (self.from_, self.size)
        return start, self.b.op("Add", [start, size])

    def paste(self, plane, flat, half):
        """The plane with the region's pixels (floats [1, n]) put in."""
        b = self.b
        start, end = self.bounds(half)
        size = self.half_size if half else self.size
        pixels = b.op("Cast", [b.add(flat, 0.5)], to=TensorProto.UINT8)
        return paste(b, plane, b.reshape(pixels, b.concat([b.integers(1, 1), size], 0)), start, end)


class Region(Block):
    """A block composed from layers, with the index helper of its own tables."""

    def __init__(self, b, name, number, shifts, cell, corner, enlargers):
        super().__init__(b, name, number, shifts, cell, corner)
        vector = lambda what: b.input(f"{name}_{what}", np.float32, [1, 2, 1, 1])
        stride = b.input(f"{name}_stride", np.float32, [1])
        self.index = TableIndex(b, vector("origin"), vector("limit"), stride, enlargers)

    def blocks(self, layers):
        """The region's nodes of several layers' coordinates."""
        return [self.b.crop(coordinates, self.first, self.past) for coordinates in layers]

    def indices(self, blocks, half):
        """Flat table indices of the region's pixels, one tensor for each layer."""
        return self.index.half(blocks, self.half_size) if half else self.index.full(blocks, self.size)

    def table(self, what, half=False):
        name = f"{self.name}_{what}{'_half' if half else ''}"
        return self.b.input(name, np.uint8, [1, f"{self.name}_{'half_' if half or what[-2:] in ('_u', '_v') else ''}entries"])


def paste(b, plane, block, start, end):
    """`plane` [1, 1, H, W] with `block` in rows and columns [start, end)."""
    y0, x0 = b.op("Split", [start], outputs=2, axis=0)
    y1, x1 = b.op("Split", [end], outputs=2, axis=0)
    far, zero = b.integers(1 << 30), b.integers(0)
    cut = lambda x, a, e, axis: b.op("Slice", [x, a, e, b.integers(axis)])
    band = cut(plane, y0, y1, 2)
    band = b.concat([cut(band, zero, x0, 3), block, cut(band, x1, far, 3)], 3)
    return b.concat([cut(plane, zero, y0, 2), band, cut(plane, y1, far, 2)], 2)


def compose_mouth(b, region, at, jaw, gap, rounded, roll, gain):
    """Lips over teeth over cavity. Returns luma and the two chroma blocks as flat floats."""
    axis = b.input("jaw_axis", np.float32, [1, 2, 1, 1])
    # The interior is drawn for a jaw this far down.
    rest = b.input("mouth_jaw_rest", np.float32, [1])
    interior = b.add(at.pose, b.mul(axis, b.sub(rest, b.reshape(jaw, (1,)))))
    blocks = region.blocks((at.upper, at.lower, interior, at.pose))
    # While the lips touch there is no inside: what shows between them is the shaded edge of the upper one.
    parted = b.clip(b.mul(gap, 1 / 0.02))
    rolled = b.mul(roll, LIP_CODES)
    # Teeth that stand on the lower lip (f, v) are in front and in the light.
    one = b.constant(1.0)
    shade = b.add(b.mul(b.clip(b.mul(roll, 1 / 0.034)), 0.18), 0.74)
    # Rounded lips stand before the teeth and keep the light off them.
    depth = b.sub(1.0, b.mul(rounded, 0.75))
    shadow = dict(zip("yuv", b.op("Split", [b.input("mouth_shadow", np.float32, [3])], outputs=3, axis=0)))
    result = {}
    for half in (False, True):
        upper, lower, back, skull = region.indices(blocks, half)
        code = lambda what, i: b.sub(b.to_float(look_up(b, region.table(what, half), i)), 128.0)
        upper_code, lower_code = code("upper_edge", upper), code("lower_edge", lower)
        edge = lambda c: b.clip(b.add(b.mul(c, gain), 0.5))
        teeth_alpha = b.mul(b.to_float(look_up(b, region.table("teeth_alpha", half), skull)), 1 / 255)
        # The lower lip lies in front, but a tucked one rolls in behind the upper teeth; what it leaves is shared between
        # the upper lip and the inside.
        lower_weight = edge(b.sub(lower_code, b.mul(teeth_alpha, rolled)))
        left = b.sub(1.0, lower_weight)
        upper_weight = b.min(edge(upper_code), left)
        inner_weight = b.sub(left, upper_weight)
        # The lips keep the light off what is just behind them.
        under = lambda c, reach, darkest: b.mix(darkest, one, b.clip(b.mul(c, -1 / (reach * LIP_CODES))))
        light = b.mul(b.mul(under(upper_code, 0.045, shade), under(lower_code, 0.04, b.constant(0.9))), depth)
        for plane in ("u", "v") if half else ("y",):
            get = lambda layer, i: b.to_float(look_up(b, region.table(f"{layer}_{plane}"), i))
            inside = b.mix(shadow[plane], b.mix(get("jaw", back), get("teeth", skull), teeth_alpha), light)
            upper_skin = get("upper", upper)
            seam = b.add(b.mul(b.sub(upper_skin, BLACK[plane]), SEAM_LIGHT), BLACK[plane])
            inside = b.mix(seam, inside, parted)
            skin = b.add(b.mul(upper_skin, upper_weight), b.mul(get("lower", lower), lower_weight))
            result[plane] = b.add(skin, b.mul(inside, inner_weight))
    return result


def compose_eye(b, region, at, planes, shut, gaze, gain):
    """Eyeball in the opening, then the painted skin as far as the eye is shut, then the lashes along the lid's edge."""
    lash = b.op("Split", [b.input(f"{region.name}_lash", np.float32, [3])], outputs=3, axis=0)
    ball_at = b.sub(at.pose, gaze)
    blocks = region.blocks((at.base, ball_at))
    # What the lid sweeps over is painted while its edge has hardly moved, the fold and the skin around only as it shuts.
    soon = b.clip(b.mul(shut, 6.0))
    slowly = b.mul(shut, shut)
    result = {}
    for half in (False, True):
        skin, ball = region.indices(blocks, half)
        get = lambda what, i, h: b.to_float(look_up(b, region.table(what, h), i))
        opening = b.clip(b.add(b.mul(b.sub(get("opening", skin, half), 128.0), gain), 0.5))
        above = b.mix(get("above_open", skin, half), get("above_shut", skin, half), shut)
        above = b.sub(above, 128.0)
        mask = b.mul(get("lid_mask", skin, half), 2 / 255)
        around = b.mul(b.min(mask, 1.0), slowly)
        swept = b.max(b.mul(b.max(b.sub(mask, 1.0), 0.0), soon), around)
        lid = b.mul(b.clip(b.add(b.mul(above, gain), 0.5)), swept)
        # Under the edge the lower lid's rim goes too; the eyeball that is still seen stays.
        lid = b.max(lid, b.mul(b.sub(1.0, opening), around))
        # Lashes hang down from the edge: sharp above, soft below.
        far = b.max(b.mul(above, 1 / (0.019 * EYE_CODES)), b.mul(above, -1 / (0.038 * EYE_CODES)))
        fringe = b.max(b.sub(1.0, far), 0.0)
        fringe = b.mul(b.mul(b.mul(fringe, fringe), b.mul(soon, 0.8 / 255)), get("lash_mask", skin, half))
        start, end = region.bounds(half)
        for plane, colour in zip("uv", lash[1:]) if half else (("y", lash[0]),):
            pixels = b.to_float(b.reshape(b.crop(planes[plane], start, end), (1, -1)))
            pixels = b.mix(pixels, get(f"ball_{plane}", ball, False), opening)
            pixels = b.mix(pixels, get(f"lid_{plane}", skin, False), lid)
            result[plane] = b.mix(pixels, colour, fringe)
    return result


def shade(b, block, at, luma, strengths, half_enlarger):
    """The skin's light with expression: the block's luma as flat floats."""
    fields = b.add(b.matmul(strengths, b.input("field_shade", np.float32, [2, FINE_NODES**2])), 1.0)
    # Twice as many samples as the coordinates have nodes, the fields being twice as fine.
    twice = b.constant([1.0, 1.0, 2.0, 2.0])
    places = b.crop(at.source, block.first, block.past)
    places = b.op("Resize", [places, "", twice], mode="linear", coordinate_transformation_mode="asymmetric")
    places = b.op("Slice", [places, b.integers(0, 0), b.integers(-1, -1), b.integers(2, 3)])
    fields = b.reshape(fields, (1, 1, FINE_NODES, FINE_NODES))
    samples = sample(b, fields, places)
    change = b.reshape(half_enlarger.pixels(samples, block.size), (1, -1))
    pixels = b.reshape(b.to_float(b.crop(luma, *block.bounds(False))), (1, -1))
    return b.mul(pixels, change)
