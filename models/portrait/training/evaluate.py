#!/usr/bin/python3
"""Measure the two graphs, as they are shipped (--models) or as checkpoints, and print a table.

- Held-out voices (never in training): correlation with the labels, amplitude, closures of p b m, tuck of f v.
- Silence, noise, hum, tones, sirens, rustles, music: how far the mouth opens; a sung vowel, a breath: that it opens.
- Head, eyes: spread and smoothness (also at the seams of windows), blinks, how alike one seed moves to other words.
- With --clips: correlation of opening and width with the lips of real clips (see lips.py), of each clip at its best lag
  within three frames and of all together at a fixed one.
"""

import argparse
import glob

import numpy as np
import scipy.signal
import torch

from articulation import tracks
from augment import in_breath, music, noise, rustles
from build_dataset import load_utterance, load_wave
from channels import FRAMES_PER_SECOND, INDEX, SAMPLE_RATE
from export_onnx import load_encoder, load_generator
from phones import BILABIAL, LABIODENTAL, VOWELS
from streaming import generate

RATE = 200
OPEN, WIDTH = INDEX["open"], INDEX["width"]


# Frames by which the picture of a clip is ahead of its sound; its lips are compared that much later.
PICTURE_LEADS = {"driving_2": 2, "hdtf_aoc": 3}


def load_graphs(folder):
    """Encoder and generator as functions of tensors, run by ONNX Runtime."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1

    def load(name):
        session = onnxruntime.InferenceSession(f"{folder}/{name}", settings, providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]
        return lambda *tensors: torch.tensor(session.run(None, {n: t.numpy() for n, t in zip(names, tensors)})[0])

    return load("audio_encoder.onnx"), load("motion_generator.onnx")


class Subject:
    """The generator under test with fixed sampler settings."""

    def __init__(self, options):
        if options.models:
            self.encoder, self.generator = load_graphs(options.models)
        else:
            self.encoder, self.generator = load_encoder(options.encoder), load_generator(options.generator)
        self.options = options

    def __call__(self, wave, seed=0):
        o = self.options
        return generate(self.encoder, self.generator, wave, o.window, o.nfe, o.guidance, seed)


def row(name, value):
    print(f"| {name} | {value} |", flush=True)


def correlate(a, b):
    return float(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1])


def held_out(subject, folder, limit):
    """Correlation and amplitude against the labels, closures, on held-out voices."""
    made, wanted, closed, vowels, tucked, held = [], [], [], [], [], []
    paths = sorted(glob.glob(f"{folder}/*.wav"))
    for path in paths[:: max(1, len(paths) // limit)]:
        loaded = load_utterance(path)
        if loaded is None:
            continue
        wave, phones = loaded
        wave = wave / np.sqrt((wave**2).mean()) * 0.06
        motion = subject(wave)
        label = tracks(phones, wave, SAMPLE_RATE)
        centres = ((np.arange(len(motion)) + 0.5) / FRAMES_PER_SECOND * RATE).astype(int)
        made.append(motion)
        wanted.append(label[np.minimum(centres, len(label) - 1)])
        for phone, start, end in phones:
            first, last = int(start * FRAMES_PER_SECOND) + 2, int(end * FRAMES_PER_SECOND) - 1
            if phone in VOWELS and last - first >= 3:
                held.append(np.diff(motion[first:last, OPEN], 2))
            frame = int((start + end) / 2 * FRAMES_PER_SECOND)
            if end - start < 0.03 or frame + 1 >= len(motion) or frame < 2:
                continue
            near = motion[frame - 1 : frame + 2]
            if phone in BILABIAL:
                closed.append(near[:, OPEN].min() < 0.1)
            elif phone in LABIODENTAL:
                tucked.append(near[:, INDEX["tuck"]].max() > 0.4)
            elif phone in VOWELS and end - start > 0.07:
                vowels.append(motion[frame, OPEN] < 0.1)
    made, wanted = np.concatenate(made), np.concatenate(wanted)
    for name in ("open", "jaw", "width", "round", "protrude", "lipclose", "tuck", "teeth", "tongue_tip"):
        a, b = made[:, INDEX[name]], wanted[:, INDEX[name]]
        row(f"held-out {name}: correlation, amplitude", f"{correlate(a, b):.2f}, {a.std() / b.std():.2f}")
    row("held-out p b m closed (opening < 0.1)", f"{np.mean(closed):.0%} of {len(closed)}")
    row("held-out f v tucked (> 0.4)", f"{np.mean(tucked):.0%} of {len(tucked)}")
    row("held-out vowels wrongly closed", f"{np.mean(vowels):.0%} of {len(vowels)}")
    if held:
        row("jitter of opening inside long vowels (mean bend)", f"{np.abs(np.concatenate(held)).mean():.4f}")


def sung_vowel(formants, seconds, pitch=160):
    """A held vowel: pulses with vibrato through three resonances, about 0.1 RMS."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    cycles = np.cumsum(pitch * (1 + 0.015 * np.sin(2 * np.pi * 5.5 * time))) / SAMPLE_RATE
    wave = np.diff(np.floor(cycles), prepend=0.0)
    for hertz, width in zip(formants, (80, 100, 140)):
        radius = np.exp(-np.pi * width / SAMPLE_RATE)
        poles = [1, -2 * radius * np.cos(2 * np.pi * hertz / SAMPLE_RATE), radius**2]
        wave = scipy.signal.lfilter([sum(poles)], poles, wave)
    return wave / wave.std() * 0.1


def quiet(subject):
    """Opening where nobody speaks, and of held vowels."""
    random = np.random.RandomState(5)
    count = 8 * SAMPLE_RATE
    time = np.arange(count) / SAMPLE_RATE
    horn = np.where(time % 1 < 0.5, 435, 580)
    slide = np.cumsum(700 * (1 + 0.5 * np.sin(2 * np.pi * 0.35 * time))) / SAMPLE_RATE
    sounds = {
        "silence": np.zeros(count),
        "room noise -60 dB": random.randn(count) * 1e-3,
        "white noise -30 dB": random.randn(count) * 0.03,
        "white noise -14 dB": random.randn(count) * 0.2,
        "50 Hz hum": 0.1 * np.sin(2 * np.pi * 50 * time) + 0.05 * np.sin(2 * np.pi * 150 * time),
        "440 Hz tone": 0.2 * np.sin(2 * np.pi * 440 * time),
        "coloured noise": noise(random, count) * 0.05,
        "music": music(random, count) * 0.08,
        "siren": 0.15 * (np.sin(2 * np.pi * slide) + 0.4 * np.sin(4 * np.pi * slide)),
        "two-tone horn": 0.1 * sum(np.sin(2 * np.pi * h * horn * time) / h for h in (1, 2, 3, 4)),
        "rustles": rustles(random, count) * 0.05,
    }  # fmt: skip
    for name, wave in sounds.items():
        opening = subject(wave.astype(np.float32))[:, OPEN]
        row(f"opening in {name}: mean, 95 %", f"{opening.mean():.3f}, {np.percentile(opening, 95):.3f}")
    peaks = []
    for level in (-30, -22, -14):
        hiss = in_breath(random, int(0.6 * SAMPLE_RATE)) * 0.08 * 10 ** (level / 20)
        opening = subject(np.pad(hiss, (SAMPLE_RATE, SAMPLE_RATE)).astype(np.float32))[:, OPEN]
        peaks.append(f"{opening.max():.2f}")
    row("opening in breaths 30, 22, 14 dB below speech: largest", ", ".join(peaks))
    for name, formants in (("a", (750, 1200, 2500)), ("o", (450, 800, 2500)), ("i", (300, 2300, 3000))):
        wave = np.pad(sung_vowel(formants, 3), (SAMPLE_RATE, SAMPLE_RATE))
        opening = subject(wave.astype(np.float32))[30:97, OPEN]
        row(f"opening in a sung {name} of 3 s: mean, least", f"{opening.mean():.2f}, {opening.min():.2f}")


def liveliness(subject, wave):
    """Head and eyes over a long wave, by two seeds."""
    window, overlap = subject.options.window, max(1, round(subject.options.window * 0.2))
    motions = [subject(wave, seed) for seed in (0, 1)]
    motion = np.concatenate(motions)
    for name in ("pitch", "yaw", "roll"):
        tracks_ = [np.degrees(m[:, INDEX[name]]) for m in motions]
        steps = np.concatenate([np.diff(t) for t in tracks_])
        bends = [np.diff(t, 2) for t in tracks_]
        # A seam is where a window's cross-fade begins or ends.
        position = (np.arange(len(bends[0])) + 1) % (window - overlap)
        seam = (position <= overlap) & (np.arange(len(bends[0])) > window)
        all_tracks = np.concatenate(tracks_)
        row(
            f"{name}, degrees: deviation, largest, step deviation, bend seam / elsewhere",
            f"{all_tracks.std():.2f}, {np.abs(all_tracks).max():.1f}, {steps.std():.3f}, "
            f"{np.concatenate([b[seam] for b in bends]).std():.3f} / "
            f"{np.concatenate([b[~seam] for b in bends]).std():.3f}",
        )
    row("shift x, y deviation (u)", f"{motion[:, INDEX['shift_x']].std():.4f}, {motion[:, INDEX['shift_y']].std():.4f}")
    half = len(wave) // 2
    first, second = subject(wave[:half]), subject(wave[half:])
    count = min(len(first), len(second))
    alike = [correlate(first[:count, INDEX[n]], second[:count, INDEX[n]]) for n in ("pitch", "yaw", "roll")]
    row("one seed, other words: correlation of pitch, yaw, roll", ", ".join(f"{value:.2f}" for value in alike))
    gaps, peaks = [], []
    for one in motions:
        shut = one[:, INDEX["blink_left"]] > 0.5
        starts = np.nonzero(shut[1:] & ~shut[:-1])[0]
        gaps += list(np.diff(starts) / FRAMES_PER_SECOND)
        peaks += [one[s : s + 6, INDEX["blink_left"]].max() for s in starts]
    minutes = len(motion) / FRAMES_PER_SECOND / 60
    quantiles = " / ".join(f"{q:.1f}" for q in np.percentile(gaps, (10, 50, 90))) if gaps else "-"
    peak = np.mean(peaks) if peaks else 0
    row("blinks a minute; gap 10 / 50 / 90 % (s); mean peak", f"{len(peaks) / minutes:.1f}; {quantiles}; {peak:.2f}")
    row("left and right lid apart (mean)", f"{np.abs(motion[:, 22] - motion[:, 23]).mean():.3f}")
    for name in ("brow_up", "smile", "gaze_x"):
        values = motion[:, INDEX[name]]
        row(f"{name}: mean, deviation, largest", f"{values.mean():.3f}, {values.std():.3f}, {np.abs(values).max():.2f}")


def standard(values):
    return (values - values.mean()) / values.std()


def real_clips(subject, folder):
    """Correlation with measured lips, of the mean of two seeds."""
    from lips import measured_clips

    made, measured = ([], []), ([], [])
    for name, wave, opening, width in measured_clips(folder):
        motion = np.mean([subject(wave, seed) for seed in range(2)], 0)
        lead = PICTURE_LEADS.get(name, 0)
        cells = []
        for index, (column, truth) in enumerate(((OPEN, opening), (WIDTH, width))):
            count = min(len(motion), len(truth)) - 6
            real = truth[3 : 3 + count]
            lags = [correlate(motion[lag : lag + count, column], real) for lag in range(7)]
            fixed = motion[3 + lead : 3 + lead + count, column]
            made[index].append(standard(fixed))
            measured[index].append(standard(real))
            best = f"{max(lags):+.2f} at {int(np.argmax(lags)) - 3:+d}"
            cells.append(f"{best} ({correlate(fixed, real):+.2f} at {lead:+d})")
        row(f"clip {name}: opening, width", ", ".join(cells))
    pooled = [correlate(np.concatenate(a), np.concatenate(b)) for a, b in zip(made, measured)]
    row("all clips at their fixed lag, pooled: opening, width", f"{pooled[0]:+.2f}, {pooled[1]:+.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", help="folder of the two .onnx files (needs onnxruntime)")
    parser.add_argument("--encoder", help="checkpoint of train_encoder.py, instead of --models")
    parser.add_argument("--generator", help="checkpoint of train_generator.py, instead of --models")
    parser.add_argument("--test", required=True, help="folder of held-out utterances (synthesize.py: <data>/test)")
    parser.add_argument("--speech", help="a long recording (WAV) for head and eyes; default: held-out speech")
    parser.add_argument("--clips", help="folder of talking clips (.mp4)")
    parser.add_argument("--utterances", type=int, default=40)
    parser.add_argument("--window", type=int, default=25)
    parser.add_argument("--nfe", type=int, default=10)
    parser.add_argument("--guidance", type=float, default=2.0)
    options = parser.parse_args()
    if not options.models and not (options.encoder and options.generator):
        parser.error("give --models, or --encoder and --generator")
    torch.set_num_threads(1)
    subject = Subject(options)
    print(f"| measure (nfe {options.nfe}, guidance {options.guidance}, window {options.window}) | value |\n|---|---|")
    held_out(subject, options.test, options.utterances)
    quiet(subject)
    if options.speech:
        speech = load_wave(options.speech)
    else:
        speech = np.concatenate([load_wave(p) for p in sorted(glob.glob(f"{options.test}/*.wav"))[:25]])
    liveliness(subject, np.tile(speech, int(np.ceil(90 * SAMPLE_RATE / len(speech))))[: 90 * SAMPLE_RATE])
    if options.clips:
        real_clips(subject, options.clips)


if __name__ == "__main__":
    main()
