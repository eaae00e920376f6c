"""What category each event has at any threshold at all, in one small table, so that the page needs no probabilities.

A *cell* is a stretch of frames with one score: a snippet, or a frame where scores vary inside snippets. While the
threshold falls, cells join the events one after the other, and an event only ever grows or joins another. So every
event that any threshold can give is known by the last cell that joined it: the lowest one in it. The table says for
each cell what the event was that it completed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vad_pipeline.model.curve import TIME_TOLERANCE_SECONDS, AnomalyCurve, event_between

CLOSE = 1e-9  # means of two categories this near are computed again, exactly as `find_events` does


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The scores of a curve, each stretch of one score once."""

    scores: np.ndarray = field(repr=False)
    """(n,) float32."""
    length: int
    """Frames of a cell; the last one lasts to the end of the video."""

    def edges(self, n_frames: int) -> np.ndarray:
        """(n + 1,) int64: the frame each cell begins with, then the number of frames."""
        return np.append(np.arange(len(self.scores)) * self.length, n_frames)


@dataclass(frozen=True, slots=True, eq=False)
class EventTable:
    """Of the event that each cell completes."""

    column: np.ndarray = field(repr=False)
    """(n,) uint8: its category."""
    probability: np.ndarray = field(repr=False)
    """(n,) float64: the mean of that category over its frames."""


def cells_of(curve: AnomalyCurve) -> Cells:
    """A curve's scores by snippet, or by frame where they vary inside one."""
    n, length = len(curve.category), curve.snippet_len
    scores = curve.scores[: n * length : length]
    if len(scores) == n:
        snippet = np.minimum(np.arange(curve.n_frames) // length, n - 1)
        if np.array_equal(scores[snippet], curve.scores):
            return Cells(scores, length)
    return Cells(curve.scores, 1)


def event_table(curve: AnomalyCurve, cells: Cells, *, merge_gap_seconds: float) -> EventTable:
    """Category and probability of every event that `find_events` can give with this merge gap."""
    edges = cells.edges(curve.n_frames)
    first, last = _completed(cells.scores, curve.frame_seconds, edges, merge_gap_seconds)
    starts, ends = edges[first], edges[last + 1]
    mean = (_sums_before(curve, ends) - _sums_before(curve, starts))[:, 1:] / (ends - starts)[:, None]
    column = 1 + mean.argmax(axis=1)
    probability = mean.max(axis=1)
    if mean.shape[1] > 1:
        two = np.partition(mean, -2, axis=1)[:, -2:]
        margin = two[:, 1] - two[:, 0]
        for cell in np.flatnonzero((margin > 0) & (margin < CLOSE)):
            column[cell] = curve.categories.index(event_between(curve, int(starts[cell]), int(ends[cell])).category)
    return EventTable(column.astype(np.uint8), probability)


def _sums_before(curve: AnomalyCurve, frames: np.ndarray) -> np.ndarray:
    """(len(frames), C) float64: probabilities summed over all frames before each of `frames`."""
    n, length = len(curve.category), curve.snippet_len
    category = curve.category.astype(np.float64)
    before = np.concatenate([np.zeros((1, category.shape[1])), np.cumsum(category[:-1] * length, axis=0)])
    snippet = np.minimum(frames // length, n - 1)
    return before[snippet] + (frames - snippet * length)[:, None] * category[snippet]


def _completed(
    scores: np.ndarray, frame_seconds: np.ndarray, edges: np.ndarray, merge_gap_seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """First and last cell of the event that each cell completes, (n,) int64 each."""
    order = np.argsort(-scores, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    before, after = _nearest_earlier(rank.tolist()), _nearest_earlier(rank[::-1].tolist())[::-1]
    n = len(scores)
    after = [n - 1 - cell if cell >= 0 else -1 for cell in after]
    starts, ends = frame_seconds[edges[:-1]].tolist(), frame_seconds[np.minimum(edges[1:], edges[-1] - 1)].tolist()
    apart = merge_gap_seconds - TIME_TOLERANCE_SECONDS
    parent, low, high = list(range(n)), list(range(n)), list(range(n))

    def root(cell: int) -> int:
        while parent[cell] != cell:
            parent[cell] = parent[parent[cell]]
            cell = parent[cell]
        return cell

    def join(left: int, right: int) -> None:
        """Where nothing that scores as high lies between the two, and they are not apart."""
        if right - left > 1 and starts[right] - ends[left] >= apart:
            return
        one, other = root(left), root(right)
        parent[one] = other
        low[other], high[other] = min(low[one], low[other]), max(high[one], high[other])

    first, last = np.empty(n, np.int64), np.empty(n, np.int64)
    for group in np.split(order, np.flatnonzero(np.diff(scores[order])) + 1):
        cells = group.tolist()
        for cell in cells:
            if before[cell] >= 0:
                join(before[cell], cell)
            if after[cell] >= 0:
                join(cell, after[cell])
        for cell in cells:
            top = root(cell)
            first[cell], last[cell] = low[top], high[top]
    return first, last


def _nearest_earlier(rank: list[int]) -> list[int]:
    """For each place the nearest one to its left with a smaller rank, -1 where there is none."""
    found, waiting = [], []
    for place, value in enumerate(rank):
        while waiting and rank[waiting[-1]] > value:
            waiting.pop()
        found.append(waiting[-1] if waiting else -1)
        waiting.append(place)
    return found
