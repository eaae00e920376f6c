"""What the page shows first: the wall of all events, the list of all videos, and what each threshold would cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ..results.marks import Marks
from ..results.prices import marked_peaks
from ..results.verdicts import Verdict
from .event_pictures import EventPictures, OfVideo
from .summary import summary
from .video_data import VideoData
from .wall_rows import CameraAlarms, alarms_at_each_threshold, measured, missed_events, range_of


class Wall:
    """Gathers, video by video, what the overview's data file says of all of them.

    Args:
        page: the folder of the page.
        categories: names of the categories.
        marks: what reviewers said, as far as the results hold it.
    """

    def __init__(self, page: Path, categories: Sequence[str], marks: Marks):
        self.rows: list[dict] = []
        """The overview rows of the videos that have a curve."""
        self.pictures = EventPictures(page)
        self._categories, self._marks = categories, marks
        self._measured: dict[tuple[str, int, int], dict] = {}
        self._of_videos: list[OfVideo] = []
        self._cameras: dict[str | None, CameraAlarms] = {}
        self._n_ignored = 0

    def add(self, data: VideoData) -> None:
        """Take in one video."""
        row = summary(data, self._categories)
        self.rows.append(row)
        marked = [verdict for verdict, _ in marked_peaks(data.curve, self._marks)]
        self._measured |= {range_of(verdict): measured(data.curve, verdict) for verdict in marked}
        self._of_videos.append(self.pictures.add(data, missed_events(data.curve, data.events, marked)))
        self._n_ignored += data.n_ignored
        camera = self._cameras.setdefault(row["camera"], CameraAlarms())
        camera.seconds += row["seconds"]
        camera.threshold = data.threshold
        camera.counts += alarms_at_each_threshold(data.curve, data.settings.rule, self._marks)

    def verdict_rows(self, verdicts: Sequence[Verdict]) -> list[dict]:
        """Verdicts as JSON values, with times and peak of their ranges where a curve is known: `at`."""
        return [asdict(verdict) | {"at": self._measured.get(range_of(verdict))} for verdict in verdicts]

    def shown(self, failed: Sequence[dict]) -> dict:
        """The overview's videos and cameras as JSON values.

        Args:
            failed: rows of videos that have no curve, which come last.
        """
        for row, of_video in zip(self.rows, self._of_videos, strict=True):
            row |= {"state": of_video.state, "drawn": of_video.drawn, "missed": of_video.missed_drawn}
        return {
            "ignored": self._n_ignored,
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
