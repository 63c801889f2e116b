"""Exports IMTalker (arXiv 2511.22167) as a model pack and compares it with the published code; see README.md."""

import argparse
import sys
import time
from pathlib import Path

import torch

from exporter import published
from exporter.pack import FACE_GRAPHS, GRAPHS, sha256, write_pack
from exporter.parity import Report
from exporter.steps import Export


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, required=True, help="a checkout of github.com/cbsjtu01/IMTalker")
    weights = parser.add_mutually_exclusive_group(required=True)
    weights.add_argument("--checkpoints", type=Path, help="has renderer.ckpt, generator.ckpt, wav2vec2-base-960h/")
    weights.add_argument("--random-weights", action="store_true", help="same architecture, for tests and benchmarks")
    parser.add_argument("--small", action="store_true", help="with --random-weights: tiny sizes, for tests")
    parser.add_argument("--trust-checkpoints", action="store_true", help="unpickle more than tensors: may run any code")
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
    options = parser.parse_args()
    if options.small and not options.random_weights:
        parser.error("--small goes with --random-weights")
    return options


@torch.no_grad()
def export(options: argparse.Namespace) -> Report:
    report = Report()
    start = time.perf_counter()
    if options.random_weights:
        models = published.from_random_weights(options.repository, options.seed, options.small)
        origin = f"Random, seed {options.seed}: for tests and benchmarks."
    else:
        models = published.from_checkpoints(options.repository, options.checkpoints, options.trust_checkpoints)
        files = ("renderer.ckpt", "generator.ckpt")
        hashes = ", ".join(f"{name} sha256 {sha256(options.checkpoints / name)}" for name in files)
        origin = f"IMTalker's authors, github.com/cbsjtu01/IMTalker: {hashes}."
    report.note(f"networks built in {time.perf_counter() - start:.0f} s; {options.precision}; {origin}")
    torch.manual_seed(options.seed)
    step = Export(models, options.out, options.precision, options.sample_weight, report)
    step.run()
    for name in GRAPHS:
        report.note(f"{name}.onnx: {(options.out / f'{name}.onnx').stat().st_size:,} bytes")
    if not report.failed:
        write_pack(options.out, origin, step.sizes)
    report.note(f"done in {time.perf_counter() - start:.0f} s")
    return report


def main() -> int:
    options = arguments()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    for path in (options.out / f"../portrait/{name}.onnx" for name in FACE_GRAPHS):
        if not path.is_file():
            print(f"{path} is missing: the pack uses the portrait pack's face graphs.")
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
