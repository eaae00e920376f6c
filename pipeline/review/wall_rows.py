"""What the page's wall shows of each video: its events as rows, and those that were missed; and of each camera: how
many alarms every threshold would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vad_pipeline.model.curve import TIME_TOLERANCE_SECONDS, AnomalyCurve, Event, event_between

from ..results.event_rule import EventRule
from ..results.marks import Marks
from ..results.prices import SCORE_DIGITS, n_alarms
from ..results.verdicts import REAL, Verdict
from .event_tree import cells_of

STEPS = 100  # alarms are counted at thresholds 0, 0.01 ... 1


def event_rows(events: Sequence[Event], categories: Sequence[str]) -> list[list]:
    """The events of a video as the wall reads them.

    Args:
        events: the events.
        categories: names of the categories; an event's is told by its position among them, 1 where it is not there.

    Returns:
        One list an event: start, end and peak frame; start and end in seconds; category; its probability in percent;
        the peak score.
    """
    column = {name: index for index, name in enumerate(categories)}
    return [
        [
            event.start_frame,
            event.end_frame,
            event.peak_frame,
            round(event.start_seconds, 3),
            round(event.end_seconds, 3),
            column.get(event.category, 1),
            round(100 * event.category_probability),
            round(event.peak_score, SCORE_DIGITS),
        ]
        for event in events
    ]


def range_of(verdict: Verdict) -> tuple[str, int, int]:
    """Video and frames that a verdict is about."""
    return verdict.video, verdict.start_frame, verdict.end_frame


def measured(curve: AnomalyCurve, verdict: Verdict) -> dict:
    """Times and peak of the frames that a verdict is about, as the page's script `marking.js` measures them too."""
    event = event_between(curve, verdict.start_frame, min(verdict.end_frame, curve.n_frames))
    return {
        "startSeconds": round(event.start_seconds, 3),
        "endSeconds": round(event.end_seconds, 3),
        "peakFrame": event.peak_frame,
        "peakScore": round(event.peak_score, SCORE_DIGITS),
    }


def missed_events(curve: AnomalyCurve, found: Sequence[Event], marked: Sequence[Verdict]) -> list[Event]:
    """What was marked real in a video where no event was found: events that reviewers drew.

    Args:
        curve: of the video.
        found: its events.
        marked: the verdicts that count, inside the curve.
    """
    ids = {event.event_id for event in found}
    return [
        event_between(curve, verdict.start_frame, min(verdict.end_frame, curve.n_frames))
        for verdict in marked
        if verdict.verdict == REAL
        and verdict.event_id not in ids
        and not any(verdict.start_frame < each.end_frame and each.start_frame < verdict.end_frame for each in found)
    ]


@dataclass(slots=True)
class CameraAlarms:
    """How much footage of a camera there is, and how many events each threshold would give."""

    seconds: float = 0.0
    threshold: float = 0.0
    """The threshold that its events were found with."""
    counts: np.ndarray = field(default_factory=lambda: np.zeros(STEPS + 1, np.int64))
    """(101,) events at the thresholds 0, 0.01 ... 1."""


def alarms_at_each_threshold(curve: AnomalyCurve, rule: EventRule, marks: Marks) -> np.ndarray:
    """How many alarms the thresholds 0, 0.01 ... 1 would give, as `n_alarms` counts them: (101,) int64."""
    ignored = rule.ignored_in(curve)
    cells = cells_of(curve)
    edges = cells.edges(curve.n_frames)
    began, over = curve.frame_seconds[edges[:-1]], curve.frame_ends()[edges[1:] - 1]
    least = rule.merge_gap_seconds - TIME_TOLERANCE_SECONDS
    counts = np.zeros(STEPS + 1, np.int64)
    for step in range(STEPS + 1):
        reaching = np.flatnonzero(cells.scores >= np.float32(step / STEPS))
        if not len(reaching):
            break
        gap = began[reaching[1:]] - over[reaching[:-1]]
        neighbours = (np.diff(reaching) == 1) & (gap <= 0)
        apart = (gap >= least) & ~neighbours
        starts, ends = edges[reaching[np.r_[True, apart]]], edges[reaching[np.r_[apart, True]] + 1]
        counts[step] = n_alarms(list(zip(starts.tolist(), ends.tolist(), strict=True)), curve.video_id, ignored, marks)
    return counts
