"""Decides for `detect` what to do with each video: nothing, where its curve is there, or send it to a worker."""

from __future__ import annotations

from dataclasses import dataclass

from vad_pipeline.extract.store.entry import Entry

from ..outcomes.video_outcome import VideoOutcome
from ..results.folder import Results
from ..workers.base import Work
from .detect_video import Detected, DetectTask, DetectWork


def is_scored(entry: Entry, work: DetectWork, results: Results) -> bool:
    """Whether the results hold the curve of exactly these features, and with --csv also its CSV file."""
    held = results.holds(entry.video, entry.recipe_id, work.made_from(entry))
    return held and (not work.csv or results.csv_path(entry.video).exists())


@dataclass(frozen=True, slots=True)
class DetectJob:
    """The `Job` of `detect`; its items are entries of the feature store."""

    scoring: DetectWork
    work: Work
    results: Results
    recipe_id: None = None
    """None: outcomes of `detect` are not looked up by recipe."""

    def decide(self, entry: Entry) -> VideoOutcome | DetectTask:
        """Return the outcome `cached` where the video is scored already, else the task of scoring it."""
        if is_scored(entry, self.scoring, self.results):
            return self.scoring.outcome(entry, "cached")
        return DetectTask(entry, self.results.written_ns(entry.video, entry.recipe_id))

    def settle(self, detected: Detected) -> VideoOutcome:
        """Add the curve that a worker wrote to the results' index, and return the video's outcome."""
        self.results.take_in(detected.shard)
        return detected.outcome

    def identify(self, item: Entry | DetectTask) -> tuple[str, str, int]:
        """The video id, source path and stream of an entry or a task."""
        entry = item.entry if isinstance(item, DetectTask) else item
        return entry.video, entry.source, entry.stream
