"""Compares the exported graphs with the published PyTorch code on the same weights and the same random input."""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from .attention import CrossAttentionToSource, SourceKeys, to_rows
from .graph_file import Graph
from .published import Published, random_image
from .renderer import BT601, OFFSETS, resample
from .source_encoder import SourceEncoder

REWRITE_LIMIT = 1e-4
# Motion tokens stay fp32 whatever the precision.
LIMIT_OF_TOKENS = 1e-3


@dataclass
class Source:
    """A session's image `[1, 3, S, S]` and what the source encoder's graph made of it, for the renderer."""

    image: torch.Tensor
    identity: dict[str, np.ndarray]


def identity_of_all(sources: list[Source]) -> dict[str, np.ndarray]:
    """The identity tensors of several sessions for one run: a row each."""
    return {name: np.concatenate([source.identity[name] for source in sources]) for name in sources[0].identity}


class Report:
    """Lines of measured numbers; `failed` once one of them is beyond its limit."""

    def __init__(self):
        self.lines: list[str] = []
        self.failed = False

    def note(self, text: str) -> None:
        self.lines.append(text)
        print(text, flush=True)

    def error(self, what: str, actual, expected, limit: float, unit: float | None = None) -> None:
        """Max abs error; its limit is in units of the reference's spread where that is above 1, or of `unit`."""
        actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
        if actual.shape != expected.shape:
            self.failed = True
            self.note(f"{what}: shape {actual.shape}, not {expected.shape}  REFUSED")
            return
        error = float(np.abs(actual - expected).max())
        spread = float(expected.std())
        fits = error <= limit * (unit or max(1.0, spread))
        self._judge(f"{what}: max abs error {error:.2e} (limit {limit:g}; values vary by {spread:.2g})", fits)

    def psnr(self, what: str, actual: np.ndarray, expected: np.ndarray, limit: float) -> None:
        """Peak signal-to-noise ratio of 8-bit frames."""
        power = float(np.mean((actual.astype(np.float64) - expected) ** 2))
        ratio = math.inf if power == 0 else 10 * math.log10(255**2 / power)
        self._judge(f"{what}: {ratio:.1f} dB (at least {limit:g})", ratio >= limit)

    def _judge(self, line: str, fits: bool) -> None:
        # Not-a-number never fits.
        self.failed |= not fits
        self.note(f"{line}{'' if fits else '  REFUSED'}")


@torch.no_grad()
def check_rewrites(report: Report, published: Published) -> None:
    """The precomputed keys and values, and the pooled resampler, against the plain forms."""
    renderer = published.renderer
    features, identity = renderer.app_encode(random_image(1, renderer.spatial_dims[0]))
    tokens = torch.randn(2, 1, renderer.adapt.final_linear.weight.shape[0])
    frame_maps, source_maps = (renderer.mot_decode(renderer.adapt(token, identity)) for token in tokens)
    attention = None
    for level, frame_map, source_map, feature in zip(renderer.imt, frame_maps, source_maps, features):
        plain, attention = level.coarse_stage(frame_map, source_map, feature)
        keys = SourceKeys(level.block_efc)(source_map, feature)
        actual, actual_attention = CrossAttentionToSource(level.block_efc)(frame_map, *keys)
        side = frame_map.shape[-1]
        what = f"precomputed keys and values, {side} px"
        report.error(f"{what}, features", actual, plain, REWRITE_LIMIT)
        actual_mean = actual_attention / level.block_efc.num_heads
        report.error(f"{what}, mean attention", actual_mean, attention.mean(1), REWRITE_LIMIT)
    chosen = attention.mean(1).argmax(-1)
    for level, feature in zip(renderer.imt[len(frame_maps) :], features[len(frame_maps) :]):
        ratio = level.block.ratio
        plain = level.fine_stage(feature, attention)
        pooled, only = to_rows(F.avg_pool2d(feature, ratio)), torch.zeros(1, dtype=torch.int32)
        actual = resample(pooled, only, chosen, feature.shape[-1] // ratio, ratio)
        report.error(f"pooled resampler, {feature.shape[-1]} px", actual, plain, REWRITE_LIMIT)


@torch.no_grad()
def check_source_encoder(
    report: Report, graph: Graph, encoder: SourceEncoder, published: Published, limits: dict
) -> list[Source]:
    """-> two sources; the first was compared with the published code."""
    renderer = published.renderer
    names = ["motion_ref", *encoder.names]
    sources = []
    for _ in range(2):
        image = random_image(1, renderer.spatial_dims[0])
        sources.append(Source(image, dict(zip(names, graph({"image": image})))))
    outputs, image = sources[0].identity, sources[0].image
    motion_ref = renderer.mot_encode(image)
    report.error("source_encoder, motion_ref", outputs["motion_ref"], motion_ref, LIMIT_OF_TOKENS)
    features, identity = renderer.app_encode(image)
    maps = renderer.mot_decode(renderer.adapt(motion_ref, identity))
    for level, source_map, feature in zip(renderer.imt, maps, features):
        block, side = level.block_efc, source_map.shape[-1]
        for name, layer, rows in (("key", block.k_proj, source_map), ("value", block.v_proj, feature)):
            expected = layer(to_rows(rows)).unflatten(-1, (block.num_heads, -1))
            expected = expected.permute((0, 2, 3, 1) if name == "key" else (0, 2, 1, 3))
            actual = outputs[f"{name}_{side}"]
            report.error(f"source_encoder, {name}_{side}", actual, expected, limits["identity"])
    for source in sources:
        del source.identity["motion_ref"]
    tensors = sources[0].identity.values()
    size = sum(tensor.nbytes for tensor in tensors)
    report.note(f"identity tensors: {len(tensors)}, {next(iter(tensors)).dtype}, {size:,} bytes a session")
    return sources


@torch.no_grad()
def check_audio_encoder(report: Report, graph: Graph, published: Published, limit: float) -> None:
    generator = published.generator
    for frames in (60, 35):
        waveform = torch.randn(1, 640 * frames)
        heard = generator.audio_encoder.inference(waveform, seq_len=frames)
        (features,) = graph({"waveform": waveform})
        report.error(f"audio_encoder, {frames} frames", features, generator.audio_projection(heard), limit)


@torch.no_grad()
def check_motion_generator(report: Report, graph: Graph, published: Published, limit: float) -> None:
    """A later window with style, the first window without any, and one with pose alone."""
    generator, fmt = published.generator, published.generator.fmt
    window, context = fmt.num_frames_for_clip, fmt.num_prev_frames
    tokens, width = fmt.opt.dim_motion, fmt.opt.dim_c
    for batch, first, guidance, style in ((2, False, 3.0, "pose gaze"), (1, True, 2.0, ""), (1, False, 1.0, "pose")):
        inputs = {
            "t": torch.rand(1),
            "x": torch.randn(batch, window, tokens),
            "audio": torch.randn(batch, window, width),
            "prev_x": torch.randn(batch, context, tokens) * (not first),
            "prev_audio": torch.randn(batch, context, width) * (not first),
            "motion_ref": torch.randn(batch, tokens),
            "pose": 0.2 * torch.randn(batch, window, 3) * ("pose" in style),
            "gaze": 0.2 * torch.randn(batch, window, 2) * ("gaze" in style),
            "prev_pose": 0.2 * torch.randn(batch, context, 3) * ("pose" in style),
            "prev_gaze": 0.2 * torch.randn(batch, context, 2) * ("gaze" in style),
            "guidance": torch.tensor([guidance]),
        }
        projected = {
            name: projection(inputs[name]) if kind in style else torch.zeros(*inputs[name].shape[:2], width)
            for kind, projection in (("pose", generator.pose_projection), ("gaze", generator.gaze_projection))
            for name in (kind, f"prev_{kind}")
        }
        expected = fmt.forward_with_cfg(
            t=inputs["t"],
            x=inputs["x"],
            a=inputs["audio"],
            prev_x=inputs["prev_x"],
            prev_a=inputs["prev_audio"],
            ref_x=inputs["motion_ref"],
            cam=torch.zeros(batch, window, width),
            prev_cam=torch.zeros(batch, context, width),
            a_cfg_scale=guidance,
            **projected,
        )[:, context:]
        (velocity,) = graph(inputs)
        what = f"motion_generator, batch {batch}, guidance {guidance:g}, {style or 'no style'}{', first' * first}"
        report.error(what, velocity, expected, limit)


@torch.no_grad()
def check_sampling(report: Report, audio_encoder: Graph, motion_generator: Graph, published: Published, limit: float):
    """Speech to motion through both graphs, as the service samples it, against the published `sample`.

    One and a half windows, so that the second has a context and an end that is padded with its last condition.
    """
    generator, fmt = published.generator, published.generator.fmt
    window, context, tokens = fmt.num_frames_for_clip, fmt.num_prev_frames, fmt.opt.dim_motion
    frames, nfe, guidance, seed = window + window // 2, 10, 3.0, 7
    waveform, motion_ref = torch.randn(1, 640 * frames), torch.randn(1, tokens)
    generator.opt.fix_noise_seed = True
    speech = {"a": waveform, "ref_x": motion_ref}
    expected = generator.sample(speech, a_cfg_scale=guidance, nfe=nfe, seed=seed)

    features = audio_encoder({"waveform": waveform})[0]
    features = np.concatenate([features, np.repeat(features[:, -1:], 2 * window - frames, 1)], 1)
    noise = torch.randn(1, window, tokens, generator=torch.Generator().manual_seed(seed)).numpy()
    width = features.shape[2]
    inputs = {
        "motion_ref": motion_ref,
        "guidance": np.float32([guidance]),
        "prev_x": np.zeros((1, context, tokens), np.float32),
        "prev_audio": np.zeros((1, context, width), np.float32),
    }
    for name, count in (("pose", 3), ("gaze", 2)):
        inputs[name] = np.zeros((1, window, count), np.float32)
        inputs[f"prev_{name}"] = np.zeros((1, context, count), np.float32)
    motion = []
    for at in (0, window):
        inputs |= {"x": noise, "audio": features[:, at : at + window]}
        for step in range(nfe - 1):
            (velocity,) = motion_generator(inputs | {"t": np.float32([step / (nfe - 1)])})
            inputs["x"] = inputs["x"] + velocity / np.float32(nfe - 1)
        motion.append(inputs["x"])
        inputs |= {"prev_x": inputs["x"][:, -context:], "prev_audio": inputs["audio"][:, -context:]}
    actual = np.concatenate(motion, 1)[:, :frames]
    report.error(f"speech to motion, {frames} frames, nfe {nfe}, guidance {guidance:g}", actual, expected, limit)


@torch.no_grad()
def check_renderer(
    report: Report, graph: Graph, sources: list[Source], published: Published, blend: float, limits: dict
) -> None:
    """Frames of two sessions, one after the other in one run: each against the published code with its own source, and
    against runs of one session alone.

    Where the published attention has two source cells that are equally good within `limits["tie"]`, rounding decides
    which is taken; the reference then takes the cell that the graph took.
    """
    renderer = published.renderer
    motion_refs = [renderer.mot_encode(source.image) for source in sources]
    source_index = np.array([1, 0, 1], np.int32)
    motion = np.concatenate([motion_refs[index].numpy() for index in source_index])
    motion += np.random.default_rng(1).standard_normal(motion.shape, np.float32)
    start = time.perf_counter()
    frames, rgb, chosen = graph({"motion": motion, "source_index": source_index, **identity_of_all(sources)})
    seconds = (time.perf_counter() - start) / len(motion)
    start = time.perf_counter()
    # One frame of each session.
    for index in (0, 1):
        source, motion_ref = sources[source_index[index]], motion_refs[source_index[index]]
        features, identity = renderer.app_encode(source.image)
        source_maps = renderer.mot_decode(renderer.adapt(motion_ref, identity))
        blended = blend * torch.from_numpy(motion[index : index + 1]) + (1 - blend) * motion_ref
        maps = renderer.mot_decode(renderer.adapt(blended, identity))
        reference, same, ties = published_frame(renderer, maps, source_maps, features, chosen[index], limits["tie"])
        cells = chosen[index].size
        report.note(f"renderer, frame {index}: {same} of {cells} cells chosen alike, {ties} more are ties")
        report.error(f"renderer, frame {index}, RGB 0..1", rgb[index], reference[0], limits["rgb"])
        planes = i420(reference[0].numpy())
        report.error(f"renderer, frame {index}, I420 levels", frames[index], planes, limits["levels"], unit=1)
        report.psnr(f"renderer, frame {index}, I420", frames[index], planes, limits["psnr"])
    published_seconds = (time.perf_counter() - start) / 2
    for other, what in ((1, "sessions"), (2, "motions")):
        spread = np.abs(frames[0].astype(int) - frames[other]).mean()
        report.note(f"renderer: frames of two {what} differ by {spread:.2f} levels on average")
    for session, source in enumerate(sources):
        mine = source_index == session
        alone = {"motion": motion[mine], "source_index": np.zeros(mine.sum(), np.int32), **source.identity}
        what, separate = f"renderer, session {session} alone", graph(alone)[0]
        report.error(f"{what}, levels", separate, frames[mine], limits["levels"], unit=1)
        report.psnr(what, separate, frames[mine], limits["psnr"])
    report.note(f"renderer: {seconds:.2f} s a frame on one CPU thread; published code {published_seconds:.2f} s")


def published_frame(renderer, maps, source_maps, features, chosen: np.ndarray, tolerance: float):
    """The published `decode`, with ties decided as `chosen` does. -> RGB, cells alike, further cells that are ties."""
    aligned, attention = [], None
    for level, frame_map, source_map, feature in zip(renderer.imt, maps, source_maps, features):
        features_here, attention = level.coarse_stage(frame_map, source_map, feature)
        aligned.append(features_here)
    chosen = torch.from_numpy(chosen)[None, :, None]
    mean = attention.mean(1)
    best, best_cell = mean.max(-1, keepdim=True)
    same = best_cell == chosen
    tie = ~same & (mean.gather(-1, chosen) >= best * (1 - tolerance))
    # The resampler takes the greatest: raise the cell that the graph took above the others.
    decided = attention + torch.zeros_like(mean).scatter_(-1, chosen, tie.to(mean.dtype)).unsqueeze(1)
    for level, feature in zip(renderer.imt[len(maps) :], features[len(maps) :]):
        aligned.append(level.fine_stage(feature, decided))
    return renderer.frame_decoder(aligned), int(same.sum()), int(tie.sum())


def i420(rgb: np.ndarray) -> np.ndarray:
    """RGB 0..1 `[3, H, W]` -> u8 `[H*3/2, W]`, in float64, rounded to nearest."""
    height, width = rgb.shape[1:]
    planes = np.tensordot(np.array(BT601), rgb.astype(np.float64), 1) + np.array(OFFSETS)[:, None, None]
    chroma = planes[1:].reshape(2, height // 2, 2, width // 2, 2).mean((2, 4))
    flat = np.concatenate([planes[0].ravel(), chroma.ravel()])
    return np.floor(flat + 0.5).astype(np.uint8).reshape(height * 3 // 2, width)
