"""Times the published PyTorch loop, frame by frame, with random weights; what is measured does not depend on them.

For every frame: adapt, latent_token_decoder, decode, as generator/generate.py of the published repository does. The
source image is encoded once. Used by `npm run bench:gpu -- --published`, and by hand:

    python models/imtalker/bench_published.py --repository IMTalker --seconds 10
"""

import argparse
import contextlib
import json
import statistics
import sys
import time
from pathlib import Path

import torch

from exporter import published

PRECISIONS = {"fp32": None, "fp16 autocast": torch.float16}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, required=True, help="a checkout of github.com/cbsjtu01/IMTalker")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=5, help="how long each variant is timed")
    parser.add_argument("--small", action="store_true", help="the tiny networks of export.py --small")
    parser.add_argument("--turns", action="store_true", help="take orders on standard input, one JSON object a line")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch sees no GPU")
    return options


class Loop:
    """The published frame loop on one portrait."""

    def __init__(self, options: argparse.Namespace):
        self.device = options.device
        models = published.from_random_weights(options.repository, 1, options.small)
        self.renderer = models.renderer.to(self.device)
        size = self.renderer.spatial_dims[0]
        image = published.random_image(1, size).to(self.device)
        self.features, self.identity = self.renderer.app_encode(image)
        self.motion_ref = self.renderer.mot_encode(image)
        self.source_maps = self.renderer.mot_decode(self.renderer.adapt(self.motion_ref, self.identity))

        self.failed = {}
        # On the CPU fp16 is emulated: there is nothing to learn from it.
        self.variants = [name for name in PRECISIONS if (self.device == "cuda" or name == "fp32") and self._runs(name)]

    def _runs(self, variant: str) -> bool:
        """The published code was not written for half precision: whether it runs is found out."""
        try:
            self.measure(variant, 0)
        except RuntimeError as error:
            self.failed[variant] = str(error).splitlines()[0]
        return variant not in self.failed

    def frame(self) -> torch.Tensor:
        motion = self.motion_ref + torch.randn_like(self.motion_ref)
        maps = self.renderer.mot_decode(self.renderer.adapt(motion, self.identity))
        return self.renderer.decode(maps, self.source_maps, self.features)

    def measure(self, variant: str, milliseconds: float) -> list[float]:
        """Milliseconds of each frame, the way to the CPU as bytes included: the service's frames end there, too."""
        half = PRECISIONS[variant]
        context = torch.autocast(self.device, half) if half else contextlib.nullcontext()
        times = []
        with context:
            while True:
                start = time.perf_counter()
                # The copy waits for the GPU, so that nothing is left over for the next frame.
                self.frame().mul(255).to(torch.uint8).cpu()
                times.append(1000 * (time.perf_counter() - start))
                if sum(times) >= milliseconds:
                    return times

    def machine(self) -> dict:
        name = torch.cuda.get_device_name() if self.device == "cuda" else "CPU"
        threads = torch.get_num_threads()
        return {"device": name, "torch": torch.__version__, "threads": threads, "failed": self.failed}


@torch.no_grad()
def main() -> None:
    options = arguments()
    # The published code prints here and there; only answers may go to standard output.
    with contextlib.redirect_stdout(sys.stderr):
        loop = Loop(options)
    if options.turns:
        print(json.dumps({"variants": loop.variants, **loop.machine()}), flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            print(json.dumps({"times": loop.measure(order["variant"], order["milliseconds"])}), flush=True)
        return
    rows = []
    for variant in loop.variants:
        loop.measure(variant, 1000 * min(1, options.seconds))
        times = loop.measure(variant, 1000 * options.seconds)
        middle = statistics.median(times)
        slow = sorted(times)[min(len(times) - 1, int(0.95 * len(times)))]
        rows.append(
            {"variant": variant, "frames": len(times), "ms": middle, "p95": slow, "framesPerSecond": 1000 / middle}
        )
    print(json.dumps({**loop.machine(), "published": rows}, indent=2))


if __name__ == "__main__":
    main()
