"""One loop over videos for every command: outcomes are recorded, one failure costs one video, ten bugs stop the run."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from vad_pipeline.extract.errors import StoreError, VadError, VideoError

from .outcomes import OutcomeLog, VideoOutcome

logger = logging.getLogger(__name__)

MAX_UNEXPECTED_IN_A_ROW = 10
Item = TypeVar("Item")
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

    @property
    def exit_code(self) -> int:
        """1 where a video failed."""
        return int(self.counts["failed"] > 0)

    def __str__(self) -> str:
        return ", ".join(f"{self.counts[status]} {status}" for status in ("ok", "cached", "failed"))


def process_archive(
    items: Iterable[Item],
    process: Callable[[Item], VideoOutcome],
    *,
    identify: Callable[[Item], tuple[str, str]],
    log: OutcomeLog,
    report: Report,
    summary: RunSummary,
    recipe_id: str | None = None,
    fail_fast: bool = False,
) -> RunSummary:
    """Work through videos, one at a time.

    Args:
        items: what to work on.
        process: does one video; raises VideoError where it fails.
        identify: id and path of an item, for its outcome.
        log: where outcomes go.
        report: told of each outcome.
        summary: counted up, and returned.
        recipe_id: for the outcome of a failure.
        fail_fast: stop at the first failure.

    Raises:
        VadError: the run cannot go on.
    """
    unexpected_in_a_row = 0
    for item in items:
        video_id, path = identify(item)
        try:
            outcome = process(item)
            unexpected_in_a_row = 0
        except VideoError as error:
            outcome = VideoOutcome.failure(video_id, path, error, recipe_id)
            unexpected_in_a_row = 0
        except VadError:  # not this video's: the store, the weights, the options
            raise
        except Exception as error:
            logger.debug("%s\n%s", path, traceback.format_exc())
            reason = f"unexpected {type(error).__name__} ({error}): a bug; run again with --debug and report it"
            outcome = VideoOutcome.failure(video_id, path, VideoError(path, "unexpected", reason), recipe_id)
            unexpected_in_a_row += 1
        record(outcome, log=log, report=report, summary=summary)
        if unexpected_in_a_row == MAX_UNEXPECTED_IN_A_ROW:
            raise StoreError(f"{unexpected_in_a_row} videos in a row failed unexpectedly, the last: {outcome.error}")
        if fail_fast and outcome.status == "failed":
            summary.stopped_early = True
            break
    return summary


def record(outcome: VideoOutcome, *, log: OutcomeLog, report: Report, summary: RunSummary) -> None:
    """Write, count and show one outcome."""
    log.append(outcome)
    summary.counts[outcome.status] += 1
    if outcome.status != "failed":
        summary.done.add(outcome.video)
    report(outcome)
