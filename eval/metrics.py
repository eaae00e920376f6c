"""ROC and precision-recall figures, with weights. Items of equal score are taken together, as one step of the curve.

Shapes: N items (frames, or runs of equal frames with their lengths as weights), K distinct scores.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

FALSE_POSITIVE_RATE = 0.02  # recall is reported at this rate
ROUNDING = 1e-9  # added to a rate, so that rounding of rate times count excludes no threshold


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Items by falling score, sorted once: figures for many weightings of the same items cost a sum each."""

    order: np.ndarray = field(repr=False)
    """(N,) int: indices of the items, from the highest score down."""
    positive: np.ndarray = field(repr=False)
    """(N,) bool: which items are positive, in that order."""
    last: np.ndarray = field(repr=False)
    """(K,) int: position, in that order, of the last item of each distinct score."""

    @classmethod
    def of(cls, scores: np.ndarray, positive: np.ndarray) -> Ranking:
        """Sort items by score.

        Args:
            scores: (N,).
            positive: (N,) bool.

        Raises:
            ValueError: shapes differ, or a score is not a number.
        """
        scores, positive = np.asarray(scores), np.asarray(positive, bool)
        if scores.ndim != 1 or scores.shape != positive.shape or np.isnan(scores).any():
            raise ValueError(f"expected scores (N,) and positive (N,), got {scores.shape} and {positive.shape} or NaN")
        order = np.argsort(-scores, kind="stable")
        ordered = scores[order]
        last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(order) else order
        return cls(order, positive[order], last)

    def counts(self, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """True and false positives if a distinct score were the threshold, from the highest score down.

        Args:
            weights: (N,) >= 0, how often each item counts, in the ranking's order (`weights[ranking.order]`); None:
                once.

        Returns:
            Weighted numbers of positive and of negative items at or over each distinct score, (K,), (K,) float64.
        """
        weights = np.ones(len(self.order)) if weights is None else weights
        true_positives = np.cumsum(weights * self.positive, dtype=np.float64)[self.last]
        return true_positives, np.cumsum(weights, dtype=np.float64)[self.last] - true_positives


def _counts(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    ranking = Ranking.of(scores, positive)
    return ranking.counts(None if weights is None else np.asarray(weights)[ranking.order])


def area_under_roc(true_positives: np.ndarray, false_positives: np.ndarray) -> float | None:
    """Area under the ROC curve by trapezoids, from `Ranking.counts`; None without both positives and negatives."""
    if not len(true_positives) or not true_positives[-1] or not false_positives[-1]:
        return None
    widths = np.diff(false_positives, prepend=0)
    heights = true_positives - np.diff(true_positives, prepend=0) / 2
    return float(widths @ heights / (true_positives[-1] * false_positives[-1]))


def precision_sum(true_positives: np.ndarray, false_positives: np.ndarray) -> float | None:
    """Average precision from `Ranking.counts`: sum of (recall gained x precision); None without positives."""
    if not len(true_positives) or not true_positives[-1]:
        return None
    steps = np.diff(true_positives, prepend=0)
    precision = true_positives / np.maximum(true_positives + false_positives, np.finfo(np.float64).tiny)
    return float(steps @ precision / true_positives[-1])


def roc_auc(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> float | None:
    """Area under the ROC curve: the chance that a positive scores over a negative, ties counting half.

    Args:
        scores: (N,).
        positive: (N,) bool.
        weights: (N,) >= 0, how often each item counts; None: once.

    Returns:
        0 to 1; None where one class is missing.
    """
    return area_under_roc(*_counts(scores, positive, weights))


def average_precision(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> float | None:
    """Average precision, sum over distinct scores of (recall gained x precision), without interpolation.

    Args:
        scores: (N,).
        positive: (N,) bool.
        weights: (N,) >= 0, how often each item counts; None: once.

    Returns:
        0 to 1; None where nothing is positive.
    """
    return precision_sum(*_counts(scores, positive, weights))


def recall_at_false_positive_rate(
    scores: np.ndarray,
    positive: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    rate: float = FALSE_POSITIVE_RATE,
) -> float | None:
    """The largest share of positives found by a threshold that takes at most `rate` of the negatives for positive.

    Thresholds are the scores themselves: nothing is interpolated between them.

    Returns:
        0 to 1, 0 where already the highest score exceeds the rate; None where one class is missing.
    """
    return recall_within(*_counts(scores, positive, weights), rate=rate)


def recall_within(
    true_positives: np.ndarray, false_positives: np.ndarray, *, rate: float = FALSE_POSITIVE_RATE
) -> float | None:
    """The same as `recall_at_false_positive_rate`, computed from `Ranking.counts`."""
    if not len(true_positives) or not true_positives[-1] or not false_positives[-1]:
        return None
    allowed = false_positives <= (rate + ROUNDING) * false_positives[-1]
    return float(true_positives[allowed].max(initial=0) / true_positives[-1])
