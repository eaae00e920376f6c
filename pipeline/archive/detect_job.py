"""What `detect` does about each video: its curve is there already, or it is a task."""

from __future__ import annotations

from dataclasses import dataclass

from vad_pipeline.extract.store.entry import Entry

from ..results.folder import Results
from ..workers.base import Work
from .detect_video import Detected, DetectTask, DetectWork
from .outcomes import VideoOutcome


def is_scored(entry: Entry, work: DetectWork, results: Results) -> bool:
    """Whether the curve of exactly these features is there, and its table where one is asked for."""
    held = results.holds(entry.video, entry.recipe_id, work.made_from(entry))
    return held and (not work.csv or results.csv_path(entry.video).exists())


@dataclass(frozen=True, slots=True)
class DetectJob:
    """What `detect` does to each video. Items are entries of the store."""

    scoring: DetectWork
    work: Work
    results: Results
    recipe_id: None = None
    """A failure to score says nothing of a recipe."""

    def decide(self, entry: Entry) -> VideoOutcome | DetectTask:
        """See `Job`."""
        if is_scored(entry, self.scoring, self.results):
            return self.scoring.outcome(entry, "cached")
        return DetectTask(entry, self.results.written_ns(entry.video, entry.recipe_id))

    def settle(self, detected: Detected) -> VideoOutcome:
        """See `Job`."""
        self.results.take_in(detected.shard)
        return detected.outcome

    def identify(self, item: Entry | DetectTask) -> tuple[str, str]:
        """See `Job`."""
        entry = item.entry if isinstance(item, DetectTask) else item
        return entry.video, entry.source
