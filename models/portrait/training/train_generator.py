#!/usr/bin/python3
"""Train the motion generator (conditional flow matching) on the frozen encoder's features.

For data x1 and noise x0 ~ N(0, 1) the path is x = (1 - t) x0 + t x1 (Lipman et al., "Flow matching for generative
modeling", 2023); the network predicts x1. Windows have 3 to 60 frames and 10 frames of context that is noisy, cut short
or missing, as it is when windows are generated one after the other. The mel input is cut at a random frame, so that the
last frames of many windows lack their look-ahead, as they do in a stream.
"""

import argparse
import time

import numpy as np
import scipy.ndimage
import torch

from channels import ARTICULATIONS, CONTEXT_FRAMES, FRAMES_PER_SECOND, INDEX, TOKEN_SCALE, TOKENS
from encoder_network import EncoderTraining
from generator_network import Denoiser, reading_of
from idle_motion import blinks
from train_encoder import PEAK_RATE, degrade, learning_rate

CHUNKS, WINDOWS_PER_CHUNK = 8, 8  # more and smaller steps teach more a second
# A few Euler steps shrink the quiet channels and guidance 2 exaggerates the lips' shape: the targets make up for it.
TARGET_GAIN = dict(
    width=0.88,
    round=0.88,
    protrude=0.9,
    gaze_x=1.5,
    gaze_y=1.5,
    pitch=1.35,
    yaw=1.6,
    roll=1.7,
    shift_x=1.5,
    shift_y=1.5,
)
LONGEST_WINDOW = 60
USUAL_WINDOW = 25
NO_AUDIO, NO_CONTEXT, SHORT_CONTEXT = 0.12, 0.12, 0.06  # shares of the windows
# Noise on the context, in scaled tokens: the mouth's is drowned on purpose, so that it follows the audio.
CONTEXT_NOISE = dict(articulation=0.15, face=0.05, pose=0.015)
POSE = [INDEX[name] for name in ("pitch", "yaw", "roll", "shift_x", "shift_y")]
SMOOTH = [INDEX[name] for name in ("smile", "squint", "brow_up", "brow_down")] + POSE
CLOSURE_CHANNELS = [INDEX[name] for name in ("lipclose", "tuck", "open", "lower_drop")]
CLOSURE_WEIGHT = 4.0
VISIBLE = dict(
    jaw=1.5,
    open=3,
    width=2,
    round=1.5,
    lipclose=1.5,
    tuck=2.5,
    speech=0.2,
    voiced=0.1,
    nasal=0.15,
    blink_left=1.5,
    blink_right=1.5,
    gaze_x=1.5,
)


def channel_weights(tokens):
    """Loss weight of every channel: inverse RMS (quiet channels count too), times visibility. [31]"""
    weights = 1 / np.sqrt((tokens.reshape(-1, TOKENS).astype(np.float64) * TOKEN_SCALE).var(0) + 0.01)
    weights[:ARTICULATIONS] = 1.0
    for name, weight in VISIBLE.items():
        weights[INDEX[name]] *= weight
    return torch.tensor(weights, dtype=torch.float32)


def context_noise():
    noise = torch.full((TOKENS,), CONTEXT_NOISE["face"])
    noise[:ARTICULATIONS] = CONTEXT_NOISE["articulation"]
    noise[POSE] = CONTEXT_NOISE["pose"]
    return noise


def target_of(random, tokens):
    """Scaled target [n, T, 31] of physical tokens, with gains and, so that they are learned well, fresh blinks."""
    target = tokens.astype(np.float32)
    for item in target:
        quiet = scipy.ndimage.gaussian_filter1d(item[:, INDEX["speech"]], 4) < 0.35
        item[:, INDEX["blink_left"]] = item[:, INDEX["blink_right"]] = blinks(random, quiet)
    for name, gain in TARGET_GAIN.items():
        target[..., INDEX[name]] *= gain
    return torch.tensor(target * TOKEN_SCALE)


def windows_of(random, features, target, length):
    """Random windows of one length with their context: features [n, 10 + W, 160], tokens [n, 10 + W, 31].

    A third of them ends where the features end.
    """
    span, frames = CONTEXT_FRAMES + length, features.shape[1]
    starts = random.randint(0, frames - span + 1, WINDOWS_PER_CHUNK)
    starts[: WINDOWS_PER_CHUNK // 3] = frames - span
    return (
        torch.cat([features[:, s : s + span] for s in starts]),
        torch.cat([target[:, s : s + span] for s in starts]),
    )


def drop_conditions(random, features, tokens, noise):
    """Split context from window and drop parts of the condition.

    Returns audio, prev_x, prev_audio, x1. Where the context is missing the head starts at rest (zero) and relaxes to
    its motion within about a second.
    """
    count = len(tokens)
    prev_x = tokens[:, :CONTEXT_FRAMES] + torch.randn(count, CONTEXT_FRAMES, TOKENS) * noise
    prev_audio, audio = features[:, :CONTEXT_FRAMES].clone(), features[:, CONTEXT_FRAMES:].clone()
    x1 = tokens[:, CONTEXT_FRAMES:].clone()
    audio[random.rand(count) < NO_AUDIO] = 0
    missing = np.where(random.rand(count) < NO_CONTEXT, CONTEXT_FRAMES, 0)
    short = random.rand(count) < SHORT_CONTEXT
    missing[short] = random.randint(1, CONTEXT_FRAMES, short.sum())
    decay = torch.exp(-torch.arange(x1.shape[1]) / FRAMES_PER_SECOND)[:, None]
    for index in np.nonzero(missing)[0]:
        prev_x[index, : missing[index]] = 0
        prev_audio[index, : missing[index]] = 0
        if missing[index] == CONTEXT_FRAMES:
            x1[index][:, POSE] -= x1[index, :1][:, POSE] * decay
    return audio, prev_x, prev_audio, x1


def flow_loss(predicted, x1, t, weights):
    """Squared error of x1 and of its frame-to-frame change, more weight late on the path."""
    closed = torch.maximum(x1[..., INDEX["lipclose"]], x1[..., INDEX["tuck"]]).div(3).clamp(0, 1)[..., None]
    per_value = weights.repeat(*x1.shape[:2], 1)
    per_value[..., CLOSURE_CHANNELS] *= 1 + CLOSURE_WEIGHT * closed
    error = predicted - x1
    # The frame before the first one is the context's, without error.
    change = torch.diff(error, dim=1, prepend=torch.zeros_like(error[:, :1]))
    change_weights = per_value.clone()
    change_weights[..., SMOOTH] *= 4
    late = 1 / (1 - t + 0.15)[:, None, None]
    return (late * (per_value * error**2 + change_weights * change**2)).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="path prefix of build_dataset.py's arrays")
    parser.add_argument("--encoder", required=True, help="checkpoint of train_encoder.py")
    parser.add_argument("--output", required=True, help="checkpoint to write (.pt)")
    parser.add_argument("--start", help="checkpoint to go on from")
    parser.add_argument("--steps", type=int, default=9000, help="length of the learning rate's fall")
    parser.add_argument("--stop", type=int, help="end after so many steps of them")
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="highest learning rate")
    parser.add_argument("--float32", action="store_true", help="no bfloat16: slower on processors that multiply it")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    random = np.random.RandomState(options.seed)
    mels = np.load(options.dataset + ".mel.npy", mmap_mode="r")
    tokens = np.load(options.dataset + ".tokens.npy")
    encoder = EncoderTraining()
    encoder.load_state_dict(torch.load(options.encoder)["model"])
    trunk = encoder.trunk.eval()
    model, average = Denoiser(), Denoiser()
    with torch.no_grad():
        sample = trunk(torch.tensor(mels[:100].astype(np.float32)))
        model.feature_scale.copy_(1 / (sample.pow(2).mean((0, 2)).sqrt() + 0.05))
    reading = reading_of(encoder.articulation, sample)
    if options.start:
        model.load_state_dict(torch.load(options.start)["model"])
    else:
        with torch.no_grad():
            model.hand_on_articulation(encoder.articulation, 0.5)
    average.load_state_dict(model.state_dict())
    weights, noise = channel_weights(tokens), context_noise()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-3)
    started, running = time.time(), None
    for step in range(options.stop or options.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, options.steps, options.rate)
        picked = np.sort(random.choice(len(mels), CHUNKS, False))
        length = USUAL_WINDOW if random.rand() < 0.5 else random.randint(3, LONGEST_WINDOW + 1)
        frames = random.randint(CONTEXT_FRAMES + length + 20, 151)
        with torch.no_grad():
            mel = torch.tensor(mels[picked].astype(np.float32))[:, :, : 4 * frames]
            with torch.autocast("cpu", torch.bfloat16, enabled=not options.float32):
                features = trunk(degrade(random, mel))
            features = features.float().transpose(1, 2)
        target = target_of(random, tokens[picked])[:, :frames]
        features, target = windows_of(random, features, target, length)
        audio, prev_x, prev_audio, x1 = drop_conditions(random, features, target, noise)
        t = torch.rand(len(x1)) * 0.97
        mix = t[:, None, None]
        x = (1 - mix) * torch.randn_like(x1) + mix * x1
        with torch.autocast("cpu", torch.bfloat16, enabled=not options.float32):
            predicted = model(x, t, audio, prev_x, prev_audio)
        loss = flow_loss(predicted.float(), x1, t, weights)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        running = loss.item() if running is None else 0.99 * running + 0.01 * loss.item()
        with torch.no_grad():
            keep = min(0.995, step / (step + 10))
            for mean, value in zip(average.state_dict().values(), model.state_dict().values()):
                mean.mul_(keep).add_(value, alpha=1 - keep)
        if step % 200 == 199:
            print(step + 1, f"{time.time() - started:.0f}s loss {running:.4f}", flush=True)
            torch.save({"model": average.state_dict(), "reading": reading}, options.output)
    torch.save({"model": average.state_dict(), "reading": reading}, options.output)
    print(f"final loss {running:.4f}")


if __name__ == "__main__":
    main()
