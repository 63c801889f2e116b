#!/usr/bin/python3
"""Turn the two exported graphs back into checkpoints that train_encoder.py and train_generator.py can --start from.

The export folds the batch norms that follow a convolution into it; a pass over some data tells what they normalise,
so that they can be put back as norms that change nothing. The encoder's training heads are not in the graph: the
checkpoint has none, and train_encoder.py teaches new ones first.
"""

import argparse

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from encoder_network import Trunk
from generator_network import Denoiser

CHUNKS = 60


def initializers(path):
    """Name -> float array of a graph, and the arrays of the convolutions without a name, in the graph's order."""
    graph = onnx.load(path).graph
    named = {i.name: torch.tensor(numpy_helper.to_array(i).copy()) for i in graph.initializer}
    convolutions = [node.input[1:] for node in graph.node if node.op_type == "Conv"]
    folded = [(named[w], named[b]) for w, b in (pair for pair in convolutions if len(pair) == 2) if "onnx::" in w]
    return named, folded


def normalise(convolution, norm, weights, inputs):
    """Put folded `weights` into the convolution and let the norm after it give back what it takes away."""
    convolution.weight.data, convolution.bias.data = weights
    outputs = convolution(inputs)
    mean, variance = outputs.mean((0, 2)), outputs.var((0, 2))
    norm.running_mean, norm.running_var = mean, variance
    norm.weight.data, norm.bias.data = torch.sqrt(variance + norm.eps), mean


@torch.no_grad()
def encoder_checkpoint(path, mel):
    """State of the trunk from the encoder graph at `path`; `mel` [B, 64, 4T] is what it usually hears."""
    named, folded = initializers(path)
    trunk = Trunk().eval()
    known = {name[6:]: value for name, value in named.items() if name.startswith("trunk.")}
    trunk.load_state_dict(known, strict=False)
    pad, relu = torch.nn.functional.pad, torch.relu
    folded = iter(folded)
    x = pad(trunk.norm(mel), (2, 2))
    normalise(trunk.spectral, trunk.spectral_norm, next(folded), x)
    x = pad(relu(trunk.spectral_norm(trunk.spectral(x))), (2, 2))
    normalise(trunk.halve, trunk.halve_norm, next(folded), x)
    x = trunk.frame(pad(relu(trunk.halve_norm(trunk.halve(x))), (1, 1)))
    for block in trunk.blocks:
        normalise(block.wide, block.norm_mid, next(folded), pad(relu(block.norm_in(x)), block.padding))
        x = block(x)
    return {f"trunk.{name}": value for name, value in trunk.state_dict().items()}


def generator_checkpoint(path):
    """State of the denoiser from the generator graph at `path`."""
    named, _ = initializers(path)
    known = {name[len("denoiser.") :]: value for name, value in named.items() if name.startswith("denoiser.")}
    return {"waves": Denoiser().waves} | known


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", required=True, help="folder of the two graphs")
    parser.add_argument("--dataset", required=True, help="path prefix of build_dataset.py's arrays")
    parser.add_argument("--output", required=True, help="path prefix of the two checkpoints")
    options = parser.parse_args()
    torch.set_num_threads(1)
    mel = np.load(options.dataset + ".mel.npy", mmap_mode="r")[:CHUNKS].astype(np.float32)
    encoder = encoder_checkpoint(options.models + "/audio_encoder.onnx", torch.tensor(mel))
    generator = generator_checkpoint(options.models + "/motion_generator.onnx")
    torch.save({"model": encoder}, options.output + ".encoder.pt")
    torch.save({"model": generator}, options.output + ".generator.pt")


if __name__ == "__main__":
    main()
