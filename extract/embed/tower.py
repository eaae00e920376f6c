"""Builds open_clip's image tower with the weights asked for, and puts its normalisation before it."""

from __future__ import annotations

import warnings

import torch

from ..errors import ConfigError
from ..names import plural
from .download import NO_WEIGHTS, refuse_unreachable
from .encoder_config import RANDOM, EncoderConfig, refuse_unknown
from .model_config import CLIP_STATISTICS, CLIP_TOWER, ImageTower, image_tower
from .quiet import unlogged
from .weights import Weights


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
    if tag is not None:
        refuse_unreachable(config.model, tag)
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
    """An image tower with its normalisation before it: uint8 crops (N, 3, px, px) -> (N, D) float32.

    Args:
        tower: open_clip's.
        device: where it computes.
        dtype: in which type.
        takes: the size of its pictures, and their normalisation.
    """

    def __init__(
        self, tower: torch.nn.Module, device: torch.device, dtype: torch.dtype, takes: ImageTower = CLIP_TOWER
    ):
        super().__init__()
        self.px = takes.image_px
        mean, std = (getattr(takes, name) or usual for name, usual in CLIP_STATISTICS.items())
        self.mean = torch.tensor(mean, device=device).mul(255).view(3, 1, 1)
        self.scale = torch.tensor(std, device=device).mul(255).reciprocal().view(3, 1, 1)
        # as tensor cores want convolutions
        self.layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        self.tower = tower.to(device, dtype, memory_format=self.layout)
        self.dtype = dtype

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Embed crops: (N, 3, px, px) uint8 -> (N, D) float32."""
        pixels = crops.float().sub_(self.mean).mul_(self.scale)
        embedded = self.tower(pixels.to(self.dtype, memory_format=self.layout))
        embedded = embedded[0] if isinstance(embedded, tuple) else embedded  # CoCa's gives its tokens too
        return embedded.float()


def checked_tower(
    tower: torch.nn.Module, config: EncoderConfig, device: torch.device, dtype: torch.dtype
) -> FromPixels:
    """Put normalisation before a tower, and check that it takes and gives what its configuration says.

    Raises:
        ConfigError: it does not.
    """
    takes = image_tower(config.model, config.pretrained)
    network, px = FromPixels(tower, device, dtype, takes), takes.image_px
    try:
        with torch.inference_mode():
            shape = tuple(network(torch.zeros((1, 3, px, px), device=device, dtype=torch.uint8)).shape)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--model {config.model}: does not embed {px} px images ({first_line(error)})") from error
    if shape != (1, takes.width):
        raise ConfigError(
            f"--model {config.model}: gives {shape[-1]} values an image where its configuration says {takes.width}"
        )
    return network
