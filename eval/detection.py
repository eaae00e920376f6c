"""Temporal localisation: segments from probability curves, matching with the truth, mAP at IoU thresholds.

An example of one video and one category, eight snippets of 16 frames:

    snippet           0    1    2    3    4    5    6    7
    probability      .1   .1   .7   .9   .1   .1   .6   .1     highest .9, lowest .1
    threshold        .9 - 0.6 x (.9 - .1) = .42
    proposed                  [--------]          [---]        frames 32 to 64, scored .9 + 0.7 x .9 = 1.53
                                                               frames 96 to 112, scored .6 + 0.7 x .9 = 1.23
    true                           [---------]                 frames 48 to 80

The video's score, .9, is the mean of the top 1/16 of its 128 frames. The first segment shares 16 frames with the true
one, and both cover 48 together: an IoU of 1/3. At thresholds of .1, .2 and .3 it is a hit, with a precision of 1 there
(it has the highest score), so AP is 1 at those; at .4 and .5 nothing hits and AP is 0. mAP is the mean over categories,
its average the mean over thresholds: 0.6.

Everything is held in flat arrays, for all videos and categories at once. A snippet's probability stands for its
frames, so runs of frames are found as runs of snippets.

Shapes: V videos, n snippets of one video, C categories, S proposed segments, G true segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

IOU_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
SEGMENT_DEPTH = 0.6  # how far below its highest probability, in parts of the range, a segment reaches
MIN_SEGMENT_FRAMES = 2
VIDEO_SCORE_WEIGHT = 0.7
TOP_SHARE = 16  # the video's score is the mean of its top 1/16


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Stretches of videos, each of one category. Position i of all arrays is about segment i."""

    category: np.ndarray = field(repr=False)
    """(S,) int: column of the segment's category."""
    video: np.ndarray = field(repr=False)
    """(S,) int: index of the segment's video."""
    start: np.ndarray = field(repr=False)
    """(S,) int: first frame, from 0."""
    end: np.ndarray = field(repr=False)
    """(S,) int: the frame after the last."""
    score: np.ndarray | None = field(default=None, repr=False)
    """(S,) float64; None for true segments, which have no score."""

    def __post_init__(self):
        shapes = {each.shape for each in (self.category, self.video, self.start, self.end)}
        if len(shapes) != 1 or not (self.start < self.end).all():
            raise ValueError(f"expected arrays of one length with start < end, got shapes {shapes}")

    def __len__(self) -> int:
        return len(self.start)


def propose_segments(
    probabilities: Sequence[np.ndarray], n_frames: Sequence[int], *, snippet_len: int | Sequence[int]
) -> Segments:
    """Propose segments: runs of at least 2 frames whose probability of a category is high for their video.

    High means above `max - 0.6 (max - min)` of that category's probabilities in the video. A segment's score is its
    highest probability + 0.7 x the video's score, which is the mean of the top 1/16 of the video's frames (at least
    one frame). The published non-maximum suppression (IoU over 0.6, inside a video and category) is left out: runs
    over one threshold never overlap, so it removes nothing. A constant curve proposes nothing.

    Args:
        probabilities: for each video (n, C).
        n_frames: for each video; its last snippet stands for all frames that the other snippets leave.
        snippet_len: frames of a snippet, one number for all videos or one for each.

    Returns:
        Segments sorted by category, video and start; those of one video and category do not overlap.
    """
    n_snippets = np.array([len(each) for each in probabilities])
    n_frames, snippet_len = np.asarray(n_frames), np.broadcast_to(snippet_len, n_snippets.shape)
    first = np.cumsum(n_snippets) - n_snippets
    values = np.concatenate(probabilities).T.astype(np.float64, order="C")  # (C, all snippets)
    highest, lowest = np.maximum.reduceat(values, first, axis=1), np.minimum.reduceat(values, first, axis=1)
    above = values > np.repeat(highest - SEGMENT_DEPTH * (highest - lowest), n_snippets, axis=1)
    goes_on = above[:, 1:] & above[:, :-1]
    goes_on[:, first[1:] - 1] = False  # no run goes from one video into the next
    starts, ends = above.copy(), above.copy()
    starts[:, 1:] &= ~goes_on
    ends[:, :-1] &= ~goes_on
    flat_starts = np.flatnonzero(starts)
    category, start = np.divmod(flat_starts, values.shape[1])
    end = np.flatnonzero(ends) % values.shape[1] + 1
    # reduceat also takes in what lies between this run and the next: masked, the maximum is the run's own
    peak = np.maximum.reduceat(np.where(above, values, -np.inf).ravel(), flat_starts) if len(start) else np.empty(0)
    video = np.searchsorted(first, start, side="right") - 1
    is_last = end == first[video] + n_snippets[video]
    start = (start - first[video]) * snippet_len[video]
    end = np.where(is_last, n_frames[video], (end - first[video]) * snippet_len[video])
    score = peak + VIDEO_SCORE_WEIGHT * _video_scores(values, first, n_snippets, n_frames, snippet_len)[category, video]
    keep = end - start >= MIN_SEGMENT_FRAMES
    return Segments(category[keep], video[keep], start[keep], end[keep], score[keep])


def match_segments(
    segments: Segments, truth: Segments, thresholds: Sequence[float] = IOU_THRESHOLDS
) -> tuple[np.ndarray, np.ndarray]:
    """Give true segments to proposed ones: a proposed segment that gets one is a hit.

    Segments choose by falling score. Each takes, of its own video and category, the true segment with the highest IoU
    that no earlier segment has taken.

    Args:
        segments: as `propose_segments` gives them. Segments of equal score choose in that order.
        truth: true segments. Of two with the same IoU the first in this order is taken.
        thresholds: IoUs at which to match; a segment only takes a true segment with at least that IoU.

    Returns:
        order (S,): indices of the segments by category, then falling score; hits (thresholds, S) bool: which segments,
        in that order, are hits.
    """
    order = np.lexsort((-segments.score, segments.category))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    hits = np.zeros((len(thresholds), len(order)), bool)
    one, other, iou = _overlaps(segments, truth)
    by_rank = np.lexsort((other, -iou, rank[one]))
    one, other, iou = rank[one][by_rank], other[by_rank], iou[by_rank]
    for hit, threshold in zip(hits, thresholds, strict=True):
        enough = iou >= threshold
        taken, served = set(), set()
        for segment, true_segment in zip(one[enough].tolist(), other[enough].tolist(), strict=True):
            if segment not in served and true_segment not in taken:
                served.add(segment)
                taken.add(true_segment)
        hit[list(served)] = True
    return order, hits


@dataclass(frozen=True, slots=True, eq=False)
class Localisation:
    """Proposed segments of all videos, matched with the true ones; gives precisions for any weighting of the videos."""

    n_categories: int
    """C, the categories of the results; true categories that the results lack are numbered from C on."""
    category: np.ndarray = field(repr=False)
    """(S,) int: column of each segment's category; segments are sorted by category, then falling score."""
    video: np.ndarray = field(repr=False)
    """(S,) int: index of each segment's video, in the same order."""
    hits: np.ndarray = field(repr=False)
    """(thresholds, S) bool: which segments take a true one, in the same order."""
    truth: Segments = field(repr=False)
    protocol: str
    """`corrected` or `official`: how `mean_average_precision` takes its mean."""

    def average_precisions(self, video_weights: np.ndarray | None = None) -> np.ndarray:
        """AP of each category at each IoU: the precisions at all hits, added, divided by the number of true segments.

        For example five segments by falling score, of which the first and the fourth are hits, and three true ones:
        precision is 1/1 and 2/4 at the hits, AP is (1 + 0.5) / 3 = 0.5. A video of weight 2 is computed as if each of
        its segments stood twice in that order, one copy after the other.

        Args:
            video_weights: (V,) int, how often each video counts; None: once.

        Returns:
            (thresholds, categories) float64; NaN for a category without true segments. Categories that the results do
            not know come last.
        """
        n_categories = max(self.n_categories, int(self.truth.category.max(initial=-1)) + 1)
        n_copies = np.ones(len(self.video), np.int64) if video_weights is None else video_weights[self.video]
        n_true = np.bincount(
            self.truth.category,
            weights=None if video_weights is None else video_weights[self.truth.video],
            minlength=n_categories,
        ).astype(np.float64)
        before = np.cumsum(n_copies) - n_copies  # segments sorted before each, whatever their category
        of_category = np.append(before, n_copies.sum())[np.searchsorted(self.category, np.arange(n_categories))]
        found = np.empty((len(self.hits), n_categories))
        for row, hit in zip(found, self.hits, strict=True):
            at = np.flatnonzero(hit)
            category, copies = self.category[at], n_copies[at]
            hits_before = np.cumsum(copies) - copies
            first_hit = np.append(hits_before, copies.sum())[np.searchsorted(category, np.arange(n_categories))]
            copy = 1 + np.arange(copies.sum()) - np.repeat(hits_before, copies)
            n_hits = np.repeat(hits_before - first_hit[category], copies) + copy
            n_taken = np.repeat(before[at] - of_category[category], copies) + copy
            row[:] = np.bincount(np.repeat(category, copies), weights=n_hits / n_taken, minlength=n_categories)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(n_true > 0, found / n_true, np.nan)

    def mean_average_precision(self, video_weights: np.ndarray | None = None) -> np.ndarray | None:
        """mAP at each IoU, (thresholds,) float64: the mean of the categories' APs, as the protocol takes it.

        `corrected`: mean over the anomaly categories that have true segments; one without proposed segments, or that
        the results do not know, counts as 0. None where no category has true segments. `official`: mean over all C
        categories, where those without true segments (UCF-Crime's normal one) count as 0; if any category has no
        proposed segment, mAP is 0 at every IoU.

        Args:
            video_weights: (V,) int, how often each video counts; None: once.
        """
        precisions = self.average_precisions(video_weights)
        if self.protocol == "official":
            n_proposed = np.bincount(
                self.category,
                weights=None if video_weights is None else video_weights[self.video],
                minlength=self.n_categories,
            )
            if not n_proposed.all():
                return np.zeros(len(precisions))
            return np.nan_to_num(precisions[:, : self.n_categories]).mean(axis=1)
        anomalies = precisions[:, 1:]  # a normal stretch is no event
        counted = ~np.isnan(anomalies[0])
        return anomalies[:, counted].mean(axis=1) if counted.any() else None


def localise(
    probabilities: Sequence[np.ndarray],
    n_frames: Sequence[int],
    truth: Segments,
    *,
    snippet_len: int | Sequence[int],
    protocol: str,
) -> Localisation:
    """Propose segments and match them with the truth.

    Args:
        probabilities: for each video (n, C), the normal category first.
        n_frames: for each video.
        truth: true segments; `corrected` wants them as `merge_segments` gives them.
        snippet_len: frames of a snippet, one number for all videos or one for each.
        protocol: `corrected` or `official`: how `mean_average_precision` takes its mean.
    """
    segments = propose_segments(probabilities, n_frames, snippet_len=snippet_len)
    order, hits = match_segments(segments, truth)
    n_categories = probabilities[0].shape[1]
    return Localisation(n_categories, segments.category[order], segments.video[order], hits, truth, protocol)


def merge_segments(truth: Segments, n_frames: Sequence[int]) -> Segments:
    """Clip true segments to their videos and join those of one video and category that overlap or touch."""
    n_frames = np.asarray(n_frames)
    merged: list[list[int]] = []
    for index in np.lexsort((truth.start, truth.video, truth.category)):
        category, video, start = (int(each[index]) for each in (truth.category, truth.video, truth.start))
        end = min(int(truth.end[index]), int(n_frames[video]))
        if merged and merged[-1][:2] == [category, video] and start <= merged[-1][3]:
            merged[-1][3] = max(merged[-1][3], end)
        elif start < end:
            merged.append([category, video, start, end])
    return Segments(*np.array(merged, np.int64).reshape(-1, 4).T)


def _video_scores(
    values: np.ndarray, first: np.ndarray, n_snippets: np.ndarray, n_frames: np.ndarray, snippet_len: np.ndarray
) -> np.ndarray:
    """The score of each video for each category: mean probability of its top 1/16 of frames, (C, V) float64."""
    scores = np.empty((len(values), len(first)))
    for video, (start, n, frames, length) in enumerate(
        zip(first.tolist(), n_snippets.tolist(), n_frames.tolist(), snippet_len.tolist(), strict=True)
    ):
        top = max(1, frames // TOP_SHARE)
        block = values[:, start : start + n]
        if frames == n * length:
            n_top = -(-top // length)
            best = np.partition(block, n - n_top, axis=1)[:, n - n_top :]
            surplus = n_top * length - top  # frames of the lowest of these that are not in the top
            scores[:, video] = (best.sum(axis=1) * length - best.min(axis=1) * surplus) / top
        else:  # the last snippet stands for more or fewer frames
            order = np.argsort(-block, axis=1, kind="stable")
            weights = np.full(n, length)
            weights[-1] = frames - (n - 1) * length
            weights = weights[order]
            used = np.clip(top - (np.cumsum(weights, axis=1) - weights), 0, weights)
            scores[:, video] = (np.take_along_axis(block, order, axis=1) * used).sum(axis=1) / top
    return scores


def _overlaps(segments: Segments, truth: Segments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of a proposed and a true segment of one video and category that share frames.

    Returns:
        Index of the proposed segment, index of the true one, and their IoU, each (pairs,).
    """
    far = 1 + int(max(segments.end.max(initial=0), truth.end.max(initial=0)))
    n_videos = 1 + int(max(segments.video.max(initial=0), truth.video.max(initial=0)))
    place, true_place = (far * (each.category * n_videos + each.video) for each in (segments, truth))
    # within a video and category segments are disjoint and ascend, so those that meet a true one are neighbours
    low = np.searchsorted(place + segments.end, true_place + truth.start, side="right")
    high = np.searchsorted(place + segments.start, true_place + truth.end, side="left")
    n_met = np.maximum(high - low, 0)
    true_index = np.repeat(np.arange(len(truth)), n_met)
    index = np.arange(n_met.sum()) - np.repeat(np.cumsum(n_met) - n_met, n_met) + np.repeat(low, n_met)
    common = np.minimum(segments.end[index], truth.end[true_index])
    common = common - np.maximum(segments.start[index], truth.start[true_index])
    lengths = segments.end - segments.start
    union = lengths[index] + (truth.end - truth.start)[true_index] - common
    return index, true_index, common / union
