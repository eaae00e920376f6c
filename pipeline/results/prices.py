"""The price of a threshold: alarms a day at several of them, and which one parts real events from false alarms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from vad_pipeline.model.curve import AnomalyCurve, event_ranges

from .event_rule import AS_KEPT, Chosen, EventRule
from .folder import Results
from .marks import Marks
from .run_record import read_record, rule_of
from .verdict_log import latest_verdicts
from .verdicts import FALSE_ALARM, REAL

USUAL = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
DAY_SECONDS = 24 * 3600
DIGITS = 3  # of a suggested threshold, where so many tell it apart from the marked events' scores


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
    """Threshold -> number of events."""
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

    Args:
        real: the highest score of each event that was marked real.
        false: the same of false alarms.

    Returns:
        None where there are none of one kind, or the best is to keep all of them.
    """
    scores = sorted({*real, *false})
    if not real or not false:
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
    rounded = round(middle, DIGITS)
    threshold = rounded if below < rounded <= above else middle
    return Suggestion(threshold, len(real), len(false), n_lost, n_wrong - n_lost)


def prices(results: Results, chosen: Chosen = AS_KEPT) -> Prices:
    """Count, on all curves of a results folder, the events that thresholds give; nothing is written.

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
        for threshold in thresholds:
            ranges = event_ranges(curve, threshold=threshold, merge_gap_seconds=rule.merge_gap_seconds)
            price.events[threshold] += len(ranges)
            together.events[threshold] += len(ranges)
        _take_marks(curve, marks, (price, together))
    return Prices(thresholds, tuple(cameras[name] for name in sorted(cameras)), together, rule)


def _take_marks(curve: AnomalyCurve, marks: Marks, into: Sequence[Price]) -> None:
    """Note down the highest score of each range that was marked in a video."""
    for verdict in marks.of_video(curve.video_id):
        scores = curve.scores[verdict.start_frame : verdict.end_frame]
        if verdict.verdict in (REAL, FALSE_ALARM) and len(scores):
            for each in into:
                (each.real if verdict.verdict == REAL else each.false).append(float(scores.max()))
