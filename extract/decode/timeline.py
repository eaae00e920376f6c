"""When each frame is shown: raw timestamps -> strictly increasing seconds, and the frame rate they imply.

At 25 frames/s, with one timestamp that stands still, one that jumps back and one that is missing:

raw      0.00  0.04  0.04  0.02   -    0.20
seconds  0.00  0.04  0.08  0.12  0.16  0.20      three retimed, each 0.04 after the frame before it
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

FALLBACK_FPS = Fraction(25)  # for a lone frame in a file that states no rate
MAX_RATE_DENOMINATOR = 1001  # 30000/1001 and its family
SMALLEST_STEP = 1e-3  # of a frame's duration: less is rounding, not progress


def median_rate(raw_seconds: np.ndarray) -> Fraction:
    """The frame rate behind the median distance of timestamps that increase."""
    steps = np.diff(raw_seconds)
    steps = steps[steps > 0]  # also drops nan
    if not len(steps):
        return FALLBACK_FPS
    return Fraction(1 / float(np.median(steps))).limit_denominator(MAX_RATE_DENOMINATOR) or FALLBACK_FPS


def faults(raw_seconds: np.ndarray) -> int:
    """How many timestamps are missing, or are no later than the one before."""
    return int(np.isnan(raw_seconds).sum() + (np.diff(raw_seconds) <= 0).sum())


def timeline(raw_seconds: np.ndarray, fps: Fraction | None) -> tuple[np.ndarray, Fraction, int]:
    """Mend timestamps that stand still, jump back or are missing.

    Such a frame gets the previous frame's time plus the average frame duration.

    Args:
        raw_seconds: (F,) in decoding order, relative to the container's start; nan where a frame has no timestamp.
        fps: the average rate the file states, or None to take it from the median distance.

    Returns:
        seconds (F,) float64, strictly increasing; the rate used; how many frames were retimed.
    """
    raw_seconds = np.asarray(raw_seconds, np.float64)
    fps = fps or median_rate(raw_seconds)
    step = float(1 / fps)
    if faults(raw_seconds) == 0:
        return raw_seconds, fps, 0
    seconds = np.empty_like(raw_seconds)
    previous = -np.inf
    retimed = 0
    for index, raw in enumerate(raw_seconds):
        if raw > previous + SMALLEST_STEP * step:  # False for nan
            previous = raw
        else:
            previous = previous + step if np.isfinite(previous) else 0.0
            retimed += 1
        seconds[index] = previous
    return seconds, fps, retimed
