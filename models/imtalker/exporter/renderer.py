"""The renderer graph: motion tokens and a session's identity tensors in, I420 frames out."""

import torch
from torch import nn
from torch.nn import functional as F

from .attention import CrossAttentionToSource, SelfAttention, fixed_sizes, to_map
from .motion_maps import AdaptedMotion, MotionMaps

# RGB 0..1 to limited-range BT.601 (ITU-R BT.601-7, section 2.5.3), rows Y, U, V and their offsets.
BT601 = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
OFFSETS = (16.0, 128.0, 128.0)


def identity_names(levels: list[int], fine_levels: list[int]) -> list[str]:
    """Names of the tensors that the source encoder hands to the renderer, in order."""
    keys = [f"{kind}_{side}" for side in levels for kind in ("key", "value")]
    return ["identity_bias", *keys, *(f"pooled_{side}" for side in fine_levels)]


def levels_of(published: nn.Module) -> tuple[list[int], list[int]]:
    """Sides of the levels with cross-attention and of those with resampling, coarse to fine."""
    sides = published.spatial_dims[::-1]
    standard = [block.is_standard_attention for block in published.imt]
    return [s for s, flag in zip(sides, standard) if flag], [s for s, flag in zip(sides, standard) if not flag]


class ToI420(nn.Module):
    """RGB 0..1 `[B, 3, H, W]` -> u8 `[B, H*3/2, W]`: the Y plane, then U and V at half size, each contiguous."""

    def __init__(self):
        super().__init__()
        matrix = torch.tensor(BT601)[:, :, None, None]
        # Chroma is the mean of 2x2 pixels; the offsets carry the half that rounds.
        self.register_buffer("luma", matrix[:1])
        self.register_buffer("chroma", (matrix[1:] / 4).repeat(1, 1, 2, 2))
        self.register_buffer("offsets", torch.tensor(OFFSETS) + 0.5)

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        _, height, width = fixed_sizes(rgb)
        luma = F.conv2d(rgb, self.luma, self.offsets[:1])
        chroma = F.conv2d(rgb, self.chroma, self.offsets[1:], stride=2)
        luma = luma.reshape(-1, height, width)
        chroma = chroma.reshape(-1, height // 2, width)
        return torch.cat([luma, chroma], 1).to(torch.uint8)


class Renderer(nn.Module):
    """Computes what the published adapt, latent_token_decoder and decode compute for a frame, for B frames at once.

    Every identity tensor is `[S, ...]`, a row per session of the run; frame b belongs to row source_index[b].
    """

    def __init__(self, published: nn.Module, sample_weight: float):
        super().__init__()
        self.levels, self.fine_levels = levels_of(published)
        self.adapt = AdaptedMotion(published.adapt, sample_weight)
        self.maps = MotionMaps(published.latent_token_decoder)
        self.cross = nn.ModuleList(CrossAttentionToSource(b.block_efc) for b in published.imt[: len(self.levels)])
        self.ratios = [block.block.ratio for block in published.imt[len(self.levels) :]]
        synthesis = published.frame_decoder
        self.up = synthesis.upconv_blocks
        self.merge = synthesis.resblocks
        self.attention = nn.ModuleList(SelfAttention(block) for block in synthesis.transformer_blocks)
        self.to_rgb = synthesis.final_conv
        self.to_i420 = ToI420()

    def forward(self, motion: torch.Tensor, source_index: torch.Tensor, *identity: torch.Tensor) -> torch.Tensor:
        return self.to_i420(self.rgb(motion, source_index, *identity))

    def rgb(self, motion: torch.Tensor, source_index: torch.Tensor, *identity: torch.Tensor) -> torch.Tensor:
        """`[B, D]` and `[B]` -> RGB 0..1 `[B, 3, 2 * side, 2 * side]`."""
        aligned = self.align(motion, source_index, *identity)
        x = aligned[0]
        for index, (up, merge, attention) in enumerate(zip(self.up, self.merge, self.attention)):
            x = attention(merge(torch.cat([up(x), aligned[index + 1]], 1)))
        return self.to_rgb(x)

    def align(
        self, motion: torch.Tensor, source_index: torch.Tensor, identity_bias: torch.Tensor, *tensors: torch.Tensor
    ) -> list[torch.Tensor]:
        """-> the source's features moved to the frame's pose, coarse to fine."""
        pairs = 2 * len(self.levels)
        maps = self.maps(self.adapt(motion, identity_bias.index_select(0, source_index)))
        aligned, attention = [], None
        for cross, motion_map, key, value in zip(self.cross, maps, tensors[0:pairs:2], tensors[1:pairs:2]):
            # A row per frame: plain batches of matrices, which one strided product takes.
            key, value = (rows.index_select(0, source_index) for rows in (key, value))
            features, attention = cross(motion_map, key, value)
            aligned.append(features)
        # The greatest of the heads' sum is the greatest of their mean.
        chosen = attention.argmax(-1)
        for pooled, ratio in zip(tensors[pairs:], self.ratios):
            aligned.append(resample(pooled, source_index, chosen, self.levels[-1], ratio))
        return aligned


def resample(
    pooled: torch.Tensor, source_index: torch.Tensor, chosen: torch.Tensor, side: int, ratio: int
) -> torch.Tensor:
    """Every cell of the frame takes the mean of its best-attended source cell.

    pooled `[S, side*side, C]`, source_index `[B]`, chosen `[B, side*side]` -> `[B, C, side*ratio, side*ratio]`. The
    published resampler reads ratio^2 values for every fine pixel and averages them; averaging them beforehand is the
    same. Of the pooled maps only the chosen rows are read.
    """
    cells, channels = fixed_sizes(pooled)
    rows = pooled.reshape(-1, channels)[chosen + source_index.long()[:, None] * cells]
    return F.interpolate(to_map(rows, side), scale_factor=float(ratio), mode="nearest")
