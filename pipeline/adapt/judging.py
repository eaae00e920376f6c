"""Judges one model against another on reviewed videos: false alarms at the same recall, recall at the same false
alarms, average precision, each with an interval from drawing other videos of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vad_pipeline.eval.bootstrap import N_RESAMPLES, interval, video_draws
from vad_pipeline.eval.metrics import average_precision
from vad_pipeline.eval.thresholds import SECONDS_PER_HOUR
from vad_pipeline.model.curve import AnomalyCurve, event_ranges

MOST_THRESHOLDS = 400
EXACT = 1e-9  # a share is reached where no more than rounding is missing

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Reviewed:
    """A reviewed video: what it scores, and what its frames are taken for."""

    curve: AnomalyCurve
    truth: np.ndarray
    """(F,) int8: 1 real, 0 not, -1 nobody knows."""
    real: tuple[tuple[int, int], ...]
    """The ranges that were marked real, half-open frames."""


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """What each of K thresholds, ascending, gives on each of V videos."""

    thresholds: np.ndarray
    """(K,)."""
    false_alarms: np.ndarray
    """(V, K): events without a frame that is real or that nobody knows."""
    found: np.ndarray
    """(V, K): real ranges with a frame at the threshold or over it."""
    n_real: np.ndarray
    """(V,)."""
    hours: np.ndarray
    """(V,): footage that is not real."""

    def recall(self, weights: np.ndarray) -> np.ndarray:
        """Share of the real ranges found at each threshold, (K,); each video counts as often as its weight says."""
        return weights @ self.found / max(weights @ self.n_real, EXACT)

    def rate(self, weights: np.ndarray) -> np.ndarray:
        """False alarms an hour at each threshold, (K,)."""
        return weights @ self.false_alarms / max(weights @ self.hours, EXACT)


def counted(videos: Sequence[Reviewed], *, merge_gap_seconds: float, also: Sequence[float] = ()) -> Counted:
    """Count false alarms and real ranges found at many thresholds.

    Args:
        videos: at least one.
        merge_gap_seconds: events closer than this are one.
        also: thresholds that are counted whatever the videos score.
    """
    peaks = [[each.curve.scores[start:end].max() for start, end in each.real] for each in videos]
    scores = np.unique(np.concatenate([each.curve.scores for each in videos]))
    chosen = scores[np.unique(np.linspace(0, len(scores) - 1, MOST_THRESHOLDS).round().astype(int))]
    thresholds = np.unique(np.concatenate([chosen, *peaks, np.asarray(also, np.float32)]).astype(np.float32))
    alarms = [[_alarms(each, float(t), merge_gap_seconds) for t in thresholds] for each in videos]
    found = [(np.asarray(peak, np.float32)[:, None] >= thresholds).sum(axis=0) for peak in map(_column, peaks)]
    hours = [_hours(each) for each in videos]
    n_real = np.array([len(each.real) for each in videos])
    return Counted(thresholds, np.array(alarms), np.array(found), n_real, np.array(hours))


def _column(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, np.float32)


def _alarms(video: Reviewed, threshold: float, merge_gap_seconds: float) -> int:
    ranges = event_ranges(video.curve, threshold=threshold, merge_gap_seconds=merge_gap_seconds)
    return sum(bool((video.truth[start:end] == 0).all()) for start, end in ranges)


def _hours(video: Reviewed) -> float:
    seconds = video.curve.frame_ends() - video.curve.frame_seconds
    return float(seconds[video.truth == 0].sum()) / SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure of both models. Each is a value; the interval is of their difference, after less before."""

    name: str
    before: float
    after: float
    low: float
    high: float

    def __str__(self) -> str:
        change = f"{self.after - self.before:+.3g} ({self.low:+.3g} to {self.high:+.3g})"
        return f"{self.name}: {self.before:.3g} before, {self.after:.3g} after, {change}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of comparing two models on the same reviewed videos."""

    alarms: Figure
    """False alarms an hour at the recall that the old threshold has."""
    recall: Figure
    """Recall at the false alarms an hour that the old threshold has."""
    precision: Figure
    """Average precision over frames."""
    recall_before: float
    threshold: float
    """The threshold by which the new model has that recall: see `_threshold`."""

    @property
    def figures(self) -> tuple[Figure, Figure, Figure]:
        """All three."""
        return self.alarms, self.recall, self.precision

    @property
    def is_better(self) -> bool:
        """Whether there are surely fewer false alarms, and average precision is no lower."""
        return self.alarms.high < 0 and self.precision.after >= self.precision.before

    @property
    def may_be_better(self) -> bool:
        """Whether it looks better, but so few marks cannot tell."""
        return self.alarms.after < self.alarms.before and not self.is_better


def judge(
    before: Sequence[Reviewed], after: Sequence[Reviewed], *, threshold: float, merge_gap_seconds: float
) -> Judgement:
    """Compare two models on the same videos, in the same order.

    Args:
        before: scored by the old model.
        after: scored by models that have not learned from the marks of the video that they score.
        threshold: of the old model.
        merge_gap_seconds: events closer than this are one.
    """
    old = counted(before, merge_gap_seconds=merge_gap_seconds, also=[threshold])
    new = counted(after, merge_gap_seconds=merge_gap_seconds)
    at = int(np.searchsorted(old.thresholds, np.float32(threshold)))
    draws = [np.ones(len(before)), *video_draws(len(before), n_resamples=N_RESAMPLES)]
    alarms, recalls = [], []
    for weights in draws:
        recall, rate = old.recall(weights)[at], old.rate(weights)[at]
        reached = np.flatnonzero(new.recall(weights) >= recall - EXACT)
        allowed = new.rate(weights) <= rate + EXACT
        alarms.append((rate, new.rate(weights)[reached[-1]] if len(reached) else np.nan))
        recalls.append((recall, new.recall(weights)[allowed].max(initial=0.0)))
    precisions = _precisions(before, after, draws)
    recall = float(old.recall(draws[0])[at])
    return Judgement(
        _figure(f"false alarms an hour at recall {recall:.2f}", alarms),
        _figure(f"recall at {alarms[0][0]:.3g} false alarms an hour", recalls),
        _figure("average precision of frames", precisions),
        recall,
        _threshold(new, recall),
    )


def _figure(name: str, pairs: Sequence[Pair]) -> Figure:
    low, high = interval([after - before for before, after in pairs[1:]]) or (-np.inf, np.inf)
    return Figure(name, float(pairs[0][0]), float(pairs[0][1]), low, high)


def _precisions(before: Sequence[Reviewed], after: Sequence[Reviewed], draws: Sequence[np.ndarray]) -> list[Pair]:
    """Average precision of both over the snippets of which something is known, for each draw of videos."""
    known = [each.truth[:: each.curve.snippet_len] for each in before]
    video = np.concatenate([np.full((row >= 0).sum(), index) for index, row in enumerate(known)])
    truth = np.concatenate([row[row >= 0] for row in known]) == 1
    scores = [
        np.concatenate([e.curve.scores[:: e.curve.snippet_len][row >= 0] for e, row in zip(videos, known, strict=True)])
        for videos in (before, after)
    ]
    pairs = []
    for weights in draws:
        values = [average_precision(each, truth, weights[video]) for each in scores]
        pairs.append(tuple(np.nan if value is None else value for value in values))
    return pairs


def _threshold(counts: Counted, recall: float) -> float:
    """The threshold for a recall: halfway from the highest one that has it to the lowest that costs no more alarms.

    Between the two nothing that is known changes; the middle leaves room for real events that score a little less, and
    for false alarms that score a little more, than those that were marked.
    """
    weights = np.ones(len(counts.hours))
    reached = np.flatnonzero(counts.recall(weights) >= recall - EXACT)
    top = int(reached[-1])
    rates = counts.rate(weights)
    low = top
    while low > 0 and rates[low - 1] <= rates[top] + EXACT:
        low -= 1
    return float((counts.thresholds[low] + counts.thresholds[top]) / 2)
