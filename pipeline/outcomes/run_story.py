"""`RunStory`: what one run did, added up; as a line of JSON it stands for outcomes that are not kept one by one."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .checks import are_amounts, are_counts, is_count, is_text, is_time
from .video_outcome import FORGOTTEN, STATUSES, VideoOutcome

RUN_ID_TIME = "%Y%m%dT%H%M%S.%fZ"


@dataclass(slots=True)
class RunStory:
    """The figures of one run, added up from its outcomes."""

    run_id: str
    started: str = ""
    """When the run began: ISO 8601 in UTC; empty where nothing tells it."""
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
    still: Counter = field(default_factory=Counter)
    """`frames` of the videos whose still share is known, and how many of them were `skipped`."""
    damaged: int = 0
    """Lines that could not be read."""

    @classmethod
    def begun(cls, run_id: str) -> RunStory:
        """The story of a run that has done nothing yet; when it began is in its id, else that of its first outcome."""
        began = time_in(run_id)
        return cls(run_id, began.isoformat() if began else "")

    @property
    def wall_seconds(self) -> float:
        """Seconds from the run's start to its last outcome."""
        return (datetime.fromisoformat(self.last) - datetime.fromisoformat(self.started)).total_seconds()

    @property
    def still_share(self) -> float | None:
        """The share of frames that --skip-still did not embed; None where no video was extracted with it."""
        return self.still["skipped"] / self.still["frames"] if self.still["frames"] else None

    def add(self, outcome: VideoOutcome) -> None:
        """Count one outcome."""
        if outcome.status == FORGOTTEN:
            return
        self._span(outcome.time, outcome.time)
        self.hosts.add(outcome.host)
        self.counts[outcome.status] += 1
        if outcome.status == "failed":
            self.codes[outcome.code] += 1
        if outcome.status == "ok":
            frames = outcome.n_frames or 0
            self.n_frames += frames
            if outcome.still_share is not None:
                self.still.update(frames=frames, skipped=frames * outcome.still_share)
        self.stage_seconds.update(outcome.seconds)

    def take(self, told: VideoOutcome | RunStory | None, *, counted: bool) -> None:
        """Count what a line of the run's outcomes tells; None is one that cannot be read.

        Args:
            told: an outcome, or figures of several.
            counted: whether another line's figures tell of a single outcome too.
        """
        if told is None:
            self.damaged += 1
        elif isinstance(told, RunStory):
            self._add_figures(told)
        elif not counted:
            self.add(told)

    def _add_figures(self, other: RunStory) -> None:
        self._span(other.started, other.last)
        self.hosts |= other.hosts
        self.n_frames += other.n_frames
        self.damaged += other.damaged
        for ours, theirs in (
            (self.counts, other.counts),
            (self.codes, other.codes),
            (self.stage_seconds, other.stage_seconds),
            (self.still, other.still),
        ):
            ours.update(theirs)

    def _span(self, started: str, last: str) -> None:
        """Reach over these times too; an id may be later than the clock, where that was set back."""
        self.started, self.last = min(filter(None, (self.started, started)), default=""), max(self.last, last)

    def as_line(self) -> str:
        """As a line, without the line break."""
        values = {name: getattr(self, name) for name in CHECKS}
        return json.dumps(values | {"hosts": sorted(self.hosts)})

    @classmethod
    def of_record(cls, record: dict) -> RunStory:
        """Make it from the JSON object in such a line.

        Raises:
            ValueError: no run writes such a line.
        """
        values = {name: record.get(name) for name in CHECKS}
        wrong = [name for name, check in CHECKS.items() if not check(values[name])]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: not what a run writes")
        counters = {name: Counter(value) for name, value in values.items() if isinstance(value, dict)}
        return cls(**values | counters | {"hosts": set(values["hosts"])})


CHECKS = {
    "run_id": is_text,
    "started": is_time,
    "last": is_time,
    "hosts": lambda value: isinstance(value, list) and all(map(is_text, value)),
    "counts": lambda value: are_counts(value) and set(value) <= set(STATUSES),
    "codes": are_counts,
    "n_frames": is_count,
    "stage_seconds": are_amounts,
    "still": are_amounts,
    "damaged": is_count,
}


def time_in(run_id: str) -> datetime | None:
    """When a run began, as its id has it; None where it has no time in it."""
    try:
        return datetime.strptime(run_id.split("-")[0] + "+0000", RUN_ID_TIME + "%z")
    except ValueError:
        return None


def time_now() -> str:
    """The time now as outcome files have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
