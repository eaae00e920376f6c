"""What readers of a results folder (report, clips, evaluate, plot) need: its settings, and the curve of an event."""

from __future__ import annotations

from dataclasses import dataclass

from vad_pipeline.extract.errors import DamagedShard, VideoOpenError
from vad_pipeline.extract.names import plural
from vad_pipeline.model.curve import AnomalyCurve

from .clock import ClockReading
from .event_rows import N_IGNORED, HeldEvent
from .event_rule import EventRule
from .folder import Results
from .run_record import read_record, rule_of, unusable


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The settings of a results folder, from its run.json, in the types that the code works with."""

    recipe_id: str
    """The recipe of the features that were scored; empty where run.json does not say it."""
    categories: tuple[str, ...]
    """Names of the categories, the normal one first."""
    rule: EventRule
    """How events are found in the curves."""
    calibrated: bool
    """Whether the scores mean what those of a trained checkpoint mean; False with --zero-shot."""
    calibration: dict | None = None
    """What stands behind the checkpoint's threshold, as run.json has it; None where nothing is known."""
    int8_share: float = 0.0
    """Share of the videos whose features were made in int8."""
    n_ignored: int = 0
    """Events that are left out, as they lie in hours in which their cameras' do not count."""
    crop: int | None = None
    """The number of the crop that was scored; None where it is not known."""

    @property
    def score_name(self) -> str:
        """The name under which scores are shown: `score`, or `uncalibrated score` with --zero-shot."""
        return "score" if self.calibrated else "uncalibrated score"

    @property
    def not_calibrated(self) -> str:
        """A sentence where too little footage stands behind the checkpoint's threshold, else empty."""
        if self.calibration is None or self.calibration.get("calibrated", True):
            return ""
        hours = self.calibration.get("hours")
        return f"the threshold is not calibrated: {hours:.3g} h of normal footage stand behind it" if hours else ""

    def reading(self, video_id: str) -> ClockReading | None:
        """Camera and start time that a video id states; None without a clock, or where the id does not match it."""
        return self.rule.clock.of(video_id) if self.rule.clock else None


def settings_of(results: Results) -> RunSettings:
    """Read the settings of a results folder from its run.json.

    Raises:
        StoreError: run.json is damaged.
    """
    record = read_record(results.path)
    try:
        return RunSettings(
            recipe_id=str(record.get("recipe_id", "")),
            crop=record.get("crop"),
            n_ignored=int(record.get(N_IGNORED, 0)),
            int8_share=float(record.get("int8_share", 0)),
            categories=tuple(map(str, record["categories"])),
            rule=rule_of(results.path, record),
            calibration=record.get("calibration"),
            calibrated=bool(record.get("calibrated", True)),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise unusable(results.path, error) from error


def curve_behind(results: Results, video_id: str, recipe_id: str) -> AnomalyCurve:
    """The curve that a video's events were found in.

    Raises:
        VideoOpenError: the results hold no curve of this video and recipe, or it is damaged.
    """
    try:
        return results.get(video_id, recipe_id)
    except DamagedShard as error:
        raise VideoOpenError(video_id, "unreadable", f"its curve is damaged ({error})") from error
    except KeyError as error:
        reason = "has events but no curve; `vad-pipeline detect` makes it, `vad-pipeline events` its events"
        raise VideoOpenError(video_id, "unreadable", reason) from error


def held_against(curve: AnomalyCurve, held: HeldEvent) -> None:
    """Check that an event of events.jsonl lies inside its video's curve.

    Raises:
        VideoOpenError: the event ends beyond the curve, so it was found in another one.
    """
    if held.event.end_frame > curve.n_frames:
        beyond = f"lies beyond its curve of {plural(curve.n_frames, 'frame')}"
        reason = f"event {held.event_id} {beyond}; run `vad-pipeline events`"
        raise VideoOpenError(held.video, "unreadable", reason)
