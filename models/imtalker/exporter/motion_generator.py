"""The motion generator graph: the velocity field of the flow-matching transformer, guidance included."""

import math

import torch
from torch import nn

from .attention import fixed_sizes, join_heads, split_heads


class MotionGenerator(nn.Module):
    """One evaluation of the velocity field; inputs and output are in the order of docs/model-packs.md.

    Pose and gaze arrive in their own units and are projected here. The published code hands the transformer zeros for
    a condition that is absent, which is not what it projects zeros to; so a window whose pose (or gaze) is all zeros
    counts as absent. The published third condition, the camera, is not in the contract and is always absent.
    """

    def __init__(self, generator: nn.Module):
        super().__init__()
        transformer = generator.fmt
        self.pose = generator.pose_projection
        self.gaze = generator.gaze_projection
        self.time = transformer.t_embedder
        # Its input is [motion_ref, token] for every frame: motion_ref's share of the product is the same for all.
        tokens = transformer.opt.dim_motion
        into = transformer.x_embedder.proj
        self.into_ref = nn.Linear(tokens, into.out_features, bias=False)
        self.into_ref.weight.data = into.weight.data[:, :tokens]
        self.into = nn.Linear(tokens, into.out_features)
        self.into.weight.data, self.into.bias.data = into.weight.data[:, tokens:], into.bias.data
        self.position = transformer.pos_embed
        self.condition = transformer.c_embedder
        self.blocks = nn.ModuleList(Block(block) for block in transformer.blocks)
        self.decoder = Decoder(transformer.decoder)
        self.context = transformer.num_prev_frames
        # 0 within the attention's reach; beyond it a number that softmax turns into 0, in fp16 too.
        mask = torch.zeros(transformer.alignment_mask.shape).masked_fill(transformer.alignment_mask, -1e4)
        self.register_buffer("mask", mask)

    def forward(
        self, t, x, audio, prev_x, prev_audio, motion_ref, pose, gaze, prev_pose, prev_gaze, guidance
    ) -> torch.Tensor:
        style = present(self.pose, pose) + present(self.gaze, gaze)
        prev_style = present(self.pose, prev_pose) + present(self.gaze, prev_gaze)
        heard = torch.cat([prev_audio + prev_style, audio + style], 1)
        unheard = torch.cat([prev_audio + prev_style, style], 1)
        tokens = self.into(torch.cat([prev_x, x], 1)) + self.into_ref(motion_ref).unsqueeze(1) + self.position

        # The first half of the batch hears silence in the current window, the second half the speech.
        tokens = torch.cat([tokens, tokens], 0)
        condition = self.condition(torch.cat([unheard, heard], 0)) + self.time(t).unsqueeze(1)
        for block in self.blocks:
            tokens = block(tokens, condition, self.mask)
        velocity = self.decoder(tokens, condition)[:, self.context :]
        unguided, guided = velocity.reshape(2, -1, *fixed_sizes(velocity)).unbind(0)
        return unguided + guidance * (guided - unguided)


def present(projection: nn.Module, condition: torch.Tensor) -> torch.Tensor:
    """The projected condition `[B, frames, C]`; zeros for those of the batch that give only zeros."""
    given = condition.abs().amax((1, 2), keepdim=True) > 0
    return projection(condition) * given.to(condition.dtype)


class Modulation(nn.Module):
    """adaLN's shifts, scales and gates of a frame's condition; where a part is a scale, 1 + scale."""

    def __init__(self, published: nn.Sequential, width: int, scales: tuple[int, ...]):
        super().__init__()
        self.activation, linear = published
        self.width = width
        self.linear = nn.Linear(linear.in_features, linear.out_features)
        self.linear.weight.data, self.linear.bias.data = linear.weight.data, linear.bias.data.clone()
        for part in scales:
            self.linear.bias.data[part * width : (part + 1) * width] += 1

    def forward(self, condition: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.linear(self.activation(condition)).split(self.width, -1)


def gelu(x: torch.Tensor) -> torch.Tensor:
    """The published approximation by tanh, in the order of operations that ONNX Runtime makes one kernel of."""
    return (x * 0.5) * (torch.tanh((x * math.sqrt(2 / math.pi)) * (x * 0.044715 * x + 1)) + 1)


class Decoder(nn.Module):
    """From the transformer's rows to velocities."""

    def __init__(self, published: nn.Module):
        super().__init__()
        self.norm, self.linear = published.norm_final, published.linear
        self.modulation = Modulation(published.adaLN_modulation, self.linear.in_features, scales=(1,))

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        shift, scale = self.modulation(condition)
        return self.linear(self.norm(x) * scale + shift)


class Block(nn.Module):
    """A transformer block modulated frame by frame (adaLN), its attention limited by an additive mask."""

    def __init__(self, published: nn.Module):
        super().__init__()
        self.heads = published.attn.num_heads
        self.width = published.attn.proj.in_features
        self.scale = published.attn.scale
        self.projection = published.attn.qkv
        self.out = published.attn.proj
        self.norm1, self.norm2 = published.norm1, published.norm2
        self.modulation = Modulation(published.adaLN_modulation, self.width, scales=(1, 4))
        self.mlp_in, self.mlp_out = published.mlp.fc1, published.mlp.fc2

    def forward(self, x: torch.Tensor, condition: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition)
        x = x + gate1 * self._attend(self.norm1(x) * scale1 + shift1, mask)
        return x + gate2 * self.mlp_out(gelu(self.mlp_in(self.norm2(x) * scale2 + shift2)))

    def _attend(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        query, key, value = (split_heads(part, self.heads) for part in self.projection(x).split(self.width, -1))
        scores = (query * self.scale) @ key.transpose(-1, -2) + mask
        return self.out(join_heads(scores.softmax(-1) @ value))
