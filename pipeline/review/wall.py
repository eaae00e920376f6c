"""What the page shows first: the wall of all events, the list of all videos, and what each threshold would cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .event_pictures import EventPictures, OfVideo
from .summary import summary
from .video_data import VideoData
from .wall_rows import CameraAlarms, alarms_at_each_threshold


class Wall:
    """Gathers, video by video, what the overview's data file says of all of them.

    Args:
        page: the folder of the page.
        categories: names of the categories.
    """

    def __init__(self, page: Path, categories: Sequence[str]):
        self.rows: list[dict] = []
        """The overview rows of the videos that have a curve."""
        self.pictures = EventPictures(page)
        self._categories = categories
        self._of_videos: list[OfVideo] = []
        self._cameras: dict[str | None, CameraAlarms] = {}

    def add(self, data: VideoData) -> None:
        """Take in one video."""
        row = summary(data, self._categories)
        self.rows.append(row)
        self._of_videos.append(self.pictures.add(data))
        camera = self._cameras.setdefault(row["camera"], CameraAlarms())
        camera.seconds += row["seconds"]
        camera.threshold = data.threshold
        camera.counts += alarms_at_each_threshold(data.curve, merge_gap_seconds=data.settings.rule.merge_gap_seconds)

    def shown(self, failed: Sequence[dict]) -> dict:
        """The overview's videos and cameras as JSON values.

        Args:
            failed: rows of videos that have no curve, which come last.
        """
        for row, of_video in zip(self.rows, self._of_videos, strict=True):
            row |= {"state": of_video.state, "drawn": of_video.drawn}
        return {
            "videos": [*sorted(self.rows, key=lambda row: (-row["peak"], row["id"])), *failed],
            "cameras": [
                {
                    "name": name,
                    "seconds": round(camera.seconds, 3),
                    "threshold": camera.threshold,
                    "counts": camera.counts.tolist(),
                }
                for name, camera in sorted(self._cameras.items(), key=lambda pair: pair[0] or "")
            ],
        }
