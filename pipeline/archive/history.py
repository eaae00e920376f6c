"""Reads from outcome files what past runs did, what failed and why, and how long each stage took; for `status`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError

from .outcomes import RUN_ID_TIME, outcome_lines


@dataclass(slots=True)
class RunStory:
    """The figures of one run, added up from its outcome lines."""

    run_id: str
    started: str
    """When the run began: ISO 8601 in UTC."""
    last: str = ""
    """When the run's last outcome was written: ISO 8601 in UTC."""
    hosts: set[str] = field(default_factory=set)
    counts: Counter = field(default_factory=Counter)
    """Status (`ok`, `cached`, `failed`) -> number of videos."""
    codes: Counter = field(default_factory=Counter)
    """Failure code -> number of videos."""
    n_frames: int = 0
    """Frames of the videos with status `ok`."""
    stage_seconds: Counter = field(default_factory=Counter)
    """Stage -> seconds, added over all videos. Stages overlap and workers work in parallel, so that the sum may exceed
    `wall_seconds`."""
    _still: Counter = field(
        default_factory=Counter
    )  # `frames` of videos whose still share is known, and `skipped` ones

    @property
    def wall_seconds(self) -> float:
        """Seconds from the run's start to its last outcome."""
        return (datetime.fromisoformat(self.last) - datetime.fromisoformat(self.started)).total_seconds()

    @property
    def still_share(self) -> float | None:
        """The share of frames that --skip-still did not embed; None where no video was extracted with it."""
        return self._still["skipped"] / self._still["frames"] if self._still["frames"] else None

    def add(self, line: dict) -> None:
        """Count one line of the run's outcome file."""
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
    """All runs of a feature store or results folder."""

    runs: list[RunStory]
    """The runs, oldest first."""
    failing: dict[str, dict]
    """Path of the video -> its last outcome line, for videos whose last outcome is a failure."""


def read_story(folder: Path) -> Story:
    """Read the outcome files of a feature store or results folder; lines cut off by a kill are skipped.

    Raises:
        ConfigError: the folder has no outcome files.
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
    except ValueError:  # the file's name holds no time: the time of its first outcome is used
        return ""


def _is_time(text: object) -> bool:
    try:
        return bool(datetime.fromisoformat(text))
    except (ValueError, TypeError):
        return False
