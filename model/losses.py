"""DSANet's losses, one named function each: `(DSANetOutput, TrainingBatch) -> scalar`.

Shapes: B windows, T snippets of a window, C categories (normal first), D 512.
Method: DSANet, section "training objective", as its published code computes it, vectorised over the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .categories import NORMAL
from .heads.dsanet import DSANetOutput

TOP_K_SHARE = 16  # the top len / 16 + 1 snippets speak for a video
SMOOTHING = 0.1  # share of a target spread over all categories
BACKGROUND_REST = 0.01  # weight of every other category where the target is the normal one


@dataclass(frozen=True, slots=True, eq=False)
class TrainingBatch:
    """Windows with video-level labels."""

    features: Tensor
    """(B, T, D) float32, zeros where padded."""
    lengths: Tensor
    """(B,) int64, real snippets of each."""
    labels: Tensor
    """(B, C) float32, 1 for each category a video shows; several may be set."""

    def __post_init__(self):
        n = len(self.features)
        if self.features.ndim != 3 or self.lengths.shape != (n,) or self.labels.shape[:1] != (n,):
            raise ValueError(
                f"expected features (B, T, D), lengths (B,), labels (B, C), got {tuple(self.features.shape)}, "
                f"{tuple(self.lengths.shape)}, {tuple(self.labels.shape)}"
            )

    @property
    def anomalous(self) -> Tensor:
        """(B,) float32, 1 where a video is not normal."""
        return 1 - self.labels[:, NORMAL]

    def to(self, device: torch.device) -> TrainingBatch:
        """The same on a device."""
        return TrainingBatch(self.features.to(device), self.lengths.to(device), self.labels.to(device))

    @property
    def valid(self) -> Tensor:
        """(B, T) bool, the snippets that are no padding."""
        return torch.arange(self.features.shape[1], device=self.lengths.device) < self.lengths[:, None]


def top_k_mean(values: Tensor, lengths: Tensor) -> Tensor:
    """Mean of each video's largest `int(len / 16 + 1)` valid values.

    Args:
        values: (B, T) or (B, T, C), each category by itself.
        lengths: (B,).

    Returns:
        (B,) or (B, C).
    """
    if values.ndim == 2:
        return top_k_mean(values.unsqueeze(-1), lengths).squeeze(-1)
    position = torch.arange(values.shape[1], device=values.device)[:, None]
    lengths = lengths[:, None, None]
    n_top = lengths // TOP_K_SHARE + 1
    highest = values.masked_fill(position >= lengths, -torch.inf).topk(int(n_top.max()), dim=1).values
    highest = highest.where(position[: highest.shape[1]] < n_top, 0)  # a shorter video counts fewer of them
    return highest.sum(dim=1) / n_top.squeeze(-1)


def mil(output: DSANetOutput, batch: TrainingBatch) -> Tensor:
    """Multiple-instance learning: the top scores of a video against whether it is anomalous."""
    scores = top_k_mean(torch.sigmoid(output.anomaly_logits).squeeze(-1), batch.lengths)
    return functional.binary_cross_entropy(scores, batch.anomalous)


def align(output: DSANetOutput, batch: TrainingBatch) -> Tensor:
    """The top category logits of a video against its labels, which share a weight of 1."""
    logits = top_k_mean(output.category_logits, batch.lengths)
    return functional.cross_entropy(logits, _shares(batch.labels))


def text_separation(output: DSANetOutput, batch: TrainingBatch) -> Tensor:
    """The anomaly categories' text features turn away from the normal one's."""
    text = functional.normalize(output.text_features, dim=-1)
    return (text[NORMAL + 1 :] @ text[NORMAL]).abs().mean()


def event(output: DSANetOutput, batch: TrainingBatch) -> Tensor:
    """What is weighted by the scores is the labelled event."""
    return functional.cross_entropy(output.event_logits.squeeze(1), _smoothed(batch.labels))


def background(output: DSANetOutput, batch: TrainingBatch) -> Tensor:
    """What is weighted by the scores' complement is normal."""
    target = torch.full_like(batch.labels, BACKGROUND_REST)
    target[:, NORMAL] = 1
    return functional.cross_entropy(output.background_logits.squeeze(1), _smoothed(target))


def consistency(output: DSANetOutput, batch: TrainingBatch) -> Tensor:
    """What the normal patterns cannot rebuild has the high scores."""
    cosine = functional.cosine_similarity(output.visual, output.reconstruction, dim=-1)
    error = (torch.sigmoid(output.anomaly_logits).squeeze(-1) - (1 - cosine) / 2).square()
    return error[batch.valid].mean()


def gather(output: DSANetOutput, batch: TrainingBatch) -> Tensor:
    """Every normal snippet has a pattern near it."""
    return output.gather_loss


Loss = Callable[[DSANetOutput, TrainingBatch], Tensor]

LOSSES: dict[str, Loss] = {
    "mil": mil,
    "align": align,
    "text_separation": text_separation,
    "event": event,
    "background": background,
    "consistency": consistency,
    "gather": gather,
}
"""The published losses by name; their weights are the training configuration's."""

NORMALITY_LOSSES = frozenset({"consistency", "gather"})
"""Those that need the normality branch."""


def _shares(labels: Tensor) -> Tensor:
    return labels / labels.sum(dim=1, keepdim=True)


def _smoothed(labels: Tensor) -> Tensor:
    return (1 - SMOOTHING) * _shares(labels) + SMOOTHING / labels.shape[1]
