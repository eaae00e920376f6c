"""DSANet: snippet embeddings -> anomaly and category logits.

    features (B, T, D)  --blocks, two graphs, merge-->  visual (B, T, D)  --classifier-->  anomaly logits (B, T, 1)
    text features (C, D), bent towards a summary of the window, (B, C, D)
    visual . text, as cosines / 0.07  -->  category logits (B, T, C)  --probabilities-->  (B, T, C), rows sum to 1
    visual, averaged with weights by score  -->  event logits (B, 1, C)
    visual, averaged with weights by 1 - score  -->  background logits (B, 1, C)

Shapes: B windows, T snippets of a window (256), C categories (normal first), D 512.
Method: "Learning to Tell Apart: Weakly Supervised Video Anomaly Detection via Disentangled Semantic Alignment"
(AAAI 2026, arXiv 2511.10334), as its published code computes it. Padding takes part like any snippet, except in the
similarity adjacency: that is how the checkpoints were trained.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional

from vad_pipeline.extract.errors import shown

from ..categories import UCF_CRIME, XD_VIOLENCE, names
from ..layers import GraphBranch, Mlp, TransformerBlock, distance_adjacency, similarity_adjacency

MAX_WINDOW_LEN = 4096  # snippets, 18 minutes; its square is computed with
TEMPERATURES = ("logit_temperature", "probability_temperature")
WHOLE_NUMBERS = {
    "layers": (1, 64),
    "attention_block": (1, MAX_WINDOW_LEN),
    "text_adapter_layers": (0, 64),
    "window_len": (1, MAX_WINDOW_LEN),
    "width": (1, 8192),
}
"""Smallest and largest of what may stand in a file: its numbers decide how much is computed."""


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
        if len(self.categories) < 2 or not all(isinstance(name, str) for name in self.categories):
            raise ValueError(f"expected the normal and at least one anomaly category, got {shown(self.categories)}")
        for name, (least, most) in WHOLE_NUMBERS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"expected {name} of {least} to {most}, got {shown(value)}")
        if self.window_len % self.attention_block:
            raise ValueError(f"expected attention_block to divide {self.window_len}, got {self.attention_block}")
        for name in ("logit_temperature", "probability_temperature", "similarity_threshold", "alignment_sharpness"):
            value = getattr(self, name)
            if not math.isfinite(value) or (name in TEMPERATURES and value <= 0):
                raise ValueError(f"expected {name} above 0 and finite, got {shown(value)}")
        if not 0 <= self.text_adapter_weight <= 1:
            raise ValueError(f"expected text_adapter_weight in 0 to 1, got {shown(self.text_adapter_weight)}")

    def to_json(self) -> str:
        """The configuration as JSON with sorted keys: equal configurations give equal text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> DSANetConfig:
        """Read a configuration that `to_json` wrote.

        Raises:
            ValueError: the text is no configuration, has a value out of range, or a field this version does not know.
        """
        values = json.loads(text)
        if not isinstance(values, dict) or "categories" not in values:
            raise ValueError("not a DSANet configuration")
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"unknown fields {shown(', '.join(unknown))}: from a newer vad-pipeline")
        try:
            return cls(**{**values, "categories": tuple(values["categories"])})
        except TypeError as error:
            raise ValueError(str(error)) from error


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


class DSANet(nn.Module):
    """The scoring network. It has no text tower: the categories' text features are an input.

    Args:
        config: the network's shape.
    """

    def __init__(self, config: DSANetConfig):
        super().__init__()
        self.config = config
        width = config.width
        self.position_embedding = nn.Parameter(torch.empty(config.window_len, width).normal_(std=0.01))
        self.blocks = nn.ModuleList(TransformerBlock(width, n_heads=1) for _ in range(config.layers))
        self.similarity_branch = GraphBranch(width, width // 2)
        self.distance_branch = GraphBranch(width, width // 2)
        self.merge = nn.Linear(width, width)
        self.anomaly_mlp = Mlp(width)
        self.classifier = nn.Linear(width, 1)
        self.category_mlp = Mlp(width)

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
        visual = self.encode(features, lengths)
        anomaly = self.classifier(visual + self.anomaly_mlp(visual))
        category = self._category_logits(visual, anomaly, text_features)
        event = background = None
        if alignment:
            event = self._alignment_logits(visual, torch.sigmoid(anomaly), text_features)
            # 1 - sigmoid, and exp - 1 below, written so that a sure score does not leave a sum of zeros
            background = self._alignment_logits(visual, torch.sigmoid(-anomaly), text_features)
        return DSANetOutput(anomaly, category, event, background, text_features, visual)

    def encode(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Compute visual features: local attention, then the similarity and the distance graph.

        Args:
            features: (B, T, D).
            lengths: (B,) int, how many snippets of each window are no padding.

        Returns:
            Visual features, (B, T, D).
        """
        x = features + self.position_embedding
        for block in self.blocks:
            x = block(x, block_len=self.config.attention_block)
        similarity = similarity_adjacency(x, lengths, threshold=self.config.similarity_threshold)
        distance = distance_adjacency(x.shape[1], device=x.device, dtype=x.dtype)
        branches = self.similarity_branch(x, similarity), self.distance_branch(x, distance)
        return self.merge(torch.cat(branches, dim=-1))

    def _category_logits(self, visual: Tensor, anomaly: Tensor, text_features: Tensor) -> Tensor:
        # the window's summary, weighted by raw logits, bends every category towards what happens in it
        summary = functional.normalize(anomaly.transpose(1, 2) @ visual, dim=-1)
        text = text_features + summary
        text = text + self.category_mlp(text)
        return self._cosine_logits(visual, text)

    def _alignment_logits(self, visual: Tensor, score: Tensor, text_features: Tensor) -> Tensor:
        weights = torch.expm1(self.config.alignment_sharpness * score)
        weights = weights / weights.sum(dim=1, keepdim=True)
        return self._cosine_logits(weights.transpose(1, 2) @ visual, text_features)

    def _cosine_logits(self, visual: Tensor, text: Tensor) -> Tensor:
        cosine = functional.normalize(visual, dim=-1) @ functional.normalize(text, dim=-1).transpose(-1, -2)
        return cosine / self.config.logit_temperature


def probabilities(output: DSANetOutput, config: DSANetConfig) -> Tensor:
    """Category probabilities: the anomaly logit divides 1 between normal and anomalous, category logits share it out.

    For example an anomaly logit of 0 and two anomaly categories of equal logits give .5, .25, .25.

    Args:
        output: output of the network.
        config: the network's configuration, which has the temperature.

    Returns:
        (B, T, C), rows sum to 1, column 0 is 1 - sigmoid(anomaly logit / temperature).
    """
    temperature = config.probability_temperature
    anomalous = torch.sigmoid(output.anomaly_logits / temperature)
    # a softmax over the anomaly columns alone equals dropping the normal column and renormalising, and cannot be 0/0
    shares = torch.softmax(output.category_logits[..., 1:] / temperature, dim=-1)
    return torch.cat([1 - anomalous, anomalous * shares], dim=-1)
