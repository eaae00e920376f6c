"""One video's data file: its packed curve, pictures, truth, and where the footage lies."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from vad_pipeline.extract.errors import VideoError
from vad_pipeline.extract.source import readable
from vad_pipeline.model.curve import AnomalyCurve, Event, find_events

from .media import MediaRoot, is_video, link, moved, on_disk
from .packing import packed_curve

STRIP_PICTURES = 16  # evenly over a video
PEAK_PICTURES = 24  # of its highest events
KEY_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for all videos of a page."""

    page: Path
    """Folder of the page."""
    home: Path
    """What is copied as a whole: links inside it are relative."""
    threshold: float
    merge_gap_seconds: float
    truth: dict[str, list] = field(default_factory=dict)
    media_roots: tuple[MediaRoot, ...] = ()
    pictures: bool = True


@dataclass(slots=True)
class VideoData:
    """What the page is told of one video."""

    curve: AnomalyCurve
    settings: Settings
    picture_problem: str | None = None
    """Why there are no pictures, once they were asked for."""
    events: list[Event] = field(init=False)
    path: str = field(init=False)
    """Where the footage lies for whoever opens the page."""
    stamp: str = field(init=False)
    """The same means that the data file would be the same."""

    def __post_init__(self):
        settings = self.settings
        self.events = find_events(
            self.curve, threshold=settings.threshold, merge_gap_seconds=settings.merge_gap_seconds
        )
        self.path = moved(on_disk(self.curve.source), settings.media_roots)
        self.stamp = self._stamp()

    @property
    def footage(self) -> str | None:
        """The file that can be read here, or None: where it moved to, else where it was."""
        for path in (self.path, on_disk(self.curve.source)):
            if is_video(path) and os.path.isfile(path):
                return path
        return None

    def values(self) -> dict:
        """JSON values; decodes pictures."""
        curve, settings = self.curve, self.settings
        address = link(self.path, settings.page, home=settings.home) if is_video(self.path) else None
        strip, peaks = strip_frames(curve.n_frames), [event.peak_frame for event in highest(self.events)]
        return {
            "id": curve.video_id,
            "source": readable(self.path),
            "media": address,
            "categories": list(curve.categories),
            "curve": packed_curve(curve, merge_gap_seconds=settings.merge_gap_seconds),
            "strip": strip,
            "pictures": self._pictures([*strip, *peaks]),
            "problem": self.picture_problem,
            "truth": settings.truth.get(curve.video_id),
        }

    def _pictures(self, frames: list[int]) -> dict[int, str]:
        from .pictures import pictures

        if not self.settings.pictures:
            return {}
        footage = self.footage
        if footage is None:
            is_footage = is_video(self.path)
            self.picture_problem = "the video file is not there" if is_footage else "its features were imported"
            return {}
        try:
            found = pictures(footage, frames, self.curve.frame_seconds)
        except VideoError as error:
            self.picture_problem = error.reason
            return {}
        if not found:
            self.picture_problem = "no frame of it can be shown"
        return found

    def _stamp(self) -> str:
        curve, settings = self.curve, self.settings
        digest = hashlib.sha256()
        for values in (curve.scores, curve.category, curve.frame_seconds):
            digest.update(np.ascontiguousarray(values).tobytes())
        footage = self.footage
        state = os.stat(footage) if footage else None
        parts = [
            version("vad-pipeline"),
            settings.threshold,
            settings.merge_gap_seconds,
            settings.truth.get(curve.video_id),
            settings.pictures,
            readable(self.path),
            link(self.path, settings.page, home=settings.home),
            [state.st_size, state.st_mtime_ns] if state else None,
            [curve.fps.numerator, curve.fps.denominator, curve.snippet_len, *curve.categories],
        ]
        digest.update(json.dumps(parts).encode())
        return digest.hexdigest()


def key_of(video_id: str) -> str:
    """The name of a video's data file: any id makes a plain one."""
    return hashlib.sha256(video_id.encode(errors="surrogatepass")).hexdigest()[:KEY_DIGITS]


def same_as_before(path: Path, stamp: str) -> bool:
    """Whether a data file was written from the very same things."""
    try:
        with path.open("rb") as file:
            return file.readline() == f"/* {stamp} */\n".encode()
    except OSError:
        return False


def strip_frames(n_frames: int) -> list[int]:
    """Frames evenly over a video, each from the middle of its part."""
    n = min(STRIP_PICTURES, n_frames)
    return [(2 * i + 1) * n_frames // (2 * n) for i in range(n)]


def highest(events: list[Event]) -> list[Event]:
    """The events that get a picture."""
    return sorted(events, key=lambda event: (-event.peak_score, event.start_frame))[:PEAK_PICTURES]
