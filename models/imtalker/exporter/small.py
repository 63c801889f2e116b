"""A tiny model of the published kind: the pack contract with small numbers, for tests on machines without a GPU."""

import argparse
import contextlib
import io

import torch
from torch import nn

# 64 px in, 128 px out; the coarse levels end at 16 px, the resampled ones are 32 and 64 px.
SIDES = [64, 32, 16, 8, 4, 2]
# The published encoder has its first width, 32, written into it, and no other level may have that width.
WIDTHS = [32, 16, 16, 16, 16, 16]
IDENTITY_WIDTH = 64
SPEECH_WIDTH = 32
OPTIONS = {"dim_h": 64, "fmt_depth": 2, "num_heads": 2, "swin_res_threshold": 32, "window_size": 4}


def small_renderer(options: argparse.Namespace) -> nn.Module:
    """The published classes, put together as the published renderer does it, with other sizes."""
    from renderer.attention_modules import CrossAttention
    from renderer.lia_resblocks import StyledConv
    from renderer.models import IdentidyAdaptive, IdentityEncoder, IMTRenderer, MotionDecoder, MotionEncoder
    from renderer.models import SynthesisNetwork

    tokens = options.dim_motion
    small = IMTRenderer.__new__(IMTRenderer)
    nn.Module.__init__(small)
    small.args, small.feature_dims, small.spatial_dims = options, WIDTHS, SIDES
    small.dense_feature_encoder = IdentityEncoder(output_channels=WIDTHS, dm=IDENTITY_WIDTH)
    small.latent_token_encoder = MotionEncoder(initial_channels=8, output_channels=[8] * 5, dm=tokens)
    small.latent_token_decoder = MotionDecoder(tokens, const_dim=8)
    small.latent_token_decoder.const = nn.Parameter(torch.randn(1, 8, 1, 1))
    small.latent_token_decoder.style_conv_layers = nn.ModuleList(
        StyledConv(16 if layer else 8, 16, 3, tokens, upsample=layer % 3 == 1) for layer in range(13)
    )
    small.frame_decoder = SynthesisNetwork(options, WIDTHS, SIDES)
    small.adapt = IdentidyAdaptive(tokens, IDENTITY_WIDTH)
    levels = zip(WIDTHS[::-1], SIDES[::-1])
    small.imt = nn.ModuleList(CrossAttention(options, dim=width, resolution=(side, side)) for width, side in levels)
    return small


def small_generator(options: argparse.Namespace, folder: str) -> nn.Module:
    """The published generator over a one-layer wav2vec2, which is written to and read from `folder`."""
    from generator.FM import FMGenerator
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    config = Wav2Vec2Config(
        hidden_size=SPEECH_WIDTH,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        conv_dim=[16] * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    options.wav2vec_model_path = folder
    with contextlib.redirect_stdout(io.StringIO()):
        generator = FMGenerator(options)
    # The published projection expects wav2vec2-base's width.
    generator.audio_projection = generator._make_projection(SPEECH_WIDTH, options.dim_c)
    return generator
