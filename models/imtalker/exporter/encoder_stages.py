"""The audio encoder taken apart, for measure_context.py."""

import math

import torch
from torch.nn import functional as F

from .audio_encoder import AudioEncoder


class Layer(torch.nn.Module):
    """A transformer layer whose heads may be made to look around themselves, as many of a trained model's do."""

    def __init__(self, layer: torch.nn.Module, reach: torch.Tensor | None):
        super().__init__()
        self.layer, self.reach = layer, reach

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.reach is None:
            return self.layer(x)
        layer = self.layer
        query, key, value = (layer.split(part(x)) for part in (layer.query, layer.key, layer.value))
        at = torch.arange(x.shape[1])
        scores = query @ key.transpose(-1, -2) - (at - at[:, None]).abs() / self.reach[:, None, None]
        attended = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
        x = layer.norm(x + layer.out(attended))
        return layer.ffn_norm(x + layer.ffn(x))


class Stages:
    """The audio encoder taken apart, so that each part can hear the whole recording while the others do not."""

    def __init__(self, encoder: AudioEncoder, reaches: list[torch.Tensor | None]):
        self.encoder = encoder
        self.layers = [Layer(layer, reach) for layer, reach in zip(encoder.layers, reaches)]

    def first(self, waveform: torch.Tensor) -> torch.Tensor:
        return self.encoder.convolutions[0].conv(waveform[None, None])

    def rows(self, first: torch.Tensor, statistics: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """The first convolution's output, normalised with `statistics` -> a row per frame `[1, T, 768]`."""
        layer, *others = self.encoder.convolutions
        mean, variance = statistics
        norm = layer.layer_norm
        x = (first - mean) / (variance + norm.eps).sqrt() * norm.weight[:, None] + norm.bias[:, None]
        x = layer.activation(x)
        for other in others:
            x = other(x)
        return self.encoder.into(x.transpose(1, 2)[:, ::2])[0]

    def positioned(self, rows: torch.Tensor) -> torch.Tensor:
        return self.encoder.norm(rows + self.encoder.position(rows))

    def transformed(self, rows: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            rows = layer(rows)
        return rows

    def features(self, waveform: torch.Tensor, statistics=None) -> torch.Tensor:
        first = self.first(waveform)
        return self.finished(self.transformed(self.positioned(self.rows(first, statistics or moments(first)))))

    def finished(self, rows: torch.Tensor) -> torch.Tensor:
        return self.encoder.projection(rows)


def moments(first: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return first.mean(-1, keepdim=True), first.var(-1, unbiased=False, keepdim=True)


def trained_like(encoder: AudioEncoder, attention: str) -> list[torch.Tensor | None]:
    """Gives random weights the two traits that decide how far they hear: band-pass filters, and heads that choose.

    attention: `local`, heads reach 1 to 32 frames around themselves; `global`, heads choose by content, anywhere.
    -> the reach of each layer's heads.
    """
    kernel = encoder.convolutions[0].conv.weight
    count, _, taps = kernel.shape
    at = torch.arange(taps) - (taps - 1) / 2
    frequency = torch.logspace(2, math.log10(7500), count)[:, None]
    waves = torch.cos(2 * torch.pi * frequency * at / 16000 + 2 * torch.pi * torch.rand(count, 1))
    kernel.copy_((waves * torch.hann_window(taps + 2)[1:-1])[:, None])
    width = encoder.norm.normalized_shape
    rows = F.layer_norm(torch.randn(1, 200, *width), width)
    for layer in encoder.layers:
        query, key = (layer.split(part(rows)) for part in (layer.query, layer.key))
        gain = (2 / (query * key).sum(-1).std()).sqrt()
        for part in (layer.query, layer.key):
            part.weight.mul_(gain)
            part.bias.mul_(gain)
    if attention == "global":
        return [None] * len(encoder.layers)
    return [torch.logspace(0, 5, layer.heads, base=2) for layer in encoder.layers]
