"""Gaps: stretches of time in which nothing was recorded, found where the times of frames leap forward.

A player shows a gap as a frame that stands still; figures per hour leave it out. A gap is one distance between frames
that is far longer than those around it, so time-lapse footage, whose frames are all far apart, has none.

Shapes: F frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SHORTEST_LEAP_SECONDS = 2.0  # a gap is longer than this, from one frame to the next
LEAP_STEPS = 10  # a gap is longer than this many median distances between the frames around it
NEIGHBOURS = 8  # how many distances on either side the median is taken of


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time without footage."""

    frame: int
    """The first frame after the gap."""
    start_seconds: float
    """When the last frame before the gap ends."""
    end_seconds: float
    """When the first frame after the gap is shown."""

    @property
    def seconds(self) -> float:
        """How long the gap is."""
        return self.end_seconds - self.start_seconds


def usual_steps(steps: np.ndarray, at: np.ndarray) -> np.ndarray:
    """How far apart frames usually are around some of them: the median of up to 16 distances on either side.

    Args:
        steps: (n,) seconds between frames; those that are not positive are left out.
        at: (k,) indices of steps; a step itself is left out of its median.

    Returns:
        (k,) seconds; nan for a step that has no positive step around it.
    """
    padded = np.pad(np.where(steps > 0, steps, np.nan), NEIGHBOURS, constant_values=np.nan)
    around = np.delete(np.arange(2 * NEIGHBOURS + 1), NEIGHBOURS)
    found = np.full(len(at), np.nan)
    windows = padded[np.asarray(at, np.int64)[:, None] + around]
    some = ~np.isnan(windows).all(axis=1)
    found[some] = np.nanmedian(windows[some], axis=1)
    return found


def find_gaps(frame_seconds: np.ndarray) -> tuple[Gap, ...]:
    """Find the gaps: where frames are over two seconds apart, and over ten times as far as those around them.

    Args:
        frame_seconds: (F,), when each frame is shown, not decreasing.
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
    """When each frame ends, (F,) seconds: where the next frame or a gap begins; the last one after `last_seconds`."""
    ends = np.append(frame_seconds[1:], frame_seconds[-1] + last_seconds)
    for gap in gaps:
        ends[gap.frame - 1] = gap.start_seconds
    return ends


def spans(gaps: Sequence[Gap]) -> list[tuple[float, float]]:
    """Start and end of each gap in seconds, rounded, for files that people read."""
    return [(round(gap.start_seconds, 3), round(gap.end_seconds, 3)) for gap in gaps]


def in_words(gap: Gap) -> str:
    """Say where a gap is in the video and how long it is: `0:00:08.0 for 13:15:27`."""
    return f"{_clock(gap.start_seconds, digits=1)} for {_clock(gap.seconds)}"


def _clock(seconds: float, *, digits: int = 0) -> str:
    minutes, seconds = divmod(round(seconds, digits), 60)
    return f"{int(minutes) // 60}:{int(minutes) % 60:02d}:{seconds:0{digits + 3 if digits else 2}.{digits}f}"
