#!/usr/bin/python3
"""Export audio_encoder.onnx and motion_generator.onnx (opset 17, fp32) from the two checkpoints."""

import argparse

import torch

from channels import CONTEXT_FRAMES, FEATURES, SAMPLES_PER_FRAME, TOKENS
from encoder_network import AudioEncoder, EncoderTraining
from generator_network import Denoiser, MotionGenerator

OPSET = 17


def load_encoder(path):
    """The audio encoder of a train_encoder.py checkpoint, in eval mode."""
    training = EncoderTraining()
    training.load_state_dict(torch.load(path)["model"])
    return AudioEncoder(training.trunk).eval()


def load_generator(path):
    """The motion generator of a train_generator.py checkpoint, in eval mode."""
    denoiser = Denoiser()
    checkpoint = torch.load(path)
    denoiser.load_state_dict(checkpoint["model"])
    return MotionGenerator(denoiser, checkpoint["reading"]).eval()


def export_encoder(encoder, path):
    torch.onnx.export(
        encoder, torch.randn(1, 20 * SAMPLES_PER_FRAME) * 0.05, path, opset_version=OPSET,
        input_names=["waveform"], output_names=["features"],
        dynamic_axes={"waveform": {1: "samples"}, "features": {1: "frames"}},
    )  # fmt: skip


def generator_inputs(batch, frames):
    """Random inputs of the generator graph by name."""
    torch.manual_seed(0)
    return {
        "t": torch.tensor([0.3]),
        "x": torch.randn(batch, frames, TOKENS),
        "audio": torch.rand(batch, frames, FEATURES),
        "prev_x": torch.randn(batch, CONTEXT_FRAMES, TOKENS),
        "prev_audio": torch.rand(batch, CONTEXT_FRAMES, FEATURES),
        "motion_ref": torch.zeros(batch, TOKENS),
        "pose": torch.zeros(batch, frames, 3),
        "gaze": torch.zeros(batch, frames, 2),
        "prev_pose": torch.zeros(batch, CONTEXT_FRAMES, 3),
        "prev_gaze": torch.zeros(batch, CONTEXT_FRAMES, 2),
        "guidance": torch.tensor([2.0]),
    }


def export_generator(generator, path):
    inputs = generator_inputs(2, 25)
    axes = {name: {0: "batch"} for name in inputs if name not in ("t", "guidance")}
    axes["velocity"] = {0: "batch"}
    for name in ("x", "audio", "pose", "gaze", "velocity"):
        axes[name][1] = "frames"
    torch.onnx.export(
        generator, tuple(inputs.values()), path, opset_version=OPSET,
        input_names=list(inputs), output_names=["velocity"], dynamic_axes=axes,
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", required=True, help="checkpoint of train_encoder.py")
    parser.add_argument("--generator", required=True, help="checkpoint of train_generator.py")
    parser.add_argument("--output", required=True, help="folder of the two graphs (models/portrait)")
    options = parser.parse_args()
    export_encoder(load_encoder(options.encoder), options.output + "/audio_encoder.onnx")
    export_generator(load_generator(options.generator), options.output + "/motion_generator.onnx")


if __name__ == "__main__":
    main()
