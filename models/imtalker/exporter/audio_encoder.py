"""The audio encoder graph: speech in, one feature row per frame out."""

import torch
from torch import nn
from torch.nn import functional as F

from .attention import folded_linear

SAMPLES_PER_FRAME = 640


class AudioEncoder(nn.Module):
    """Waveform f32 `[1, N]`, 16 kHz, zero mean and unit variance, N = 640 T -> f32 `[1, T, C]`.

    wav2vec2-base (arXiv 2006.11477), its convolution's output brought to the frame rate before the transformer.
    """

    def __init__(self, generator: nn.Module):
        super().__init__()
        wav2vec2 = generator.audio_encoder.wav2vec2
        self.convolutions = wav2vec2.feature_extractor.conv_layers
        self.into = wav2vec2.feature_projection
        self.position = wav2vec2.encoder.pos_conv_embed
        self.norm = wav2vec2.encoder.layer_norm
        self.layers = nn.ModuleList(EncoderLayer(layer) for layer in wav2vec2.encoder.layers)
        self.projection = generator.audio_projection

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        # Kernels of 400 samples every 320 make 2T - 1 rows of 640 T samples. The published code brings them to T rows
        # by linear interpolation that keeps the first and the last: that is every second row.
        hidden, _ = self.into(self.convolve(waveform).transpose(1, 2)[:, ::2])
        hidden = self.norm(hidden + self.position(hidden))
        for layer in self.layers:
            hidden = layer(hidden)
        return self.projection(hidden)

    def convolve(self, waveform: torch.Tensor) -> torch.Tensor:
        """`[1, N]` -> `[1, channels, 2T - 1]`."""
        first, *others = self.convolutions
        x = first.conv(waveform.unsqueeze(1))
        # Its group norm has one channel a group, normalised over time: said so, no shape is computed at run time.
        norm = first.layer_norm
        x = first.activation(F.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=norm.eps))
        for layer in others:
            x = layer(x)
        return x


class EncoderLayer(nn.Module):
    """A wav2vec2 transformer layer; only the number of frames is open."""

    def __init__(self, published: nn.Module):
        super().__init__()
        attention = published.attention
        self.heads, self.head_width = attention.num_heads, attention.head_dim
        self.query = folded_linear(attention.q_proj, scale=attention.scaling)
        self.key, self.value, self.out = attention.k_proj, attention.v_proj, attention.out_proj
        self.norm, self.ffn, self.ffn_norm = published.layer_norm, published.feed_forward, published.final_layer_norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[1, T, C]` -> the same shape."""
        query, key, value = (self.split(part(x)) for part in (self.query, self.key, self.value))
        attended = (query @ key.transpose(-1, -2)).softmax(-1) @ value
        x = self.norm(x + self.out(attended.transpose(1, 2).reshape(1, -1, self.heads * self.head_width)))
        return self.ffn_norm(x + self.ffn(x))

    def split(self, rows: torch.Tensor) -> torch.Tensor:
        """`[1, T, C]` -> `[1, heads, T, C / heads]`."""
        return rows.reshape(1, -1, self.heads, self.head_width).transpose(1, 2)
