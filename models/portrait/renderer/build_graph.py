"""Writes renderer.onnx, the portrait pack's renderer: one graph for every portrait.

    python build_graph.py [output path]      needs the packages `onnx` (1.16) and `numpy`

Inputs: `motion` f32 [1, 31] (scaled tokens) and the identity tensors of src/avatar/portrait-analyser.
Output: `frames` u8 [1, 768, 512], I420 (BT.601, limited range). See README.md for how it works.
"""

import sys
from pathlib import Path

import numpy as np

from compose import compose_eyes, compose_mouth, shade
from graph_builder import GraphBuilder
from head import FRAME, draw_head
from motion_controls import TOKENS, expression_controls, pose_coefficients, read_tokens, shade_strengths
from warp import Blocks, Coordinates, LayerTables

# Blink below this is an open eye.
LIDS_AT_REST = 0.05
EYES = "eye_left", "eye_right"


def build(path):
    b = GraphBuilder()
    tokens = read_tokens(b, b.input("motion", np.float32, [1, len(TOKENS)]))
    scalar = lambda name: b.input(name, np.float32, [1])
    expression, jaw, gap, roll = expression_controls(b, tokens, scalar("upper_closing"), scalar("tuck_raise"))
    pose = pose_coefficients(b, tokens)
    at = Coordinates(b, expression, pose)
    grid_pixels = scalar("grid_pixels")
    corner, cell = b.input("window_start", np.int64, [2]), b.input("cell_pixels", np.int64, [1])
    blocks = Blocks(b, ("mouth", *EYES, "shade"), pose, corner, cell)

    # Luma and chroma of the frame so far.
    frame = draw_head(b, at, grid_pixels)
    eyes = draw_eyes(b, tokens, at, blocks, grid_pixels, frame)
    mouth = draw_mouth(b, tokens, at, blocks, grid_pixels, jaw, gap, roll)
    for name, parts in {**eyes, "mouth": mouth}.items():
        frame = [blocks.paste(name, planes, part, chroma) for chroma, (planes, part) in enumerate(zip(frame, parts))]
    # Folds and hollows come with expression, over all layers.
    luma, chroma = frame
    shaded = shade(b, blocks.pixels("shade", luma), blocks.nodes("shade", at.rest), shade_strengths(b, expression))
    luma = blocks.paste("shade", luma, shaded)
    flat = b.concat([b.reshape(luma, (1, -1)), b.reshape(chroma, (1, -1))], 1)
    frames = b.reshape(flat, (1, FRAME * 3 // 2, FRAME))
    b.save(path, "portrait_renderer", frames, np.uint8, [1, FRAME * 3 // 2, FRAME], "Facecast portrait renderer")


def draw_eyes(b, tokens, at, blocks, grid_pixels, frame):
    look = b.matmul(b.concat([tokens["gaze_x"], tokens["gaze_y"]], 1), b.input("gaze_axes", np.float32, [2, 4]))
    # Looking down lowers the lids a little.
    lowered = b.mul(b.max(tokens["gaze_y"], 0.0), 0.2)
    # Generated motion keeps lids a few per cent from open; the photo's own lids are better than painted ones there.
    blinks = b.concat([tokens["blink_left"], tokens["blink_right"]], 0)
    shut = b.clip(b.add(b.mul(b.sub(blinks, LIDS_AT_REST), 1 / (0.95 - LIDS_AT_REST)), lowered))
    tables = LayerTables(b, "eye", 2, (at.REST, at.POSE), grid_pixels)
    of_both = lambda get: b.concat([get(eye) for eye in EYES], 0)
    nodes = of_both(lambda eye: blocks.nodes(eye, at.layers))
    behind = [of_both(lambda eye: blocks.pixels(eye, planes, chroma)) for chroma, planes in enumerate(frame)]
    parts = compose_eyes(b, tables, nodes, behind, b.reshape(shut, (2, 1, 1, 1)), b.reshape(look, (1, 4, 1, 1)))
    apart = [b.op("Split", [part], outputs=2, axis=0) for part in parts]
    return {eye: [part[i] for part in apart] for i, eye in enumerate(EYES)}


def draw_mouth(b, tokens, at, blocks, grid_pixels, jaw, gap, roll):
    # Teeth meant to be seen (sh) are, and a wide opening lets light in.
    seen = b.clip(b.add(b.mul(tokens["teeth"], 0.7), b.mul(tokens["open"], 0.7)))
    rounded = b.mul(b.mul(tokens["round"], tokens["round"]), b.sub(1.0, seen))
    tables = LayerTables(b, "mouth", 1, (at.UPPER, at.LOWER, at.POSE, at.POSE), grid_pixels)
    return compose_mouth(b, tables, blocks.nodes("mouth", at.layers), jaw, gap, rounded, roll)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "renderer.onnx"
    build(str(target))
    print(target, target.stat().st_size, "bytes")
