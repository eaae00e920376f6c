"""`VideoOutcome`: what became of one video in a run; a line of JSON in an outcome file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields

from vad_pipeline.extract.errors import VideoError, readable
from vad_pipeline.extract.files import SourceFile

from .checks import are_amounts, is_amount, is_count, is_path, is_text, is_time, is_whole

STATUSES = ("ok", "cached", "failed")
FORGOTTEN = "forgotten"  # status of a failure that `store forget` took back; no run counts it
REMEMBERED = "(failed before and has not changed since; --retry-failed tries it again)"


@dataclass(slots=True)
class VideoOutcome:
    """What became of one video in a run: the fields of its line in the outcome file."""

    video: str
    path: str
    status: str = "ok"
    """`ok`, `cached`, `failed` or `forgotten`."""
    code: str | None = None
    error: str | None = None
    """What is wrong and what to do, without the path."""
    warnings: list[str] = field(default_factory=list)
    n_frames: int | None = None
    recipe_id: str | None = None
    route: str | None = None
    """Which decoder and device were used."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Stage -> wall time in seconds."""
    still_share: float | None = None
    """The share of sampled frames that were not embedded as they were still; None without --skip-still."""
    gaps: list[tuple[float, float]] = field(default_factory=list)
    """Where the video has no footage: start and end of each gap, in seconds."""
    stream: int = 1
    """Which of the file's video streams, from 1."""
    size: int | None = None
    """Size of the file in bytes when it failed; with `mtime_ns` it tells whether the file is still the same."""
    mtime_ns: int | None = None
    run_id: str = ""
    time: str = ""
    host: str = ""

    @property
    def failed_before(self) -> bool:
        """Whether it was not tried again, as it failed before and its file has not changed since."""
        return self.status == "failed" and (self.error or "").endswith(REMEMBERED)

    @classmethod
    def failure(
        cls, video: str, path: str, error: VideoError, recipe_id: str | None = None, stream: int = 1
    ) -> VideoOutcome:
        """Make the outcome of a video that failed with `error`."""
        outcome = cls(video, path, "failed", error.code, error.reason, recipe_id=recipe_id, stream=stream)
        try:
            file = SourceFile.of(path)
            outcome.size, outcome.mtime_ns = file.size, file.mtime_ns
        except OSError:
            pass  # the file is not there, so that there is nothing to remember about it
        return outcome

    @classmethod
    def of_record(cls, record: dict) -> VideoOutcome:
        """Make it from the JSON object in its line; fields that only people read (warnings, gaps, route) are left out.

        Raises:
            ValueError: a field is missing, or no run writes such a value.
        """
        values = {name: record.get(name) for name in CHECKS}
        wrong = [name for name, check in CHECKS.items() if not check(values[name])]
        if wrong or (values["status"] == "failed" and values["code"] is None):
            raise ValueError(f"{', '.join(wrong or ['code'])}: not what a run writes")
        return cls(**{name: value for name, value in values.items() if value is not None})

    @property
    def footage(self) -> tuple[str, int]:
        """Path and stream, which tell the video in whatever way ids are made."""
        return self.path, self.stream

    @property
    def footage_in_words(self) -> str:
        """The path as people are shown it, with the number of the video stream where that is not the first."""
        return readable(self.path) + (f" (video stream {self.stream})" if self.stream > 1 else "")

    def as_line(self) -> str:
        """Its line, without the line break."""
        return json.dumps({each.name: getattr(self, each.name) for each in fields(self)})


CHECKS = {
    "video": is_text,
    "path": is_path,
    "status": lambda value: value in (*STATUSES, FORGOTTEN),
    "time": is_time,
    "host": is_text,
    "code": lambda value: value is None or is_text(value),
    "error": lambda value: value is None or is_path(value),  # it may name one
    "n_frames": lambda value: value is None or is_count(value),
    "recipe_id": lambda value: value is None or is_text(value),
    "seconds": lambda value: value is None or are_amounts(value),
    "still_share": lambda value: value is None or (is_amount(value) and value <= 1),
    "stream": lambda value: value is None or (is_count(value) and value > 0),  # none in files of before
    "size": lambda value: value is None or is_count(value),
    "mtime_ns": lambda value: value is None or is_whole(value),
}
