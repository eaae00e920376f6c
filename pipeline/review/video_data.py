"""The content of one video's data file: its packed curve, pictures, truth, wall clock, and the footage's address."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from vad_pipeline.eval.annotation import VideoAnnotation
from vad_pipeline.eval.truth import lay_over
from vad_pipeline.extract.errors import VideoError, readable
from vad_pipeline.model.curve import AnomalyCurve, Event

from ..media.roots import MediaRoots
from ..results.clock import ClockReading
from ..results.event_rule import EventRule
from ..results.file_names import key_of
from .packing import packed_curve
from .playback import Playback

STRIP_PICTURES = 16  # pictures taken evenly over a video
PEAK_PICTURES = 24  # at most so many of a video's events, the highest ones, get a picture
LAYOUT = 3  # number of the data files' layout; when it changes, all of them are written again


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that all videos of a page share."""

    page: Path
    """The folder of the page."""
    rule: EventRule
    """How events are found, and how the wall clock is read from ids."""
    truth: Mapping[str, VideoAnnotation] = field(default_factory=dict)
    """Video id -> its ground truth."""
    media_roots: MediaRoots = MediaRoots()
    pictures: bool = True
    previews: bool = False
    """Whether to write previews of footage that browsers do not play."""


@dataclass(slots=True)
class VideoData:
    """All that the page gets of one video."""

    curve: AnomalyCurve
    settings: Settings
    problems: list[str] = field(default_factory=list)
    """What could not be shown of the footage; filled by `values`."""
    events: list[Event] = field(init=False)
    n_ignored: int = field(init=False)
    """Events that are left out, as they lie in hours in which the camera's do not count."""
    ignored: list[tuple[int, int]] = field(init=False)
    """Stretches of frames in such hours."""
    footage: Playback = field(init=False)
    reading: ClockReading | None = field(init=False)

    def __post_init__(self):
        curve, settings = self.curve, self.settings
        self.events, self.n_ignored = settings.rule.events_of(curve)
        self.ignored = settings.rule.ignored_in(curve)
        self.footage = Playback.of(curve.source, settings.media_roots, curve.stream)
        self.reading = settings.rule.clock.of(curve.video_id) if settings.rule.clock else None

    @property
    def threshold(self) -> float:
        """The video's threshold: that of its camera, or else that of all videos."""
        return self.settings.rule.threshold_of(self.curve.video_id)

    @property
    def key(self) -> str:
        """The name of the video's data file, without its suffix."""
        return key_of(self.curve.video_id)

    def values(self) -> dict:
        """The data file's content as JSON values. This decodes pictures, and all footage if a preview is needed."""
        curve, settings = self.curve, self.settings
        strip, peaks = strip_frames(curve.n_frames), [event.peak_frame for event in highest(self.events)]
        return {
            "id": curve.video_id,
            "source": readable(self.footage.path),
            "media": self._address(),
            "playable": self.footage.playable,
            "categories": list(curve.categories),
            "threshold": self.threshold,
            "camera": settings.rule.camera_of(curve.video_id),
            "curve": packed_curve(curve, merge_gap_seconds=settings.rule.merge_gap_seconds),
            "strip": strip,
            "pictures": self._pictures([*strip, *peaks]) if settings.pictures else {},
            "problems": self.problems,
            "truth": self.truth,
            "ignored": self.ignored,
            "clock": self._clock(),
        }

    @property
    def truth(self) -> list[tuple[int, int, str | None]] | None:
        """The annotated ranges in frames, clipped to the video; None where the video has no ground truth."""
        annotation = self.settings.truth.get(self.curve.video_id)
        if annotation is None:
            return None
        last = self.curve.n_frames
        ranges = lay_over(annotation, self.curve, "corrected").ranges
        return [(min(int(start), last), min(int(end), last), category) for start, end, category in ranges]

    def _address(self) -> str | None:
        try:
            previews, n_frames = self.settings.previews, self.curve.n_frames
            return self.footage.address(self.settings.page, self.key, previews=previews, n_frames=n_frames)
        except VideoError as error:
            self.problems.append(f"no preview: {error.reason}")
            return None

    def _pictures(self, frames: list[int]) -> dict[int, str]:
        from ..media.pictures import pictures, told_missing

        if self.footage.here is None:
            self.problems.append(
                "the video file is not there" if self.footage.is_video else "its features were imported"
            )
            return {}
        try:
            found = pictures(self.footage.here, frames, self.curve.frame_seconds, stream=self.curve.stream)
        except VideoError as error:
            self.problems.append(error.reason)
            return {}
        if missing := told_missing(frames, found):
            self.problems.append(missing)
        return found

    def _clock(self) -> dict | None:
        if self.reading is None:
            return None
        start = self.reading.start
        return {"camera": self.reading.camera, "start": start.timestamp(), "zone": self.settings.rule.clock.timezone}

    def stamp(self) -> str:
        """A hash over all that the data file depends on: with the same stamp the file need not be written again.

        It changes once a preview has been made.
        """
        curve, settings = self.curve, self.settings
        preview = self.footage.preview(settings.page, self.key)
        digest = hashlib.sha256()
        for values in (curve.scores, curve.category, curve.frame_seconds):
            digest.update(np.ascontiguousarray(values).tobytes())
        parts = [
            LAYOUT,
            version("vad-pipeline"),
            self.threshold,
            settings.rule.camera_of(curve.video_id),
            settings.rule.merge_gap_seconds,
            self.truth,
            self.ignored,
            settings.pictures,
            settings.previews,
            readable(self.footage.path),
            os.fspath(settings.page),
            self.footage.state,
            preview is not None and preview.exists(),
            self._clock(),
            [curve.fps.numerator, curve.fps.denominator, curve.snippet_len, *curve.categories],
        ]
        digest.update(json.dumps(parts).encode())
        return digest.hexdigest()


def strip_frames(n_frames: int) -> list[int]:
    """Choose frames evenly over a video, each from the middle of its part."""
    n = min(STRIP_PICTURES, n_frames)
    return [(2 * i + 1) * n_frames // (2 * n) for i in range(n)]


def highest(events: list[Event]) -> list[Event]:
    """The events that get a picture."""
    return sorted(events, key=lambda event: (-event.peak_score, event.start_frame))[:PEAK_PICTURES]
