"""Thresholds and false alarms: how often normal footage raises an event."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vad_pipeline.model.curve import TIME_TOLERANCE_SECONDS, AnomalyCurve, find_events

SECONDS_PER_HOUR = 3600.0
CONFIDENCE = 0.95
BISECTIONS = 60


def false_alarms_per_hour(
    curves: Sequence[AnomalyCurve],
    truths: Sequence[np.ndarray] | None,
    *,
    threshold: float,
    merge_gap_seconds: float,
) -> float | None:
    """Events without a single anomalous frame, per hour of normal footage.

    The hours are those of all frames that are not anomalous, in anomalous videos too; gaps are no footage.

    Args:
        curves: one for each video.
        truths: for each video (<= F,) bool, which frames are anomalous; frames after its end are not. None: no frame
            is anomalous.
        threshold: score from which a frame belongs to an event.
        merge_gap_seconds: events closer than this are one.

    Returns:
        Rate per hour; None where no footage is normal.
    """
    n_alarms, seconds = 0, 0.0
    for index, curve in enumerate(curves):
        truth = np.zeros(curve.n_frames, bool)
        if truths is not None:
            truth[: len(truths[index])] = truths[index]
        events = find_events(curve, threshold=threshold, merge_gap_seconds=merge_gap_seconds)
        n_alarms += sum(not truth[event.start_frame : event.end_frame].any() for event in events)
        seconds += float((curve.frame_ends() - curve.frame_seconds)[~truth].sum())
    return n_alarms * SECONDS_PER_HOUR / seconds if seconds else None


def calibrate_threshold(
    curves: Sequence[AnomalyCurve], *, false_alarms_per_hour: float, merge_gap_seconds: float
) -> tuple[float, float]:
    """The lowest threshold at and above which normal footage raises no more events an hour than the budget.

    The number of events does not fall steadily with the threshold (a low one makes one everlasting event of a whole
    video), so the budget holds at this threshold and at every higher one. `event_counts` counts the events.

    For example two hours of normal footage with 1, 2 and 1 events at the thresholds .2, .5 and .8, its only scores:

        budget 1 an hour      (.2, 0.5)         2 events are allowed: any threshold will do
        budget 0.5 an hour    (.8, 0.5)         .2 would give 1 event too, but the higher .5 gives 2
        budget 0.1 an hour    (above .8, 0)     only no event at all is few enough

    Args:
        curves: of normal videos, at least one.
        false_alarms_per_hour: the budget, 0 or more.
        merge_gap_seconds: events closer than this are one.

    Returns:
        The threshold, and the events an hour at it. The threshold is a score, or the float just above the highest one,
        but never above 1: where frames score 1 too often, it is 1 and the rate exceeds the budget.

    Raises:
        ValueError: no curves, or a budget or gap below 0.
    """
    if not curves or not false_alarms_per_hour >= 0 or not merge_gap_seconds >= 0:
        raise ValueError(f"expected curves, budget and gap >= 0, got {len(curves)}, {false_alarms_per_hour}")
    hours = sum(curve.footage_seconds for curve in curves) / SECONDS_PER_HOUR
    scores, n_events = event_counts(curves, merge_gap_seconds=merge_gap_seconds)
    too_many = np.flatnonzero(n_events / hours > false_alarms_per_hour)
    chosen = too_many[-1] + 1 if len(too_many) else 0
    if chosen < len(scores):
        return float(scores[chosen]), float(n_events[chosen] / hours)
    if scores[-1] >= 1:
        return 1.0, float(n_events[-1] / hours)
    return float(np.nextafter(scores[-1], np.float32(1))), 0.0


def rate_bound(n_events: int, hours: float, *, confidence: float = CONFIDENCE) -> float:
    """The rate an hour that events which come independently of each other stay below, with that confidence.

    One-sided and exact (Garwood): of a higher rate, so few events would be seen in less than 1 - confidence of all
    cases. None in 3 hours: 1.0 an hour. None in 96 seconds: 112.
    """
    low, high = 0.0, 10.0 * (n_events + 1)
    for _ in range(BISECTIONS):
        mean = (low + high) / 2
        logs = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(n_events + 1)]
        low, high = (mean, high) if sum(map(math.exp, logs)) > 1 - confidence else (low, mean)
    return high / hours


def event_counts(curves: Sequence[AnomalyCurve], *, merge_gap_seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """How many events `find_events` gives at each distinct score, without calling it for each.

    Runs of equal scores are taken away, from the lowest score up. Each time only the neighbours that are left are
    looked at: without the run there is one event fewer, or as many, or one more where the run held two together.

    For example four frames that score .2, .8, .2 and .5, where no gap is merged:

        threshold .2    [.2 .8 .2 .5]    1 event
        threshold .5        .8    .5     2 events: the third frame, which held them together, is gone
        threshold .8        .8           1 event

    This gives `[.2, .5, .8]` and `[1, 2, 1]`.

    Args:
        curves: any videos.
        merge_gap_seconds: events closer than this are one.

    Returns:
        The distinct scores ascending (K,) float32, and the number of events over all curves with each of them as
        threshold (K,) int64.
    """
    all_scores, all_steps, n_whole = [], [], 0
    for curve in curves:
        scores, steps = _event_steps(curve, merge_gap_seconds)
        all_scores.append(scores)
        all_steps.append(steps)
        n_whole += 1 + sum(gap.seconds >= merge_gap_seconds - TIME_TOLERANCE_SECONDS for gap in curve.gaps)
    scores, where = np.unique(np.concatenate(all_scores), return_inverse=True)
    steps = np.bincount(where, weights=np.concatenate(all_steps), minlength=len(scores))
    # at a score as threshold everything below it is gone
    return scores, n_whole + np.rint(np.cumsum(steps) - steps).astype(np.int64)


def _event_steps(curve: AnomalyCurve, merge_gap_seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """The score of each run of equal scores, ascending, and how the number of events changes as the run is taken away.

    Both are (runs,): float32 scores and float64 changes of -1, 0 or 1.
    """
    begins = np.append(True, curve.scores[1:] != curve.scores[:-1])
    after_gap = [gap.frame for gap in curve.gaps]
    begins[after_gap] = True
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], curve.n_frames)
    cut = np.isin(starts, after_gap).tolist()
    began = curve.frame_seconds[starts].tolist()
    over = curve.frame_ends()[ends - 1].tolist()
    gap = merge_gap_seconds - TIME_TOLERANCE_SECONDS
    n = len(starts)
    before, after = list(range(-1, n - 1)), list(range(1, n + 1))

    def joined(left: int, right: int) -> bool:
        if left < 0 or right == n:
            return False
        return (left + 1 == right and not cut[right]) or began[right] - over[left] < gap

    order = np.argsort(curve.scores[starts], kind="stable")
    steps = []
    for run in order.tolist():
        left, right = before[run], after[run]
        steps.append(joined(left, run) + joined(run, right) - joined(left, right) - 1)
        if left >= 0:
            after[left] = right
        if right < n:
            before[right] = left
    return curve.scores[starts][order], np.array(steps, np.float64)
