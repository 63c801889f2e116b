"""The audio encoder: 16 kHz samples -> 160 features at 25 frames a second, and its training heads.

Everything is in the graph: a short-time Fourier transform and a mel matrix as convolutions, two strided convolutions
and five residual dilated convolutions. Frame i (samples 640 i .. 640 i + 639) sees RIGHT_SAMPLES samples from its first
sample on, i.e. at most 200 ms past its end, and LEFT_SAMPLES before it.
"""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from channels import ARTICULATIONS, FEATURES, SAMPLE_RATE
from phones import PHONES

MELS, WINDOW, HOP, FFT = 64, 400, 160, 512
# (kernel, dilation, frames of look-ahead) of the residual blocks
BLOCKS = [(4, 1, 1), (4, 1, 1), (3, 1, 1), (3, 2, 0), (3, 4, 0)]
LOOK_AHEAD_BLOCKS = sum(right for _, _, right in BLOCKS)
LEFT_BLOCKS = sum((kernel - 1) * dilation - right for kernel, dilation, right in BLOCKS)
# Frame i reads mel columns 4i-6 .. 4i+8, column k reads samples 160k-120 .. 160k+279.
RIGHT_SAMPLES = LOOK_AHEAD_BLOCKS * 640 + 8 * HOP + 280
# A tone is one when TONE_BANDS neighbouring bands hold nearly all power (from the first share on, in full above the
# second) for as many columns: of tones from 150 Hz up they hold 0.998, of speech never more than 0.988 for so long.
TONE_BANDS, TONE_COLUMNS, TONE_SHARES = 5, 20, (0.99, 0.997)
LEFT_SAMPLES = LEFT_BLOCKS * 640 + (6 + TONE_COLUMNS) * HOP + 120
PHONE_SLOTS = 2  # phone posteriors a frame


def mel_matrix(low=50, high=7600):
    """Triangular mel filters [64, 257], rows sum to one."""
    low_mel, high_mel = 2595 * np.log10(1 + np.array([low, high]) / 700)
    corners = 700 * (10 ** (np.linspace(low_mel, high_mel, MELS + 2) / 2595) - 1)
    hertz = np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT
    rising = (hertz - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - hertz) / (corners[2:] - corners[1:-1])[:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    return filters / (filters.sum(1, keepdims=True) + 1e-9)


class LogMel(nn.Module):
    """Samples [B, N] -> log-mel [B, 64, N / 160], roughly -3 (silence) .. 1."""

    def __init__(self):
        super().__init__()
        window = np.hanning(WINDOW + 1)[:WINDOW]
        angle = np.arange(FFT // 2 + 1)[:, None] * np.arange(WINDOW)[None] * 2 * np.pi / FFT
        kernel = np.concatenate([np.cos(angle) * window, np.sin(angle) * window]) / np.sqrt(WINDOW)
        self.register_buffer("kernel", torch.tensor(kernel[:, None], dtype=torch.float32))
        self.register_buffer("mel", torch.tensor(mel_matrix()[:, :, None], dtype=torch.float32))

    def forward(self, wave):
        bins = FFT // 2 + 1
        parts = F.conv1d(F.pad(wave[:, None], (120, 120)), self.kernel, stride=HOP)
        power = parts[:, :bins] ** 2 + parts[:, bins:] ** 2
        return (torch.log(F.conv1d(power, self.mel) + 1e-7) + 6.0) / 4.0


class ToneMute(nn.Module):
    """Log-mel [B, 64, T] with pure tones (beeps, whistles) taken for silence, 200 ms after they began.

    Sung vowels are in the training, and a tone without harmonics is too near to one for the network.
    """

    def forward(self, mel):
        power = (torch.exp(4 * mel - 6) - 1e-7).clamp(min=0)
        total = power.sum(1, keepdim=True)
        densest = F.avg_pool1d(power.transpose(1, 2), TONE_BANDS, 1).amax(2)[:, None] * TONE_BANDS
        share = densest / (total + 1e-6)
        lasting = -F.max_pool1d(-F.pad(share, (TONE_COLUMNS, 0)), TONE_COLUMNS + 1, 1)
        low, high = TONE_SHARES
        mute = ((lasting - low) / (high - low)).clamp(0, 1)
        silence = (np.log(1e-7) + 6) / 4
        return mel + mute * (silence - mel)


class ResidualBlock(nn.Module):
    def __init__(self, channels, kernel, dilation, look_ahead, dropout):
        super().__init__()
        self.padding = ((kernel - 1) * dilation - look_ahead, look_ahead)
        self.norm_in, self.norm_mid = nn.BatchNorm1d(channels), nn.BatchNorm1d(channels)
        self.wide = nn.Conv1d(channels, channels, kernel, dilation=dilation)
        self.point = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        h = self.wide(F.pad(F.relu(self.norm_in(x)), self.padding))
        return x + self.point(self.dropout(F.relu(self.norm_mid(h))))


class Trunk(nn.Module):
    """Log-mel [B, 64, 4T] -> features [B, 160, T], not negative."""

    def __init__(self, dropout=0.1):
        super().__init__()
        self.norm = nn.BatchNorm1d(MELS)
        self.spectral, self.spectral_norm = nn.Conv1d(MELS, 128, 5), nn.BatchNorm1d(128)
        self.halve, self.halve_norm = nn.Conv1d(128, FEATURES, 5, stride=2), nn.BatchNorm1d(FEATURES)
        self.frame = nn.Conv1d(FEATURES, FEATURES, 4, stride=2)
        self.blocks = nn.ModuleList([ResidualBlock(FEATURES, *block, dropout) for block in BLOCKS])
        self.norm_out = nn.BatchNorm1d(FEATURES)

    def forward(self, mel):
        x = F.relu(self.spectral_norm(self.spectral(F.pad(self.norm(mel), (2, 2)))))
        x = F.relu(self.halve_norm(self.halve(F.pad(x, (2, 2)))))
        x = self.frame(F.pad(x, (1, 1)))
        for block in self.blocks:
            x = block(x)
        return F.relu(self.norm_out(x))


class EncoderTraining(nn.Module):
    """The trunk with the heads that teach it: articulation and phones (two a frame)."""

    def __init__(self):
        super().__init__()
        self.trunk = Trunk()
        self.articulation = nn.Conv1d(FEATURES, ARTICULATIONS, 1)
        self.phones = nn.Conv1d(FEATURES, len(PHONES) * PHONE_SLOTS, 1)

    def forward(self, mel):
        """Returns articulation [B, 18, T] and phone logits [B, phones, 2T]."""
        features = self.trunk(mel)
        logits = self.phones(features)
        batch, _, frames = logits.shape
        logits = logits.reshape(batch, len(PHONES), PHONE_SLOTS, frames).permute(0, 1, 3, 2)
        return self.articulation(features), logits.reshape(batch, len(PHONES), frames * PHONE_SLOTS)


class AudioEncoder(nn.Module):
    """The exported graph: waveform [1, N] -> features [1, T, 160], T = N / 640."""

    def __init__(self, trunk):
        super().__init__()
        self.log_mel, self.mute, self.trunk = LogMel(), ToneMute(), trunk

    def forward(self, waveform):
        return self.trunk(self.mute(self.log_mel(waveform))).transpose(1, 2)
