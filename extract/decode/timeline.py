"""When each frame is shown: raw timestamps -> strictly increasing seconds, and the frame rate they imply.

At 25 frames/s, with one timestamp that stands still, one that jumps back and one that is missing:

raw      0.00  0.04  0.04  0.02   -    0.20
seconds  0.00  0.04  0.08  0.12  0.16  0.20      three retimed, each 0.04 after the frame before it
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..gaps import LEAP_STEPS, NEIGHBOURS, find_gaps, in_words, usual_steps
from ..names import some

TIMELINE = 2  # raised when a change to these rules changes times; 1 believed every leap forward
FALLBACK_FPS = Fraction(25)  # for a lone frame in a file that states no rate
MAX_RATE_DENOMINATOR = 1001  # 30000/1001 and its family
SMALLEST_STEP = 1e-3  # of a frame's duration: less is rounding, not progress
SAME_RATE = 0.1  # how far footage may be off the rate its file states: rates vary
FEW_FAULTS = 0.02  # of all packets; with B-frames every third goes back, or more
RETIMED = "{} frames retimed: their timestamps stand still, jump back, are far ahead or missing"
GAPS = "{} gaps without footage: {}"
SHOWN_GAPS = 3


def median_rate(raw_seconds: np.ndarray) -> Fraction:
    """The frame rate behind the median distance of timestamps that increase."""
    steps = np.diff(raw_seconds)
    steps = steps[steps > 0]  # also drops nan
    if not len(steps):
        return FALLBACK_FPS
    return Fraction(1 / float(np.median(steps))).limit_denominator(MAX_RATE_DENOMINATOR) or FALLBACK_FPS


def in_shown_order(packet_seconds: np.ndarray) -> np.ndarray:
    """The times of packets in the order in which their frames are shown: ascending, unless packets are in that order
    already, but for a few whose times are wrong."""
    few = faults(packet_seconds) <= FEW_FAULTS * len(packet_seconds)
    return packet_seconds if few else np.sort(packet_seconds)


def time_warnings(seconds: np.ndarray, retimed: int) -> list[str]:
    """What is to be told of a video's times.

    Args:
        seconds: (F,) as mended.
        retimed: how many of them were.
    """
    told = [RETIMED.format(retimed)] if retimed else []
    gaps = find_gaps(seconds)
    if gaps:
        told.append(GAPS.format(len(gaps), some([in_words(gap) for gap in gaps], SHOWN_GAPS)))
    return told


def faults(raw_seconds: np.ndarray) -> int:
    """How many timestamps are missing, or are no later than the one before."""
    return int(np.isnan(raw_seconds).sum() + (np.diff(raw_seconds) <= 0).sum())


def timeline(raw_seconds: np.ndarray, fps: Fraction | None) -> tuple[np.ndarray, Fraction, int]:
    """Mend timestamps that stand still, jump back or are missing, and those far ahead that the next ones contradict.

    Such a frame gets the previous frame's time plus the average frame duration. A leap forward is kept where the next
    frames bear it out: that is a gap (see gaps.py).

    Args:
        raw_seconds: (F,) in decoding order, relative to the container's start; nan where a frame has no timestamp.
        fps: the average rate the file states, or None to take it from the median distance.

    Returns:
        seconds (F,) float64, strictly increasing; the rate used; how many frames were retimed.
    """
    raw_seconds = np.asarray(raw_seconds, np.float64)
    fps = fps or median_rate(raw_seconds)
    seconds, retimed = (raw_seconds, 0) if faults(raw_seconds) == 0 else _mended(raw_seconds, float(1 / fps))
    return seconds, _rate_of_footage(seconds, fps), retimed


def _mended(raw_seconds: np.ndarray, step: float) -> tuple[np.ndarray, int]:
    """Times that increase, and how many of them are not the file's own."""
    leaps = _leaps(raw_seconds, step)
    seconds = np.empty_like(raw_seconds)
    previous = _before_first(raw_seconds, step)
    retimed = 0
    for index, (raw, leap) in enumerate(zip(raw_seconds.tolist(), leaps.tolist(), strict=True)):
        borne_out = not raw - previous > leap or _borne_out(raw_seconds, index, previous + leap)
        if raw > previous + SMALLEST_STEP * step and borne_out:  # False for nan
            previous = raw
        else:
            previous = previous + step if np.isfinite(previous) else 0.0
            retimed += 1
        seconds[index] = previous
    return seconds, retimed


def _leaps(raw_seconds: np.ndarray, step: float) -> np.ndarray:
    """(F,) from which distance to the frame before on each frame's time is a leap, by the frames around."""
    steps = np.diff(raw_seconds, prepend=np.nan)
    usual = np.full(len(steps), step)
    far = np.flatnonzero(steps > LEAP_STEPS * min(step, float(1 / median_rate(raw_seconds))))
    around = usual_steps(steps, far)
    usual[far] = np.where(np.isnan(around), step, around)
    return LEAP_STEPS * usual


def _borne_out(raw_seconds: np.ndarray, index: int, after: float) -> bool:
    """Whether the next frames are later than `after` too, as far as they have times."""
    following = raw_seconds[index + 1 : index + 1 + NEIGHBOURS]
    return bool((following[~np.isnan(following)] > after).all())


def _before_first(raw_seconds: np.ndarray, step: float) -> float:
    """What the first frame has to be later than: nothing, unless the next ones say that its own time is far ahead."""
    first, following = raw_seconds[0], raw_seconds[1 : 1 + NEIGHBOURS]
    following = following[~np.isnan(following)]
    ahead = len(following) and first > following.max() and first - following[0] > LEAP_STEPS * step
    return float(following[0]) - 2 * step if ahead else -np.inf


def _rate_of_footage(seconds: np.ndarray, fps: Fraction) -> Fraction:
    """The rate that a file states, unless that is spread over gaps: then the average of its footage."""
    gaps = find_gaps(seconds)
    if not gaps:
        return fps
    footage = float(seconds[-1] - seconds[0]) - sum(gap.seconds for gap in gaps)
    rate = (len(seconds) - 1) / footage
    return fps if abs(rate / fps - 1) < SAME_RATE else Fraction(rate).limit_denominator(MAX_RATE_DENOMINATOR) or fps
