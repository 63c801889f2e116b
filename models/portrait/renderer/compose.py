"""Composition of the layers inside the mouth's and the eyes' regions. Tables hold bytes; codes of distances sit at 128.

Luma is composed first; chroma then takes the same weights, each the mean over its four pixels.
"""

import numpy as np
from onnx import TensorProto

from warp import FINE_NODES, enlarge, sample

# Codes per u of the analyser's signed distances (analyser.ts: LIP_RANGE, EYE_RANGE).
LIP_CODES = 127 / 0.06
EYE_CODES = 127 / 0.16
# Brightness of the line between closed lips against the lip's edge.
SEAM_LIGHT = 0.6
# Colours without light: luma, chroma.
BLACK = 16.0, 128.0


def to_bytes(b, pixels):
    return b.op("Cast", [b.add(pixels, 0.5)], to=TensorProto.UINT8)


def halved(b, weights):
    """Weights [N, 1, h, w], as floats for luma -> the same for chroma."""
    stacked = b.op("AveragePool", [b.concat(weights, 1)], kernel_shape=[2, 2], strides=[2, 2])
    return b.op("Split", [stacked], outputs=len(weights), axis=1)


def colours(b, name, regions):
    """A colour of each region: luma and chroma, to be laid over pixels."""
    return b.input(f"{name}_luma", np.float32, [regions, 1, 1, 1]), b.input(f"{name}_chroma", np.float32, [regions, 2, 1, 1])


def compose_mouth(b, tables, nodes, jaw, gap, rounded, roll):
    """Lips over teeth over cavity. Returns bytes: luma [1, 1, h, w] and chroma [1, 2, h / 2, w / 2]."""
    gain = b.input("lip_edge", np.float32, [1])
    # The interior is drawn for a jaw this far down.
    dropped = b.sub(jaw, b.input("mouth_jaw_rest", np.float32, [1]))
    index, chroma_index = tables.index(nodes, b.mul(dropped, b.input("mouth_jaw_axis", np.float32, [1, 8, 1, 1])))
    upper_code, lower_code, teeth = tables.look_up("edge", index, layers=3)
    upper_code, lower_code = b.sub(upper_code, 128.0), b.sub(lower_code, 128.0)
    teeth = b.mul(teeth, 1 / 255)
    # While the lips touch there is no inside: what shows between them is the shaded edge of the upper one.
    parted = b.clip(b.mul(gap, 1 / 0.02))
    # Teeth that stand on the lower lip (f, v) are in front and in the light.
    shade = b.add(b.mul(b.clip(b.mul(roll, 1 / 0.034)), 0.18), 0.74)
    # Rounded lips stand before the teeth and keep the light off them.
    depth = b.sub(1.0, b.mul(rounded, 0.75))
    edge = lambda code: b.clip(b.add(b.mul(code, gain), 0.5))
    # The lower lip lies in front, but a tucked one rolls in behind the upper teeth; what it leaves is shared between
    # the upper lip and the inside.
    lower_weight = edge(b.sub(lower_code, b.mul(teeth, b.mul(roll, LIP_CODES))))
    left = b.sub(1.0, lower_weight)
    upper_weight = b.min(edge(upper_code), left)
    inner_weight = b.sub(left, upper_weight)
    # The lips keep the light off what is just behind them.
    under = lambda code, reach, darkest: b.mix(darkest, b.constant(1.0), b.clip(b.mul(code, -1 / (reach * LIP_CODES))))
    light = b.mul(b.mul(under(upper_code, 0.045, shade), under(lower_code, 0.04, b.constant(0.9))), depth)
    weights = [upper_weight, lower_weight, inner_weight, teeth, light]
    shadows = colours(b, "mouth_shadow", 1)
    result = []
    for chroma, (black, shadow) in enumerate(zip(BLACK, shadows)):
        at, channels = (chroma_index, 2) if chroma else (index, 1)
        upper, lower, ivory, cavity = tables.look_up(("luma", "chroma")[chroma], at, channels, chroma=chroma)
        upper_weight, lower_weight, inner_weight, teeth, light = halved(b, weights) if chroma else weights
        inside = b.mix(shadow, b.mix(cavity, ivory, teeth), light)
        seam = b.add(b.mul(b.sub(upper, black), SEAM_LIGHT), black)
        inside = b.mix(seam, inside, parted)
        skin = b.add(b.mul(upper, upper_weight), b.mul(lower, lower_weight))
        result.append(to_bytes(b, b.add(skin, b.mul(inside, inner_weight))))
    return result


def compose_eyes(b, tables, nodes, behind, shut, gaze):
    """Eyeball in the opening, then the painted skin as far as the eye is shut, then the lashes along the lid's edge. Both eyes at once:
    `nodes` [2, 8, r, c], `behind` luma [2, 1, h, w] and chroma [2, 2, h / 2, w / 2] of what is drawn so far, `shut` [2, 1, 1, 1], `gaze` [1, 4, 1, 1].
    Returns bytes of the shapes of `behind`."""
    gain = b.input("eye_edge", np.float32, [1])
    # What the lid sweeps over is painted while its edge has hardly moved, the fold and the skin around only as it shuts.
    soon = b.clip(b.mul(shut, 6.0))
    slowly = b.mul(shut, shut)
    index, chroma_index = tables.index(nodes, gaze)
    (masks,) = tables.look_up("masks", index, 5, layers=1)
    opening, above_open, above_shut, lid_mask, lash_mask = b.op("Split", [masks], outputs=5, axis=1)
    edge = lambda code: b.clip(b.add(b.mul(code, gain), 0.5))
    opening = edge(b.sub(opening, 128.0))
    above = b.sub(b.mix(above_open, above_shut, shut), 128.0)
    mask = b.mul(lid_mask, 2 / 255)
    around = b.mul(b.min(mask, 1.0), slowly)
    swept = b.max(b.mul(b.max(b.sub(mask, 1.0), 0.0), soon), around)
    lid = b.mul(edge(above), swept)
    # Under the edge the lower lid's rim goes too; the eyeball that is still seen stays.
    lid = b.max(lid, b.mul(b.sub(1.0, opening), around))
    # Lashes hang down from the edge: sharp above, soft below.
    far = b.max(b.mul(above, 1 / (0.019 * EYE_CODES)), b.mul(above, -1 / (0.038 * EYE_CODES)))
    fringe = b.max(b.sub(1.0, far), 0.0)
    fringe = b.mul(b.mul(b.mul(fringe, fringe), b.mul(soon, 0.8 / 255)), lash_mask)
    weights = [opening, lid, fringe]
    lashes = colours(b, "eye_lash", 2)
    result = []
    for chroma, (pixels, lash) in enumerate(zip(behind, lashes)):
        at, channels = (chroma_index, 2) if chroma else (index, 1)
        skin, ball = tables.look_up(("luma", "chroma")[chroma], at, channels, chroma=chroma)
        opening, lid, fringe = halved(b, weights) if chroma else weights
        pixels = b.mix(b.to_float(pixels), ball, opening)
        pixels = b.mix(pixels, skin, lid)
        result.append(to_bytes(b, b.mix(pixels, lash, fringe)))
    return result


def shade(b, luma, places, strengths):
    """The skin's light with expression: bytes of a block. `luma` [1, 1, h, w], `places` its nodes [1, 2, r, c]."""
    fields = b.add(b.matmul(strengths, b.input("field_shade", np.float32, [2, FINE_NODES**2])), 1.0)
    # Twice as many samples as the coordinates have nodes, the fields being twice as fine.
    twice = b.constant([1.0, 1.0, 2.0, 2.0])
    places = b.op("Resize", [places, "", twice], mode="linear", coordinate_transformation_mode="asymmetric")
    places = b.op("Slice", [places, b.integers(0, 0), b.integers(-1, -1), b.integers(2, 3)])
    samples = sample(b, b.reshape(fields, (1, 1, FINE_NODES, FINE_NODES)), places)
    rows = b.input("shade_rows", np.float32, ["shade_height", "shade_row_nodes"])
    columns = b.input("shade_columns", np.float32, ["shade_column_nodes", "shade_width"])
    return to_bytes(b, b.mul(b.to_float(luma), enlarge(b, samples, rows, columns)))
