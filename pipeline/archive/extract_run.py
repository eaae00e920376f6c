"""Runs `extract` over an archive: features of the sources go into the store; what the store holds is skipped."""

from __future__ import annotations

from vad_pipeline.extract.extractor import Extractor
from vad_pipeline.extract.files import absolute
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.upkeep import merge

from ..outcomes.outcome_log import OutcomeLog
from ..outcomes.video_outcome import VideoOutcome
from ..workers.base import ExecutorConfig
from .extract_job import ExtractJob
from .limits import FailureLimit
from .loop import Recorder, Report, RunSummary, process_archive
from .selection import Selection


def extract_archive(
    selection: Selection,
    extractor: Extractor,
    store: EmbeddingStore,
    *,
    executor: ExecutorConfig | None = None,
    limit: FailureLimit | None = None,
    report: Report,
) -> RunSummary:
    """Extract all videos that the store lacks, then join small shards.

    Args:
        selection: the videos, and failures to record for those that cannot be tried.
        extractor: how they are extracted.
        store: where features and outcomes go.
        executor: where workers are; None: in this process.
        limit: how many videos may fail; None: none.
        report: called with each outcome.

    Returns:
        The counts of the run.

    Raises:
        RunStopped: the run cannot go on; what is finished is kept.
    """
    config, recipe_id = extractor.config, extractor.recipe.recipe_id
    executor = executor or ExecutorConfig()
    summary = RunSummary(limit=limit or FailureLimit())
    with OutcomeLog(store.outcomes) as log:
        job = ExtractJob.of(extractor, store, log.failures, executor)
        recorder = Recorder(log, report, summary, fail_fast=config.fail_fast)
        for video_id, error in selection.failures:
            recorder.record(VideoOutcome.failure(video_id, absolute(error.path), error, recipe_id))
            if summary.stopped_early:
                return summary
        process_archive(job, job.looked_up(selection.sources), executor=executor, recorder=recorder)
    merge(store)
    return summary
