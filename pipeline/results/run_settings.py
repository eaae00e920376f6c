"""What those who read a results folder need of it: its settings, the curve of an event."""

from __future__ import annotations

from dataclasses import dataclass

from vad_pipeline.extract.errors import StoreError, VideoOpenError
from vad_pipeline.model.curve import AnomalyCurve

from .clock import ClockReading
from .event_rows import HeldEvent
from .event_rule import EventRule
from .folder import Results
from .run_record import RECORD_NAME, read_record, rule_of


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Of run.json."""

    recipe_id: str
    """Of the features; empty in a folder that others wrote."""
    categories: tuple[str, ...]
    """The normal one first."""
    rule: EventRule
    """How events are found."""
    calibrated: bool
    """Whether scores mean what a trained checkpoint's do."""
    crop: int | None = None
    """Scored; None where it is not known."""

    @property
    def score_name(self) -> str:
        """What a score is called where it is shown."""
        return "score" if self.calibrated else "uncalibrated score"

    def reading(self, video_id: str) -> ClockReading | None:
        """What a video's id says of camera and time; None where nothing is known."""
        return self.rule.clock.of(video_id) if self.rule.clock else None


def settings_of(results: Results) -> RunSettings:
    """The settings of a results folder.

    Raises:
        StoreError: run.json is damaged.
    """
    record = read_record(results.path)
    try:
        return RunSettings(
            recipe_id=str(record.get("recipe_id", "")),
            crop=record.get("crop"),
            categories=tuple(map(str, record["categories"])),
            rule=rule_of(results.path, record),
            calibrated=bool(record.get("calibrated", True)),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        path = results.path / RECORD_NAME
        raise StoreError(f"{path}: cannot be read ({error!r}); delete it and detect again") from error


def curve_behind(results: Results, video_id: str, recipe_id: str) -> AnomalyCurve:
    """The curve that an event was found in.

    Raises:
        VideoOpenError: there is none.
    """
    try:
        return results.get(video_id, recipe_id)
    except KeyError as error:
        reason = "has events but no curve; `vad-pipeline detect` makes it, `vad-pipeline events` its events"
        raise VideoOpenError(video_id, "unreadable", reason) from error


def held_against(curve: AnomalyCurve, held: HeldEvent) -> None:
    """See that an event lies in its curve.

    Raises:
        VideoOpenError: the events are of another run.
    """
    if held.event.end_frame > curve.n_frames:
        reason = f"event {held.event_id} lies beyond its curve of {curve.n_frames} frames; run `vad-pipeline events`"
        raise VideoOpenError(held.video, "unreadable", reason)
