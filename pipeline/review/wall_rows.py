"""What the page's wall shows of each video: its events as rows, its camera and day; and of each camera, how many
alarms every threshold would give."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from vad_pipeline.model.curve import TIME_TOLERANCE_SECONDS, AnomalyCurve, Event

from .event_tree import cells_of

STEPS = 100  # alarms are counted at thresholds 0, 0.01 ... 1
DAY = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_./]?)(\d\d)\2(\d\d)(?!\d)|(?<!\d)((?:19|20)\d{6})(?=\d{6}(?!\d))")


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
            round(event.peak_score, 6),
        ]
        for event in events
    ]


def day_in(video_id: str) -> str | None:
    """The day that an id shows without a clock pattern, such as 2026-11-02 of `cam1/20261102_0800`; None where it shows
    none, or one that no calendar has."""
    for found in DAY.finditer(video_id):
        digits = found[5] or found[1] + found[3] + found[4]
        try:
            return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).isoformat()
        except ValueError:  # the 31st of February: other digits may be the day
            continue
    return None


@dataclass(slots=True)
class CameraAlarms:
    """How much footage of a camera there is, and how many events each threshold would give."""

    seconds: float = 0.0
    threshold: float = 0.0
    """The threshold that its events were found with."""
    counts: np.ndarray = field(default_factory=lambda: np.zeros(STEPS + 1, np.int64))
    """(101,) events at the thresholds 0, 0.01 ... 1."""


def alarms_at_each_threshold(curve: AnomalyCurve, *, merge_gap_seconds: float) -> np.ndarray:
    """How many events `find_events` would find at the thresholds 0, 0.01 ... 1: (101,) int64."""
    cells = cells_of(curve)
    edges = cells.edges(curve.n_frames)
    began, over = curve.frame_seconds[edges[:-1]], curve.frame_ends()[edges[1:] - 1]
    apart = merge_gap_seconds - TIME_TOLERANCE_SECONDS
    counts = np.zeros(STEPS + 1, np.int64)
    for step in range(STEPS + 1):
        reaching = np.flatnonzero(cells.scores >= np.float32(step / STEPS))
        if not len(reaching):
            break
        gap = began[reaching[1:]] - over[reaching[:-1]]
        neighbours = (np.diff(reaching) == 1) & (gap <= 0)
        counts[step] = 1 + np.count_nonzero((gap >= apart) & ~neighbours)
    return counts
