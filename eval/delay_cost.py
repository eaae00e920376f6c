"""What scoring live costs: figures of curves that were made at a delay, and how long after its start an event is told.

An example of snippets of 16 frames at 16 frames/s, so of 1 s each, a delay of 2 snippets and a threshold of .5:

    snippet       0    1    2    3    4    5    6
    score        .1   .1   .7   .9   .2   .1   .1
    event                 [--------]                    frames 40 to 64: it begins in the middle of snippet 2
    alarm                                ^              snippet 2 is scored once snippet 4 is there: 5 s - 2.5 s
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vad_pipeline.model.curve import MERGE_GAP_SECONDS, AnomalyCurve

from .annotation import VideoAnnotation
from .evaluation import evaluate
from .thresholds import SECONDS_PER_HOUR, calibrate_threshold
from .truth import VideoTruth, lay_over, match_annotations

FALSE_ALARMS_PER_HOUR = 1.0  # the budget by which each delay's threshold is chosen
OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class DelayCost:
    """The figures of one delay. Shares and areas are fractions 0 to 1; None where a figure is undefined."""

    delay: int | None
    """How many later snippets each score has seen; None: whole videos were scored."""
    delay_seconds: float | None
    """The same in seconds: the median over the videos."""
    auc: float | None
    """Area under the ROC curve over the frames of all videos together."""
    ap: float | None
    """Average precision over the frames of all videos together."""
    threshold: float | None
    """The lowest threshold from which on normal videos raise at most `FALSE_ALARMS_PER_HOUR`; None without any."""
    n_events: int
    """Annotated stretches, those that overlap or touch joined."""
    n_told: int | None
    """How many of them hold a frame at or over the threshold."""
    median_seconds: float | None
    """The median time from an event's start to its alarm, computing left out; an event that is not told counts as
    never. None where half of them or more are never told, and of whole videos: all is known at their end."""

    def __post_init__(self):
        if self.n_told is not None and not 0 <= self.n_told <= self.n_events:
            raise ValueError(f"expected 0 to {self.n_events} events told, got {self.n_told}")


def delay_cost(
    curves: Sequence[AnomalyCurve],
    annotations: Sequence[VideoAnnotation],
    *,
    delay: int | None,
    protocol: str = "corrected",
    merge_gap_seconds: float = MERGE_GAP_SECONDS,
) -> DelayCost:
    """Compare curves that were made at a delay with the truth.

    Args:
        curves: one for each video.
        annotations: one for each video.
        delay: in snippets; None: whole videos were scored.
        protocol: as `evaluate` takes it.
        merge_gap_seconds: events closer than this are one, for the false alarms.

    Raises:
        ConfigError: see `evaluate`.
    """
    result = evaluate(curves, annotations, protocol=protocol)
    by_id = {curve.video_id: curve for curve in curves}
    pairs = match_annotations(annotations, list(by_id)).pairs
    videos = [lay_over(annotation, by_id[video_id], protocol) for annotation, video_id in pairs]
    normal = [video.curve for video in videos if video.annotation.is_normal]
    threshold = None
    if normal:
        threshold, _ = calibrate_threshold(
            normal, false_alarms_per_hour=FALSE_ALARMS_PER_HOUR, merge_gap_seconds=merge_gap_seconds
        )
    waits = [wait for video in videos for wait in alarm_waits(video, 1.0 if threshold is None else threshold, delay)]
    median = float(np.median(waits)) if waits and threshold is not None and delay is not None else None
    snippet_seconds = float(np.median([video.curve.snippet_len / float(video.curve.fps) for video in videos]))
    return DelayCost(
        delay=delay,
        delay_seconds=None if delay is None else delay * snippet_seconds,
        auc=result.auc,
        ap=result.ap,
        threshold=threshold,
        n_events=len(waits),
        n_told=None if threshold is None else int(np.isfinite(waits).sum()),
        median_seconds=None if median is None or not np.isfinite(median) else median,
    )


def alarm_waits(video: VideoTruth, threshold: float, delay: int | None) -> list[float]:
    """How long after its start each event of a video is told, in seconds: once the snippets are there that its first
    score at or over the threshold waits for. Never told: infinite.

    Args:
        video: curve and truth.
        threshold: score from which an alarm is raised.
        delay: in snippets; None: at the video's end.
    """
    curve, waits = video.curve, []
    steps = np.diff(video.frames().astype(np.int8), prepend=0, append=0)
    ends = curve.frame_ends()
    for start, end in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
        above = np.flatnonzero(curve.scores[start:end] >= np.float32(threshold))
        if not len(above):
            waits.append(np.inf)
            continue
        snippet = min((start + above[0]) // curve.snippet_len, len(curve.category) - 1)
        known = curve.n_frames if delay is None else min((snippet + delay + 1) * curve.snippet_len, curve.n_frames)
        waits.append(float(ends[known - 1] - curve.frame_seconds[start]))
    return waits


def normal_hours(curves: Sequence[AnomalyCurve], annotations: Sequence[VideoAnnotation]) -> float:
    """How much footage of normal videos stands behind the thresholds, in hours."""
    by_id = {curve.video_id: curve for curve in curves}
    pairs = match_annotations(annotations, list(by_id)).pairs
    seconds = sum(by_id[video_id].footage_seconds for annotation, video_id in pairs if annotation.is_normal)
    return seconds / SECONDS_PER_HOUR


def delay_table(costs: Sequence[DelayCost]) -> str:
    """The figures as a table of plain text, a row for each delay."""
    rows = [("delay", "in s", "AUC (%)", "AP (%)", "threshold", "events told", "median s to alarm")]
    for cost in costs:
        told = "undefined" if cost.n_told is None else f"{cost.n_told} of {cost.n_events}"
        rows.append(
            (
                OFFLINE if cost.delay is None else str(cost.delay),
                "" if cost.delay_seconds is None else f"{cost.delay_seconds:.2f}",
                _percent(cost.auc),
                _percent(cost.ap),
                "undefined" if cost.threshold is None else f"{cost.threshold:.4f}",
                told,
                "at its end" if cost.delay is None else _seconds(cost),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.2f}"


def _seconds(cost: DelayCost) -> str:
    if cost.n_told is None or not cost.n_events:
        return "undefined"
    return "never" if cost.median_seconds is None else f"{cost.median_seconds:.2f}"
