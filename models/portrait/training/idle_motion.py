"""Procedural motion of everything but the mouth: head, brows, eyes and blinks, tied to the loudness of the speech.

The head wanders like a critically damped spring pushed by noise (an AR(2) process), so that ten frames of context
tell where it is and where it goes. The voice shapes this: loud syllables turn the head further from rest, pauses let it
come back, and it nods with the rise and fall of each phrase, so that other words make another path. Accents (prominent
loudness peaks) bring larger nods and raised brows, pauses bring blinks.
All values are physical (radians, units of the outer-eye distance); see channels.py.
"""

import numpy as np
import scipy.ndimage
import scipy.signal

from channels import FRAMES_PER_SECOND, IDLE, SAMPLES_PER_FRAME

# Standard deviation while speaking and correlation time (seconds) of the wandering channels.
_WANDER = {
    "pitch": (np.radians(1.5), 0.9),
    "yaw": (np.radians(2.0), 1.3),
    "roll": (np.radians(1.2), 1.3),
    "shift_x": (0.010, 1.4),
    "shift_y": (0.006, 1.4),
    "smile": (0.07, 1.6),
    "squint": (0.05, 1.2),
}
_SWING = ("yaw", "roll", "shift_x")  # what swings out with the voice
_LEAST_SWING = 0.5  # share of the wandering that is left in pauses
_PHRASE_NOD = np.radians(2.2)  # pitch from the softest to the loudest of a phrase
_BLINK = np.array([0.4, 0.9, 1.0, 0.55, 0.15])  # closing, shut, opening; one value a frame
_LID_SINK = 0.06  # how far the lids sink until the next blink; the context frames read the time since the last from it
_SHORTEST_BLINK_GAP, _LONGEST_BLINK_GAP = 1.4, 4.2  # seconds


def loudness(wave):
    """Level in dB of every frame (40 ms) of a clean wave, float [frames]."""
    frames = wave[: len(wave) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME].reshape(-1, SAMPLES_PER_FRAME)
    return 10 * np.log10((frames.astype(np.float64) ** 2).mean(1) + 1e-8)


def wander(random, count, seconds, activity):
    """Unit-variance smooth noise: x'' = -2wx' - w^2 x + noise, `activity` [count] scales the push."""
    decay = np.exp(-1.0 / (seconds * 0.5 * FRAMES_PER_SECOND))
    warm = 8 * FRAMES_PER_SECOND
    push = random.standard_normal(count + warm) * np.concatenate([np.full(warm, activity[0]), activity])
    # Both poles at `decay`; the gain gives unit variance for constant activity 1.
    variance = (1 + decay**2) / (1 - decay**2) ** 3
    return scipy.signal.lfilter([1.0], [1, -2 * decay, decay**2], push)[warm:] / np.sqrt(variance)


def emphasis(level, frames):
    """How loud it is, 0 (pause) .. 1 (loudest), over about `frames` frames: float [count]."""
    return np.clip((scipy.ndimage.gaussian_filter1d(level, frames) - np.percentile(level, 95) + 22) / 20, 0, 1)


def accents(level):
    """Frames of the prominent loudness peaks, at least 0.45 s apart."""
    smooth = scipy.ndimage.gaussian_filter1d(level, 2.0)
    speech = smooth > np.percentile(smooth, 95) - 14
    peaks, _ = scipy.signal.find_peaks(smooth, prominence=3.0, distance=int(0.45 * FRAMES_PER_SECOND))
    return [int(p) for p in peaks if speech[p]]


def bump(track, centre, rise, fall, height):
    """Add a raised-cosine bump to `track` in place; `rise` and `fall` in frames."""
    for frame in range(max(0, int(centre - rise)), min(len(track), int(centre + fall) + 1)):
        distance = (frame - centre) / (rise if frame < centre else fall)
        track[frame] += height * 0.5 * (1 + np.cos(np.pi * np.clip(distance, -1, 1)))


def blinks(random, pauses):
    """Blink track [frames]: never closer than 1.4 s, sooner in pauses, at the latest after 4.2 s."""
    count = len(pauses)
    track, since = np.zeros(count), random.uniform(0, 3)
    frame = 0
    while frame < count:
        since += 1 / FRAMES_PER_SECOND
        ripeness = min(max((since - _SHORTEST_BLINK_GAP) / (_LONGEST_BLINK_GAP - _SHORTEST_BLINK_GAP), 0.0), 1.0)
        rate = (0.05 + 0.8 * ripeness) * (4.0 if pauses[frame] else 1.0) * (since > _SHORTEST_BLINK_GAP)
        track[frame] = _LID_SINK * min(since / _LONGEST_BLINK_GAP, 1)
        if random.uniform() < rate / FRAMES_PER_SECOND or ripeness >= 1:
            length = min(len(_BLINK), count - frame)
            track[frame : frame + length] = _BLINK[:length]
            frame, since = frame + length, 0.0
        else:
            frame += 1
    return track


def glances(random, count):
    """Gaze x and y [frames, 2]: mostly at the viewer, with small saccades that hold."""
    track, frame = np.zeros((count, 2)), 0
    while frame < count:
        frame += int(random.uniform(0.8, 4.0) * FRAMES_PER_SECOND)
        target = random.standard_normal(2) * (0.16, 0.08)
        hold = int(random.uniform(0.3, 1.4) * FRAMES_PER_SECOND)
        track[frame : frame + hold] = np.clip(target, -0.4, 0.4)
        frame += hold
    # A saccade of this size takes 40 ms, one frame: a share of the way is seen when it falls into a frame's exposure.
    return scipy.ndimage.convolve1d(track, [0.0, 0.75, 0.25], axis=0, mode="nearest")


def idle_tracks(random, wave):
    """Tracks of the 13 idle channels (order of channels.IDLE) for a clean wave: float [frames, 13]."""
    level = loudness(wave)
    count = len(level)
    voiced = scipy.ndimage.gaussian_filter1d((level > np.percentile(level, 95) - 25).astype(float), 5)
    activity = 0.6 + 0.4 * voiced
    track = {name: np.zeros(count) for name in IDLE}
    for name, (deviation, seconds) in _WANDER.items():
        track[name] = deviation * wander(random, count, seconds, activity)
    swing = _LEAST_SWING + 1.3 * (1 - _LEAST_SWING) * emphasis(level, 6)
    for name in _SWING:
        track[name] *= swing
    phrase = emphasis(level, 3)
    track["pitch"] += _PHRASE_NOD * (phrase - scipy.ndimage.gaussian_filter1d(phrase, 20))
    track["shift_y"] += 0.006 * (phrase - scipy.ndimage.gaussian_filter1d(phrase, 20))
    for frame in accents(level):
        if random.uniform() < 0.55:
            bump(track["pitch"], frame, 5, 9, np.radians(random.uniform(1.0, 3.0)))
        if random.uniform() < 0.35:
            bump(track["brow_up"], frame - 1, 6, 10, random.uniform(0.15, 0.5))
        elif random.uniform() < 0.12:
            bump(track["brow_down"], frame - 1, 7, 12, random.uniform(0.1, 0.3))
    track["smile"] = np.clip(0.06 + track["smile"], 0, 0.3)
    track["squint"] = np.clip(0.25 * track["smile"] + track["squint"], 0, 0.25)
    track["brow_up"] = np.clip(track["brow_up"], 0, 0.7)
    track["blink_left"] = track["blink_right"] = blinks(random, voiced < 0.35)
    gaze = glances(random, count)
    track["gaze_x"], track["gaze_y"] = gaze[:, 0], gaze[:, 1]
    # A soft limit keeps the rare large excursion under about 6 degrees.
    for name in ("pitch", "yaw", "roll"):
        track[name] = np.radians(6.0) * np.tanh(track[name] / np.radians(6.0))
    return np.stack([track[name] for name in IDLE], 1)
