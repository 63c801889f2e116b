"""Attention blocks of the renderer, computing what the published ones compute with fewer, batchable operations.

Layer norms that share their input share one normalisation (their scale and shift go into the projections behind
them), the softmax scale goes into the query projection, and no shape depends on the batch, so that the batch stays open
in the exported graph.
"""

import torch
from torch import nn
from torch.nn import functional as F


def folded_linear(linear: nn.Linear, norm: nn.LayerNorm | None = None, scale: float = 1.0) -> nn.Linear:
    """scale * linear(norm's scale and shift(x)) as one linear layer on normalised x."""
    weight, bias = linear.weight.data, linear.bias.data
    if norm is not None:
        bias = bias + weight @ norm.bias.data
        weight = weight * norm.weight.data
    folded = nn.Linear(weight.shape[1], weight.shape[0])
    folded.weight.data, folded.bias.data = weight * scale, bias * scale
    return folded


def normalise(x: torch.Tensor, like: nn.LayerNorm) -> torch.Tensor:
    """Layer normalisation without scale and shift."""
    return F.layer_norm(x, like.normalized_shape, eps=like.eps)


def fixed_sizes(x: torch.Tensor) -> list[int]:
    """All sizes but the first as plain numbers: constants of the traced graph, where the first stays open."""
    return [int(size) for size in x.shape[1:]]


def to_rows(x: torch.Tensor) -> torch.Tensor:
    """`[B, C, H, W]` -> `[B, H*W, C]`."""
    channels, height, width = fixed_sizes(x)
    return x.reshape(-1, channels, height * width).transpose(1, 2)


def to_map(rows: torch.Tensor, side: int) -> torch.Tensor:
    """`[B, side*side, C]` -> `[B, C, side, side]`."""
    return rows.transpose(1, 2).reshape(-1, int(rows.shape[-1]), side, side)


def split_heads(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """`[B, ..., N, C]` -> `[B, ..., heads, N, C / heads]`."""
    *sizes, channels = fixed_sizes(rows)
    return rows.reshape(-1, *sizes, heads, channels // heads).transpose(-2, -3)


def join_heads(rows: torch.Tensor) -> torch.Tensor:
    """`[B, ..., heads, N, C / heads]` -> `[B, ..., N, C]`."""
    rows = rows.transpose(-2, -3)
    *sizes, heads, channels = fixed_sizes(rows)
    return rows.reshape(-1, *sizes, heads * channels)


# From this many pairs of cells on, heads attend one after the other: 16 frames times 8 heads of 4096^2 pairs are 2^31
# numbers, which is more than a 32-bit index reaches, and 8 GB of fp32.
MANY_PAIRS = 2**22


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Softmax attention; the scale is already in the query.

    query `[B, heads, N, c]`, key `[B, heads, c, M]`, value `[B, heads, M, c]` -> rows `[B, N, heads * c]` and the
    attention of all heads together `[B, N, M]`.
    """
    if int(query.shape[2]) * int(key.shape[3]) < MANY_PAIRS:
        attention = (query @ key).softmax(-1)
        return join_heads(attention @ value), attention.sum(1)
    total, rows = None, []
    for head_query, head_key, head_value in zip(query.split(1, 1), key.split(1, 1), value.split(1, 1)):
        attention = (head_query @ head_key).softmax(-1)
        rows.append(attention @ head_value)
        # The axis of one head stays until the end: taking it off here would copy every head's attention.
        total = attention if total is None else total + attention
    return join_heads(torch.cat(rows, 1)), total.reshape(-1, int(query.shape[2]), int(key.shape[3]))


class SourceKeys(nn.Module):
    """Keys and values of one cross-attention level: they depend on the source image alone."""

    def __init__(self, published: nn.Module):
        super().__init__()
        self.heads = published.num_heads
        self.key = published.k_proj
        self.value = published.v_proj

    def forward(self, source_map: torch.Tensor, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Two maps `[1, C, s, s]` -> key `[1, heads, C/heads, s*s]` and value `[1, heads, s*s, C/heads]`."""
        key = split_heads(self.key(to_rows(source_map)), self.heads).transpose(-1, -2)
        return key, split_heads(self.value(to_rows(features)), self.heads)


class CrossAttentionToSource(nn.Module):
    """The frame's side of a cross-attention level."""

    def __init__(self, published: nn.Module):
        super().__init__()
        self.heads = published.num_heads
        self.query = folded_linear(published.q_proj, scale=published.scale)
        self.out = published.proj

    def forward(self, motion_map: torch.Tensor, key: torch.Tensor, value: torch.Tensor):
        """-> aligned features `[B, C, s, s]` and the attention of all heads together `[B, s*s, s*s]`."""
        query = split_heads(self.query(to_rows(motion_map)), self.heads)
        rows, attention = attend(query, key, value)
        return to_map(self.out(rows), int(motion_map.shape[-1])), attention


class GlobalSelfAttention(nn.Module):
    """Every cell attends to every cell (levels below 128 px)."""

    def __init__(self, published: nn.Module):
        super().__init__()
        attention = published.attn
        self.heads = attention.num_heads
        self.norm = published.norm_q
        self.query_position = published.q_pos_embedding
        self.key_position = published.k_pos_embedding
        self.query = folded_linear(attention.q_proj, published.norm_q, attention.scale)
        self.key = folded_linear(attention.k_proj, published.norm_kv)
        self.value = folded_linear(attention.v_proj, published.norm_kv)
        self.out = attention.proj
        self.ffn_norm = published.norm_ffn
        self.ffn = published.mlp

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """`[B, side*side, C]` -> the same shape."""
        query = split_heads(self.query(normalise(rows + self.query_position, self.norm)), self.heads)
        key = split_heads(self.key(normalise(rows + self.key_position, self.norm)), self.heads)
        value = split_heads(self.value(normalise(rows, self.norm)), self.heads)
        rows = rows + self.out(attend(query, key.transpose(-1, -2), value)[0])
        return rows + self.ffn(self.ffn_norm(rows))


class WindowSelfAttention(nn.Module):
    """Cells attend within windows, every second block with windows shifted by half (levels from 128 px up)."""

    def __init__(self, published: nn.Module):
        super().__init__()
        attention = published.attn
        height, width = published.input_resolution
        order = window_order(height, width, published.window_size, published.shift_size)
        self.register_buffer("order", order)
        self.register_buffer("back", order.argsort().int())
        self.cells = published.window_size**2
        self.heads = attention.num_heads
        self.norm = published.norm_q
        # One product for query, key and value: all three see the same normalised rows.
        parts = (
            folded_linear(attention.q, published.norm_q, attention.scale),
            folded_linear(attention.k, published.norm_kv),
            folded_linear(attention.v, published.norm_kv),
        )
        self.projection = nn.Linear(parts[0].in_features, 3 * parts[0].out_features)
        self.projection.weight.data = torch.cat([part.weight.data for part in parts])
        self.projection.bias.data = torch.cat([part.bias.data for part in parts])
        bias = attention.relative_position_bias_table.data[attention.relative_position_index.flatten()]
        bias = bias.view(self.cells, self.cells, self.heads).permute(2, 0, 1)
        if published.shift_size:
            # [windows, 1, cells, cells]: -100 between cells that only the shift brought together. As a constant their
            # sum takes 73 MB in fp16, but ONNX Runtime then adds it within the softmax: no further passes over scores
            # that are as large for every frame.
            bias = bias + published.attn_mask.unsqueeze(1)
        self.register_buffer("bias", bias.contiguous())
        self.out = attention.proj
        self.ffn_norm = published.norm_ffn
        self.ffn = published.mlp

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """`[B, side*side, C]` -> the same shape."""
        count, channels = fixed_sizes(rows)
        windows = normalise(rows, self.norm).index_select(1, self.order)
        windows = windows.reshape(-1, count // self.cells, self.cells, channels)
        parts = self.projection(windows).split(channels, -1)
        query, key, value = (split_heads(part, self.heads) for part in parts)
        attention = (query @ key.transpose(-1, -2) + self.bias).softmax(-1)
        attended = self.out(join_heads(attention @ value)).reshape(-1, count, channels)
        rows = rows + attended.index_select(1, self.back)
        return rows + self.ffn(self.ffn_norm(rows))


def window_order(height: int, width: int, window: int, shift: int) -> torch.Tensor:
    """Which cell of a map of rows stands where once it is cut into windows, shifted by `shift`: `[height * width]`.

    One look-up along this list replaces the published roll and partition, which copy the map five times.
    """
    cells = torch.arange(height * width).reshape(height, width).roll((-shift, -shift), (0, 1))
    return cells.reshape(height // window, window, width // window, window).transpose(1, 2).flatten().int()


class SelfAttention(nn.Module):
    """The rewritten form of one published self-attention level."""

    def __init__(self, published: nn.Module):
        super().__init__()
        blocks = (WindowSelfAttention if hasattr(b, "window_size") else GlobalSelfAttention for b in published.blocks)
        self.blocks = nn.Sequential(*(block(b) for block, b in zip(blocks, published.blocks)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[B, C, s, s]` -> the same shape."""
        return to_map(self.blocks(to_rows(x)), int(x.shape[-1]))
