"""From which score on a frame belongs to an event: what a person set for a results folder, kept in its run.json.

Until somebody sets one, the threshold is the checkpoint's. One for all videos, or one for a camera, whose name is the
clock pattern's `{camera}` or else the first folder of an id. The same file keeps the gap below which events are one and
weekly hours in which events do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.names import composed
from vad_pipeline.model.curve import MERGE_GAP_SECONDS, AnomalyCurve, Event, find_events

from .clock import Clock, camera_of
from .ignored_hours import IgnoredHours, frames_in, hours_as_json, hours_in_words, hours_of, lies_in, parse_hours

UNSET = "default"  # given in place of a threshold: use the checkpoint's again
HOURS = "ignored_hours"  # the name under which run.json keeps them


@dataclass(frozen=True, slots=True)
class EventRule:
    """How events are found in the curves of a results folder."""

    threshold: float
    """The threshold of every video whose camera has none of its own."""
    by_camera: Mapping[str, float] = field(default_factory=dict)
    merge_gap_seconds: float = MERGE_GAP_SECONDS
    clock: Clock | None = None
    """Reads camera and start time from video ids; None where the wall clock is not known."""
    is_set: bool = False
    """Whether a person set `threshold`; False where it is the checkpoint's."""
    hours: IgnoredHours = field(default_factory=dict)
    """Camera, `*` for every one -> weekly hours in which its events do not count."""

    @classmethod
    def of_record(cls, record: dict) -> EventRule:
        """Read the rule from the content of run.json.

        Raises:
            StoreError: the clock in it cannot be read.
            ValueError, TypeError, KeyError, AttributeError: another value is missing or of the wrong kind.
        """
        kept = _kept(record)
        return cls(
            threshold=float(kept.get("threshold", record["threshold"])),
            by_camera={
                composed(str(camera)): float(value) for camera, value in kept.get("threshold_by_camera", {}).items()
            },
            merge_gap_seconds=float(kept.get("merge_gap_seconds", MERGE_GAP_SECONDS)),
            clock=Clock.of_record(record),
            is_set="threshold" in kept,
            hours=parse_hours(kept.get(HOURS, {})),
        )

    def camera_of(self, video_id: str) -> str | None:
        """The camera that a video id names: the clock pattern's `{camera}`, else the id's first folder, else None."""
        return camera_of(video_id, self.clock.of(video_id) if self.clock else None)

    def threshold_of(self, video_id: str) -> float:
        """The threshold that holds for one video: that of its camera, else `threshold`."""
        return self.by_camera.get(self.camera_of(video_id), self.threshold) if self.by_camera else self.threshold

    def ignored_in(self, curve: AnomalyCurve) -> list[tuple[int, int]]:
        """The half-open stretches of a video's frames in which events do not count; none where its id says no time."""
        reading = self.clock.of(curve.video_id) if self.clock and self.hours else None
        if reading is None:
            return []
        return frames_in(hours_of(self.hours, self.camera_of(curve.video_id)), reading, curve.frame_seconds)

    def events_of(self, curve: AnomalyCurve) -> tuple[list[Event], int]:
        """The events of a video that count, in the order of time; and how many are left out, in ignored hours."""
        threshold = self.threshold_of(curve.video_id)
        found = find_events(curve, threshold=threshold, merge_gap_seconds=self.merge_gap_seconds)
        ignored = self.ignored_in(curve)
        counted = [event for event in found if not lies_in(event.start_frame, event.end_frame, ignored)]
        return counted, len(found) - len(counted)

    def __str__(self) -> str:
        own = [f"{camera} {value:g}" for camera, value in sorted(self.by_camera.items())]
        said = ", ".join([f"threshold {self.threshold:g}", *own]) + (" (as set)" if self.is_set or own else "")
        return f"{said}, ignored hours: {hours_in_words(self.hours)}" if self.hours else said


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a command line sets for a results folder; what it leaves out stays as the folder's run.json has it."""

    thresholds: Mapping[str | None, float | None] = field(default_factory=dict)
    """Camera -> threshold. The key None stands for all cameras without their own; the value None means: the
    checkpoint's again."""
    merge_gap_seconds: float | None = None
    clock: Clock | None = None
    hours: IgnoredHours | None = None
    """Hours in which events do not count, in place of those kept; empty: none any more."""

    def __post_init__(self):
        for value in self.thresholds.values():
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"--threshold must lie in 0 to 1, got {value}")
        if self.merge_gap_seconds is not None and not self.merge_gap_seconds >= 0:  # nan is not
            raise ConfigError(f"--merge-gap must not be negative, got {self.merge_gap_seconds}")

    @classmethod
    def of(
        cls,
        thresholds: Sequence[str],
        merge_gap_seconds: float | None,
        clock: Clock | None,
        hours: IgnoredHours | None = None,
    ) -> Chosen:
        """Parse options; each of `thresholds` is `0.9`, `CAMERA=0.9`, `default` or `CAMERA=default`.

        Raises:
            ConfigError: a threshold is neither a number in 0 to 1 nor `default`, or the merge gap is negative.
        """
        found = {}
        for text in thresholds:
            camera, equals, value = text.rpartition("=")
            try:
                if equals and not camera:
                    raise ValueError
                camera = composed(camera) if equals else None
                number = None if value == UNSET else float(value)
            except ValueError:
                raise ConfigError(
                    f"--threshold {text!r}: expected a number in 0 to 1, CAMERA=NUMBER or {UNSET!r} (the checkpoint's)"
                ) from None
            if found.setdefault(camera, number) != number:
                raise ConfigError(f"--threshold {text!r}: is given twice, with different values; keep one")
        return cls(found, merge_gap_seconds, clock, hours)

    def put_into(self, record: dict) -> dict:
        """Return the content of run.json with these choices in it.

        `default` for all cameras also removes the thresholds of single cameras.

        Raises:
            ConfigError: hours are to be ignored, and no clock is known that reads the time of day off ids.
        """
        kept = _kept(record)
        by_camera = dict(kept.get("threshold_by_camera", {}))
        if None in self.thresholds:
            kept["threshold"] = self.thresholds[None]
            if kept["threshold"] is None:
                del kept["threshold"]
                by_camera.clear()
        by_camera |= {camera: value for camera, value in self.thresholds.items() if camera is not None}
        kept["threshold_by_camera"] = {camera: value for camera, value in by_camera.items() if value is not None}
        if self.merge_gap_seconds is not None:
            kept["merge_gap_seconds"] = self.merge_gap_seconds
        if self.hours is not None:
            kept[HOURS] = hours_as_json(self.hours)
        clock = self.clock.to_json() if self.clock else record.get("clock")
        if self.hours and not clock:
            raise ConfigError(
                "--ignore names hours, which needs the wall clock of the videos: give --clock PATTERN and --timezone "
                "ZONE too, as in --clock '{camera}/%Y-%m-%d/%H-%M-%S' --timezone Europe/Berlin"
            )
        return {**record, "clock": clock, "kept": {name: value for name, value in kept.items() if value != {}}}


AS_KEPT = Chosen()


def _kept(record: dict) -> dict:
    """What a person set for a folder, from its run.json.

    Folders written before such settings were kept have only what their events were last found with; that counts then.
    """
    if "kept" in record:
        return dict(record["kept"])
    before = dict(record.get("events") or {})
    if before.get("threshold") == record.get("threshold"):
        before.pop("threshold", None)
    return before
