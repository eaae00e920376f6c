"""The heads that come with this package, by name: what differs between methods, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .dsanet import PRESETS, DSANet, DSANetConfig, dsanet_scores
from .vadclip import CURVES, VADCLIP_PRESETS, VadCLIP, VadCLIPConfig, vadclip_scores
from .video_network import VideoConfig, VideoNetwork

HeadConfig = DSANetConfig | VadCLIPConfig


@dataclass(frozen=True, slots=True)
class Head:
    """A method: its configuration, its network, and how its logits become scores."""

    title: str
    """As it is called in print."""
    config: type[VideoConfig]
    network: type[VideoNetwork]
    presets: dict[str, VideoConfig]
    """The published configurations by name."""
    scores: Callable[[Tensor, Tensor, VideoConfig], tuple[Tensor, Tensor]]
    """Anomaly logits (B, T, 1) and category logits (B, T, C), float32 -> the curve's score (B, T) and category
    probabilities (B, T, C)."""
    curves: tuple[str, ...]
    """Which scores a curve can be made of; where there are several, the configuration's `curve` says which."""


DEFAULT_HEAD = "dsanet"  # of files that name none
HEADS = {
    DEFAULT_HEAD: Head("DSANet", DSANetConfig, DSANet, PRESETS, dsanet_scores, ("anomaly",)),
    "vadclip": Head("VadCLIP", VadCLIPConfig, VadCLIP, VADCLIP_PRESETS, vadclip_scores, CURVES),
}


def head_of(config: HeadConfig) -> str:
    """The name of the head that a configuration is of."""
    return next(name for name, head in HEADS.items() if isinstance(config, head.config))
