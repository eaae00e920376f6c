"""From which score on a frame belongs to an event: what a person set for a results folder, kept in its run.json.

Until somebody sets one, the threshold is the checkpoint's. One for all videos, or one for a camera, whose name is the
clock pattern's `{camera}` or else the first folder of an id; the same file keeps the gap below which events are one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.names import composed
from vad_pipeline.model.curve import MERGE_GAP_SECONDS

from .clock import Clock, camera_of

UNSET = "default"  # given in place of a threshold: use the checkpoint's again


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
        )

    def camera_of(self, video_id: str) -> str | None:
        """The camera that a video id names: the clock pattern's `{camera}`, else the id's first folder, else None."""
        return camera_of(video_id, self.clock.of(video_id) if self.clock else None)

    def threshold_of(self, video_id: str) -> float:
        """The threshold that holds for one video: that of its camera, else `threshold`."""
        return self.by_camera.get(self.camera_of(video_id), self.threshold) if self.by_camera else self.threshold

    def __str__(self) -> str:
        own = [f"{camera} {value:g}" for camera, value in sorted(self.by_camera.items())]
        return ", ".join([f"threshold {self.threshold:g}", *own]) + (" (as set)" if self.is_set or own else "")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a command line sets for a results folder; what it leaves out stays as the folder's run.json has it."""

    thresholds: Mapping[str | None, float | None] = field(default_factory=dict)
    """Camera -> threshold. The key None stands for all cameras without their own; the value None means: the
    checkpoint's again."""
    merge_gap_seconds: float | None = None
    clock: Clock | None = None

    def __post_init__(self):
        for value in self.thresholds.values():
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"--threshold must lie in 0 to 1, got {value}")
        if self.merge_gap_seconds is not None and not self.merge_gap_seconds >= 0:  # nan is not
            raise ConfigError(f"--merge-gap must not be negative, got {self.merge_gap_seconds}")

    @classmethod
    def of(cls, thresholds: Sequence[str], merge_gap_seconds: float | None, clock: Clock | None) -> Chosen:
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
        return cls(found, merge_gap_seconds, clock)

    def put_into(self, record: dict) -> dict:
        """Return the content of run.json with these choices in it.

        `default` for all cameras also removes the thresholds of single cameras.
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
        clock = self.clock.to_json() if self.clock else record.get("clock")
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
