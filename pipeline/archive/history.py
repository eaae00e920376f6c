"""What outcome files tell of past runs: what was done, what failed and why, how long each stage took."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError

from .outcomes import RUN_ID_TIME, outcome_lines


@dataclass(slots=True)
class RunStory:
    """One run."""

    run_id: str
    started: str
    """ISO time, UTC."""
    last: str = ""
    """Of the last outcome."""
    hosts: set[str] = field(default_factory=set)
    counts: Counter = field(default_factory=Counter)
    """Videos by status."""
    codes: Counter = field(default_factory=Counter)
    """Failures by code."""
    n_frames: int = 0
    """Of videos worked on."""
    stage_seconds: Counter = field(default_factory=Counter)
    """Stages overlap, and workers work side by side."""
    _still: Counter = field(default_factory=Counter)  # frames of videos whose still share is known, and that share

    @property
    def wall_seconds(self) -> float:
        """From its start to its last outcome."""
        return (datetime.fromisoformat(self.last) - datetime.fromisoformat(self.started)).total_seconds()

    @property
    def still_share(self) -> float | None:
        """Of the frames of videos extracted with --skip-still; None where there are none."""
        return self._still["skipped"] / self._still["frames"] if self._still["frames"] else None

    def add(self, line: dict) -> None:
        """Count an outcome line."""
        self.last = max(self.last, line["time"])
        self.hosts.add(line["host"])
        self.counts[line["status"]] += 1
        if line["status"] == "failed":
            self.codes[line["code"]] += 1
        if line["status"] == "ok":
            self.n_frames += line.get("n_frames") or 0
            if line.get("still_share") is not None:
                self._still.update(frames=line["n_frames"], skipped=line["n_frames"] * line["still_share"])
        self.stage_seconds.update(line.get("seconds") or {})


@dataclass(slots=True)
class Story:
    """All runs of a store or results folder."""

    runs: list[RunStory]
    """Oldest first."""
    failing: dict[str, dict]
    """Outcome lines of the videos whose last outcome is a failure, by path."""


def read_story(folder: Path) -> Story:
    """Read FOLDER/outcomes; lines that a kill cut off are passed over.

    Raises:
        ConfigError: there are none.
    """
    paths = sorted((folder / "outcomes").glob("*.jsonl"))
    if not paths:
        raise ConfigError(f"{folder}: no outcomes of a run in it; give a feature store or a results folder")
    runs, failing, latest = [], {}, {}
    for path in paths:
        run = RunStory(path.stem, _started(path.stem))
        for line in filter(lambda line: _is_time(line["time"]), outcome_lines(path)):
            run.started = run.started or line["time"]
            run.add(line)
            if line["time"] >= latest.get(line["path"], ""):
                latest[line["path"]] = line["time"]
                failing.pop(line["path"], None)
                if line["status"] == "failed":
                    failing[line["path"]] = line
        if run.counts:
            runs.append(run)
    return Story(runs, failing)


def _started(run_id: str) -> str:
    try:
        return datetime.strptime(run_id.split("-")[0] + "+0000", RUN_ID_TIME + "%z").isoformat()
    except ValueError:  # a file of another name: its first outcome has to do
        return ""


def _is_time(text: object) -> bool:
    try:
        return bool(datetime.fromisoformat(text))
    except (ValueError, TypeError):
        return False
