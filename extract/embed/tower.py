"""Builds open_clip's image tower with the weights asked for, and puts CLIP's normalisation before it."""

from __future__ import annotations

import warnings

import torch

from ..errors import ConfigError
from ..names import plural
from ..recipe import EMBEDDING_DIM
from .encoder_config import RANDOM, EncoderConfig, refuse_unknown
from .geometry import CROP_PX
from .quiet import unlogged
from .weights import Weights

CLIP_STATISTICS = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}  # of red, green and blue, where a tower names none
NO_WEIGHTS = (
    "CLIP weights '{tag}' for {model} could not be downloaded ({why}). Without internet: give a file with "
    "--pretrained FILE; a published DSANet checkpoint carries them: "
    "vad-pipeline convert PUBLISHED.pth OUT.safetensors --clip FILE"
)


def build_tower(config: EncoderConfig, weights: Weights) -> torch.nn.Module:
    """Build the image tower in fp32 on the CPU, in evaluation mode.

    Raises:
        ConfigError: unknown model, weights of another architecture, or a tag that cannot be downloaded.
    """
    tower = build_clip(config, weights).visual
    if weights.tensors is not None:
        _load_tensors(tower, weights, config)
    return tower.eval()


def build_clip(config: EncoderConfig, weights: Weights) -> torch.nn.Module:
    """Build CLIP with open_clip, with the weights of a tag or a seed; those of a file are not loaded yet.

    Raises:
        ConfigError: unknown model, or a tag that cannot be downloaded.
    """
    import open_clip

    refuse_unknown(config.model)
    seed = int(config.pretrained.removeprefix(RANDOM)) if config.pretrained.startswith(RANDOM) else 0
    tag = config.pretrained if weights.tensors is None and not config.pretrained.startswith(RANDOM) else None
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), unlogged():
        warnings.simplefilter("ignore")  # its mismatch warnings are settled below, in one sentence
        torch.manual_seed(seed)
        try:
            return open_clip.create_model(config.model, pretrained=tag, load_weights=tag is not None)
        except (RuntimeError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if tag is None:
                raise ConfigError(f"--model {config.model}: {first_line(error)}") from error
            raise ConfigError(NO_WEIGHTS.format(tag=tag, model=config.model, why=first_line(error))) from error


def _load_tensors(tower: torch.nn.Module, weights: Weights, config: EncoderConfig) -> None:
    own = tower.state_dict()
    given = {k.removeprefix("visual."): v for k, v in weights.tensors.items() if k.startswith("visual.")}
    wrong = [f"{k} missing" for k in own if k not in given]
    wrong += [f"{k} unknown" for k in given if k not in own]
    wrong += [
        f"{k} {tuple(given[k].shape)} instead of {tuple(own[k].shape)}"
        for k in own
        if k in given and given[k].shape != own[k].shape
    ]
    if wrong:
        raise ConfigError(
            f"{config.pretrained}: not weights of {config.model}'s image tower ("
            f"{plural(len(wrong), 'tensor differs', 'tensors differ')}: "
            f"{'; '.join(wrong[:4])}); give the --model they belong to"
        )
    tower.load_state_dict(given)


def first_line(error: Exception) -> str:
    """The first line of a library's error, short enough to be part of our message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


class FromPixels(torch.nn.Module):
    """An image tower with CLIP's normalisation before it: uint8 crops (N, 3, 224, 224) -> (N, 512) float32."""

    def __init__(self, tower: torch.nn.Module, device: torch.device, dtype: torch.dtype):
        super().__init__()
        mean, std = (getattr(tower, f"image_{name}", None) or default for name, default in CLIP_STATISTICS.items())
        self.mean = torch.tensor(mean, device=device).mul(255).view(3, 1, 1)
        self.scale = torch.tensor(std, device=device).mul(255).reciprocal().view(3, 1, 1)
        # as tensor cores want convolutions
        self.layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        self.tower = tower.to(device, dtype, memory_format=self.layout)
        self.dtype = dtype

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Embed crops: (N, 3, 224, 224) uint8 -> (N, 512) float32."""
        pixels = crops.float().sub_(self.mean).mul_(self.scale)
        return self.tower(pixels.to(self.dtype, memory_format=self.layout)).float()


def checked_tower(
    tower: torch.nn.Module, config: EncoderConfig, device: torch.device, dtype: torch.dtype
) -> FromPixels:
    """Put normalisation before a tower, and check that it gives 512 values for an image of 224 px."""
    network = FromPixels(tower, device, dtype)
    try:
        with torch.inference_mode():
            shape = tuple(network(torch.zeros((1, 3, CROP_PX, CROP_PX), device=device, dtype=torch.uint8)).shape)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--model {config.model}: does not take {CROP_PX} px images ({first_line(error)})") from error
    if shape != (1, EMBEDDING_DIM):
        raise ConfigError(
            f"--model {config.model}: gives {shape[-1]} values an image where DSANet needs {EMBEDDING_DIM}"
        )
    return network
