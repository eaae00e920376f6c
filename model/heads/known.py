"""The heads by name: what differs between methods, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from ..categories import ANOMALY
from .dsanet import PRESETS, DSANet, DSANetConfig, dsanet_scores
from .head_names import DEFAULT_HEAD, OWN
from .mil import MIL_PRESETS, Mil, MilConfig, plain_scores
from .own import OWN_PRESETS, OwnConfig, OwnNetwork
from .vadclip import CURVES, VADCLIP_PRESETS, VadCLIP, VadCLIPConfig, vadclip_scores

HeadConfig = DSANetConfig | VadCLIPConfig | MilConfig | OwnConfig


@dataclass(frozen=True, slots=True)
class Head:
    """A method: its configuration, its network, and how its logits become scores."""

    title: str
    """As it is called in print."""
    config: type[HeadConfig]
    network: Callable[..., nn.Module]
    """Made of the configuration; a head of the user's own of its `OwnHead` too. `logits(features, lengths,
    text_features)` gives visual features, anomaly logits and category logits; the first and the last may be None."""
    presets: dict[str, HeadConfig]
    """The published configurations by name."""
    scores: Callable[[Tensor, Tensor | None, HeadConfig], tuple[Tensor, Tensor]]
    """Anomaly logits (B, T, 1) and category logits (B, T, C), float32 -> the curve's score (B, T) and category
    probabilities, as many as `result_categories`."""
    curves: tuple[str, ...]
    """Which scores a curve can be made of; where there are several, the configuration's `curve` says which."""
    reads_text: bool = True
    """Whether the network needs text features of the categories, (C, D)."""


HEADS = {
    DEFAULT_HEAD: Head("DSANet", DSANetConfig, DSANet, PRESETS, dsanet_scores, ("anomaly",)),
    "vadclip": Head("VadCLIP", VadCLIPConfig, VadCLIP, VADCLIP_PRESETS, vadclip_scores, CURVES),
    "mil": Head("MIL", MilConfig, Mil, MIL_PRESETS, plain_scores, ("anomaly",), reads_text=False),
    OWN: Head("own-head", OwnConfig, OwnNetwork, OWN_PRESETS, plain_scores, ("anomaly",), reads_text=False),
}


def head_of(config: HeadConfig) -> str:
    """The name of the head that a configuration is of."""
    return next(name for name, head in HEADS.items() if isinstance(config, head.config))


def result_categories(config: HeadConfig) -> tuple[str, ...]:
    """The names that results have for the columns of probabilities, the normal one first.

    Of a head that tells no categories apart: the normal one's, and `ANOMALY` for all others.
    """
    if getattr(config, "has_categories", True):
        return config.categories
    return config.categories[0], ANOMALY
