"""Packs a curve for the page: scores by snippet, the table of events, and when each frame is shown.

Arrays are little-endian bytes, deflated and in base64; the page's script unpacks them. Scores stay float32, and times
are exact enough to join the same events as `find_events`, so that the page finds the same events at every threshold.
"""

from __future__ import annotations

import base64
import zlib

import numpy as np

from vad_pipeline.model.curve import TIME_TOLERANCE_SECONDS, AnomalyCurve

from .event_tree import cells_of, event_table

NANOSECONDS = 1_000_000_000
LONGEST_STEP = 2**32 - 1  # the longest step between frames that uint32 holds, in ns; longer ones are listed apart


def packed_curve(curve: AnomalyCurve, *, merge_gap_seconds: float) -> dict:
    """All that the page needs of a curve, as JSON values.

    Args:
        curve: the curve of one video.
        merge_gap_seconds: the gap that its events are found with.
    """
    cells = cells_of(curve)
    table = event_table(curve, cells, merge_gap_seconds=merge_gap_seconds)
    leading = curve.category[:, 1:]
    times, time_arrays = packed_times(curve, merge_gap_seconds)
    arrays = {
        "scores": cells.scores.astype("<f4"),
        **time_arrays,
        "eventColumn": table.column,
        "eventPercent": _percent(table.probability),
        "snippetColumn": (1 + leading.argmax(axis=1)).astype(np.uint8),
        "snippetPercent": _percent(leading.max(axis=1)),
    }
    return {
        "frames": curve.n_frames,
        "cellFrames": cells.length,
        "cuts": cells.cuts,
        "gaps": [[gap.frame, gap.start_seconds, gap.end_seconds] for gap in curve.gaps],
        "snippetFrames": curve.snippet_len,
        "fps": [curve.fps.numerator, curve.fps.denominator],
        "times": times,
        "layout": [[name, values.dtype.str.lstrip("<|"), len(values)] for name, values in arrays.items()],
        "packed": _deflated(arrays.values()),
    }


def packed_times(curve: AnomalyCurve, merge_gap_seconds: float) -> tuple[dict, dict[str, np.ndarray]]:
    """Pack when each frame is shown, in the smallest way that gives the same events.

    That is the frame rate, where i / rate is the exact time of every frame i; else steps between frames in ns; else
    the times in seconds as they are.

    Returns:
        How the page gets the times back, and the arrays that it needs for that.
    """
    seconds = curve.frame_seconds
    if np.array_equal(np.arange(len(seconds)) * curve.fps.denominator / curve.fps.numerator, seconds):
        return {"kind": "rate"}, {}
    ticks = np.rint(seconds * NANOSECONDS).astype(np.int64)
    steps = np.diff(ticks)
    long = np.flatnonzero(steps > LONGEST_STEP)
    if _same_joins(curve, ticks / NANOSECONDS, merge_gap_seconds):
        jumps = [[int(place), int(steps[place])] for place in long]
        steps[long] = 0
        return {"kind": "steps", "first": int(ticks[0]), "jumps": jumps}, {"steps": steps.astype("<u4")}
    return {"kind": "seconds"}, {"seconds": seconds.astype("<f8")}


def _same_joins(curve: AnomalyCurve, rounded: np.ndarray, merge_gap_seconds: float) -> bool:
    """Whether rounded times join the same events as the true times, at every threshold.

    Only pairs of frames whose distance is about the merge gap can differ, so only these are checked.
    """
    apart = merge_gap_seconds - TIME_TOLERANCE_SECONDS
    seconds, before_gaps = curve.frame_seconds, [gap.start_seconds for gap in curve.gaps]
    over, over_rounded = np.append(seconds, before_gaps), np.append(rounded, before_gaps)
    nearest = np.searchsorted(seconds, over + apart)
    for shift in (-1, 0, 1):
        later = np.clip(nearest + shift, 0, len(seconds) - 1)
        if not np.array_equal(seconds[later] - over >= apart, rounded[later] - over_rounded >= apart):
            return False
    return True


def _percent(probability: np.ndarray) -> np.ndarray:
    return np.rint(100 * np.clip(probability, 0, 1)).astype(np.uint8)


def _deflated(arrays) -> str:
    return base64.b64encode(zlib.compress(b"".join(values.tobytes() for values in arrays), 9)).decode()
