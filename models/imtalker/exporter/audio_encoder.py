"""The audio encoder graph: speech in, one feature row per frame out."""

import torch
from torch import nn

SAMPLES_PER_FRAME = 640


class AudioEncoder(nn.Module):
    """Waveform f32 `[1, N]`, 16 kHz, zero mean and unit variance, N a multiple of 640 -> f32 `[1, N/640, C]`.

    wav2vec2-base, its convolution's output brought to the frame rate by linear interpolation before the transformer.
    """

    def __init__(self, generator: nn.Module):
        super().__init__()
        wav2vec2 = generator.audio_encoder.wav2vec2
        self.convolutions = wav2vec2.feature_extractor
        self.into = wav2vec2.feature_projection
        self.transformer = wav2vec2.encoder
        self.projection = generator.audio_projection

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        heard = self.convolutions(waveform).transpose(1, 2)
        hidden, _ = self.into(interpolate(heard, waveform.shape[1] // SAMPLES_PER_FRAME))
        return self.projection(self.transformer(hidden).last_hidden_state)


def interpolate(rows: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Linear interpolation `[1, L, C]` -> `[1, frames, C]`, first and last rows kept (align_corners).

    Written out, since runtimes differ in which ranks their Resize operator takes.
    """
    last = rows.shape[1] - 1
    place = torch.arange(frames, device=rows.device)
    # Integer arithmetic: row = place * last / (frames - 1) without rounding before the split.
    steps = torch.clamp(torch.as_tensor(frames - 1), min=1)
    below = (place * last) // steps
    share = ((place * last) % steps).to(rows.dtype) / steps.to(rows.dtype)
    above = torch.clamp(below + 1, max=last)
    return rows[:, below] + share[None, :, None] * (rows[:, above] - rows[:, below])
