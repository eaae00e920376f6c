"""The price of a threshold: alarms a day at several of them, and which one parts real events from false alarms."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vad_pipeline.model.curve import AnomalyCurve, event_ranges

from .event_rule import AS_KEPT, Chosen, EventRule
from .folder import Results
from .ignored_hours import lies_in
from .marks import Marks
from .run_record import read_record, rule_of
from .verdict_log import latest_verdicts
from .verdicts import FALSE_ALARM, REAL, Verdict

USUAL = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
DAY_SECONDS = 24 * 3600
DIGITS = 3  # of a suggested threshold, where so many tell it apart from the marked events' scores
SCORE_DIGITS = 6  # of these scores, as the page has them
FEWEST = 3  # marks of either kind, below which no threshold is suggested


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A threshold, and how it parts what reviewers have marked."""

    threshold: float
    n_real: int
    """Events marked real."""
    n_false: int
    """Events marked as false alarms."""
    n_lost: int
    """How many of the real ones are below the threshold."""
    n_left: int
    """How many of the false alarms are not."""


@dataclass(slots=True)
class Price:
    """What thresholds give on the footage of one camera."""

    camera: str | None
    """None for all cameras together, and for ids that name no camera."""
    threshold: float
    """The one in force."""
    seconds: float = 0.0
    """Of footage."""
    events: Counter[float] = field(default_factory=Counter)
    """Threshold -> number of events that count: see `n_alarms`."""
    real: list[float] = field(default_factory=list)
    """The highest score of each range that was marked real."""
    false: list[float] = field(default_factory=list)

    def a_day(self, threshold: float) -> float:
        """Events in 24 hours of footage."""
        return self.events[threshold] * DAY_SECONDS / self.seconds

    @property
    def suggestion(self) -> Suggestion | None:
        """The threshold that the marks suggest; None where they suggest none."""
        return suggested_threshold(self.real, self.false)


@dataclass(frozen=True, slots=True)
class Prices:
    """What several thresholds give, for each camera and for all."""

    thresholds: tuple[float, ...]
    cameras: tuple[Price, ...]
    """By the camera's name."""
    all: Price
    rule: EventRule


def suggested_threshold(real: Sequence[float], false: Sequence[float]) -> Suggestion | None:
    """The threshold with the fewest marked events on the wrong side of it; of several, one that loses the fewest real.

    The page suggests the same while marks are made (suggestion.js).

    Args:
        real: the highest score of each event that was marked real.
        false: the same of false alarms.

    Returns:
        None where there are too few of one kind, or the best is to keep all of them.
    """
    scores = sorted({*real, *false})
    if min(len(real), len(false)) < FEWEST:
        return None
    best = None
    for below, above in zip(scores, scores[1:], strict=False):
        n_lost, n_left = sum(score < above for score in real), sum(score >= above for score in false)
        if best is None or (n_lost + n_left, n_lost) < best[0]:
            best = (n_lost + n_left, n_lost), below, above
    if best is None or best[0][0] >= len(false):
        return None
    (n_wrong, n_lost), below, above = best
    middle = (below + above) / 2
    rounded = math.floor(middle * 10**DIGITS + 0.5) / 10**DIGITS  # as JavaScript rounds
    threshold = rounded if below < rounded <= above else middle
    return Suggestion(threshold, len(real), len(false), n_lost, n_wrong - n_lost)


def prices(results: Results, chosen: Chosen = AS_KEPT) -> Prices:
    """Count, on all curves of a results folder, the alarms that thresholds give; nothing is written.

    Args:
        results: the folder.
        chosen: thresholds, merge gap and clock to reckon with in place of those that the folder keeps.

    Raises:
        StoreError: the folder cannot be read.
    """
    rule = rule_of(results.path, chosen.put_into(read_record(results.path)))
    thresholds = tuple(sorted({*USUAL, rule.threshold, *rule.by_camera.values()}))
    marks = Marks.of(latest_verdicts(results.path))
    cameras: dict[str, Price] = {}
    together = Price(None, rule.threshold)
    for curve in results:
        camera = rule.camera_of(curve.video_id)
        price = cameras.setdefault(camera or "", Price(camera, rule.threshold_of(curve.video_id)))
        for each in (price, together):
            each.seconds += curve.footage_seconds
        ignored = rule.ignored_in(curve)
        for threshold in thresholds:
            ranges = event_ranges(curve, threshold=threshold, merge_gap_seconds=rule.merge_gap_seconds)
            n = n_alarms(ranges, curve.video_id, ignored, marks)
            price.events[threshold] += n
            together.events[threshold] += n
        for verdict, peak in marked_peaks(curve, marks):
            for each in (price, together):
                (each.real if verdict.verdict == REAL else each.false).append(peak)
    return Prices(thresholds, tuple(cameras[name] for name in sorted(cameras)), together, rule)


def n_alarms(ranges: Sequence[tuple[int, int]], video_id: str, ignored: Sequence[tuple[int, int]], marks: Marks) -> int:
    """How many events of one video are alarms: those not in ignored hours, and not marked as false alarms.

    Args:
        ranges: half-open frames of the events.
        video_id: the video.
        ignored: its stretches of frames in ignored hours, see `EventRule.ignored_in`.
        marks: what reviewers said.
    """
    counted = [each for each in ranges if not lies_in(*each, ignored)] if ignored else ranges
    if not marks.of_video(video_id):
        return len(counted)
    return sum(marks.of_range(video_id, start, end) != FALSE_ALARM for start, end in counted)


def marked_peaks(curve: AnomalyCurve, marks: Marks) -> Iterator[tuple[Verdict, float]]:
    """The highest score of each range of a video that was marked real or as a false alarm."""
    for verdict in marks.of_video(curve.video_id):
        scores = curve.scores[verdict.start_frame : verdict.end_frame]
        if verdict.verdict in (REAL, FALSE_ALARM) and len(scores):
            yield verdict, round(float(scores.max()), SCORE_DIGITS)
