"""The heads' losses. Each is a function of its own: `(output, TrainingBatch) -> scalar`.

Shapes: B windows, T snippets of a window, C categories (normal first), D 512.
Method: DSANet, section "training objective", as its published code computes it, vectorised over the batch. VadCLIP has
three of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..categories import NORMAL
from ..heads.dsanet import DSANetOutput
from ..heads.output import HeadOutput

TOP_K_SHARE = 16  # a video's score is the mean of its top len / 16 + 1 snippets
SMOOTHING = 0.1  # share of a target spread over all categories
BACKGROUND_REST = 0.01  # weight of every other category where the target is the normal one


Output = DSANetOutput | HeadOutput


@dataclass(frozen=True, slots=True, eq=False)
class TrainingBatch:
    """Windows with video-level labels."""

    features: Tensor
    """(B, T, D) float32, zeros where a window is padded."""
    lengths: Tensor
    """(B,) int64: how many snippets of each window are no padding."""
    labels: Tensor
    """(B, C) float32: 1 for each category that the video shows, which may be several."""

    def __post_init__(self):
        n = len(self.features)
        if self.features.ndim != 3 or self.lengths.shape != (n,) or self.labels.shape[:1] != (n,):
            raise ValueError(
                f"expected features (B, T, D), lengths (B,), labels (B, C), got {tuple(self.features.shape)}, "
                f"{tuple(self.lengths.shape)}, {tuple(self.labels.shape)}"
            )

    @property
    def anomalous(self) -> Tensor:
        """(B,) float32: 1 for an anomalous video, 0 for a normal one."""
        return 1 - self.labels[:, NORMAL]

    def to(self, device: torch.device) -> TrainingBatch:
        """This batch, copied to a device."""
        return TrainingBatch(self.features.to(device), self.lengths.to(device), self.labels.to(device))

    @property
    def valid(self) -> Tensor:
        """(B, T) bool: which snippets are no padding."""
        return torch.arange(self.features.shape[1], device=self.lengths.device) < self.lengths[:, None]


def top_k_mean(values: Tensor, lengths: Tensor) -> Tensor:
    """Mean of each video's largest `int(len / 16 + 1)` values, padding left out.

    Args:
        values: (B, T), or (B, T, C), where the mean is taken of each category by itself.
        lengths: (B,) int, how many values of each video are no padding.

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


def mil(output: Output, batch: TrainingBatch) -> Tensor:
    """Multiple-instance learning: the mean of a video's top scores should say whether the video is anomalous."""
    scores = top_k_mean(torch.sigmoid(output.anomaly_logits).squeeze(-1), batch.lengths)
    return functional.binary_cross_entropy(scores, batch.anomalous)


def align(output: Output, batch: TrainingBatch) -> Tensor:
    """The means of a video's top category logits should give its labels; several labels count 1 together."""
    logits = top_k_mean(output.category_logits, batch.lengths)
    return functional.cross_entropy(logits, _shares(batch.labels))


def text_separation(output: Output, batch: TrainingBatch) -> Tensor:
    """The text features of the anomaly categories should be orthogonal to those of the normal one."""
    text = functional.normalize(output.text_features, dim=-1)
    return (text[NORMAL + 1 :] @ text[NORMAL]).abs().mean()


def event(output: DSANetOutput, batch: TrainingBatch) -> Tensor:
    """The video's features weighted by its scores should look like the labelled categories."""
    return functional.cross_entropy(output.event_logits.squeeze(1), _smoothed(batch.labels))


def background(output: DSANetOutput, batch: TrainingBatch) -> Tensor:
    """The video's features weighted by 1 - score should look like the normal category."""
    target = torch.full_like(batch.labels, BACKGROUND_REST)
    target[:, NORMAL] = 1
    return functional.cross_entropy(output.background_logits.squeeze(1), _smoothed(target))


def consistency(output: DSANetOutput, batch: TrainingBatch) -> Tensor:
    """Scores should be high where the normality branch cannot rebuild a snippet, and low where it can."""
    cosine = functional.cosine_similarity(output.visual, output.reconstruction, dim=-1)
    error = (torch.sigmoid(output.anomaly_logits).squeeze(-1) - (1 - cosine) / 2).square()
    return error[batch.valid].mean()


def gather(output: DSANetOutput, batch: TrainingBatch) -> Tensor:
    """Every normal snippet should have a pattern of the normality branch near it."""
    return output.gather_loss


Loss = Callable[[Output, TrainingBatch], Tensor]

LOSSES: dict[str, Loss] = {
    "mil": mil,
    "align": align,
    "text_separation": text_separation,
    "event": event,
    "background": background,
    "consistency": consistency,
    "gather": gather,
}
"""DSANet's published losses by name; `TrainConfig` has their weights."""

VADCLIP_LOSSES: dict[str, Loss] = {"mil": mil, "align": align, "text_separation": text_separation}
"""VadCLIP's."""

PLAIN_LOSSES: dict[str, Loss] = {"mil": mil}
"""Those of a head that tells no categories apart."""

OWN_LOSSES: dict[str, Loss] = {"mil": mil, "align": align}
"""Those of a head of the user's own that brings none; `align` where it gives category logits."""

NORMALITY_LOSSES = frozenset({"consistency", "gather"})
"""Names of the losses that need the normality branch."""


def _shares(labels: Tensor) -> Tensor:
    return labels / labels.sum(dim=1, keepdim=True)


def _smoothed(labels: Tensor) -> Tensor:
    return (1 - SMOOTHING) * _shares(labels) + SMOOTHING / labels.shape[1]
