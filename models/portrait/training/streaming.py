"""Generate motion as the server does: windows with context, cut look-ahead, shared noise and cross-fades."""

import numpy as np
import torch

from channels import CONTEXT_FRAMES, FEATURES, SAMPLES_PER_FRAME, TOKEN_SCALE, TOKENS

LEFT_FRAMES = 25  # audio before the window that the encoder gets as well


def window_features(encoder, wave, start, length):
    """Features [1, length, 160] of frames start..start+length, without audio beyond the window."""
    first = max(0, start - LEFT_FRAMES)
    piece = torch.tensor(wave[first * SAMPLES_PER_FRAME : (start + length) * SAMPLES_PER_FRAME])[None]
    return encoder(piece)[:, start - first :]


def euler(generator, noise, audio, prev_x, prev_audio, nfe, guidance, pose=None):
    """Scaled tokens [1, W, 31]: Euler over linspace(0, 1, nfe)."""
    x, length = noise, noise.shape[1]
    times = np.linspace(0, 1, nfe, dtype=np.float32)
    pose = torch.zeros(1, length, 3) if pose is None else pose
    rest, gaze = torch.zeros(1, TOKENS), torch.zeros(1, length, 2)
    before = (torch.zeros(1, CONTEXT_FRAMES, 3), torch.zeros(1, CONTEXT_FRAMES, 2))
    for now, then in zip(times[:-1], times[1:]):
        t, strength = torch.tensor([now]), torch.tensor([guidance], dtype=torch.float32)
        velocity = generator(t, x, audio, prev_x, prev_audio, rest, pose, gaze, *before, strength)
        x = x + float(then - now) * velocity
    return x


@torch.no_grad()
def generate(encoder, generator, wave, window=25, nfe=10, guidance=2.0, seed=0):
    """Motion tokens in physical units, float [T, 31], of a 16 kHz wave float32 [N]; T = ceil(N / 640)."""
    frames = -(-len(wave) // SAMPLES_PER_FRAME)
    overlap = max(1, round(window * 0.2))
    hop = window - overlap
    windows = max(1, -(-(frames - overlap) // hop))
    total = (windows - 1) * hop + window
    wave = np.pad(wave.astype(np.float32), (0, total * SAMPLES_PER_FRAME - len(wave)))
    noise = torch.randn(1, total, TOKENS, generator=torch.Generator().manual_seed(seed))
    motion, features = np.zeros((total, TOKENS), np.float32), np.zeros((total, FEATURES), np.float32)
    fade = ((np.arange(overlap) + 1) / (overlap + 1))[:, None]
    for index in range(windows):
        start = index * hop
        audio = window_features(encoder, wave, start, window)
        prev_x, prev_audio = np.zeros((1, CONTEXT_FRAMES, TOKENS)), np.zeros((1, CONTEXT_FRAMES, FEATURES))
        known = min(CONTEXT_FRAMES, start)
        if known:
            prev_x[0, -known:] = motion[start - known : start]
            prev_audio[0, -known:] = features[start - known : start]
        context = (torch.tensor(prev_x, dtype=torch.float32), torch.tensor(prev_audio, dtype=torch.float32))
        made = euler(generator, noise[:, start : start + window], audio, *context, nfe, guidance)[0].numpy()
        if index:
            made[:overlap] = (1 - fade) * motion[start : start + overlap] + fade * made[:overlap]
        motion[start : start + window] = made
        features[start : start + window] = audio[0].numpy()
    return motion[:frames] / TOKEN_SCALE
