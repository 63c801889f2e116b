"""The 31 motion channels of the portrait pack, their order, scale and limits."""

import numpy as np

FRAMES_PER_SECOND = 25
SAMPLE_RATE = 16000
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAMES_PER_SECOND
CONTEXT_FRAMES = 10
FEATURES = 160

ARTICULATION = [
    "jaw", "open", "width", "round", "protrude", "lipclose", "tuck", "upper_raise", "lower_drop", "teeth",
    "tongue_tip", "tongue_out", "tongue_back", "stretch", "press", "speech", "voiced", "nasal",
]  # fmt: skip
IDLE = [
    "brow_up", "brow_down", "squint", "smile", "blink_left", "blink_right", "gaze_x", "gaze_y",
    "pitch", "yaw", "roll", "shift_x", "shift_y",
]  # fmt: skip
CHANNELS = ARTICULATION + IDLE
INDEX = {name: index for index, name in enumerate(CHANNELS)}
ARTICULATIONS, TOKENS = len(ARTICULATION), len(CHANNELS)

# The graphs exchange token * scale, about unit variance.
_IDLE_SCALES = [4.0] * 4 + [3.0] * 2 + [4.0] * 2 + [15.0] * 3 + [40.0] * 2
TOKEN_SCALE = np.array([3.0] * ARTICULATIONS + _IDLE_SCALES, np.float32)


def limits():
    """Lowest and highest value of every token (physical units): float32 [31], float32 [31]."""
    low, high = np.zeros(TOKENS, np.float32), np.ones(TOKENS, np.float32)
    for name in ("width", "gaze_x", "gaze_y"):
        low[INDEX[name]] = -1.0
    for name in ("pitch", "yaw", "roll"):
        low[INDEX[name]], high[INDEX[name]] = -0.14, 0.14  # 8 degrees
    for name in ("shift_x", "shift_y"):
        low[INDEX[name]], high[INDEX[name]] = -0.05, 0.05
    return low, high
