"""The loop over videos that `extract` and `detect` share.

Videos that need work go to workers, and every outcome is recorded. A failure costs only its own video; ten unexpected
errors in a row stop the run.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from vad_pipeline.extract.errors import RunStopped, VadError, VideoError

from ..outcomes.outcome_log import OutcomeLog
from ..outcomes.video_outcome import VideoOutcome
from ..workers.base import Attempt, ExecutorConfig, TimedOut, Work, WorkerDied, attempt
from ..workers.dispatch import run
from .limits import FailureLimit

logger = logging.getLogger(__name__)

MAX_UNEXPECTED_IN_A_ROW = 10
Report = Callable[[VideoOutcome], None]


@dataclass(slots=True)
class RunSummary:
    """The counts of a run, and the exit code that follows from them."""

    counts: Counter = field(default_factory=Counter)
    """Status (`ok`, `cached`, `failed`) -> number of videos."""
    done: set[str] = field(default_factory=set)
    """Ids of the videos with status `ok` or `cached`."""
    fresh: set[str] = field(default_factory=set)
    """Those of them with status `ok`, which this run has done."""
    failed_before: int = 0
    """How many of those that failed were not tried again, as they failed before and their files have not changed."""
    stopped_early: bool = False
    """Whether --fail-fast stopped the run."""
    limit: FailureLimit = FailureLimit()
    """How many videos may fail."""

    @property
    def exit_code(self) -> int:
        """1 where more videos failed anew than the limit allows, or --fail-fast stopped the run; else 0."""
        return int(self.stopped_early or self.limit.exceeded(self.failed_anew, self.counts.total()))

    @property
    def failed_anew(self) -> int:
        """How many videos were tried and failed: what failed before is known, and no news for who looks after it."""
        return self.counts["failed"] - self.failed_before

    def __str__(self) -> str:
        counts = ", ".join(f"{self.counts[status]} {status}" for status in ("ok", "cached", "failed"))
        return f"{counts} ({self.failed_before} before)" if self.failed_before else counts


@dataclass(slots=True)
class Recorder:
    """Writes each outcome to the outcome file, counts it, and reports it for the screen."""

    log: OutcomeLog
    report: Report
    summary: RunSummary = field(default_factory=RunSummary)
    fail_fast: bool = False
    """Stop at the first failure of a video that did not fail before."""

    def record(self, outcome: VideoOutcome) -> None:
        """Write, count and report one outcome.

        Raises:
            StoreError: the outcome file cannot be written.
        """
        self.log.append(outcome)
        self.summary.counts[outcome.status] += 1
        if outcome.status != "failed":
            self.summary.done.add(outcome.video)
            if outcome.status == "ok":
                self.summary.fresh.add(outcome.video)
        elif outcome.failed_before:
            self.summary.failed_before += 1
        elif self.fail_fast:
            self.summary.stopped_early = True
        self.report(outcome)


class Job(Protocol):
    """What a command does to each video: `decide` and `settle` run in this process, `work` in workers."""

    recipe_id: str | None
    """Recorded in the outcome of a failed video."""
    work: Work
    """What workers do with a task."""

    def decide(self, item: Any) -> VideoOutcome | Any:
        """Return the outcome where nothing needs doing, else the task for a worker. This must be quick."""

    def settle(self, done: Any) -> VideoOutcome:
        """Take in what a worker sent back, and return the video's outcome."""

    def identify(self, item: Any) -> tuple[str, str, int]:
        """The video id, the path and the number of the video stream of an item, or of a task made from one."""


def process_archive(job: Job, items: Iterable[Any], *, executor: ExecutorConfig, recorder: Recorder) -> None:
    """Do a job on all videos.

    Args:
        job: what is done to each video.
        items: what the job's `decide` takes, one for each video.
        executor: where workers are.
        recorder: takes each outcome.

    Raises:
        VadError: the run cannot go on.
    """
    failures = _Failures(recorder, job)

    def tasks() -> Iterator[Any]:
        for item in items:
            decided = attempt(job.decide, item)
            if decided.error is not None:
                failures.record(item, decided)
            elif isinstance(decided.value, VideoOutcome):
                recorder.record(decided.value)
            else:
                yield decided.value
            if recorder.summary.stopped_early:
                return

    with contextlib.closing(run(executor, job.work, tasks())) as results:
        for task, done in results:
            if done.error is None:
                done = attempt(job.settle, done.value)
            if done.error is None:
                recorder.record(done.value)
                failures.unexpected_in_a_row = 0
            else:
                failures.record(task, done)
            if recorder.summary.stopped_early:
                return


class _Failures:
    """Records an error of one video as that video's outcome; an error that concerns the whole run is raised."""

    def __init__(self, recorder: Recorder, job: Job):
        self._recorder, self._job = recorder, job
        self.unexpected_in_a_row = 0

    def record(self, item: object, failed: Attempt) -> None:
        """Record that a video failed.

        Raises:
            VadError: the error concerns the store, the weights or the options, not this video alone.
            RunStopped: this was the last of MAX_UNEXPECTED_IN_A_ROW unexpected errors.
        """
        video_id, path, stream = self._job.identify(item)
        error = failed.error
        if isinstance(error, VadError) and not isinstance(error, VideoError):
            raise error
        known = as_video_error(path, error)
        self.unexpected_in_a_row = 0 if known else self.unexpected_in_a_row + 1
        if known is None:
            logger.debug("%s\n%s", path, failed.trace)
            reason = f"unexpected {type(error).__name__} ({error}): a bug; run again with --debug and report it"
            known = VideoError(path, "unexpected", reason)
        self._recorder.record(VideoOutcome.failure(video_id, path, known, self._job.recipe_id, stream))
        if self.unexpected_in_a_row == MAX_UNEXPECTED_IN_A_ROW:
            raise RunStopped(f"{self.unexpected_in_a_row} videos in a row failed unexpectedly, the last: {known}")


def as_video_error(path: str, error: BaseException) -> VideoError | None:
    """The error as a VideoError, where a failing video can explain it; None where only a bug can."""
    if isinstance(error, VideoError):
        return error
    if isinstance(error, WorkerDied):
        reason = (
            f"the process working on it ended twice ({error}), the second time alone; export it again or leave it out"
        )
        return VideoError(path, "worker_died", reason)
    if isinstance(error, TimedOut):
        reason = f"took longer than {error.args[0]:g} s; raise --video-timeout, or leave it out"
        return VideoError(path, "timeout", reason)
    return None
