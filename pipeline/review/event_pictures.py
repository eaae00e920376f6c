"""Small pictures of each event, for the page's wall: some frames spread over it, and its peak.

Each event has a file of its own, loaded when its card comes into sight. The name says all that its pictures depend on,
so what is there is right, and a file that no event asks for any more is removed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from vad_pipeline.extract.errors import DamagedShard, VideoError
from vad_pipeline.extract.files import write_bytes
from vad_pipeline.model.curve import AnomalyCurve, Event

from ..results.folder import Results
from .playback import Playback
from .video_data import VideoData

FOLDER = "events"
FRAMES = 6  # spread over an event, besides its peak
HEIGHT_PX = 108
LAYOUT = 1  # number of the files' layout; when it changes, all are made anew
STATE_DIGITS = 8

Counting = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Called with how many events get pictures now; gives what is told how many of them are done."""


@dataclass(slots=True)
class OfVideo:
    """The events of one video, and which of them have pictures."""

    video_id: str
    key: str
    footage: Playback
    events: list[Event]
    state: str
    missed: list[Event] = field(default_factory=list)
    """What reviewers drew where no event was found."""
    made: set[str] = field(default_factory=set)
    """Names of the files that are there."""

    def name(self, event: Event) -> str:
        """The name of an event's file, without its suffix."""
        return f"{event.start_frame}-{event.end_frame}-{event.peak_frame}-{self.state}"

    @property
    def drawn(self) -> list[int]:
        """The positions of the events that have pictures."""
        return [i for i, event in enumerate(self.events) if self.name(event) in self.made]

    @property
    def missed_drawn(self) -> list[str]:
        """Frames of the missed events that have pictures, such as `320-480`."""
        drawn = (event for event in self.missed if self.name(event) in self.made)
        return [f"{event.start_frame}-{event.end_frame}" for event in drawn]

    @property
    def shown(self) -> list[Event]:
        """All that have pictures, or are to get some."""
        return [*self.events, *self.missed]


class EventPictures:
    """The pictures of the events of a results folder.

    Args:
        page: the folder of the page.
    """

    def __init__(self, page: Path):
        self._folder = page / FOLDER
        self._videos: list[OfVideo] = []

    def add(self, data: VideoData, missed: list[Event]) -> OfVideo:
        """Look up which events of a video, and which of those that it lacks, have pictures already."""
        footage = data.footage
        state = hashlib.sha256(json.dumps([LAYOUT, footage.here, footage.state]).encode(errors="replace")).hexdigest()
        of_video = OfVideo(data.curve.video_id, data.key, footage, data.events, state[:STATE_DIGITS], missed)
        there = {path.stem for path in (self._folder / data.key).glob("*.js")}
        of_video.made = there & {of_video.name(event) for event in of_video.shown}
        self._videos.append(of_video)
        return of_video

    def make(self, results: Results, recipe_id: str, *, most: int, counting: Counting) -> int:
        """Make pictures of events that have none, those with the highest peaks first.

        Args:
            results: the results folder, from which curves are read again.
            recipe_id: the recipe of the features that were scored.
            most: of how many events to make them; the others get theirs another time.
            counting: shows progress.

        Returns:
            How many events whose footage is there are left without pictures.

        Raises:
            StoreError: a file cannot be written.
        """
        lacking = [
            (video, event)
            for video in self._videos
            if video.footage.here is not None
            for event in video.shown
            if video.name(event) not in video.made
        ]
        lacking.sort(key=lambda pair: -pair[1].peak_score)
        now: dict[str, tuple[OfVideo, list[Event]]] = {}
        for video, event in lacking[:most]:
            now.setdefault(video.video_id, (video, []))[1].append(event)
        if now:
            with counting(min(most, len(lacking))) as on_events:
                for video, events in now.values():
                    self._make(video, events, results, recipe_id)
                    on_events(len(events))
        return max(0, len(lacking) - most)

    def remove_others(self) -> None:
        """Remove the pictures of events and videos that are no longer there."""
        made = {video.key: video.made for video in self._videos}
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if folder.name not in made:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            for path in folder.glob("*.js"):
                if path.stem not in made[folder.name]:
                    path.unlink(missing_ok=True)

    def _make(self, video: OfVideo, events: list[Event], results: Results, recipe_id: str) -> None:
        try:
            curve = results.get(video.video_id, recipe_id)
        except (KeyError, DamagedShard):  # another run has just replaced it; its next page has its pictures
            return
        found = _pictures(video.footage, curve, {frame for event in events for frame in frames_of(event)})
        for event in events:
            name = video.name(event)
            shown = [[frame, found[frame]] for frame in frames_of(event) if frame in found]
            text = f"vad.receive({json.dumps(f'{video.key}/{name}')}, {json.dumps(shown)});\n"
            write_bytes(self._folder / video.key / f"{name}.js", text.encode("ascii"))
            video.made.add(name)


def frames_of(event: Event) -> list[int]:
    """Frames spread evenly over an event, and its peak; ascending."""
    length = event.end_frame - event.start_frame
    n = min(FRAMES, length)
    spread = {event.start_frame + (2 * i + 1) * length // (2 * n) for i in range(n)}
    return sorted(spread | {event.peak_frame})


def _pictures(footage: Playback, curve: AnomalyCurve, frames: Iterable[int]) -> dict[int, str]:
    """Frame number -> picture; none where the footage cannot be read, which the video's own data tells."""
    from ..media.pictures import pictures

    try:
        return pictures(footage.here, sorted(frames), curve.frame_seconds, stream=curve.stream, height_px=HEIGHT_PX)
    except VideoError:
        return {}
