"""Builds IMTalker's published modules (arXiv 2511.22167, Apache-2.0) from a checkout of its repository.

The repository is imported, never copied: its classes are the reference that every exported graph is compared with.
"""

import argparse
import contextlib
import io
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from .small import OPTIONS as SMALL_OPTIONS
from .small import small_generator, small_renderer

# The published inference configuration (the repository's app.py and generator/options/base_options.py).
OPTIONS = {
    "rank": "cpu",
    "fps": 25.0,
    "sampling_rate": 16000,
    "wav2vec_sec": 2.0,
    "num_prev_frames": 10,
    "attention_window": 5,
    "only_last_features": True,
    "audio_dropout_prob": 0.1,
    "dim_motion": 32,
    "dim_c": 32,
    "dim_w": 32,
    "dim_h": 512,
    "fmt_depth": 8,
    "num_heads": 8,
    "mlp_ratio": 4.0,
    "ode_atol": 1e-5,
    "ode_rtol": 1e-5,
    "torchdiffeq_ode_method": "euler",
    "swin_res_threshold": 128,
    "window_size": 8,
}


@dataclass
class Published:
    """The published networks in eval mode, fp32, on the CPU."""

    renderer: nn.Module
    generator: nn.Module


def from_checkpoints(repository: Path, checkpoints: Path, trust: bool) -> Published:
    """Loads `renderer.ckpt`, `generator.ckpt` and `wav2vec2-base-960h/` as the repository's own code does.

    Raises ValueError when a weight that the networks need is in none of the files.
    """
    for name in ("renderer.ckpt", "generator.ckpt", "wav2vec2-base-960h/config.json"):
        if not (checkpoints / name).is_file():
            raise ValueError(f"{checkpoints / name} is missing; README.md says where the checkpoints come from.")
    renderer, generator = _build(repository, checkpoints / "wav2vec2-base-960h")
    weights = _read_checkpoint(checkpoints / "renderer.ckpt", trust)
    weights = {k.replace("gen.", ""): v for k, v in weights.items() if k.startswith("gen.")}
    _load("renderer.ckpt", renderer, weights, optional=())
    weights = _read_checkpoint(checkpoints / "generator.ckpt", trust)
    weights = weights.get("model", weights)
    weights = {k.removeprefix("model."): v for k, v in weights.items() if k.startswith("model.")}
    # Position codes are computed; the audio encoder comes from its own folder where the checkpoint has none.
    _load("generator.ckpt", generator, weights, optional=("audio_encoder.", "fmt.pos_embed", "fmt.alignment_mask"))
    return Published(renderer.eval(), generator.eval())


def from_random_weights(repository: Path, seed: int, small: bool) -> Published:
    """The same architecture with random weights: for tests and benchmarks, where no checkpoints can be had."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        if small:
            _import_from(repository)
            options = argparse.Namespace(**OPTIONS | SMALL_OPTIONS)
            renderer, generator = small_renderer(options), small_generator(options, folder)
        else:
            # The defaults of Wav2Vec2Config are wav2vec2-base.
            Wav2Vec2Model(Wav2Vec2Config()).save_pretrained(folder)
            renderer, generator = _build(repository, Path(folder))
    _enliven_generator(generator)
    _enliven_renderer(renderer)
    return Published(renderer.eval(), generator.eval())


def _import_from(repository: Path) -> None:
    if not (repository / "renderer" / "models.py").is_file():
        raise ValueError(f"{repository} is no checkout of the IMTalker repository: renderer/models.py is missing.")
    sys.path.insert(0, str(repository.resolve()))
    warnings.filterwarnings("ignore", category=FutureWarning)


def _build(repository: Path, wav2vec2: Path) -> tuple[nn.Module, nn.Module]:
    _import_from(repository)
    from generator.FM import FMGenerator
    from renderer.models import IMTRenderer

    options = argparse.Namespace(**OPTIONS, wav2vec_model_path=str(wav2vec2))
    with contextlib.redirect_stdout(io.StringIO()):
        return IMTRenderer(options), FMGenerator(options)


def _read_checkpoint(path: Path, trust: bool) -> dict:
    """Reads tensors only, unless the operator trusts the file: an unpickled checkpoint can run any code."""
    if trust:
        checkpoint = torch.load(path, map_location="cpu", weights_only=False)
    else:
        torch.serialization.add_safe_globals([argparse.Namespace])
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            reason = str(error).splitlines()[0]
            hint = "If it holds more than tensors and you trust where it came from, add --trust-checkpoints."
            raise ValueError(f"{path} cannot be read as tensors alone: {reason}\n{hint}") from error
    return checkpoint.get("state_dict", checkpoint)


def _load(name: str, module: nn.Module, weights: dict, optional: tuple[str, ...]) -> None:
    try:
        missing = [key for key in module.load_state_dict(weights, strict=False).missing_keys if not _derived(key)]
    except RuntimeError as error:
        raise ValueError(f"{name} does not fit the published networks: {error}") from error
    missing = [key for key in missing if not key.startswith(optional)]
    if missing:
        raise ValueError(f"{name} lacks {len(missing)} weights, among them {', '.join(missing[:5])}.")


def _derived(key: str) -> bool:
    """Buffers that the constructors compute."""
    return key.endswith(("num_batches_tracked", "relative_position_index", "attn_mask", ".kernel"))


def _enliven_generator(generator: nn.Module) -> None:
    """The published initialisation zeroes the last layers, so that every velocity is 0: nothing could be compared."""
    for name, parameter in generator.fmt.named_parameters():
        if name != "pos_embed" and not parameter.any():
            nn.init.normal_(parameter.data, std=0.05)
    for projection in (generator.audio_projection, generator.pose_projection, generator.gaze_projection):
        nn.init.normal_(projection[1].bias, std=0.2)


@torch.no_grad()
def _enliven_renderer(renderer: nn.Module) -> None:
    """Gives the untrained renderer the traits of a trained one that its parity check depends on.

    Normalised activations (else every frame is plain grey), a peaked attention at the last level that has one (else
    the best cell is decided by rounding), and frames that follow the motion.
    """
    for name, parameter in renderer.named_parameters():
        if name.endswith("bias") and not parameter.any():
            nn.init.normal_(parameter, std=0.05)

    def measure(norm: nn.BatchNorm2d, inputs: tuple[torch.Tensor]) -> None:
        power = inputs[0].square().mean()
        norm.running_var.copy_(power * torch.empty_like(norm.running_var).uniform_(0.8, 1.2))
        norm.running_mean.normal_().mul_(0.1 * power.sqrt())

    # The source alone fills most of the adaption's input: give the motion the same say.
    tokens = renderer.adapt.final_linear.weight.shape[0]
    renderer.adapt.in_layer.weight[:, :tokens].mul_(4)

    def sharpen(attention: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        for projection, rows in zip((attention.q_proj, attention.k_proj), inputs):
            projection.bias.sub_(projection(rows).mean((0, 1)))
        query, key = attention.q_proj(inputs[0])[0], attention.k_proj(inputs[1])[0]
        gain = (4 / (attention.scale * (query @ key.T).std())).sqrt()
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight.mul_(gain)
            projection.bias.mul_(gain)

    norms = [module for module in renderer.modules() if isinstance(module, nn.BatchNorm2d)]
    watches = [norm.register_forward_pre_hook(measure) for norm in norms]
    anchor = [level.block_efc for level in renderer.imt if level.is_standard_attention][-1]
    watches.append(anchor.register_forward_pre_hook(sharpen))
    last = renderer.frame_decoder.final_conv[1]
    spread = []
    watches.append(last.register_forward_hook(lambda _layer, _inputs, output: spread.append(output.std())))
    renderer.eval()
    size = renderer.spatial_dims[0]
    renderer(random_image(1, size), random_image(1, size))
    for watch in watches:
        watch.remove()
    # Before the sigmoid: wide enough for contrast, not so wide that every pixel is black or white.
    last.weight.div_(spread[0])
    last.bias.div_(spread[0])


def random_image(batch: int, size: int) -> torch.Tensor:
    """Coloured clouds and some grain, f32 `[batch, 3, size, size]`, 0..1."""
    clouds = nn.functional.interpolate(torch.rand(batch, 3, 16, 16), size=(size, size), mode="bicubic")
    return (clouds + 0.05 * torch.randn(batch, 3, size, size)).clamp(0, 1)
