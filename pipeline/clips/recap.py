"""Writes the recap: all chosen events one after the other in one video, with time and score in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from vad_pipeline.extract.decode.reader import PyavFrame
from vad_pipeline.extract.errors import VideoError, VideoOpenError, readable
from vad_pipeline.extract.files import written_aside
from vad_pipeline.model.curve import AnomalyCurve

from ..media.failures import as_its_failure
from ..media.footage import Footage, find_footage, open_footage
from ..media.h264 import FrameFile, frames_beside, retimed
from ..media.lettering import strip
from ..results.event_rows import HeldEvent
from ..results.folder import Results
from ..results.run_settings import curve_behind, held_against, settings_of
from .contact_sheet import time_at
from .cutting import wanted_frames
from .make import ClipsConfig

WIDTH_PX, HEIGHT_PX, LETTERS_PX = 640, 360, 16
OPENED = 4  # videos kept open, as events of several cameras may alternate
EVENT_COLOUR, ROLL_COLOUR = (140, 30, 20), (0, 0, 0)  # RGB behind the letters during the event, and around it
LAST_SECONDS = 0.04  # how long the very last frame is shown


def write_recap(
    target: Path, results: Results, events: Sequence[HeldEvent], config: ClipsConfig
) -> tuple[int, list[str]]:
    """Write one mp4 of all events with their rolls, ordered by wall clock; those without one come last, by video.

    Frames keep their distances in time. No sound.

    Args:
        target: the mp4 file; it is complete as soon as it exists.
        results: the results folder that the events are from.
        events: the chosen events.
        config: the rolls, and where footage lies now.

    Returns:
        How many events the recap shows in full, and a sentence for each other one.

    Raises:
        VideoError: no event can be shown; the target is left as it was.
        StoreError: the target cannot be written.
    """
    recap = _Recap(results, config)
    with written_aside(target) as aside, frames_beside(aside) as path, as_its_failure(target):
        with FrameFile(path) as file:
            for held in sorted(events, key=_in_time):
                recap.show(held, file)
        if not recap.seconds:
            raise VideoOpenError(target, "no_frames", f"is not written, no event can be shown: {recap.failures[0]}")
        retimed(path, aside, seconds=np.array(recap.seconds), last_seconds=LAST_SECONDS)
    return recap.n_shown, recap.failures


class _Recap:
    """The frames written so far, and when each is shown."""

    def __init__(self, results: Results, config: ClipsConfig):
        self._results, self._config, self._settings = results, config, settings_of(results)
        self._opened = lru_cache(maxsize=OPENED)(self._open)
        self._end = 0.0
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self.n_shown = 0

    def show(self, held: HeldEvent, file: FrameFile) -> None:
        """Add the frames of an event and its rolls to a file."""
        try:
            curve, footage = self._opened(held.video)
            held_against(curve, held)
            first, end = wanted_frames(curve.frame_seconds, held.event, self._config.roll)
            times = curve.frame_seconds[first:end] - curve.frame_seconds[first]
            with as_its_failure(footage.path):
                for number, frame in enumerate(footage.frames(first, end), first):
                    file.add_pixels(self._picture(frame, held, curve, number))
                    self.seconds.append(self._end + float(times[number - first]))
            self._end = self.seconds[-1] + float(1 / curve.fps)
            self.n_shown += 1
        except VideoError as error:
            self.failures.append(f"{readable(held.event_id)}: {error}")
            self._end = self.seconds[-1] + LAST_SECONDS if self.seconds else 0.0

    def _open(self, video_id: str) -> tuple[AnomalyCurve, Footage]:
        curve = curve_behind(self._results, video_id, self._settings.recipe_id)
        blur = self._config.blur_of(video_id, self._settings.rule)
        return curve, open_footage(curve, find_footage(curve, self._config.roots), blur)

    def _picture(self, frame: PyavFrame, held: HeldEvent, curve: AnomalyCurve, number: int) -> np.ndarray:
        inside = held.event.start_frame <= number < held.event.end_frame
        score = f"{self._settings.score_name} {curve.scores[number]:.2f}"
        lines = [held.video, f"{time_at(curve, number, self._settings)}   {held.event.category}   {score}"]
        ground = EVENT_COLOUR if inside else ROLL_COLOUR
        return np.concatenate([_boxed(frame), strip(lines, width=WIDTH_PX, size_px=LETTERS_PX, ground=ground)])


def _in_time(held: HeldEvent) -> tuple:
    known = held.start_time is not None
    return (not known, held.start_time.timestamp() if known else 0.0, held.video, held.event.start_frame)


def _boxed(frame: PyavFrame) -> np.ndarray:
    """Scale a frame to fit the picture, with black around it: (HEIGHT_PX, WIDTH_PX, 3) uint8."""
    width, height = frame.size_px
    factor = min(WIDTH_PX / width, HEIGHT_PX / height)
    width, height = max(1, int(width * factor)), max(1, int(height * factor))
    picture = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    top, left = (HEIGHT_PX - height) // 2, (WIDTH_PX - width) // 2
    picture[top : top + height, left : left + width] = frame.rgb((width, height))
    return picture
