"""What is known of single snippets beside the labels of whole videos, and the loss that learns it.

A range that was marked real is a bag of its own: its top snippets must score high, the others may be anything, since
whoever marks a range leaves some room around what happens. Where nothing happened every snippet must score low. Each
range counts the same, however long it is.

Shapes: B windows, T snippets of a window, R ranges, C categories (normal first).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..categories import NORMAL

REAL_TOP = 2  # of a real range its top len / 2 + 1 snippets count


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """Ranges of a batch's snippets of which somebody said what they are; no snippet is in two."""

    number: Tensor
    """(B, T) int64: from 1, the number of the range that a snippet is in; 0: nobody said anything of it."""
    columns: Tensor
    """(R, C) float32: 1 for each category that a range shows, the normal one where nothing happened; all 0 where it is
    real and its category is not known."""

    def __post_init__(self):
        if self.number.ndim != 2 or self.columns.ndim != 2 or int(self.number.max()) > len(self.columns):
            found = tuple(self.number.shape), tuple(self.columns.shape)
            raise ValueError(f"expected numbers (B, T) up to R and columns (R, C), got {found}")

    def each(self) -> Iterator[tuple[Tensor, Tensor, bool]]:
        """Of each range that has snippets: which these are, (B, T) bool, its columns (C,), whether nothing happened."""
        quiet = (self.columns[:, NORMAL] > 0).tolist()
        for index, columns in enumerate(self.columns):
            inside = self.number == index + 1
            if inside.any():
                yield inside, columns, quiet[index]


def marked_loss(anomaly_logits: Tensor, category_logits: Tensor | None, marked: Marked) -> Tensor:
    """Mean over real ranges plus mean over those where nothing happened; 0 without ranges.

    Args:
        anomaly_logits: (B, T, 1).
        category_logits: (B, T, C); None of a head that knows no categories.
        marked: the ranges.

    Returns:
        A scalar.
    """
    anomaly = anomaly_logits.squeeze(-1)
    of_kind: dict[bool, list[Tensor]] = {True: [], False: []}
    for inside, columns, quiet in marked.each():
        of_kind[quiet].append(_quiet(anomaly[inside]) if quiet else _real(anomaly[inside]))
        if category_logits is not None and (columns > 0).any():
            of_kind[quiet][-1] = of_kind[quiet][-1] + _category(category_logits[inside], columns, quiet)
    means = [torch.stack(values).mean() for values in of_kind.values() if values]
    return sum(means) if means else anomaly.sum() * 0


def _quiet(logits: Tensor) -> Tensor:
    """Of (n,) logits where nothing happened: the mean of all, and the worst of them once more."""
    each = functional.softplus(logits)
    return (each.mean() + each.max()) / 2


def _real(logits: Tensor) -> Tensor:
    top = torch.sigmoid(logits).topk(len(logits) // REAL_TOP + (len(logits) % REAL_TOP > 0)).values
    return functional.binary_cross_entropy(top.mean(), torch.ones_like(top[0]))


def _category(logits: Tensor, columns: Tensor, quiet: bool) -> Tensor:
    """Of (n, C) logits: where nothing happened each snippet is normal; else the top ones show the categories."""
    target = columns / columns.sum()
    if quiet:
        return functional.cross_entropy(logits, target.expand_as(logits))
    top = logits.topk(len(logits) // REAL_TOP + (len(logits) % REAL_TOP > 0), dim=0).values.mean(dim=0)
    return functional.cross_entropy(top, target)
