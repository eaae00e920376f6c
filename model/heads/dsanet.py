"""DSANet: snippet embeddings -> anomaly and category logits.

    features (B, T, D)  --blocks, two graphs, merge-->  visual (B, T, D)  --classifier-->  anomaly logits (B, T, 1)
    text features (C, D), bent towards a summary of the window, (B, C, D)
    visual . text, as cosines / 0.07  -->  category logits (B, T, C)  --probabilities-->  (B, T, C), rows sum to 1
    visual, averaged with weights by score  -->  event logits (B, 1, C)
    visual, averaged with weights by 1 - score  -->  background logits (B, 1, C)

Shapes: B windows, T snippets of a window (256), C categories (normal first), D 512 for CLIP ViT-B.
Method: "Learning to Tell Apart: Weakly Supervised Video Anomaly Detection via Disentangled Semantic Alignment"
(AAAI 2026, arXiv 2511.10334), as its published code computes it. Padding takes part like any snippet, except in the
similarity adjacency: that is how the checkpoints were trained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from vad_pipeline.extract.errors import shown

from ..categories import UCF_CRIME, XD_VIOLENCE, names
from .config import config_from_json, config_to_json
from .video_network import VideoNetwork, check_config

WHOLE_NUMBERS = {"text_adapter_layers": (0, 64)}  # smallest and largest, beside those of every network


@dataclass(frozen=True, slots=True)
class DSANetConfig:
    """All that determines the network's shape, and how its logits become probabilities.

    Raises:
        ValueError: on a value outside its range.
    """

    categories: tuple[str, ...]
    """Names in column order, the normal one first."""
    layers: int
    """How many transformer blocks there are."""
    attention_block: int
    """How many consecutive snippets see each other in these blocks; a divisor of window_len."""
    text_adapter_layers: int
    """How many blocks of the text tower are followed by an adapter."""
    text_adapter_weight: float
    """Share of an adapter's output when it is blended with its input, 0 to 1."""
    probability_temperature: float
    """Divides the anomaly and category logits before they become probabilities."""
    logit_temperature: float = 0.07
    """Divides cosines to make category, event and background logits of them."""
    similarity_threshold: float = 0.7
    """Cosines not above it are no edge of the similarity graph."""
    alignment_sharpness: float = 10.0
    """How strongly event and background features prefer high and low scores."""
    window_len: int = 256
    """Snippets of a window."""
    width: int = 512
    """D: length of an embedding, and of a visual or text feature."""

    def __post_init__(self):
        check_config(self, whole=WHOLE_NUMBERS, positive=("probability_temperature",))
        if not math.isfinite(self.alignment_sharpness):
            raise ValueError(f"expected alignment_sharpness that is finite, got {shown(self.alignment_sharpness)}")
        if not 0 <= self.text_adapter_weight <= 1:
            raise ValueError(f"expected text_adapter_weight in 0 to 1, got {shown(self.text_adapter_weight)}")

    def to_json(self) -> str:
        """The configuration as JSON with sorted keys: equal configurations give equal text."""
        return config_to_json(self)

    @classmethod
    def from_json(cls, text: str) -> DSANetConfig:
        """Read a configuration that `to_json` wrote.

        Raises:
            ValueError: the text is no configuration, has a value out of range, or a field this version does not know.
        """
        return config_from_json(cls, text)


PRESETS = {
    "ucf-crime": DSANetConfig(
        categories=names(UCF_CRIME),
        layers=2,
        attention_block=8,
        text_adapter_layers=3,
        text_adapter_weight=0.1,
        probability_temperature=5.0,
    ),
    "xd-violence": DSANetConfig(
        categories=names(XD_VIOLENCE),
        layers=1,
        attention_block=64,
        text_adapter_layers=1,
        text_adapter_weight=0.6,
        probability_temperature=1.0,
    ),
}
"""The two published configurations."""


@dataclass(frozen=True, slots=True, eq=False)
class DSANetOutput:
    """The network's output; `reconstruction` and `gather_loss` are None without the normality branch."""

    anomaly_logits: Tensor
    """(B, T, 1); their sigmoid is the anomaly score."""
    category_logits: Tensor
    """(B, T, C): how well each snippet fits each category."""
    event_logits: Tensor | None
    """(B, 1, C): how well the high-scoring part of a window fits each category; None where not asked for."""
    background_logits: Tensor | None
    """(B, 1, C): how well the low-scoring part of a window fits each category; None where not asked for."""
    text_features: Tensor
    """(C, D), L2-normalised: the text features that came in."""
    visual: Tensor
    """(B, T, D): visual features, from which the logits are computed."""
    reconstruction: Tensor | None = None
    """(B, T, D): the visual features as the normality branch rebuilds them."""
    gather_loss: Tensor | None = None
    """Scalar: how far normal snippets are from the nearest pattern of the normality branch."""

    def __post_init__(self):
        windows, n_categories = self.category_logits.shape[:2], len(self.text_features)
        if self.anomaly_logits.shape != (*windows, 1) or self.category_logits.shape[2] != n_categories:
            raise ValueError(
                f"expected logits (B, T, 1) and (B, T, {n_categories}), got {tuple(self.anomaly_logits.shape)} "
                f"and {tuple(self.category_logits.shape)}"
            )

    def __repr__(self) -> str:
        shapes = {f.name: getattr(self, f.name) for f in fields(self)}
        text = ", ".join(f"{name}={None if x is None else tuple(x.shape)}" for name, x in shapes.items())
        return f"DSANetOutput({text})"


class DSANet(VideoNetwork):
    """The scoring network. It has no text tower: the categories' text features are an input."""

    def forward(
        self, features: Tensor, lengths: Tensor, text_features: Tensor, *, alignment: bool = True
    ) -> DSANetOutput:
        """Compute the logits of a batch of windows.

        Args:
            features: (B, T, D) float, not L2-normalised, zeros where a window is padded.
            lengths: (B,) int, how many snippets of each window are no padding.
            text_features: (C, D), L2-normalised.
            alignment: whether to compute event and background logits too, which only the losses need.

        Returns:
            The logits; at padding positions their values mean nothing.
        """
        visual, anomaly, category = self.logits(features, lengths, text_features)
        event = background = None
        if alignment:
            event = self._alignment_logits(visual, torch.sigmoid(anomaly), text_features)
            # 1 - sigmoid, and exp - 1 below, written so that a sure score does not leave a sum of zeros
            background = self._alignment_logits(visual, torch.sigmoid(-anomaly), text_features)
        return DSANetOutput(anomaly, category, event, background, text_features, visual)

    def _alignment_logits(self, visual: Tensor, score: Tensor, text_features: Tensor) -> Tensor:
        weights = torch.expm1(self.config.alignment_sharpness * score)
        weights = weights / weights.sum(dim=1, keepdim=True)
        return self.cosine_logits(weights.transpose(1, 2) @ visual, text_features)


def dsanet_scores(anomaly_logits: Tensor, category_logits: Tensor, config: DSANetConfig) -> tuple[Tensor, Tensor]:
    """The curve's score, and category probabilities: the anomaly logit divides 1 between normal and anomalous, category
    logits share it out.

    For example an anomaly logit of 0 and two anomaly categories of equal logits give .5, .25, .25.

    Args:
        anomaly_logits: (B, T, 1) float32.
        category_logits: (B, T, C) float32.
        config: the network's configuration, which has the temperature.

    Returns:
        (B, T): sigmoid(anomaly logit); (B, T, C), rows sum to 1, column 0 is 1 - sigmoid(anomaly logit / temperature).
    """
    temperature = config.probability_temperature
    anomalous = torch.sigmoid(anomaly_logits / temperature)
    # a softmax over the anomaly columns alone equals dropping the normal column and renormalising, and cannot be 0/0
    shares = torch.softmax(category_logits[..., 1:] / temperature, dim=-1)
    return torch.sigmoid(anomaly_logits).squeeze(-1), torch.cat([1 - anomalous, anomalous * shares], dim=-1)
