"""One loop over videos for every command: what is work goes to workers, every outcome is recorded, one failure costs
one video, ten bugs stop the run."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from vad_pipeline.extract.errors import RunStopped, VadError, VideoError

from ..workers.base import Attempt, ExecutorConfig, TimedOut, Work, WorkerDied, attempt
from ..workers.dispatch import run
from .limits import FailureLimit
from .outcomes import OutcomeLog, VideoOutcome

logger = logging.getLogger(__name__)

MAX_UNEXPECTED_IN_A_ROW = 10
Report = Callable[[VideoOutcome], None]


@dataclass(slots=True)
class RunSummary:
    """What a run came to."""

    counts: Counter = field(default_factory=Counter)
    """Videos by status."""
    done: set[str] = field(default_factory=set)
    """Ids that ended well."""
    stopped_early: bool = False
    """By --fail-fast."""
    limit: FailureLimit = FailureLimit()
    """How many may fail."""

    @property
    def exit_code(self) -> int:
        """1 where more videos failed than may."""
        return int(self.stopped_early or self.limit.exceeded(self.counts["failed"], self.counts.total()))

    def __str__(self) -> str:
        return ", ".join(f"{self.counts[status]} {status}" for status in ("ok", "cached", "failed"))


@dataclass(slots=True)
class Recorder:
    """Writes, counts and shows outcomes."""

    log: OutcomeLog
    report: Report
    summary: RunSummary = field(default_factory=RunSummary)
    fail_fast: bool = False
    """Stop at the first failure."""

    def record(self, outcome: VideoOutcome) -> None:
        """One outcome.

        Raises:
            StoreError: it cannot be written.
        """
        self.log.append(outcome)
        self.summary.counts[outcome.status] += 1
        if outcome.status != "failed":
            self.summary.done.add(outcome.video)
        elif self.fail_fast:
            self.summary.stopped_early = True
        self.report(outcome)


class Job(Protocol):
    """What is done to each video: decided here, done by workers, settled here."""

    recipe_id: str | None
    """For the outcome of a failure."""
    work: Work
    """What workers do with a task."""

    def decide(self, item: Any) -> VideoOutcome | Any:
        """Quickly: the outcome where nothing is to be done, else the task for a worker."""

    def settle(self, done: Any) -> VideoOutcome:
        """Take in what a worker sent back, and give the outcome."""

    def identify(self, item: Any) -> tuple[str, str]:
        """Id and path of an item, or of the task that it became."""


def process_archive(job: Job, items: Iterable[Any], *, executor: ExecutorConfig, recorder: Recorder) -> None:
    """Work through videos.

    Args:
        job: what is done to each.
        items: what to work on, as the job decides on it.
        executor: where workers are.
        recorder: of outcomes.

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
    """Turns an item's error into its outcome; what is nobody's own error is raised."""

    def __init__(self, recorder: Recorder, job: Job):
        self._recorder, self._job = recorder, job
        self.unexpected_in_a_row = 0

    def record(self, item: object, failed: Attempt) -> None:
        """Record the failed outcome.

        Raises:
            VadError: the store's, the weights', the options'; or after the last of many bugs.
        """
        video_id, path = self._job.identify(item)
        error = failed.error
        if isinstance(error, VadError) and not isinstance(error, VideoError):
            raise error
        known = as_video_error(path, error)
        self.unexpected_in_a_row = 0 if known else self.unexpected_in_a_row + 1
        if known is None:
            logger.debug("%s\n%s", path, failed.trace)
            reason = f"unexpected {type(error).__name__} ({error}): a bug; run again with --debug and report it"
            known = VideoError(path, "unexpected", reason)
        self._recorder.record(VideoOutcome.failure(video_id, path, known, self._job.recipe_id))
        if self.unexpected_in_a_row == MAX_UNEXPECTED_IN_A_ROW:
            raise RunStopped(f"{self.unexpected_in_a_row} videos in a row failed unexpectedly, the last: {known}")


def as_video_error(path: str, error: BaseException) -> VideoError | None:
    """What can be said of an error as one video's; None where it is a bug."""
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
