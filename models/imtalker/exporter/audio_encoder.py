"""The audio encoder graph: speech in, one feature row per frame out."""

import torch
from torch import nn

SAMPLES_PER_FRAME = 640


class AudioEncoder(nn.Module):
    """Waveform f32 `[1, N]`, 16 kHz, zero mean and unit variance, N = 640 T -> f32 `[1, T, C]`.

    wav2vec2-base (arXiv 2006.11477), its convolution's output brought to the frame rate before the transformer.
    """

    def __init__(self, generator: nn.Module):
        super().__init__()
        wav2vec2 = generator.audio_encoder.wav2vec2
        self.convolutions = wav2vec2.feature_extractor
        self.into = wav2vec2.feature_projection
        self.transformer = wav2vec2.encoder
        self.projection = generator.audio_projection

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        # Kernels of 400 samples every 320 make 2T - 1 rows of 640 T samples. The published code brings them to T rows
        # by linear interpolation that keeps the first and the last: that is every second row.
        heard = self.convolutions(waveform).transpose(1, 2)[:, ::2]
        hidden, _ = self.into(heard)
        return self.projection(self.transformer(hidden).last_hidden_state)
