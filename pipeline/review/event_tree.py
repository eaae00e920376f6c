"""Makes a small table of the category of every event at every threshold, so that the page needs no probabilities.

A *cell* is a stretch of frames with one score: a snippet, or a frame where scores vary inside snippets. A gap in the
footage cuts the cell that it lies in into two. While the threshold falls, cells join the events one after the other,
and an event only ever grows or joins another. So every event that any threshold can give is known by the last cell that
joined it: the lowest one in it. The table says for each cell what the event was that it completed.

An example: five cells of one second, events closer than 1.5 s are one.

    cell              0     1     2     3     4
    score            .2    .9    .5    .1    .7

    cell 1 comes            1..1
    cell 4 comes            1..1              4..4    two events: 2 s lie between them
    cell 2 comes            1 . . . . . . . . 4       it grows to 1..2; what lies before 4 is 1 s now: they are one
    cell 0 comes      0 . . . . . . . . . . . 4
    cell 3 comes      0 . . . . . . . . . . . 4

    completed        0..4  1..1  1..4  0..4  4..4

At a threshold of .3 there is one event, cells 1 to 4; its lowest cell that reaches .3 is cell 2, and what cell 2
completed is 1..4: the table's category for cell 2 is the event's. (Cell 3 lies in it too, but is below the threshold.)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vad_pipeline.model.curve import TIME_TOLERANCE_SECONDS, AnomalyCurve, event_between

CLOSE = 1e-9  # if the means of two categories differ less, they are computed again exactly as `find_events` does


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The scores of a curve, with one value for each cell (see the top of this file)."""

    scores: np.ndarray = field(repr=False)
    """(n,) float32."""
    length: int
    """Frames of a cell that no gap cuts; the last cell lasts to the end of the video."""
    cuts: tuple[int, ...] = ()
    """Frames that begin a cell only because there is a gap in the footage before them."""

    def edges(self, n_frames: int) -> np.ndarray:
        """The first frame of each cell, then the number of frames: (n + 1,) int64."""
        whole = np.arange(len(self.scores) - len(self.cuts)) * self.length
        return np.append(np.sort(np.append(whole, self.cuts).astype(np.int64)), n_frames)


@dataclass(frozen=True, slots=True, eq=False)
class EventTable:
    """For each cell, category and probability of the event that it completes (see the top of this file)."""

    column: np.ndarray = field(repr=False)
    """(n,) uint8: position of the event's category."""
    probability: np.ndarray = field(repr=False)
    """(n,) float64: mean probability of that category over the event's frames."""


def cells_of(curve: AnomalyCurve) -> Cells:
    """Divide a curve into cells: its snippets, or its frames where scores vary inside snippets."""
    n, length = len(curve.category), curve.snippet_len
    scores = curve.scores[: n * length : length]
    if len(scores) == n:
        snippet = np.minimum(np.arange(curve.n_frames) // length, n - 1)
        if np.array_equal(scores[snippet], curve.scores):
            starts = {index * length for index in range(n)}
            cuts = tuple(gap.frame for gap in curve.gaps if gap.frame not in starts)
            places = np.searchsorted(np.arange(n) * length, cuts)
            return Cells(np.insert(scores, places, curve.scores[list(cuts)]), length, cuts)
    return Cells(curve.scores, 1)


def event_table(curve: AnomalyCurve, cells: Cells, *, merge_gap_seconds: float) -> EventTable:
    """Category and probability of every event that `find_events` can give with this merge gap.

    Args:
        curve: the curve of one video.
        cells: the cells of the curve.
        merge_gap_seconds: events closer than this are one.
    """
    edges = cells.edges(curve.n_frames)
    began, over = curve.frame_seconds[edges[:-1]], curve.frame_ends()[edges[1:] - 1]
    first, last = completed_events(cells.scores, began, over, merge_gap_seconds)
    starts, ends = edges[first], edges[last + 1]
    mean = (_sums_before(curve, ends) - _sums_before(curve, starts))[:, 1:] / (ends - starts)[:, None]
    column = 1 + mean.argmax(axis=1)
    probability = mean.max(axis=1)
    if mean.shape[1] > 1:  # between two nearly equal means rounding decides, so round as `find_events` does
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


def completed_events(
    scores: np.ndarray, began: np.ndarray, over: np.ndarray, merge_gap_seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last cell of the event that each cell completes, as in the example at the top of this file.

    Args:
        scores: (n,) score of each cell.
        began: (n,) when each cell begins, in seconds.
        over: (n,) when each cell is over, in seconds: as the next cell or a gap begins.
        merge_gap_seconds: events closer than this are one.

    Returns:
        First cells (n,) int64, and last cells (n,) int64.
    """
    falling = np.argsort(-scores, kind="stable")
    apart = merge_gap_seconds - TIME_TOLERANCE_SECONDS
    cells = np.arange(len(scores))
    left, right = _nearest_before(falling)
    # two cells stay apart if lower cells between them last long enough; a gap keeps apart even neighbours
    before, after = began - over[left], began[right] - over
    joins_left = (left >= 0) & ((before < apart) | ((cells - left == 1) & (before <= 0)))
    joins_right = (right >= 0) & ((after < apart) | ((right - cells == 1) & (after <= 0)))
    left, right = np.where(joins_left, left, -1).tolist(), np.where(joins_right, right, -1).tolist()
    stretches = _Stretches(len(scores))
    first, last = np.empty(len(scores), np.int64), np.empty(len(scores), np.int64)
    for of_one_score in np.split(falling, np.flatnonzero(np.diff(scores[falling])) + 1):
        for cell in of_one_score.tolist():
            for neighbour in (left[cell], right[cell]):
                if neighbour >= 0:
                    stretches.join(cell, neighbour)
        for cell in of_one_score.tolist():
            first[cell], last[cell] = stretches.ends(cell)
    return first, last


class _Stretches:
    """Ranges of cells that are joined step by step (a disjoint-set forest); at first each cell is its own range.

    Args:
        n: how many cells there are.
    """

    def __init__(self, n: int):
        self._parent = list(range(n))
        """The parent of each cell; a cell that is its own parent stands for its range."""
        self._first, self._last = list(range(n)), list(range(n))
        """The first and the last cell of a range, at the position of the cell that stands for it."""

    def join(self, one: int, other: int) -> None:
        """Join the ranges that two cells are in."""
        one, other = self._root(one), self._root(other)
        self._parent[one] = other
        self._first[other] = min(self._first[one], self._first[other])
        self._last[other] = max(self._last[one], self._last[other])

    def ends(self, cell: int) -> tuple[int, int]:
        """The first and the last cell of the range that a cell is in."""
        root = self._root(cell)
        return self._first[root], self._last[root]

    def _root(self, cell: int) -> int:
        parent = self._parent
        while parent[cell] != cell:
            parent[cell] = parent[parent[cell]]
            cell = parent[cell]
        return cell


def _nearest_before(falling: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each cell, the nearest cell to its left and the nearest to its right that come before it in `falling`.

    Args:
        falling: (n,) the numbers of the cells, in the order in which they join events.

    Returns:
        Left and right neighbours, (n,) each; -1 where there is none.
    """
    turn = np.empty_like(falling)
    turn[falling] = np.arange(len(falling))
    left = np.array(_nearest_earlier(turn.tolist()))
    mirrored = np.array(_nearest_earlier(turn[::-1].tolist()))[::-1]
    return left, np.where(mirrored >= 0, len(falling) - 1 - mirrored, -1)


def _nearest_earlier(turn: list[int]) -> list[int]:
    """For each position, the nearest one to its left with a smaller number, or -1: `[2, 0, 1]` -> `[-1, -1, 1]`."""
    found, waiting = [], []  # waiting: positions that may be the answer for one further right; their numbers rise
    for place, value in enumerate(turn):
        while waiting and turn[waiting[-1]] > value:
            waiting.pop()
        found.append(waiting[-1] if waiting else -1)
        waiting.append(place)
    return found
