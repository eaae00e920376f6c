"""What DSANet and VadCLIP share, layer for layer and name for name: snippet embeddings -> visual features, anomaly and
category logits.

    features (B, T, D)  --blocks, two graphs, merge-->  visual (B, T, D)  --classifier-->  anomaly logits (B, T, 1)
    text features (C, D), bent towards a summary of the window, (B, C, D)
    visual . text, as cosines / 0.07  -->  category logits (B, T, C)

Shapes: B windows, T snippets of a window (256), C categories (normal first), D 512 for CLIP ViT-B.
Method: "VadCLIP: Adapting Vision-Language Models for Weakly Supervised Video Anomaly Detection" (AAAI 2024, arXiv
2308.11681), as its published code computes it. Padding takes part like any snippet, except in the similarity adjacency:
that is how the checkpoints were trained.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from vad_pipeline.extract.errors import shown

from ..layers import GraphBranch, Mlp, TransformerBlock, distance_adjacency, similarity_adjacency
from .config import MAX_WINDOW_LEN, check_shape

WHOLE_NUMBERS = {"layers": (1, 64), "attention_block": (1, MAX_WINDOW_LEN)}


class VideoConfig(Protocol):
    """What the shared network needs of a head's configuration, which is a dataclass."""

    categories: tuple[str, ...]
    """Names in column order, the normal one first."""
    layers: int
    """How many transformer blocks there are."""
    attention_block: int
    """How many consecutive snippets see each other in these blocks; a divisor of window_len."""
    logit_temperature: float
    """Divides cosines to make logits of them."""
    similarity_threshold: float
    """Cosines not above it are no edge of the similarity graph."""
    window_len: int
    """Snippets of a window."""
    width: int
    """D: length of an embedding, and of a visual or text feature."""


def check_config(
    config: VideoConfig, *, whole: dict[str, tuple[int, int]] | None = None, positive: tuple[str, ...] = ()
) -> None:
    """Check a configuration.

    Args:
        config: the head's configuration.
        whole: further whole numbers, with the smallest and largest of each.
        positive: further numbers that must be above 0 and finite.

    Raises:
        ValueError: a value is outside its range.
    """
    check_shape(config, whole=WHOLE_NUMBERS | (whole or {}))
    if config.window_len % config.attention_block:
        raise ValueError(f"expected attention_block to divide {config.window_len}, got {config.attention_block}")
    for name in ("logit_temperature", *positive):
        value = getattr(config, name)
        if not math.isfinite(value) or value <= 0:
            raise ValueError(f"expected {name} above 0 and finite, got {shown(value)}")
    if not math.isfinite(config.similarity_threshold):
        raise ValueError(f"expected similarity_threshold that is finite, got {shown(config.similarity_threshold)}")


class VideoNetwork(nn.Module):
    """The shared scoring network. It has no text tower: the categories' text features are an input.

    Args:
        config: the network's shape.
    """

    def __init__(self, config: VideoConfig):
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

    def logits(self, features: Tensor, lengths: Tensor, text_features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute what scores are made of.

        Args:
            features: (B, T, D) float, not L2-normalised, zeros where a window is padded.
            lengths: (B,) int, how many snippets of each window are no padding.
            text_features: (C, D).

        Returns:
            Visual features (B, T, D), anomaly logits (B, T, 1) and category logits (B, T, C); at padding positions
            their values mean nothing.
        """
        visual = self.encode(features, lengths)
        anomaly = self.classifier(visual + self.anomaly_mlp(visual))
        return visual, anomaly, self._category_logits(visual, anomaly, text_features)

    def _category_logits(self, visual: Tensor, anomaly: Tensor, text_features: Tensor) -> Tensor:
        # the window's summary, weighted by raw logits, bends every category towards what happens in it
        summary = functional.normalize(anomaly.transpose(1, 2) @ visual, dim=-1)
        text = text_features + summary
        text = text + self.category_mlp(text)
        return self.cosine_logits(visual, text)

    def cosine_logits(self, visual: Tensor, text: Tensor) -> Tensor:
        """Cosines of visual and text features, divided by the temperature."""
        cosine = functional.normalize(visual, dim=-1) @ functional.normalize(text, dim=-1).transpose(-1, -2)
        return cosine / self.config.logit_temperature
