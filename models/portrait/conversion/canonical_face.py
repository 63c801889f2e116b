"""MediaPipe's canonical face, the mean face its mesh stands for, as a TypeScript constant."""

import struct
import textwrap

import numpy as np

LANDMARKS = 468
FLOATS = 5  # of each vertex: x, y, z in centimetres (y up, z towards the viewer), then u and v of the texture
FOREHEAD, CHIN = 10, 152

TEMPLATE = """/**
 * The mean face: x, y and z of the face mesh's 468 landmarks, in thousandths of the face's height from the top of the
 * forehead (landmark 10) to the chin (152). x to the viewer's right, y down, z away from the viewer; the origin is midway
 * between those two landmarks.
 *
 * MediaPipe's canonical face model, Copyright The MediaPipe Authors, Apache License 2.0. Written by
 * `models/portrait/conversion/convert_face_models.py`.
 */
// biome-ignore format: a table
export const CANONICAL_FACE: readonly number[] = [
%s
];
"""


def read_vertices(content: bytes) -> np.ndarray:
    """Vertices (468, 3) of the mesh in a serialized GeometryPipelineMetadata.

    Its first field is the mesh: two small fields, then the vertex buffer, unpacked: a tag and a float32 each.
    """
    tag = b"\x1d"
    start = content.index(tag)
    record = 1 + 4
    values = []
    for at in range(start, start + LANDMARKS * FLOATS * record, record):
        if content[at : at + 1] != tag:
            raise ValueError("the vertex buffer is shorter than 468 vertices")
        values.append(struct.unpack_from("<f", content, at + 1)[0])
    return np.array(values).reshape(LANDMARKS, FLOATS)[:, :3]


def canonical_face(content: bytes) -> str:
    """The TypeScript source of the constant."""
    vertices = read_vertices(content) * [1, -1, -1]
    top, bottom = vertices[FOREHEAD], vertices[CHIN]
    scaled = (vertices - (top + bottom) / 2) * 1000 / (bottom[1] - top[1])
    numbers = ", ".join(str(int(n)) for n in np.round(scaled).reshape(-1)) + ","
    return TEMPLATE % textwrap.fill(numbers, 118, initial_indent="  ", subsequent_indent="  ")
