"""Gaps: where the times of frames leap forward for good. Nothing was recorded meanwhile, so it is no footage.

A player shows a gap as a frame that stands still; whatever is counted by the hour leaves it out. Time-lapse footage has
none: its frames are all far apart, and a gap is one distance that stands out among its neighbours.

Shapes: F frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SHORTEST_LEAP_SECONDS = 2.0  # from one frame to the next
LEAP_STEPS = 10  # local median distances: a shorter one is no leap at all
NEIGHBOURS = 8  # frames on either side that say what is usual, and that have to bear a leap out


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time without footage."""

    frame: int
    """The first one after it."""
    start_seconds: float
    """When the frame before it is over."""
    end_seconds: float
    """When `frame` is shown."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_seconds - self.start_seconds


def usual_steps(steps: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The median of the distances around each of some, that one left out; nan where there is none around.

    Args:
        steps: (n,) distances between frames; those that are not positive do not count.
        at: (k,) which of them.

    Returns:
        (k,) seconds.
    """
    padded = np.pad(np.where(steps > 0, steps, np.nan), NEIGHBOURS, constant_values=np.nan)
    around = np.delete(np.arange(2 * NEIGHBOURS + 1), NEIGHBOURS)
    found = np.full(len(at), np.nan)
    windows = padded[np.asarray(at, np.int64)[:, None] + around]
    some = ~np.isnan(windows).all(axis=1)
    found[some] = np.nanmedian(windows[some], axis=1)
    return found


def find_gaps(frame_seconds: np.ndarray) -> tuple[Gap, ...]:
    """Where frames are over two seconds apart, and ten times as far as those around.

    Args:
        frame_seconds: (F,), not decreasing.
    """
    steps = np.diff(frame_seconds)
    before = np.flatnonzero(steps > SHORTEST_LEAP_SECONDS)
    if not len(before):
        return ()
    usual = usual_steps(steps, before)
    return tuple(
        Gap(int(index) + 1, float(frame_seconds[index] + step), float(frame_seconds[index + 1]))
        for index, step in zip(before, usual, strict=True)
        if steps[index] > LEAP_STEPS * step  # False for nan: two frames alone say nothing of what is usual
    )


def frame_ends(frame_seconds: np.ndarray, gaps: Sequence[Gap], *, last_seconds: float) -> np.ndarray:
    """When each frame is over, (F,): as the next one begins, or a gap, or after `last_seconds` of the last one."""
    ends = np.append(frame_seconds[1:], frame_seconds[-1] + last_seconds)
    for gap in gaps:
        ends[gap.frame - 1] = gap.start_seconds
    return ends


def spans(gaps: Sequence[Gap]) -> list[tuple[float, float]]:
    """From and to of each, seconds, for files that people read."""
    return [(round(gap.start_seconds, 3), round(gap.end_seconds, 3)) for gap in gaps]


def in_words(gap: Gap) -> str:
    """`0:00:08.0 for 13:15:27`: where it is in the video, and how long."""
    return f"{_clock(gap.start_seconds, digits=1)} for {_clock(gap.seconds)}"


def _clock(seconds: float, *, digits: int = 0) -> str:
    minutes, seconds = divmod(round(seconds, digits), 60)
    return f"{int(minutes) // 60}:{int(minutes) % 60:02d}:{seconds:0{digits + 3 if digits else 2}.{digits}f}"
