"""What a head gives for a batch of windows in training: what losses read."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class HeadOutput:
    """Logits, and what they were made from where the head has it. DSANet gives more: `DSANetOutput`.

    Shapes: B windows, T snippets of a window, C categories (normal first), D width.
    """

    anomaly_logits: Tensor
    """(B, T, 1); their sigmoid is the anomaly score."""
    category_logits: Tensor | None = None
    """(B, T, C): how well each snippet fits each category; None of a head that knows no categories."""
    text_features: Tensor | None = None
    """(C, D): VadCLIP's, not normalised."""
    visual: Tensor | None = None
    """(B, T, D): VadCLIP's, from which the logits are computed."""
