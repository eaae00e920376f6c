"""When each frame is shown: raw timestamps -> strictly increasing seconds, and the frame rate they imply.

At 25 frames/s, with one timestamp that stands still, one that jumps back and one that is missing:

raw      0.00  0.04  0.04  0.02   -    0.20
seconds  0.00  0.04  0.08  0.12  0.16  0.20      three retimed, each 0.04 after the frame before it
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ..gaps import LEAP_STEPS, NEIGHBOURS, Gap, find_gaps, in_words, usual_steps
from ..names import plural, some

TIMELINE = 2  # raised when a change to these rules changes times; 1 believed every leap forward
FALLBACK_FPS = Fraction(25)  # for a file of a single frame that states no rate
MAX_RATE_DENOMINATOR = 1001  # as in 30000/1001
SMALLEST_STEP = 1e-3  # of a frame's duration: less is rounding, not progress
SAME_RATE = 0.1  # share by which the rate of the footage may differ from the one stated, as rates vary
FEW_FAULTS = 0.02  # share of packets whose times may be wrong; with B-frames at least every third one goes back
RETIMED = "{} retimed: their timestamps stand still, jump back, are far ahead or missing"
GAPS = "{} without footage: {}"
SHOWN_GAPS = 3


def median_rate(raw_seconds: np.ndarray) -> Fraction:
    """The frame rate of the median distance between timestamps; distances that are not positive are left out."""
    steps = np.diff(raw_seconds)
    steps = steps[steps > 0]  # also drops nan
    if not len(steps):
        return FALLBACK_FPS
    return Fraction(1 / float(np.median(steps))).limit_denominator(MAX_RATE_DENOMINATOR) or FALLBACK_FPS


def in_shown_order(packet_seconds: np.ndarray) -> np.ndarray:
    """The times of packets in the order in which their frames are shown.

    They are sorted, unless nearly all ascend already: then the few that do not are wrong times, which are left for
    `timeline` to mend.
    """
    few = faults(packet_seconds) <= FEW_FAULTS * len(packet_seconds)
    return packet_seconds if few else np.sort(packet_seconds)


def time_warnings(seconds: np.ndarray, retimed: int) -> list[str]:
    """Warnings about a video's times, one sentence each: retimed frames, gaps.

    Args:
        seconds: (F,), as `timeline` gives them.
        retimed: how many of them `timeline` has changed.
    """
    told = [RETIMED.format(plural(retimed, "frame"))] if retimed else []
    return told + gap_warnings(find_gaps(seconds))


def gap_warnings(gaps: Sequence[Gap]) -> list[str]:
    """A sentence on gaps; none where there are none."""
    shown = some([in_words(gap) for gap in gaps], SHOWN_GAPS)
    return [GAPS.format(plural(len(gaps), "gap"), shown)] if gaps else []


def faults(raw_seconds: np.ndarray) -> int:
    """How many timestamps are missing (nan), or not later than the one before."""
    return int(np.isnan(raw_seconds).sum() + (np.diff(raw_seconds) <= 0).sum())


def timeline(raw_seconds: np.ndarray, fps: Fraction | None) -> tuple[np.ndarray, Fraction, int]:
    """Mend wrong timestamps: those that stand still, jump back or are missing, or leap ahead of the next frames'.

    A frame with a wrong timestamp gets the previous frame's time plus the average frame duration. A leap ahead is right
    where the next frames are as far ahead: that is a gap (see gaps.py).

    Args:
        raw_seconds: (F,) in decoding order, relative to the container's start; nan where a frame has no timestamp.
        fps: the average rate that the file states; None: it is taken from the median distance.

    Returns:
        When each frame is shown, (F,) float64 seconds, strictly increasing; the frame rate of the footage; how many
        frames were retimed.
    """
    raw_seconds = np.asarray(raw_seconds, np.float64)
    fps = fps or median_rate(raw_seconds)
    seconds, retimed = (raw_seconds, 0) if faults(raw_seconds) == 0 else _mended(raw_seconds, float(1 / fps))
    return seconds, _rate_of_footage(seconds, fps), retimed


def _mended(raw_seconds: np.ndarray, step: float) -> tuple[np.ndarray, int]:
    """Mend the timestamps of a file, of which some are wrong; also say how many were changed."""
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
    """How many seconds after the frame before a frame's time counts as a leap, (F,), judged by the frames around it."""
    steps = np.diff(raw_seconds, prepend=np.nan)
    usual = np.full(len(steps), step)
    far = np.flatnonzero(steps > LEAP_STEPS * min(step, float(1 / median_rate(raw_seconds))))
    around = usual_steps(steps, far)
    usual[far] = np.where(np.isnan(around), step, around)
    return LEAP_STEPS * usual


def _borne_out(raw_seconds: np.ndarray, index: int, after: float) -> bool:
    """Whether the next frames that have timestamps are later than `after` too, so that a leap before them is right."""
    following = raw_seconds[index + 1 : index + 1 + NEIGHBOURS]
    return bool((following[~np.isnan(following)] > after).all())


def _before_first(raw_seconds: np.ndarray, step: float) -> float:
    """The time that the first frame must be later than: -inf, unless its own is far ahead of the next frames'."""
    first, following = raw_seconds[0], raw_seconds[1 : 1 + NEIGHBOURS]
    following = following[~np.isnan(following)]
    ahead = len(following) and first > following.max() and first - following[0] > LEAP_STEPS * step
    return float(following[0]) - 2 * step if ahead else -np.inf


def _rate_of_footage(seconds: np.ndarray, fps: Fraction) -> Fraction:
    """The frame rate of the footage: as stated, or averaged anew if the stated one is an average over gaps too."""
    gaps = find_gaps(seconds)
    if not gaps:
        return fps
    footage = float(seconds[-1] - seconds[0]) - sum(gap.seconds for gap in gaps)
    rate = (len(seconds) - 1) / footage
    return fps if abs(rate / fps - 1) < SAME_RATE else Fraction(rate).limit_denominator(MAX_RATE_DENOMINATOR) or fps
