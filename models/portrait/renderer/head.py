"""The head: the photo warped over the still picture behind it, everything but mouth and eyes.

Pixels are looked up in blocks of two by two: one place serves four luma and one chroma sample. Inside a block the picture is
taken as it stands, which is less wrong than the third of a pixel to which places are rounded.
"""

import numpy as np
from onnx import TensorProto

from warp import NODES, TABLE_SCALE, paste, picture_index, sample, table_index, to_index

FRAME = 512
ENTRIES = (TABLE_SCALE * FRAME) ** 2
# A block's second row and column must be in the table too.
LAST = FRAME - 1.4


def draw_head(b, at, grid_pixels):
    """Luma [1, 1, 512, 512] and chroma [1, 2, 256, 256], bytes."""
    nodes = b.crop(at.rest, b.input("head_first_node", np.int64, [2]), b.input("head_past_node", np.int64, [2]))
    alpha = sample(b, b.input("field_alpha", np.float32, [1, 1, NODES, NODES]), nodes)
    # What is opaque shall be so exactly, or rounding would draw patterns.
    alpha = b.min(b.mul(alpha, 1.0001), 1.0)
    places = b.add(b.mul(nodes, grid_pixels), b.input("head_offset", np.float32, [1, 2, 1, 1]))
    index, chroma_index, alpha = _blocks(b, b.concat([places, alpha], 1))
    luma = _luma(b, index, alpha)
    chroma = _chroma(b, chroma_index, alpha)
    bounds = b.op("Split", [b.input("head_bounds", np.int64, [4])], outputs=4, axis=0)
    half_bounds = b.op("Split", [b.input("head_half_bounds", np.int64, [4])], outputs=4, axis=0)
    still = [b.input(f"still_{what}", np.uint8, shape) for what, shape in (("luma", [1, 1, FRAME, FRAME]), ("chroma", [1, 2, FRAME // 2, FRAME // 2]))]
    return paste(b, still[0], luma, *bounds), paste(b, still[1], chroma, *half_bounds)


def _blocks(b, nodes):
    """Places and alpha at the nodes -> indices for luma and chroma and alpha of the blocks, [1, 1, cells, blocks of a cell, blocks of a row]."""
    wide = b.matmul(nodes, b.input("head_columns", np.float32, ["head_column_nodes", "head_blocks"]))
    wide = b.op("Unsqueeze", [wide, b.integers(3)])
    above, below = b.slice(wide, 0, -1, 2), b.slice(wide, 1, 1 << 30, 2)
    steps = b.input("head_steps", np.float32, ["head_cell_blocks", 1])
    places, alpha = b.op("Split", [b.mix(above, below, steps), b.integers(2, 1)], outputs=2, axis=1)
    # Not bounded at the nodes: at the frame's border the next one lies beyond it.
    places = b.clip(places, 0.0, LAST)
    along = lambda x, y: b.constant(np.array([x, y]).reshape(1, 2, 1, 1, 1))
    shift_steps, pixel_steps = along(FRAME**2, TABLE_SCALE * FRAME**2), along(1, FRAME)
    luma = table_index(b, places, shift_steps, pixel_steps)
    return to_index(b, luma), to_index(b, picture_index(b, places, pixel_steps)), alpha


def _luma(b, index, alpha):
    behind = b.input("behind_luma", np.uint8, [2, 1, "head_rows", "head_cell_blocks", 2, "head_blocks"])
    # Left and right pixels apart, for rows that are done as one.
    corners = b.constant(np.array([[0, FRAME], [1, FRAME + 1]]).reshape(2, 1, 1, 1, 2, 1), np.int32)
    index = b.op("Add", [b.op("Unsqueeze", [index, b.integers(4)]), corners])
    pixels = b.op("GatherElements", [b.input("base_luma", np.uint8, [1, ENTRIES]), b.reshape(index, (1, -1))], axis=1)
    pixels = b.op("Reshape", [b.to_float(pixels), b.op("Shape", [behind])])
    pixels = b.mix(b.to_float(behind), pixels, b.op("Unsqueeze", [alpha, b.integers(4)]))
    pixels = b.reshape(b.op("Cast", [pixels], to=TensorProto.UINT8), (2, -1))
    return b.op("Reshape", [b.op("Transpose", [pixels], perm=[1, 0]), b.input("head_shape", np.int64, [4])])


def _chroma(b, index, alpha):
    behind = b.input("behind_chroma", np.uint8, [2, "head_all_blocks"])
    index = b.op("Expand", [b.reshape(index, (1, -1)), b.integers(2, 1)])
    pixels = b.op("GatherElements", [b.input("base_chroma", np.uint8, [2, FRAME**2]), index], axis=1)
    pixels = b.mix(b.to_float(behind), b.to_float(pixels), b.reshape(alpha, (1, -1)))
    return b.op("Reshape", [b.op("Cast", [pixels], to=TensorProto.UINT8), b.input("head_half_shape", np.int64, [4])])
