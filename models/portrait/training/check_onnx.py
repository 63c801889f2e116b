#!/usr/bin/env python3
"""Check the exported graphs with ONNX Runtime: names, dynamic axes, T = N / 640, parity with torch, speed.

Needs onnxruntime besides torch. Where they are not installed together, run it twice: `--write` (torch) stores inputs
and expected outputs, a second run without it (onnxruntime) compares.
"""

import argparse
import time

import numpy as np

TOLERANCE = 2e-4
CASES = [(1, 25), (1, 3), (2, 60)]


def write_expected(options):
    import torch

    from export_onnx import generator_inputs, load_encoder, load_generator

    torch.manual_seed(3)
    stored = {}
    encoder, generator = load_encoder(options.encoder), load_generator(options.generator)
    with torch.no_grad():
        for frames in (7, 50):
            wave = torch.randn(1, frames * 640) * 0.05
            stored[f"encoder{frames}.waveform"] = wave.numpy()
            stored[f"encoder{frames}.features"] = encoder(wave).numpy()
        for batch, frames in CASES:
            inputs = generator_inputs(batch, frames)
            for name in ("pose", "gaze", "prev_pose", "prev_gaze"):
                inputs[name] = torch.randn_like(inputs[name]) * 0.1
            for name, value in inputs.items():
                stored[f"generator{batch}x{frames}.{name}"] = value.numpy()
            stored[f"generator{batch}x{frames}.velocity"] = generator(*inputs.values()).numpy()
    np.savez(options.expected, **stored)


def session(path):
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def compare(stored, prefix, graph, output):
    inputs = {i.name: stored[f"{prefix}.{i.name}"] for i in graph.get_inputs()}
    result, expected = graph.run([output], inputs)[0], stored[f"{prefix}.{output}"]
    difference = np.abs(result - expected).max() / max(1.0, np.abs(expected).max())
    print(f"{prefix:18s} {str(result.shape):15s} relative difference {difference:.1e}")
    assert result.shape == expected.shape and difference < TOLERANCE


def milliseconds(call, repeats):
    call()
    started = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - started) / repeats * 1000


def check(options):
    stored = np.load(options.expected)
    encoder = session(options.models + "/audio_encoder.onnx")
    generator = session(options.models + "/motion_generator.onnx")
    for graph in (encoder, generator):
        for tensor in graph.get_inputs() + graph.get_outputs():
            print(f"  {tensor.name:14s} {tensor.type} {tensor.shape}")
    for frames in (7, 50):
        compare(stored, f"encoder{frames}", encoder, "features")
    for batch, frames in CASES:
        compare(stored, f"generator{batch}x{frames}", generator, "velocity")
    wave = np.random.randn(1, 160000).astype(np.float32) * 0.05
    print(f"encoder: {milliseconds(lambda: encoder.run(None, {'waveform': wave}), 5) / 10:.2f} ms per second of audio")
    inputs = {i.name: stored[f"generator1x25.{i.name}"] for i in generator.get_inputs()}
    window = 9 * milliseconds(lambda: generator.run(None, inputs), 50)
    print(f"generator, 9 evaluations with guidance: {window:.2f} ms per window of 25, {window / 0.8:.2f} ms per second")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--expected", required=True, help=".npz of inputs and torch's outputs")
    parser.add_argument("--write", action="store_true", help="write --expected with torch instead of checking")
    parser.add_argument("--encoder", help="checkpoint (with --write)")
    parser.add_argument("--generator", help="checkpoint (with --write)")
    parser.add_argument("--models", help="folder of the two graphs (without --write)")
    options = parser.parse_args()
    if options.write:
        write_expected(options)
    else:
        check(options)


if __name__ == "__main__":
    main()
