#!/usr/bin/python3
"""Train the audio encoder: articulation regression and phone classification on synthetic speech.

Keeps an exponential moving average of the weights and saves {"model": state dict} to --output.
"""

import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F

from build_dataset import CHUNK_FRAMES
from channels import ARTICULATIONS, INDEX
from encoder_network import MELS, EncoderTraining

BATCH, CROP = 15, 100  # pieces a step, frames a piece: many short ones teach more a second than few long ones
PEAK_RATE, WARM_UP = 2e-3, 200  # learning rate, steps until it is reached
# What is seen counts more than what is only read by the generator.
CHANNEL_WEIGHTS = dict(
    open=3, width=3, jaw=2, lipclose=1.5, tuck=1.5, round=1.5,
    speech=0.5, voiced=0.3, nasal=0.2, tongue_back=0.4, press=0.4,
)  # fmt: skip
CLOSURE_CHANNELS = [INDEX[name] for name in ("lipclose", "tuck", "open", "lower_drop")]
CLOSURE_WEIGHT = 4.0  # a plain squared error erases the short closures of p b m f v
EDGE = (4, 5)  # frames at the chunk's ends whose context is cut off: they count a quarter
PHONE_WEIGHT = 0.08


def warp(random, mel):
    """Each vocal tract longer or shorter: the frequency axis read at other places (Jaitly & Hinton, 2013)."""
    batch, bands, columns = mel.shape
    hertz = 700 * (np.exp(np.linspace(0.0745, 2.4727, bands)) - 1)  # about the centres of the mel filters
    read = hertz[None] / np.exp(random.uniform(-0.13, 0.13, (batch, 1)))
    place = np.stack([np.interp(row, hertz, np.arange(bands)) for row in read])
    left = np.minimum(place.astype(int), bands - 2)
    share = torch.tensor(place - left, dtype=torch.float32)[:, :, None]
    left = torch.tensor(left)[:, :, None].expand(-1, -1, columns)
    return torch.gather(mel, 1, left) * (1 - share) + torch.gather(mel, 1, left + 1) * share


def degrade(random, mel):
    """Spectral augmentation of log-mel [B, 64, T]: level, colour, vocal tract, texture, masks and a noise floor."""
    batch, bands, columns = mel.shape
    mel = warp(random, mel)
    knots = torch.tensor(random.standard_normal((batch, 1, 7)) * 0.12, dtype=torch.float32)
    colour = F.interpolate(knots, bands, mode="linear", align_corners=True).transpose(1, 2)
    tilt = torch.randn(batch, 1, 1) * 0.25 * torch.linspace(-1, 1, bands)[None, :, None]
    mel = mel + torch.randn(batch, 1, 1) * 0.25 + tilt + colour
    texture = torch.tensor(np.maximum(random.uniform(-0.1, 0.12, (batch, 1, 1)), 0), dtype=torch.float32)
    mel = mel + torch.randn_like(mel) * texture
    for item in mel:
        for _ in range(random.randint(3)):
            low = random.randint(0, bands - 8)
            item[low : low + random.randint(1, 9)] = item.mean()
        for _ in range(random.choice([0, 0, 0, 1, 2])):
            start = random.randint(0, columns - 20)
            item[:, start : start + random.randint(2, 10)] = item.min()
    floor = random.uniform(-2.6, -1.3, (batch, 1, 1))
    floor[random.uniform(size=batch) > 0.25] = -9
    return torch.maximum(mel, torch.tensor(floor, dtype=torch.float32))


def articulation_loss(predicted, target, channel_weights):
    """Weighted squared error of values and of frame-to-frame changes; [B, 18, T] each."""
    closed = torch.maximum(target[:, INDEX["lipclose"]], target[:, INDEX["tuck"]]).clamp(0, 1)[:, None]
    weights = channel_weights.repeat(target.shape[0], 1, target.shape[2])
    weights[:, CLOSURE_CHANNELS] *= 1 + CLOSURE_WEIGHT * closed
    weights[:, :, : EDGE[0]] *= 0.25
    weights[:, :, -EDGE[1] :] *= 0.25
    error = predicted - target
    change = error[:, :, 1:] - error[:, :, :-1]
    return (weights * error**2).mean() + 1.5 * (weights[:, :, 1:] * change**2).mean()


def learning_rate(step, steps, peak=PEAK_RATE):
    """Warm-up, then half a cosine down to a hundredth of `peak`."""
    fall = 0.5 * (1 + np.cos(np.pi * step / steps))
    return peak * min(1, (step + 1) / WARM_UP) * (0.01 + 0.99 * fall)


def report(model, mel, tokens, phones):
    """Correlation of the main channels and phone accuracy on validation chunks, as a line of text."""
    model.eval()
    with torch.no_grad():
        predicted, logits = model(mel)
    model.train()
    names = ("jaw", "open", "width", "round", "lipclose", "tuck", "teeth", "speech")
    pairs = [(predicted[:, INDEX[n]].ravel(), tokens[:, INDEX[n]].ravel()) for n in names]
    values = " ".join(f"{n} {np.corrcoef(a, b)[0, 1]:.3f}" for n, (a, b) in zip(names, pairs))
    return f"{values} phones {(logits.argmax(1) == phones).float().mean():.3f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="path prefix of build_dataset.py's arrays")
    parser.add_argument("--output", required=True, help="checkpoint to write (.pt)")
    parser.add_argument("--start", help="checkpoint to go on from")
    parser.add_argument("--steps", type=int, default=16000, help="length of the learning rate's fall")
    parser.add_argument("--stop", type=int, help="end after so many steps of them")
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="highest learning rate")
    parser.add_argument("--float32", action="store_true", help="no bfloat16: slower on processors that multiply it")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    random = np.random.RandomState(options.seed)
    mels = np.load(options.dataset + ".mel.npy")
    tokens = np.load(options.dataset + ".tokens.npy")[:, :, :ARTICULATIONS]
    phones = np.load(options.dataset + ".phones.npy")

    def batch_of(indices, length=CHUNK_FRAMES):
        """Log-mel, articulation and phones of a random piece of each chunk."""
        starts = random.randint(0, CHUNK_FRAMES - length + 1, len(indices))
        pairs = list(zip(indices, starts))
        mel = np.stack([mels[i, :, 4 * s : 4 * (s + length)] for i, s in pairs]).astype(np.float32)
        target = np.stack([tokens[i, s : s + length] for i, s in pairs]).astype(np.float32)
        phone = np.stack([phones[i, 2 * s : 2 * (s + length)] for i, s in pairs]).astype(np.int64)
        return torch.tensor(mel), torch.tensor(target).transpose(1, 2), torch.tensor(phone)

    # The chunks are in recording order; whole recordings at the end are for validation.
    training, validation = np.arange(len(mels) - 50), np.arange(len(mels) - 50, len(mels))
    model = EncoderTraining()
    if options.start:
        model.load_state_dict(torch.load(options.start)["model"])
    average = EncoderTraining()
    average.load_state_dict(model.state_dict())
    channel_weights = torch.ones(ARTICULATIONS)
    for name, weight in CHANNEL_WEIGHTS.items():
        channel_weights[INDEX[name]] = weight
    channel_weights = channel_weights[None, :, None]
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-2)
    started, running = time.time(), None
    for step in range(options.stop or options.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, options.steps, options.rate)
        mel, target, phone = batch_of(random.choice(training, BATCH, False), CROP)
        with torch.autocast("cpu", torch.bfloat16, enabled=not options.float32):
            predicted, logits = model(degrade(random, mel))
        loss = articulation_loss(predicted.float(), target, channel_weights)
        loss = loss + PHONE_WEIGHT * F.cross_entropy(logits.float(), phone, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        with torch.no_grad():
            keep = min(0.995, step / (step + 10))
            for mean, value in zip(average.state_dict().values(), model.state_dict().values()):
                if value.is_floating_point():
                    mean.mul_(keep).add_(value, alpha=1 - keep)
        if step % 400 == 399:
            print(
                step + 1,
                f"{time.time() - started:.0f}s loss {running:.4f}",
                report(average, *batch_of(validation)),
                flush=True,
            )
            torch.save({"model": average.state_dict()}, options.output)
    print("final", report(average, *batch_of(validation)))
    average.eval()
    torch.save({"model": average.state_dict()}, options.output)


if __name__ == "__main__":
    main()
