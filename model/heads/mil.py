"""The multiple-instance ranking baseline: each snippet by itself, D -> 512 -> 32 -> 1. It reads no text, takes features
of any width and tells no categories apart: a floor for every table.

    features (B, T, D)  --two hidden layers with dropout-->  anomaly logits (B, T, 1)

Shapes: B windows, T snippets of a window (256), D width of an embedding.
Method: Sultani et al., "Real-world anomaly detection in surveillance videos" (CVPR 2018), for its network; trained by
the mean of a video's top scores as the other heads are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..categories import CATEGORIES, names
from .config import check_shape, config_from_json, config_to_json

HIDDEN, DROPOUT = (512, 32), 0.6


@dataclass(frozen=True, slots=True)
class MilConfig:
    """The network's shape.

    Raises:
        ValueError: on a value outside its range.
    """

    categories: tuple[str, ...]
    """Names of what labels say, the normal one first; the network tells only that one from all others."""
    window_len: int = 256
    """Snippets of a window."""
    width: int = 512
    """D: length of an embedding."""
    has_categories: ClassVar[bool] = False

    def __post_init__(self):
        check_shape(self)

    def to_json(self) -> str:
        """See `config_to_json`."""
        return config_to_json(self)

    @classmethod
    def from_json(cls, text: str) -> MilConfig:
        """See `config_from_json`."""
        return config_from_json(cls, text)


MIL_PRESETS = {preset: MilConfig(names(categories)) for preset, categories in CATEGORIES.items()}
"""A preset is which names labels have."""


class Mil(nn.Module):
    """The network.

    Args:
        config: its shape.
    """

    def __init__(self, config: MilConfig):
        super().__init__()
        self.config = config
        wide, narrow = HIDDEN
        self.layers = nn.Sequential(
            nn.Linear(config.width, wide),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(wide, narrow),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(narrow, 1),
        )

    def logits(self, features: Tensor, lengths: Tensor, text_features: None = None) -> tuple[None, Tensor, None]:
        """Score each snippet: `features` (B, T, D) -> no visual features, anomaly logits (B, T, 1), no categories."""
        return None, self.layers(features), None


def plain_scores(anomaly_logits: Tensor, category_logits: Tensor | None, config: object) -> tuple[Tensor, Tensor]:
    """The curve's score, the sigmoid of the anomaly logit, and category probabilities, which divide it.

    Args:
        anomaly_logits: (B, T, 1) float32.
        category_logits: (B, T, C) float32, of which the normal column is not read; None: anomaly is one category.
        config: not read.

    Returns:
        (B, T); (B, T, C), rows sum to 1, column 0 is 1 less the score. C is 2 without category logits.
    """
    score = torch.sigmoid(anomaly_logits)
    shares = 1.0 if category_logits is None else torch.softmax(category_logits[..., 1:], dim=-1)
    return score.squeeze(-1), torch.cat([1 - score, score * shares], dim=-1)
