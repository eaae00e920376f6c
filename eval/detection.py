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

Shapes: V videos, n snippets of one, C categories, S proposed segments, G true ones.
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
    """Stretches of videos, each of one category; parallel arrays."""

    category: np.ndarray = field(repr=False)
    video: np.ndarray = field(repr=False)
    """(S,) int, indices."""
    start: np.ndarray = field(repr=False)
    end: np.ndarray = field(repr=False)
    """(S,) int, half-open frames."""
    score: np.ndarray | None = field(default=None, repr=False)
    """(S,) float64; None for true ones."""

    def __post_init__(self):
        shapes = {each.shape for each in (self.category, self.video, self.start, self.end)}
        if len(shapes) != 1 or not (self.start < self.end).all():
            raise ValueError(f"expected arrays of one length with start < end, got shapes {shapes}")

    def __len__(self) -> int:
        return len(self.start)


def propose_segments(
    probabilities: Sequence[np.ndarray], n_frames: Sequence[int], *, snippet_len: int | Sequence[int]
) -> Segments:
    """Runs of at least 2 frames above `max - 0.6 (max - min)` of the video's probability of the category.

    A segment scores its highest probability + 0.7 x the video's score, the mean of the top 1/16 of its frames (one at
    least). The published non-maximum suppression (IoU over 0.6, inside a video and category) is left out: runs over
    one threshold never overlap, so it removes nothing. A constant curve proposes nothing.

    Args:
        probabilities: of each video (n, C).
        n_frames: of each video; its last snippet stands for the frames that the others leave.
        snippet_len: frames a snippet, for all or for each video.

    Returns:
        By category, video and start; disjoint within a video and category.
    """
    n_snippets = np.array([len(each) for each in probabilities])
    n_frames, snippet_len = np.asarray(n_frames), np.broadcast_to(snippet_len, n_snippets.shape)
    first = np.cumsum(n_snippets) - n_snippets
    values = np.concatenate(probabilities).T.astype(np.float64, order="C")  # (C, all snippets)
    highest, lowest = np.maximum.reduceat(values, first, axis=1), np.minimum.reduceat(values, first, axis=1)
    above = values > np.repeat(highest - SEGMENT_DEPTH * (highest - lowest), n_snippets, axis=1)
    goes_on = above[:, 1:] & above[:, :-1]
    goes_on[:, first[1:] - 1] = False  # not from one video into the next
    starts, ends = above.copy(), above.copy()
    starts[:, 1:] &= ~goes_on
    ends[:, :-1] &= ~goes_on
    flat_starts = np.flatnonzero(starts)
    category, start = np.divmod(flat_starts, values.shape[1])
    end = np.flatnonzero(ends) % values.shape[1] + 1
    # what follows a run up to the next one is masked: the maximum is the run's own
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
    """By falling score, each segment takes the not yet taken true one of its video and category with the best IoU.

    Args:
        segments: as `propose_segments` gives them. Equal scores keep that order.
        truth: true segments. Of equal IoUs the first in this order is taken.
        thresholds: IoU that a segment must reach.

    Returns:
        order (S,): segments by category, then falling score; hits (thresholds, S): which of them, in that order, take
        a true segment.
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
    """Matched segments of all videos: average precisions for any weighting of the videos."""

    n_categories: int
    """C, of the results; true categories that they lack are numbered from C on."""
    category: np.ndarray = field(repr=False)
    video: np.ndarray = field(repr=False)
    """(S,) by category, then falling score."""
    hits: np.ndarray = field(repr=False)
    """(thresholds, S) bool."""
    truth: Segments = field(repr=False)
    protocol: str

    def average_precisions(self, video_weights: np.ndarray | None = None) -> np.ndarray:
        """AP of each category at each IoU: sum over hits of the precision there / number of true segments.

        Of five segments by falling score, of which the first and the fourth hit, and three true ones: precision is 1/1
        and 2/4 at the hits, AP is (1 + 0.5) / 3 = 0.5. A video that is there twice (`video_weights` 2) is computed as
        if each of its segments stood twice in that order.

        Args:
            video_weights: (V,) int, how often each video is there; copies of a segment follow one another.

        Returns:
            (thresholds, categories) float64; NaN without true segments. Categories unknown to the results come last.
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
        """mAP at each IoU (thresholds,), as the protocol has it.

        `corrected`: mean over the anomaly categories that have truth; one without proposals, or that the results do
        not know, scores 0. None where there is no truth. `official`: mean over all C, those without truth (UCF-Crime's
        normal one) score 0; all is 0 if any of them has no proposed segment.
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
        probabilities: of each video (n, C), the normal category first.
        n_frames: of each video.
        truth: true segments (see `merge_segments` for `corrected`).
        snippet_len: frames a snippet, for all or for each video.
        protocol: `corrected` or `official`; how the mean is taken.
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
    """Mean of the top 1/16 of each video's frames (C, V)."""
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
    """All pairs of one video and category that share frames: segment, true segment, IoU, each (pairs,)."""
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
