"""Exports IMTalker (arXiv 2511.22167) as a model pack and compares it with the published code. README.md says how to use it."""

import argparse
import sys
import time
from pathlib import Path

import torch

from exporter import parity, published
from exporter.audio_encoder import AudioEncoder
from exporter.graph_file import Graph, to_half, write_graph
from exporter.motion_generator import MotionGenerator
from exporter.pack import FACE_GRAPHS, sha256, write_pack
from exporter.renderer import Renderer
from exporter.source_encoder import SourceEncoder

# fp16 limits are of the rounding that fp16 itself brings, with room; fp32 ones of a different order of additions.
LIMITS = {
    "fp32": {"graph": 1e-3, "rgb": 1e-3, "levels": 1.0, "tie": 1e-4},
    "fp16": {"graph": 2e-2, "rgb": 5e-1, "levels": 128.0, "tie": 2e-2},
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, required=True, help="a checkout of github.com/cbsjtu01/IMTalker")
    weights = parser.add_mutually_exclusive_group(required=True)
    weights.add_argument("--checkpoints", type=Path, help="folder with renderer.ckpt, generator.ckpt, wav2vec2-base-960h/")
    weights.add_argument("--random-weights", action="store_true", help="same architecture, for tests and benchmarks")
    parser.add_argument("--trust-checkpoints", action="store_true", help="unpickle what the checkpoints hold besides tensors")
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp32")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--seed", type=int, default=1, help="of random weights and of the comparison's input")
    parser.add_argument(
        "--sample-weight",
        type=float,
        default=0.6,
        help="share of the sampled motion in what is rendered, the rest being the source's own; 1: as published",
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


@torch.no_grad()
def export(options: argparse.Namespace) -> parity.Report:
    report = parity.Report()
    start = time.perf_counter()
    if options.random_weights:
        models = published.from_random_weights(options.repository, options.seed)
        origin = f"Random, seed {options.seed}: for tests and benchmarks."
    else:
        models = published.from_checkpoints(options.repository, options.checkpoints, options.trust_checkpoints)
        hashes = ", ".join(f"{n} sha256 {sha256(options.checkpoints / n)}" for n in ("renderer.ckpt", "generator.ckpt"))
        origin = f"IMTalker's authors, github.com/cbsjtu01/IMTalker: {hashes}."
    report.note(f"built in {time.perf_counter() - start:.0f} s; {options.precision}; {origin}")
    torch.manual_seed(options.seed)
    parity.check_rewrites(report, models)

    limits = LIMITS[options.precision]
    half = options.precision == "fp16"
    size = models.renderer.spatial_dims[0]
    fmt = models.generator.fmt
    window, context = fmt.num_frames_for_clip, fmt.num_prev_frames
    tokens, width = fmt.opt.dim_motion, fmt.opt.dim_c

    # The source encoder runs once a session: it stays fp32.
    path = options.out / "source_encoder.onnx"
    encoder = SourceEncoder(models.renderer, options.sample_weight)
    write_graph(path, encoder, {"image": torch.rand(1, 3, size, size)}, ["motion_ref", *encoder.names], {})
    identity, image = parity.check_source_encoder(
        report, Graph(path), encoder, models, LIMITS["fp32"]["graph"]
    )

    path = options.out / "audio_encoder.onnx"
    axes = {"waveform": {1: "samples"}, "features": {1: "frames"}}
    write_graph(path, AudioEncoder(models.generator), {"waveform": torch.randn(1, 640 * 50)}, ["features"], axes)
    if half:
        to_half(path)
    parity.check_audio_encoder(report, Graph(path), models, limits["graph"])

    path = options.out / "motion_generator.onnx"
    inputs = {
        "t": torch.rand(1),
        "x": torch.randn(2, window, tokens),
        "audio": torch.randn(2, window, width),
        "prev_x": torch.randn(2, context, tokens),
        "prev_audio": torch.randn(2, context, width),
        "motion_ref": torch.randn(2, tokens),
        "pose": torch.randn(2, window, 3),
        "gaze": torch.randn(2, window, 2),
        "prev_pose": torch.randn(2, context, 3),
        "prev_gaze": torch.randn(2, context, 2),
        "guidance": torch.tensor([2.0]),
    }
    axes = {name: {0: "batch"} for name in (*inputs, "velocity") if name not in ("t", "guidance")}
    write_graph(path, MotionGenerator(models.generator), inputs, ["velocity"], axes)
    if half:
        to_half(path, keep=("time",))
    parity.check_motion_generator(report, Graph(path), models, limits["graph"])

    path = options.out / "renderer.onnx"
    inputs = {"motion": torch.randn(2, tokens)} | {name: torch.from_numpy(identity[name]) for name in encoder.names}
    axes = {name: {0: "sessions"} for name in encoder.names} | {"motion": {0: "batch"}, "frames": {0: "batch"}}
    write_graph(path, Renderer(models.renderer, options.sample_weight), inputs, ["frames"], axes)
    if half:
        to_half(path, keep=("to_i420",))
    parity.check_renderer(
        report, Graph(path, ("Sigmoid", "ArgMax")), identity, image, models, options.sample_weight, limits
    )

    for graph in sorted(options.out.glob("*.onnx")):
        report.note(f"{graph.name}: {graph.stat().st_size:,} bytes")
    if not report.failed:
        sizes = {"source": size, "frame": 2 * size, "tokens": tokens, "window": window, "context": context, "features": width}
        write_pack(options.out, origin, sizes)
    report.note(f"done in {time.perf_counter() - start:.0f} s")
    return report


def main() -> int:
    options = arguments()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    missing = [name for name in FACE_GRAPHS if not (options.out / f"../portrait/{name}.onnx").is_file()]
    if missing:
        print(f"{options.out / '../portrait'} lacks {', '.join(missing)}: the pack uses the portrait pack's face graphs.")
        return 1
    (options.out / "pack.json").unlink(missing_ok=True)
    try:
        report = export(options)
    except ValueError as error:
        print(error)
        return 1
    if report.failed:
        print("Refused: what is marked above does not match the published code. No pack.json was written.")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
