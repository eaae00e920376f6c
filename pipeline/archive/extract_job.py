"""Decides for `extract` what to do with each video, and adds what a worker made to the store's index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vad_pipeline.extract.errors import VideoError
from vad_pipeline.extract.extractor import Extractor
from vad_pipeline.extract.files import Source, absolute, stat_source
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.extract.task import ExtractTask, is_held, task_for

from ..outcomes.outcome_files import Failures, RememberedFailure, read_failures
from ..outcomes.video_outcome import REMEMBERED, VideoOutcome
from ..workers.base import ExecutorConfig, Work
from .extract_work import ExtractWork, WorkedOn, work_on
from .selection import Selection

LOOKED_UP_AT_ONCE = 500
Candidate = tuple[Source, Entry | None]


@dataclass(slots=True)
class ExtractJob:
    """The `Job` of `extract`; its items are candidates: a source, and what the store holds of its id."""

    extractor: Extractor
    store: EmbeddingStore
    work: Work
    failures: dict[tuple[str, int], RememberedFailure]

    @classmethod
    def of(
        cls, extractor: Extractor, store: EmbeddingStore, failures: Failures, executor: ExecutorConfig | None = None
    ) -> ExtractJob:
        """Make the job; `failures` of earlier runs are remembered, but not with --retry-failed or --force."""
        remember = not (extractor.config.retry_failed or extractor.config.force)
        remembered = failures.remembered(extractor.recipe.recipe_id) if remember else {}
        return cls(extractor, store, _work(extractor, store, executor or ExecutorConfig()), remembered)

    @property
    def recipe_id(self) -> str:
        """The recipe of the features that are extracted."""
        return self.extractor.recipe.recipe_id

    def looked_up(self, sources: Sequence[Source]) -> Iterator[Candidate]:
        """Yield every source with the newest features that the store has of its id; many are looked up at once."""
        for start in range(0, len(sources), LOOKED_UP_AT_ONCE):
            batch = sources[start : start + LOOKED_UP_AT_ONCE]
            yield from zip(batch, self.store.entries_of([s.video_id for s in batch], self.recipe_id), strict=True)

    def needed(self, candidate: Candidate) -> Entry | ExtractTask:
        """Return the store's entry where it is of this very file, by size and mtime, else the task of extracting it.

        Raises:
            VideoError: the file failed before and has not changed, cannot be read, or its id has imported features.
        """
        source, entry = candidate
        file = stat_source(source)
        if entry and is_held(entry, source, file, self.extractor):
            return entry
        failure = self.failures.get((absolute(source.path), source.stream or 1))
        if failure and failure.holds(file):
            raise VideoError(source.path, failure.code, f"{failure.reason} {REMEMBERED}")
        return task_for(source, file, self.extractor, self.store)  # the worker looks again: another run may be faster

    def decide(self, candidate: Candidate) -> VideoOutcome | ExtractTask:
        """Return the outcome `cached` where the store holds the video, else the task of extracting it."""
        found = self.needed(candidate)
        if isinstance(found, ExtractTask):
            return found
        video_id, path, stream = self.identify(candidate)
        known = {"n_frames": found.n_frames, "recipe_id": found.recipe_id, "stream": stream}
        return VideoOutcome(video_id, path, "cached", **known)

    def settle(self, worked_on: WorkedOn) -> VideoOutcome:
        """Add the features that a worker wrote to the store's index, and return the video's outcome."""
        worked_on.extracted.taken_into(self.store)
        return worked_on.outcome

    def identify(self, item: Candidate | ExtractTask) -> tuple[str, str, int]:
        """The video id, the absolute path and the stream of a candidate or a task."""
        source = item.source if isinstance(item, ExtractTask) else item[0]
        return source.video_id, absolute(source.path), source.stream or 1


def _work(extractor: Extractor, store: EmbeddingStore, executor: ExecutorConfig) -> Work:
    """The work for workers: in this process it uses the extractor given, elsewhere each worker makes its own."""
    if executor.in_process:
        return Work(lambda: None, lambda task: work_on(task, extractor, store.shards))
    work = ExtractWork(extractor.config.anywhere(), extractor.recipe.recipe_id, store.shards.absolute())
    return Work(work.begin, work.do)


def missing_sources(selection: Selection, extractor: Extractor, store: EmbeddingStore) -> list[Source]:
    """The sources that a run would try to extract: neither in the store nor known to fail. For estimates."""
    job = ExtractJob.of(extractor, store, read_failures(store.outcomes))

    def is_missing(candidate: Candidate) -> bool:
        try:
            needed = job.needed(candidate)
            return isinstance(needed, ExtractTask) and needed.embeds(extractor)
        except VideoError:
            return False

    return [candidate[0] for candidate in job.looked_up(selection.sources) if is_missing(candidate)]
