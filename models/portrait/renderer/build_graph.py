"""Writes renderer.onnx, the portrait pack's renderer: one graph for every portrait.

    python build_graph.py [output path]      needs the packages `onnx` (1.16) and `numpy`

Inputs: `motion` f32 [1, 31] (scaled tokens) and the identity tensors of src/avatar/portrait-analyser.
Output: `frames` u8 [1, 768, 512], I420 (BT.601, limited range). See README.md for how it works.
"""

import sys
from pathlib import Path

import numpy as np

from compose import Block, Region, compose_eye, compose_mouth, shade
from graph_builder import GraphBuilder
from motion_controls import TOKENS, expression_controls, pose_coefficients, read_tokens, shade_strengths
from onnx import TensorProto
from warp import CELLS, NODES, TABLE_SCALE, Coordinates, Enlarger, TableIndex, look_up, sample

FRAME = 512
SIDES = {"y": FRAME, "u": FRAME // 2, "v": FRAME // 2}
# Blink below this is an open eye.
LIDS_AT_REST = 0.05


def build(path):
    b = GraphBuilder()
    tokens = read_tokens(b, b.input("motion", np.float32, [1, len(TOKENS)]))
    scalar = lambda name: b.input(name, np.float32, [1])
    expression, jaw, gap, roll = expression_controls(b, tokens, scalar("upper_closing"), scalar("tuck_raise"))
    pose = pose_coefficients(b, tokens)
    at = Coordinates(b, expression, pose)

    scales = b.input("cell_scales", np.float32, [4])
    enlargers = Enlarger(b, scales, 1.0), Enlarger(b, scales, 0.5)
    window_start = b.input("window_start", np.int64, [2])
    window_size = b.input("window_size", np.int64, [2])
    cell = b.op("Div", [window_size, b.integers(CELLS, CELLS)])
    # Where the head is not, the frame is the picture behind it.
    planes = {p: b.input(f"still_{p}", np.uint8, [1, 1, side, side]) for p, side in SIDES.items()}
    head = Block(b, "head", None, None, cell, window_start)
    blocks = compose_head(b, head, at, planes, window_start, enlargers)
    planes = {p: head.paste(planes[p], blocks[p], p != "y") for p in planes}

    moved = b.matmul(pose, b.input("region_motion", np.float32, [11, 8]))
    shifts = b.reshape(b.op("Cast", [b.op("Round", [moved])], to=TensorProto.INT64), (8,))
    regions = [
        Region(b, name, i, shifts, cell, window_start, enlargers) for i, name in enumerate(("mouth", "eye_left", "eye_right"))
    ]

    eye_edge = b.input("eye_edge", np.float32, [1])
    look = b.matmul(b.concat([tokens["gaze_x"], tokens["gaze_y"]], 1), b.input("gaze_axes", np.float32, [2, 2]))
    gaze = b.reshape(look, (1, 2, 1, 1))
    # Looking down lowers the lids a little.
    lowered = b.mul(b.max(tokens["gaze_y"], 0.0), 0.2)
    for region, token in zip(regions[1:], ("blink_left", "blink_right")):
        # Generated motion keeps lids a few per cent from open; the photo's own lids are better than painted ones there.
        shut = b.clip(b.add(b.mul(b.sub(tokens[token], LIDS_AT_REST), 1 / (0.95 - LIDS_AT_REST)), lowered))
        blocks = compose_eye(b, region, at, planes, shut, gaze, eye_edge)
        planes = {p: region.paste(planes[p], blocks[p], p != "y") for p in planes}
    mouth = regions[0]
    # Teeth meant to be seen (sh) are, and a wide opening lets light in.
    seen = b.clip(b.add(b.mul(tokens["teeth"], 0.7), b.mul(tokens["open"], 0.7)))
    rounded = b.mul(b.mul(tokens["round"], tokens["round"]), b.sub(1.0, seen))
    blocks = compose_mouth(b, mouth, at, jaw, gap, rounded, roll, b.input("lip_edge", np.float32, [1]))
    planes = {p: mouth.paste(planes[p], blocks[p], p != "y") for p in planes}

    # Folds and hollows come with expression, over all layers.
    shaded = Block(b, "shade", 3, shifts, cell, window_start)
    strengths = shade_strengths(b, expression)
    planes["y"] = shaded.paste(planes["y"], shade(b, shaded, at, planes["y"], strengths, enlargers[1]), False)

    flat = [b.reshape(planes[p], (1, SIDES[p] ** 2)) for p in "yuv"]
    frames = b.reshape(b.concat(flat, 1), (1, FRAME * 3 // 2, FRAME))
    b.save(path, "portrait_renderer", frames, np.uint8, [1, FRAME * 3 // 2, FRAME], "Facecast portrait renderer")


def compose_head(b, block, at, planes, window_start, enlargers):
    """The warped photo, everything but mouth and eyes, over the picture behind it. Luma and chroma as flat floats."""
    last = FRAME * TABLE_SCALE - 1.0
    corner = b.to_float(b.op("Mul", [window_start, b.integers(TABLE_SCALE, TABLE_SCALE)]))
    rows, columns = b.op("Split", [corner], outputs=2, axis=0)
    origin = b.reshape(b.concat([columns, rows], 0), (1, 2, 1, 1))
    index = TableIndex(b, origin, b.constant([[[[last]], [[last]]]]), b.constant([last + 1]), enlargers)
    entries = (FRAME * TABLE_SCALE) ** 2
    nodes = [b.crop(at.base, block.first, block.past)]
    (full,), (half,) = index.full(nodes, block.size), index.half(nodes, block.half_size)
    field = b.input("field_alpha", np.float32, [1, 1, NODES, NODES])
    samples = sample(b, field, b.crop(at.source, block.first, block.past))
    result = {}
    for p in "yuv":
        table = b.input(f"base_{p}", np.uint8, [1, entries if p == "y" else entries // 4])
        if p != "v":
            enlarger, size = (enlargers[0], block.size) if p == "y" else (enlargers[1], block.half_size)
            alpha = b.reshape(enlarger.pixels(samples, size), (1, -1))
        behind = b.to_float(b.reshape(b.crop(planes[p], *block.bounds(p != "y")), (1, -1)))
        result[p] = b.mix(behind, b.to_float(look_up(b, table, full if p == "y" else half)), alpha)
    return result


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "renderer.onnx"
    build(str(target))
    print(target, target.stat().st_size, "bytes")
