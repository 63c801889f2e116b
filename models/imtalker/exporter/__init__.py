"""Turns IMTalker's published PyTorch modules into the ONNX graphs of a model pack."""
