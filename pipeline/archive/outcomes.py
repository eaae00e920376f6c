"""Outcome files: what became of each video in a run, one line of JSON a video; and the failures that they tell of."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from vad_pipeline.extract.errors import StoreError, VideoError
from vad_pipeline.extract.files import SourceFile

logger = logging.getLogger(__name__)

# failure codes whose cause is not the file's content, so that trying again may help
NOT_REMEMBERED = frozenset({"unreadable", "id_clash", "timeout", "worker_died", "unexpected"})
RUN_ID_TIME = "%Y%m%dT%H%M%S.%fZ"
WORDS_OF_A_LINE = ("video", "path", "status", "time", "host")
REMEMBERED = "(failed before and has not changed since; --retry-failed tries it again)"


@dataclass(slots=True)
class VideoOutcome:
    """What became of one video in a run: the fields of its line in the outcome file."""

    video: str
    path: str
    status: str = "ok"
    """`ok`, `cached` or `failed`."""
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
    size: int | None = None
    """Size of the file in bytes when it failed; with `mtime_ns` it tells whether the file is still the same."""
    mtime_ns: int | None = None
    run_id: str = ""
    time: str = ""
    host: str = ""

    @classmethod
    def failure(cls, video: str, path: str, error: VideoError, recipe_id: str | None = None) -> VideoOutcome:
        """Make the outcome of a video that failed with `error`."""
        outcome = cls(video, path, "failed", error.code, error.reason, recipe_id=recipe_id)
        try:
            file = SourceFile.of(path)
            outcome.size, outcome.mtime_ns = file.size, file.mtime_ns
        except OSError:
            pass  # the file is not there, so that there is nothing to remember about it
        return outcome


OUTCOME_FIELDS = tuple(f.name for f in fields(VideoOutcome))


def new_run_id() -> str:
    """Make a run id: run ids sort by time, and no two hosts make the same."""
    return f"{datetime.now(UTC).strftime(RUN_ID_TIME)}-{uuid.uuid4().hex[:6]}"


class OutcomeLog:
    """The outcome file of a new run, FOLDER/RUN_ID.jsonl; used as `with OutcomeLog(FOLDER) as log`.

    An outcome `ok` or `failed` is in the file once `append` returns. Of outcomes `cached`, a kill may lose those of the
    last second.
    """

    def __init__(self, folder: Path):
        self.run_id = new_run_id()
        self.path = folder / f"{self.run_id}.jsonl"
        self._host = socket.gethostname()
        self._file: IO[str] | None = None
        self._flushed = time.monotonic()

    def __enter__(self) -> OutcomeLog:
        return self

    def __exit__(self, *exc_info) -> None:
        if self._file is not None:
            with self._writing():
                self._file.close()

    def append(self, outcome: VideoOutcome) -> None:
        """Set run id, host and time of an outcome, and write its line.

        Raises:
            StoreError: the folder cannot be written.
        """
        outcome.run_id, outcome.host = self.run_id, outcome.host or self._host
        outcome.time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({name: getattr(outcome, name) for name in OUTCOME_FIELDS})
        with self._writing():
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("a", encoding="utf-8")
            self._file.write(line + "\n")
            if outcome.status != "cached" or time.monotonic() - self._flushed >= 1:
                self._file.flush()
                self._flushed = time.monotonic()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be written ({error.strerror}); make space and run again") from error


def outcome_lines(path: Path, *, cached: bool = True) -> Iterator[dict]:
    """Read the lines of one outcome file; a line that a kill cut off is skipped.

    Args:
        path: the outcome file.
        cached: whether to yield lines of status `cached` too, which are usually by far the most.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if not cached and '"cached"' in line:
                    continue
                try:
                    record = json.loads(line)
                except json.JSONDecodeError:
                    continue
                if isinstance(record, dict) and all(isinstance(record.get(name), str) for name in WORDS_OF_A_LINE):
                    yield record
    except OSError as error:  # for example another user's file: the failures in it are then tried again
        logger.warning("%s: passed over, cannot be read (%s)", path, error.strerror)


@dataclass(frozen=True, slots=True)
class RememberedFailure:
    """A failure of an earlier run that will happen again unless the file changes."""

    code: str
    reason: str
    size: int
    mtime_ns: int

    def holds(self, file: SourceFile) -> bool:
        """Whether `file` is still the one that failed."""
        return (self.size, self.mtime_ns) == (file.size, file.mtime_ns)


def remembered_failures(folder: Path, recipe_id: str) -> dict[str, RememberedFailure]:
    """Read the failures of earlier runs that need not be tried again.

    Args:
        folder: the folder of outcome files.
        recipe_id: only failures to extract with this recipe count.

    Returns:
        Path of the video -> its failure.
    """
    failures: dict[str, RememberedFailure] = {}
    for line in (line for path in sorted(folder.glob("*.jsonl")) for line in outcome_lines(path, cached=False)):
        if line.get("recipe_id") != recipe_id:
            continue
        failures.pop(line["path"], None)
        if line["status"] == "failed" and line.get("size") is not None and line["code"] not in NOT_REMEMBERED:
            reason = line["error"].removesuffix(REMEMBERED).rstrip()
            failures[line["path"]] = RememberedFailure(line["code"], reason, line["size"], line["mtime_ns"])
    return failures
