"""What `extract` does to each video: decides whether it needs work, and has the store index what a worker made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vad_pipeline.extract.errors import VideoError
from vad_pipeline.extract.extractor import Extractor
from vad_pipeline.extract.files import Source, absolute, stat_source
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.extract.task import ExtractTask, is_held, task_for

from ..workers.base import ExecutorConfig, Work
from .extract_work import ExtractWork, WorkedOn, work_on
from .outcomes import REMEMBERED, RememberedFailure, VideoOutcome, remembered_failures
from .selection import Selection

LOOKED_UP_AT_ONCE = 500
Candidate = tuple[Source, Entry | None]


@dataclass(slots=True)
class ExtractJob:
    """What `extract` does to each video, and what says whether it is needed. Items are candidates."""

    extractor: Extractor
    store: EmbeddingStore
    work: Work
    failures: dict[str, RememberedFailure]

    @classmethod
    def of(cls, extractor: Extractor, store: EmbeddingStore, executor: ExecutorConfig | None = None) -> ExtractJob:
        """Failures count as remembered unless they are to be tried again."""
        remember = not (extractor.config.retry_failed or extractor.config.force)
        failures = remembered_failures(store.outcomes, extractor.recipe.recipe_id) if remember else {}
        return cls(extractor, store, _work(extractor, store, executor or ExecutorConfig()), failures)

    @property
    def recipe_id(self) -> str:
        """Of what is made."""
        return self.extractor.recipe.recipe_id

    def looked_up(self, sources: Sequence[Source]) -> Iterator[Candidate]:
        """Every source with the newest features of its id; the catalogue is asked for many at once."""
        for start in range(0, len(sources), LOOKED_UP_AT_ONCE):
            batch = sources[start : start + LOOKED_UP_AT_ONCE]
            yield from zip(batch, self.store.entries_of([s.video_id for s in batch], self.recipe_id), strict=True)

    def needed(self, candidate: Candidate) -> Entry | ExtractTask:
        """The entry that makes work needless by the file's size and time alone, or the work.

        Raises:
            VideoError: it failed before and has not changed, cannot be read, or its id holds imported features.
        """
        source, entry = candidate
        file = stat_source(source)
        if entry and is_held(entry, file, self.extractor):
            return entry
        failure = self.failures.get(absolute(source.path))
        if failure and failure.holds(file):
            raise VideoError(source.path, failure.code, f"{failure.reason} {REMEMBERED}")
        return task_for(source, file, self.extractor, self.store)  # another run may have made it meanwhile

    def decide(self, candidate: Candidate) -> VideoOutcome | ExtractTask:
        """See `Job`."""
        found = self.needed(candidate)
        if isinstance(found, ExtractTask):
            return found
        return VideoOutcome(*self.identify(candidate), "cached", n_frames=found.n_frames, recipe_id=found.recipe_id)

    def settle(self, worked_on: WorkedOn) -> VideoOutcome:
        """See `Job`."""
        worked_on.extracted.taken_into(self.store)
        return worked_on.outcome

    def identify(self, item: Candidate | ExtractTask) -> tuple[str, str]:
        """See `Job`."""
        source = item.source if isinstance(item, ExtractTask) else item[0]
        return source.video_id, absolute(source.path)


def _work(extractor: Extractor, store: EmbeddingStore, executor: ExecutorConfig) -> Work:
    """For workers elsewhere the recipe to make an extractor, here the one that is loaded."""
    if executor.in_process:
        return Work(lambda: None, lambda task: work_on(task, extractor, store.shards))
    work = ExtractWork(extractor.config.anywhere(), extractor.recipe.recipe_id, store.shards.absolute())
    return Work(work.begin, work.do)


def missing_sources(selection: Selection, extractor: Extractor, store: EmbeddingStore) -> list[Source]:
    """What would have to be looked at: neither held nor known to fail. For --dry-run and the estimate."""
    job = ExtractJob.of(extractor, store)

    def is_missing(candidate: Candidate) -> bool:
        try:
            return isinstance(job.needed(candidate), ExtractTask)
        except VideoError:
            return False

    return [candidate[0] for candidate in job.looked_up(selection.sources) if is_missing(candidate)]
