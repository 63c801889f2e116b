"""Writes pack.json, which docs/model-packs.md explains."""

import hashlib
import json
from pathlib import Path

FACE_GRAPHS = ("face_detector", "face_mesh")
GRAPHS = ("source_encoder", "audio_encoder", "motion_generator", "renderer")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# The published crop's half side is 0.8 of its detector's box, which reaches from the forehead to the chin. This
# project's detector starts at the brows: on the published sample portraits faces are 1.1 times as high as its box.
CROP_SCALE = 0.88
# The published code hears a whole recording at once; a stream is heard in windows, each with this much before it. Six
# seconds: the curve is flat by then, and pauses of up to five still have speech to be compared with
# (docs/imtalker-export.md, "How much context").
CONTEXT_FRAMES = 150


def write_pack(folder: Path, weights: str, sizes: dict) -> None:
    """`sizes`: source, frame, tokens, window, context, features. The face graphs are the portrait pack's."""
    files = {name: f"../portrait/{name}.onnx" for name in FACE_GRAPHS} | {name: f"{name}.onnx" for name in GRAPHS}
    pack = {
        "name": "imtalker",
        "version": "0.1.0",
        "licence": "Apache-2.0",
        "weights": weights,
        "fps": 25,
        "source": {"size": sizes["source"], "crop_scale": CROP_SCALE},
        "frame": {"width": sizes["frame"], "height": sizes["frame"]},
        "motion": {"tokens": sizes["tokens"], "window": sizes["window"], "context": sizes["context"]},
        "audio": {
            "features": sizes["features"],
            "normalisation": "zero_mean_unit_variance",
            "context_frames": CONTEXT_FRAMES,
        },
        "graphs": {name: {"file": file, "sha256": sha256(folder / file)} for name, file in files.items()},
    }
    (folder / "pack.json").write_text(json.dumps(pack, indent=2) + "\n")
