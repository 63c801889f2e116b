"""The motion generator: a flow-matching velocity network for a window of 31 scaled motion tokens.

The network predicts the clean window x1 and the velocity follows as (x1 - x) / (1 - t). With Euler steps that end at
t = 1, the last step lands exactly on the last prediction, so no sampling noise is left over: steady lips, smooth head.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

from channels import ARTICULATIONS, CONTEXT_FRAMES, FEATURES, INDEX, TOKEN_SCALE, TOKENS, limits

WIDTH = 128
KERNEL, DILATIONS = 3, (1, 2, 4, 8, 1)
TIME_WAVES = 16
# The encoder's own head: its share of the mouth, what a step of guidance adds to its movements, taps of its smoothing.
READING_SHARE, READING_GUIDANCE, READING_TAPS = 0.6, 0.35, (0.15, 0.7, 0.15)
READING_GAIN = dict(tuck=1.9)  # a squared error leaves the tuck of f and v, short and uncertain, too small
# Channels whose prediction is low-pass filtered in time (SMOOTHING are the taps).
SMOOTHED = ("squint", "smile", "brow_up", "brow_down", "pitch", "yaw", "roll", "shift_x", "shift_y")
SMOOTHING = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
# Channels of the opening that are averaged over three frames where all three are open: from CALM_FROM on, in full above
# CALM_ABOVE. A closure of one or two frames has a shut frame among its neighbours and is left as it is.
CALMED, CALM_FROM, CALM_ABOVE = ("jaw", "open", "upper_raise", "lower_drop"), 0.12, 0.24
# A few Euler steps hesitate over rare events: this gain on the predicted lids makes a begun blink complete itself.
BLINK_GAIN = 1.15


def reading_of(head, features):
    """The encoder's articulation head as matrices for scaled tokens, and its mean over `features` [B, 160, T]."""
    scale = torch.tensor(TOKEN_SCALE[:ARTICULATIONS])
    weight, bias = torch.zeros(FEATURES, TOKENS), torch.zeros(TOKENS)
    weight[:, :ARTICULATIONS] = head.weight.data[:, :, 0].T * scale
    bias[:ARTICULATIONS] = head.bias.data * scale
    return {"weight": weight, "bias": bias, "mean": features.mean((0, 2)) @ weight + bias}


class Denoiser(nn.Module):
    """(x [B, W, 31], t [B] or [1], audio [B, W, 160], prev_x [B, 10, 31], prev_audio [B, 10, 160]) -> x1 [B, W, 31]."""

    def __init__(self):
        super().__init__()
        # Two extra inputs: this frame is to be made; this context frame exists (none does at the very start).
        self.enter = nn.Conv1d(TOKENS + FEATURES + 2, WIDTH, 1)
        self.time = nn.Sequential(
            nn.Linear(2 * TIME_WAVES, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 2 * WIDTH * len(DILATIONS))
        )
        self.wide = nn.ModuleList([nn.Conv1d(WIDTH, WIDTH, KERNEL, padding=d, dilation=d) for d in DILATIONS])
        self.point = nn.ModuleList([nn.Conv1d(WIDTH, WIDTH, 1) for _ in DILATIONS])
        self.leave = nn.Conv1d(WIDTH, TOKENS, 1)
        # A straight way from the features to the mouth: what the encoder was taught to read from them.
        self.straight = nn.Conv1d(FEATURES, TOKENS, 1, bias=False)
        nn.init.zeros_(self.straight.weight)
        # 1 / RMS of each feature over the training data.
        self.register_buffer("feature_scale", torch.ones(FEATURES))
        self.register_buffer("waves", torch.exp(torch.linspace(0, 4.6, TIME_WAVES)))

    def forward(self, x, t, audio, prev_x, prev_audio):
        phase = t[:, None] * self.waves[None]
        time = self.time(torch.cat([torch.sin(phase), torch.cos(phase)], 1))
        time = time.reshape(-1, len(DILATIONS), 2, WIDTH, 1)
        tokens = torch.cat([prev_x, x], 1)
        features = torch.cat([prev_audio, audio], 1) * self.feature_scale
        wanted = torch.cat([torch.zeros_like(prev_x[:, :, :1]), torch.ones_like(x[:, :, :1])], 1)
        exists = (prev_audio.abs().amax(2, keepdim=True) > 0).to(x.dtype)
        exists = torch.cat([exists, torch.zeros_like(x[:, :, :1])], 1)
        h = self.enter(torch.cat([tokens, features, wanted, exists], 2).transpose(1, 2))
        for index, (wide, point) in enumerate(zip(self.wide, self.point)):
            scaled = h * (1 + time[:, index, 0]) + time[:, index, 1]
            h = h + point(F.silu(wide(F.silu(scaled))))
        made = self.leave(F.silu(h)) + self.straight(features.transpose(1, 2))
        return made.transpose(1, 2)[:, CONTEXT_FRAMES:]

    def hand_on_articulation(self, head, share):
        """Start the straight way from the encoder's articulation head: `share` of the mouth, the rest 1 - share."""
        scale = torch.tensor(TOKEN_SCALE[:ARTICULATIONS])[:, None, None] / self.feature_scale[None, :, None]
        self.straight.weight.data[:ARTICULATIONS] = share * head.weight * scale
        self.leave.weight.data[:ARTICULATIONS] *= 1 - share
        self.leave.bias.data[:ARTICULATIONS] *= 1 - share


class MotionGenerator(nn.Module):
    """The exported graph; see the pack's contract for its inputs.

    - Guidance: x1 = u + g (c - u) with u = the window's audio zeroed. Articulation takes g as it is, the other
      channels at most 1 (guidance is about clear speech, not about a livelier head).
    - Of the mouth, READING_SHARE is what the encoder's articulation head reads straight from the features: the flow
      alone is sharper on synthetic voices and follows real speech less.
    - x1 is limited to the tokens' range: overshoot of guidance would open a shut mouth inside out.
    - The slow channels of x1 are low-pass filtered over context and window (what they were taught is smoother), and
      the opening within vowels over three frames.
    - pose, gaze and motion_ref are offsets o: the network works on x - t o with context prev - prev_o, and o is
      added to x1. motion_ref is the rest the motion is relative to (zeros in this pack).
    """

    def __init__(self, denoiser, reading):
        super().__init__()
        self.denoiser = denoiser
        gain = torch.ones(TOKENS)
        gain[[INDEX[name] for name in READING_GAIN]] = torch.tensor(list(READING_GAIN.values()))
        self.register_buffer("reading_weight", reading["weight"] * gain)
        self.register_buffer("reading_bias", reading["bias"] * gain)
        self.register_buffer("reading_mean", reading["mean"] * gain)
        low, high = limits()
        scale = torch.tensor(TOKEN_SCALE)
        self.register_buffer("low", torch.tensor(low) * scale)
        self.register_buffer("high", torch.tensor(high) * scale)
        self.register_buffer("guided", (torch.arange(TOKENS) < ARTICULATIONS).float())
        calmed = torch.zeros(TOKENS)
        calmed[[INDEX[name] for name in CALMED]] = 1.0
        self.register_buffer("calmed", calmed)
        half = len(SMOOTHING) // 2
        kernel = torch.zeros(TOKENS, 1, len(SMOOTHING))
        kernel[:, 0, half] = 1.0
        kernel[[INDEX[name] for name in SMOOTHED], 0] = torch.tensor(SMOOTHING)
        kernel[[INDEX["blink_left"], INDEX["blink_right"]], 0, half] = BLINK_GAIN
        self.register_buffer("kernel", kernel)
        pose_to_token = torch.zeros(3, TOKENS)
        for row, name in enumerate(("pitch", "yaw", "roll")):
            pose_to_token[row, INDEX[name]] = scale[INDEX[name]]
        gaze_to_token = torch.zeros(2, TOKENS)
        for row, name in enumerate(("gaze_x", "gaze_y")):
            gaze_to_token[row, INDEX[name]] = scale[INDEX[name]]
        self.register_buffer("pose_to_token", pose_to_token)
        self.register_buffer("gaze_to_token", gaze_to_token)

    def forward(self, t, x, audio, prev_x, prev_audio, motion_ref, pose, gaze, prev_pose, prev_gaze, guidance):
        offset = pose @ self.pose_to_token + gaze @ self.gaze_to_token + motion_ref[:, None, :]
        exists = (prev_audio.abs().amax(2, keepdim=True) > 0).to(x.dtype)
        prev_offset = prev_pose @ self.pose_to_token + prev_gaze @ self.gaze_to_token + motion_ref[:, None, :] * exists
        inner, inner_prev = x - t * offset, prev_x - prev_offset
        # Both branches in one run.
        both = self.denoiser(
            torch.cat([inner, inner]),
            t,
            torch.cat([audio, torch.zeros_like(audio)]),
            torch.cat([inner_prev, inner_prev]),
            torch.cat([prev_audio, prev_audio]),
        )
        conditional, unconditional = torch.chunk(both, 2)
        strength = self.guided * guidance + (1 - self.guided) * torch.clamp(guidance, max=1.0)
        clean = unconditional + strength * (conditional - unconditional)
        clean = clean + READING_SHARE * (self.read(audio, prev_audio, guidance) - clean) * self.guided
        clean = self.smooth(inner_prev, clean)
        clean = torch.maximum(torch.minimum(clean, self.high), self.low)
        clean = self.calm(inner_prev, clean)
        return (clean + offset - x) / torch.clamp(1 - t, min=0.005)

    def read(self, audio, prev_audio, guidance):
        """What the encoder's own head reads from the features [B, W, 31], further from its mean with more guidance."""
        near = torch.cat([prev_audio[:, -1:], audio, audio[:, -1:]], 1)
        before, now, after = READING_TAPS
        mixed = before * near[:, :-2] + now * audio + after * near[:, 2:]
        read = mixed @ self.reading_weight + self.reading_bias
        return read + READING_GUIDANCE * (guidance - 1) * (read - self.reading_mean)

    def smooth(self, before, clean):
        """Filter the slow channels of `clean` [B, W, 31], continuing `before` [B, 10, 31]; the last frame repeats."""
        half = len(SMOOTHING) // 2
        padded = torch.cat([before[:, CONTEXT_FRAMES - half :], clean] + [clean[:, -1:]] * half, 1)
        return F.conv1d(padded.transpose(1, 2), self.kernel, groups=TOKENS).transpose(1, 2)

    def calm(self, before, clean):
        """Average the opening of `clean` [B, W, 31] over three frames where the mouth is open in all of them."""
        padded = torch.cat([before[:, -1:], clean, clean[:, -1:]], 1)
        opening = padded[:, :, INDEX["open"] : INDEX["open"] + 1] / TOKEN_SCALE[INDEX["open"]].item()
        least = torch.minimum(torch.minimum(opening[:, :-2], opening[:, 1:-1]), opening[:, 2:])
        share = ((least - CALM_FROM) / (CALM_ABOVE - CALM_FROM)).clamp(0, 1) * self.calmed
        return clean + share * ((padded[:, :-2] + clean + padded[:, 2:]) / 3 - clean)
