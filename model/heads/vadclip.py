"""VadCLIP: DSANet's network without its alignment and normality branches; learned prompts stand around category names.

    anomaly logits (B, T, 1)  --sigmoid-->  s1 (B, T)
    category logits (B, T, C)  --softmax-->  probabilities (B, T, C), s2 = 1 - the normal category's

A curve is s1 (UCF-Crime's published figure) or s2 (XD-Violence's).
Shapes: B windows, T snippets of a window (256), C categories (normal first), D 512 for CLIP ViT-B.
Method: "VadCLIP: Adapting Vision-Language Models for Weakly Supervised Video Anomaly Detection" (AAAI 2024, arXiv
2308.11681), as its published code computes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vad_pipeline.extract.errors import shown

from ..categories import UCF_CRIME, XD_VIOLENCE, names
from .config import config_from_json, config_to_json
from .video_network import VideoNetwork, check_config

CURVES = ("anomaly", "category")


@dataclass(frozen=True, slots=True)
class VadCLIPConfig:
    """All that determines the network's shape, and which of its scores is a video's curve.

    Raises:
        ValueError: on a value outside its range.
    """

    categories: tuple[str, ...]
    """Names in column order, the normal one first."""
    layers: int
    """How many transformer blocks there are."""
    attention_block: int
    """How many consecutive snippets see each other in these blocks; a divisor of window_len."""
    curve: str
    """`anomaly`: the curve is s1; `category`: it is s2."""
    logit_temperature: float = 0.07
    """Divides cosines to make category logits of them."""
    similarity_threshold: float = 0.7
    """Cosines not above it are no edge of the similarity graph."""
    window_len: int = 256
    """Snippets of a window."""
    width: int = 512
    """D: length of an embedding, and of a visual or text feature."""

    def __post_init__(self):
        check_config(self)
        if self.curve not in CURVES:
            raise ValueError(f"expected curve {' or '.join(CURVES)}, got {shown(self.curve)}")

    def to_json(self) -> str:
        """See `config_to_json`."""
        return config_to_json(self)

    @classmethod
    def from_json(cls, text: str) -> VadCLIPConfig:
        """See `config_from_json`."""
        return config_from_json(cls, text)


VADCLIP_PRESETS = {
    "ucf-crime": VadCLIPConfig(categories=names(UCF_CRIME), layers=2, attention_block=8, curve="anomaly"),
    "xd-violence": VadCLIPConfig(categories=names(XD_VIOLENCE), layers=1, attention_block=64, curve="category"),
}
"""The two published configurations."""


class VadCLIP(VideoNetwork):
    """The scoring network; its text features, (C, D), are not normalised."""


def vadclip_scores(anomaly_logits: Tensor, category_logits: Tensor, config: VadCLIPConfig) -> tuple[Tensor, Tensor]:
    """Logits (B, T, 1) and (B, T, C), float32 -> the curve's score (B, T) and category probabilities (B, T, C)."""
    probabilities = torch.softmax(category_logits, dim=-1)
    if config.curve == "category":
        return 1 - probabilities[..., 0], probabilities
    return torch.sigmoid(anomaly_logits).squeeze(-1), probabilities
