"""Makes face_detector.onnx and face_mesh.onnx out of MediaPipe's TFLite models, and proves them.

    python convert_face_models.py --photos FOLDER [--output FOLDER] [--canonical-face FILE]

Fetches the npm package @mediapipe/face_mesh (Apache-2.0), takes the two TFLite models out of its packed assets,
writes each as ONNX (NCHW, fp16 weights cast to fp32), and runs both forms on every photo of FOLDER. Prints the largest
absolute differences; exits with 1 where one is above the tolerance. With --canonical-face it also writes the package's mean
face as TypeScript. See README.md for the graphs' inputs and outputs.
"""

import argparse
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter

from canonical_face import canonical_face
from tflite_to_onnx import Output, convert

PACKAGE = "@mediapipe/face_mesh@0.4.1657299874"
PREFIX = "face_mesh_solution_packed_assets"
GEOMETRY = "geometry_pipeline_metadata_landmarks.binarypb"

# The TFLite file, the ONNX file, and the outputs' names and shapes there (order of the TFLite outputs).
MODELS = {
    "detector": (
        "face_detection_short_range.tflite",
        "face_detector.onnx",
        [Output("regressors", (1, 896, 16)), Output("score_logits", (1, 896))],
    ),
    "mesh": (
        "face_landmark.tflite",
        "face_mesh.onnx",
        [Output("landmarks", (1, 468, 3)), Output("face_logit", (1,))],
    ),
}
# Largest difference allowed: regressors and landmarks are in px of the input (128 and 192), the others are logits.
TOLERANCE = 0.01


def fetch_assets(work: Path) -> dict[str, bytes]:
    """The package's packed files by base name."""
    packed = subprocess.run(
        ["npm", "pack", PACKAGE, "--silent"], cwd=work, check=True, capture_output=True, text=True
    ).stdout.split()[-1]
    with tarfile.open(work / packed) as archive:
        loader = archive.extractfile(f"package/{PREFIX}_loader.js").read().decode()
        data = archive.extractfile(f"package/{PREFIX}.data").read()
    listing = json.loads(re.search(r'loadPackage\((\{"files":.*?\})\);', loader).group(1))
    return {Path(f["filename"]).name: data[f["start"] : f["end"]] for f in listing["files"]}


class Pair:
    """A model in both forms."""

    def __init__(self, tflite: bytes, onnx_path: Path, outputs: list[Output]):
        self.reference = Interpreter(model_content=tflite, num_threads=1)
        self.reference.allocate_tensors()
        self.session = onnxruntime.InferenceSession(str(onnx_path), providers=["CPUExecutionProvider"])
        self.names = [output.name for output in outputs]
        self.largest = dict.fromkeys(self.names, 0.0)

    def run(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """Runs both on an RGB float picture (size, size, 3); notes the differences; gives the reference's outputs."""
        self.reference.set_tensor(self.reference.get_input_details()[0]["index"], picture[None])
        self.reference.invoke()
        expected = [self.reference.get_tensor(d["index"]) for d in self.reference.get_output_details()]
        actual = self.session.run(self.names, {"image": picture.transpose(2, 0, 1)[None]})
        for name, a, b in zip(self.names, actual, expected):
            self.largest[name] = max(self.largest[name], float(np.abs(a.reshape(-1) - b.reshape(-1)).max()))
        return {name: b.reshape(a.shape) for name, a, b in zip(self.names, actual, expected)}


def square(photo: np.ndarray) -> np.ndarray:
    """The photo on a black square, in its middle."""
    height, width = photo.shape[:2]
    side = max(height, width)
    result = np.zeros((side, side, 3), np.uint8)
    y, x = (side - height) // 2, (side - width) // 2
    result[y : y + height, x : x + width] = photo
    return result


def best_box(outputs: dict[str, np.ndarray]) -> tuple[float, float, float]:
    """Centre x, y and size (0..1) of the detector's surest face; 16x16 cells of 2 anchors, then 8x8 cells of 6."""
    best = int(outputs["score_logits"][0].argmax())
    cell, grid = (best // 2, 16) if best < 512 else ((best - 512) // 6, 8)
    x, y, width, height = outputs["regressors"][0, best, :4] / 128
    return (cell % grid + 0.5) / grid + x, (cell // grid + 0.5) / grid + y, max(width, height)


def prove(detector: Pair, mesh: Pair, photos: Path) -> None:
    for path in sorted(photos.iterdir()):
        bgr = cv2.imread(str(path))
        if bgr is None:
            continue
        photo = square(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
        small = cv2.resize(photo, (128, 128), interpolation=cv2.INTER_AREA)
        found = detector.run(small.astype(np.float32) / 127.5 - 1)
        x, y, size = best_box(found)
        side = photo.shape[0]
        scale = 192 / (1.5 * size * side)
        shift = np.array([[scale, 0, 96 - x * side * scale], [0, scale, 96 - y * side * scale]])
        face = cv2.warpAffine(photo, shift, (192, 192))
        meshed = mesh.run(face.astype(np.float32) / 255)
        print(f"{path.name}: score {found['score_logits'].max():.2f}, face {meshed['face_logit'][0]:.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="a folder of portraits to prove the models on")
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--canonical-face", type=Path, help="the TypeScript file to write the mean face into")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        assets = fetch_assets(Path(temporary))
    if options.canonical_face:
        options.canonical_face.write_text(canonical_face(assets[GEOMETRY]))
    pairs = {}
    for key, (source, target, outputs) in MODELS.items():
        (options.output / target).write_bytes(convert(assets[source], key, outputs))
        pairs[key] = Pair(assets[source], options.output / target, outputs)
        print(f"{target}: {(options.output / target).stat().st_size} bytes")
    prove(pairs["detector"], pairs["mesh"], options.photos)
    for pair in pairs.values():
        for name, difference in pair.largest.items():
            print(f"largest difference of {name}: {difference:.2e}")
    return 0 if all(d <= TOLERANCE for pair in pairs.values() for d in pair.largest.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
