"""The source encoder graph: everything about a portrait that does not change from frame to frame."""

import torch
from torch import nn
from torch.nn import functional as F

from .attention import SourceKeys, to_rows
from .motion_maps import IdentityBias, MotionMaps
from .renderer import identity_names, levels_of


class SourceEncoder(nn.Module):
    """Image f32 `[1, 3, S, S]`, RGB 0..1 -> motion_ref f32 `[1, D]` and the identity tensors named by `names`.

    The identity tensors are of `identity_type`, the renderer's own: they cross to its device at every run.
    """

    def __init__(self, published: nn.Module, sample_weight: float, identity_type: torch.dtype):
        super().__init__()
        self.identity_type = identity_type
        self.levels, self.fine_levels = levels_of(published)
        self.names = identity_names(self.levels, self.fine_levels)
        self.features = published.dense_feature_encoder
        self.tokens = published.latent_token_encoder
        self.adapt = published.adapt
        self.maps = MotionMaps(published.latent_token_decoder)
        self.bias = IdentityBias(published.adapt, sample_weight)
        self.keys = nn.ModuleList(SourceKeys(block.block_efc) for block in published.imt[: len(self.levels)])
        self.ratios = [block.block.ratio for block in published.imt[len(self.levels) :]]

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features, identity = self.features(image)
        motion_ref = self.tokens(image)
        maps = self.maps(self.adapt(motion_ref, identity))
        outputs = [self.bias(motion_ref, identity)]
        for keys, source_map, level in zip(self.keys, maps, features):
            outputs.extend(keys(source_map, level))
        for ratio, level in zip(self.ratios, features[len(self.levels) :]):
            outputs.append(to_rows(F.avg_pool2d(level, ratio)))
        return motion_ref, *(output.to(self.identity_type) for output in outputs)
