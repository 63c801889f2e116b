"""One step per graph: write it, bring it to its precision, compare it with the published code."""

from dataclasses import dataclass
from pathlib import Path

import torch

from . import parity
from .audio_encoder import SAMPLES_PER_FRAME, AudioEncoder
from .graph_file import Graph, to_half, write_graph
from .motion_generator import MotionGenerator
from .published import Published
from .renderer import Renderer
from .source_encoder import SourceEncoder

# fp32 differs from the published code by the order of its additions; fp16 by its rounding, so its frames are judged by
# their PSNR and no single pixel is. `tie`: how much worse than the best a source cell may be and still count as equal.
LIMITS = {
    "fp32": {"graph": 1e-3, "identity": 1e-3, "motion": 1e-3, "rgb": 1e-3, "levels": 1, "psnr": 60, "tie": 1e-4},
    "fp16": {"graph": 2e-2, "identity": 2e-2, "motion": 5e-2, "rgb": 1, "levels": 255, "psnr": 45, "tie": 2e-2},
}
IDENTITY_TYPES = {"fp32": torch.float32, "fp16": torch.float16}


@dataclass
class Export:
    models: Published
    folder: Path
    precision: str
    sample_weight: float
    report: parity.Report

    @property
    def sizes(self) -> dict[str, int]:
        """S, frame side, D, W, P and C of docs/model-packs.md."""
        transformer = self.models.generator.fmt
        source = self.models.renderer.spatial_dims[0]
        return {
            "source": source,
            "frame": 2 * source,
            "tokens": transformer.opt.dim_motion,
            "window": transformer.num_frames_for_clip,
            "context": transformer.num_prev_frames,
            "features": transformer.opt.dim_c,
        }

    def run(self) -> None:
        """Writes the four graphs; `report` says whether they fit."""
        parity.check_rewrites(self.report, self.models)
        encoder = SourceEncoder(self.models.renderer, self.sample_weight, IDENTITY_TYPES[self.precision])
        sources = self._source_encoder(encoder)
        audio_encoder = self._audio_encoder()
        motion_generator = self._motion_generator()
        limit = LIMITS[self.precision]["motion"]
        parity.check_sampling(self.report, audio_encoder, motion_generator, self.models, limit)
        self._renderer(sources)

    def _source_encoder(self, encoder: SourceEncoder) -> list[parity.Source]:
        path = self.folder / "source_encoder.onnx"
        size = self.sizes["source"]
        write_graph(path, encoder, {"image": torch.rand(1, 3, size, size)}, ["motion_ref", *encoder.names], {})
        # It runs once a session: there is nothing to gain from fp16 arithmetic. Its identity tensors cross at every run
        # of the renderer: fp16 halves that.
        return parity.check_source_encoder(self.report, Graph(path), encoder, self.models, LIMITS[self.precision])

    def _audio_encoder(self) -> Graph:
        path = self.folder / "audio_encoder.onnx"
        waveform = torch.randn(1, SAMPLES_PER_FRAME * self.sizes["window"])
        axes = {"waveform": {1: "samples"}, "features": {1: "frames"}}
        write_graph(path, AudioEncoder(self.models.generator), {"waveform": waveform}, ["features"], axes)
        self._to_precision(path)
        graph = Graph(path)
        parity.check_audio_encoder(self.report, graph, self.models, LIMITS[self.precision]["graph"])
        return graph

    def _motion_generator(self) -> Graph:
        path = self.folder / "motion_generator.onnx"
        sizes = self.sizes
        window, context, tokens, features = (sizes[k] for k in ("window", "context", "tokens", "features"))
        inputs = {
            "t": torch.rand(1),
            "x": torch.randn(2, window, tokens),
            "audio": torch.randn(2, window, features),
            "prev_x": torch.randn(2, context, tokens),
            "prev_audio": torch.randn(2, context, features),
            "motion_ref": torch.randn(2, tokens),
            "pose": torch.randn(2, window, 3),
            "gaze": torch.randn(2, window, 2),
            "prev_pose": torch.randn(2, context, 3),
            "prev_gaze": torch.randn(2, context, 2),
            "guidance": torch.tensor([2.0]),
        }
        axes = {name: {0: "batch"} for name in (*inputs, "velocity") if name not in ("t", "guidance")}
        write_graph(path, MotionGenerator(self.models.generator), inputs, ["velocity"], axes)
        # t times a frequency needs more digits than fp16 has.
        self._to_precision(path, keep=("time",))
        graph = Graph(path)
        parity.check_motion_generator(self.report, graph, self.models, LIMITS[self.precision]["graph"])
        return graph

    def _renderer(self, sources: list[parity.Source]) -> None:
        path = self.folder / "renderer.onnx"
        inputs = {"motion": torch.randn(3, self.sizes["tokens"]), "source_index": torch.tensor([1, 0, 1]).int()}
        identity = parity.identity_of_all(sources)
        inputs |= {name: torch.from_numpy(value).float() for name, value in identity.items()}
        axes = {name: {0: "frames"} for name in ("motion", "source_index", "frames")}
        axes |= {name: {0: "sessions"} for name in identity}
        write_graph(path, Renderer(self.models.renderer, self.sample_weight), inputs, ["frames"], axes)
        # fp16 has no half levels from 128 up, which rounding to bytes needs.
        self._to_precision(path, keep=("to_i420",), half_inputs=tuple(identity))
        graph = Graph(path, probes=("Sigmoid", "ArgMax"))
        limits = LIMITS[self.precision]
        parity.check_renderer(self.report, graph, sources, self.models, self.sample_weight, limits)

    def _to_precision(self, path: Path, keep: tuple[str, ...] = (), half_inputs: tuple[str, ...] = ()) -> None:
        if self.precision == "fp16":
            to_half(path, keep, half_inputs)
