"""From a motion token to motion maps, batchable: identity adaption and the style-modulated decoder."""

import torch
from torch import nn
from torch.nn import functional as F


def equal_linear(published: nn.Module) -> nn.Linear:
    """A linear layer with the equalised learning rate's run-time scale (StyleGAN) worked into its weights."""
    linear = nn.Linear(published.weight.shape[1], published.weight.shape[0])
    linear.weight.data = published.weight.data * published.scale
    linear.bias.data = published.bias.data * published.lr_mul
    return linear


class IdentityBias(nn.Module):
    """The part of the adaption's first layer that the source image decides, once per session."""

    def __init__(self, published: nn.Module, sample_weight: float):
        super().__init__()
        first = equal_linear(published.in_layer)
        tokens = published.final_linear.weight.shape[0]
        self.motion = nn.Parameter(first.weight.data[:, :tokens] * (1 - sample_weight))
        self.identity = nn.Linear(first.in_features - tokens, first.out_features)
        self.identity.weight.data, self.identity.bias.data = first.weight.data[:, tokens:], first.bias.data

    def forward(self, motion_ref: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        """`[1, D]` and `[1, 512]` -> `[1, 512]`."""
        return self.identity(identity) + F.linear(motion_ref, self.motion)


class AdaptedMotion(nn.Module):
    """Motion tokens of a frame, given the identity: `[B, D]` -> `[B, D]`.

    The first layer is linear, so blending the tokens with the source's, sample_weight * motion + (1 - sample_weight) *
    motion_ref, costs nothing: the source's share is in the identity bias.
    """

    def __init__(self, published: nn.Module, sample_weight: float):
        super().__init__()
        tokens = published.final_linear.weight.shape[0]
        self.motion = nn.Parameter(equal_linear(published.in_layer).weight.data[:, :tokens] * sample_weight)
        self.layers = nn.ModuleList(equal_linear(layer) for layer in published.linear_layers)
        self.last = equal_linear(published.final_linear)
        self.slope = published.activation.negative_slope

    def forward(self, motion: torch.Tensor, identity_bias: torch.Tensor) -> torch.Tensor:
        x = F.linear(motion, self.motion) + identity_bias
        for layer in self.layers:
            x = F.leaky_relu(layer(x), self.slope)
        return self.last(x)


class StyledConvolution(nn.Module):
    """Modulated convolution (StyleGAN2, arXiv 1912.04958, section 2.2) with weights shared by the whole batch.

    Scaling the input by the style and the output by the demodulation is the same as scaling the weights per sample, but
    needs no convolution with as many groups as the batch, which would fix the batch in the graph.
    """

    def __init__(self, published: nn.Module):
        super().__init__()
        convolution = published.conv
        weight = convolution.weight.data[0] * convolution.scale
        self.style = equal_linear(convolution.modulation)
        # The gain behind the activation is positive: worked into demodulation and bias, it costs no pass of its own.
        gain = published.activate.scale
        self.register_buffer("energy", weight.square().sum((2, 3)) / gain**2)
        self.epsilon = 1e-8 / gain**2
        self.upsample = convolution.upsample
        self.register_buffer("weight", weight.transpose(0, 1).contiguous() if self.upsample else weight)
        if self.upsample:
            kernel = convolution.blur.kernel.flip(0, 1)
            self.register_buffer("blur", kernel.expand(weight.shape[0], 1, *kernel.shape).contiguous())
            before, after = convolution.blur.pad
            assert before == after
            self.blur_padding = before
        self.padding = convolution.padding
        self.register_buffer("bias", published.activate.bias.data * gain)
        self.slope = published.activate.negative_slope

    def forward(self, x: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        style = self.style(tokens)
        x = x * style[:, :, None, None]
        if self.upsample:
            x = F.conv_transpose2d(x, self.weight, stride=2)
            x = F.conv2d(x, self.blur, padding=self.blur_padding, groups=self.blur.shape[0])
        else:
            x = F.conv2d(x, self.weight, padding=self.padding)
        demodulation = torch.rsqrt(F.linear(style.square(), self.energy) + self.epsilon)
        return F.leaky_relu(x * demodulation[:, :, None, None] + self.bias, self.slope)


class MotionMaps(nn.Module):
    """Adapted tokens `[B, D]` -> motion maps at 8, 16, 32 and 64 px."""

    def __init__(self, published: nn.Module):
        super().__init__()
        self.constant = published.const
        self.layers = nn.ModuleList(StyledConvolution(layer) for layer in published.style_conv_layers)

    def forward(self, tokens: torch.Tensor) -> list[torch.Tensor]:
        x, maps = self.constant, []
        for index, layer in enumerate(self.layers):
            x = layer(x, tokens)
            # The decoder doubles its side at layers 1, 4, 7, 10 and hands out the third map of each size.
            if index % 3 == 0 and index > 0:
                maps.append(x)
        return maps
