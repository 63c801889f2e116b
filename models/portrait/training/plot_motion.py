#!/usr/bin/python3
"""Draw the generated tokens of a 16 kHz wave over time, to look at."""

import argparse

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from build_dataset import load_wave
from channels import FRAMES_PER_SECOND, INDEX, SAMPLE_RATE
from evaluate import load_graphs
from export_onnx import load_encoder, load_generator
from streaming import generate

GROUPS = [
    ["jaw", "open", "lower_drop", "upper_raise"],
    ["lipclose", "tuck", "press", "teeth", "speech"],
    ["width", "round", "protrude", "stretch"],
    ["brow_up", "brow_down", "squint", "smile", "blink_left", "blink_right"],
    ["gaze_x", "gaze_y"],
    ["pitch", "yaw", "roll"],
    ["shift_x", "shift_y"],
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", help="folder of the two .onnx files (needs onnxruntime)")
    parser.add_argument("--encoder", help="checkpoint of train_encoder.py, instead of --models")
    parser.add_argument("--generator", help="checkpoint of train_generator.py, instead of --models")
    parser.add_argument("--wave", required=True, help="16-bit mono WAV")
    parser.add_argument("--output", required=True, help="PNG to write")
    parser.add_argument("--seconds", type=float, nargs=2, default=(0, 20))
    parser.add_argument("--nfe", type=int, default=10)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--window", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if not options.models and not (options.encoder and options.generator):
        parser.error("give --models, or --encoder and --generator")
    torch.set_num_threads(1)
    wave = load_wave(options.wave)
    if options.models:
        encoder, generator = load_graphs(options.models)
    else:
        encoder, generator = load_encoder(options.encoder), load_generator(options.generator)
    motion = generate(encoder, generator, wave, options.window, options.nfe, options.guidance, options.seed)
    first, last = (int(s * FRAMES_PER_SECOND) for s in options.seconds)
    figure, axes = plt.subplots(len(GROUPS) + 1, 1, figsize=(22, 24))
    piece = wave[int(options.seconds[0] * SAMPLE_RATE) : int(options.seconds[1] * SAMPLE_RATE)]
    axes[0].specgram(piece + 1e-6, NFFT=400, Fs=SAMPLE_RATE, noverlap=240, vmin=-110, vmax=-30)
    for axis, group in zip(axes[1:], GROUPS):
        for name in group:
            values = motion[first:last, INDEX[name]]
            axis.plot(
                np.arange(len(values)), np.degrees(values) if name in ("pitch", "yaw", "roll") else values, label=name
            )
        axis.legend(loc="upper right")
        axis.grid()
        axis.set_xlim(0, last - first)
    plt.tight_layout()
    figure.savefig(options.output, dpi=50)


if __name__ == "__main__":
    main()
