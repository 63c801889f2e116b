#!/usr/bin/python3
"""Train the audio encoder: articulation regression and phone classification on synthetic speech.

Keeps an exponential moving average of the weights and saves {"model": state dict} to --output.
"""

import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F

from channels import ARTICULATIONS, INDEX
from encoder_network import MELS, EncoderTraining

BATCH = 24
PEAK_RATE = 2e-3
# What is seen counts more than what is only read by the generator.
CHANNEL_WEIGHTS = dict(
    open=3, width=3, jaw=2, lipclose=1.5, round=1.5, speech=0.5, voiced=0.3, nasal=0.2, tongue_back=0.4, press=0.4
)
CLOSURE_CHANNELS = [INDEX[name] for name in ("lipclose", "tuck", "open", "lower_drop")]
CLOSURE_WEIGHT = 4.0  # a plain squared error erases the short closures of p b m f v
EDGE = (4, 5)  # frames at the chunk's ends whose context is cut off: they count a quarter
PHONE_WEIGHT = 0.04


def degrade(random, mel):
    """Spectral augmentation of log-mel [B, 64, T]: level, tilt, shift, masks and a noise floor."""
    batch, _, columns = mel.shape
    mel = mel + torch.randn(batch, 1, 1) * 0.25
    mel = mel + torch.randn(batch, 1, 1) * 0.25 * torch.linspace(-1, 1, MELS)[None, :, None]
    shift = random.randint(-2, 3)
    if shift:
        mel = torch.roll(mel, shift, 1)
    for item in mel:
        if random.rand() < 0.5:
            low = random.randint(0, MELS - 8)
            item[low : low + random.randint(1, 9)] = item.mean()
        if random.rand() < 0.2:
            start = random.randint(0, columns - 20)
            item[:, start : start + random.randint(2, 10)] = item.min()
    if random.rand() < 0.25:
        mel = torch.maximum(mel, torch.tensor(random.uniform(-2.6, -1.4, (batch, 1, 1)), dtype=torch.float32))
    return mel


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
    parser.add_argument("--start", help="checkpoint to continue from")
    parser.add_argument("--minutes", type=float, default=28.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    random = np.random.RandomState(options.seed)
    mels = np.load(options.dataset + ".mel.npy", mmap_mode="r")
    tokens = np.load(options.dataset + ".tokens.npy")[:, :, :ARTICULATIONS]
    phones = np.load(options.dataset + ".phones.npy")

    def batch_of(indices):
        mel = torch.tensor(mels[np.sort(indices)].astype(np.float32))
        target = torch.tensor(tokens[np.sort(indices)].astype(np.float32)).transpose(1, 2)
        return mel, target, torch.tensor(phones[np.sort(indices)].astype(np.int64))

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
    optimizer = torch.optim.AdamW(model.parameters(), PEAK_RATE, weight_decay=1e-2)
    started, step, running = time.time(), 0, None
    while (progress := (time.time() - started) / (options.minutes * 60)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * min(1, (step + 1) / 60) * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * progress)))
        mel, target, phone = batch_of(random.choice(training, BATCH, False))
        predicted, logits = model(degrade(random, mel))
        loss = articulation_loss(predicted, target, channel_weights)
        loss = loss + PHONE_WEIGHT * F.cross_entropy(logits, phone, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        with torch.no_grad():
            keep = min(0.98, step / (step + 10))
            for mean, value in zip(average.state_dict().values(), model.state_dict().values()):
                if value.is_floating_point():
                    mean.mul_(keep).add_(value, alpha=1 - keep)
        if step % 100 == 0:
            print(
                step,
                f"{time.time() - started:.0f}s loss {running:.4f}",
                report(average, *batch_of(validation)),
                flush=True,
            )
            torch.save({"model": average.state_dict()}, options.output)
    print(step, "final", report(average, *batch_of(validation)))
    average.eval()
    torch.save({"model": average.state_dict()}, options.output)


if __name__ == "__main__":
    main()
