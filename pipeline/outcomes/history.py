"""Reads from outcome files what past runs did, what failed and why, and how long each stage took; for `status`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError

from .outcome_files import Failures, Line, taken_into
from .run_story import RunStory
from .video_outcome import VideoOutcome


@dataclass(slots=True)
class Story:
    """All runs of a feature store or results folder."""

    by_id: dict[str, RunStory] = field(default_factory=dict)
    failures: Failures = field(default_factory=Failures)
    folded: set[str] = field(default_factory=set)
    """Ids of the runs of which only figures are kept."""

    @property
    def runs(self) -> list[RunStory]:
        """The runs that did anything, oldest first."""
        return [self.by_id[run_id] for run_id in sorted(self.by_id) if self.by_id[run_id].counts]

    @property
    def n_damaged(self) -> int:
        """How many lines could not be read and were passed over."""
        return sum(run.damaged for run in self.by_id.values())

    @property
    def failing(self) -> list[VideoOutcome]:
        """The last outcomes of the videos whose last one is a failure."""
        return list(self.failures.by_footage.values())

    def take(self, line: Line) -> None:
        """Take in a line of an outcome file."""
        run = self.by_id.setdefault(line.run_id, RunStory.begun(line.run_id))
        run.take(line.told, counted=line.is_folded)
        self.failures.take(line)
        if line.is_folded:
            self.folded.add(line.run_id)


def read_story(folder: Path) -> Story:
    """Read the outcome files of a feature store or results folder; damaged lines are passed over and counted.

    Raises:
        ConfigError: the folder has no outcome files.
    """
    if not any((folder / "outcomes").glob("*.jsonl")):
        raise ConfigError(
            f"{folder}: no outcomes of a run in it; give a results folder, or a feature store that `extract` "
            "has filled (`store ls` lists what was imported)"
        )
    return taken_into(Story, folder / "outcomes")
