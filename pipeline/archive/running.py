"""The options that `extract` and `detect` share: store, workers, failure limit, metrics, what is shown."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..outcomes.video_outcome import VideoOutcome
from ..workers.base import ExecutorConfig
from .limits import FailureLimit
from .loop import Report
from .metrics_file import MetricsFile
from .run_progress import Progress

if TYPE_CHECKING:
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore


@dataclass(slots=True)
class Running:
    """Where the store and the workers are, how many videos may fail, and what is shown of a run."""

    store_path: Path
    catalogue: Path | None
    executor: ExecutorConfig
    limit: FailureLimit
    fail_fast: bool
    metrics_path: Path | None
    dry_run: bool
    quiet: bool
    _metrics: MetricsFile | None = None

    @classmethod
    def taken_from(cls, values: dict, executor: ExecutorConfig) -> Running:
        """Take the shared options out of a command's values.

        Args:
            values: option -> value; the shared options are removed from it.
            executor: where workers are.

        Raises:
            ConfigError: --max-failed cannot be read.
        """
        return cls(
            values.pop("store"),
            values.pop("catalogue"),
            executor,
            FailureLimit.parse(values.pop("max_failed")),
            values.pop("fail_fast"),
            values.pop("metrics"),
            values.pop("dry_run"),
            values.pop("quiet"),
        )

    def store(self, *, create: bool) -> EmbeddingStore:
        """Open the feature store; `create` makes it where there is none."""
        from vad_pipeline.extract.store.embedding_store import EmbeddingStore

        return EmbeddingStore(self.store_path, create=create, catalogue=self.catalogue)

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Keep the --metrics file up to date inside this block; without --metrics do nothing."""
        if self.metrics_path is None or self.dry_run:
            yield
            return
        with MetricsFile(self.metrics_path) as self._metrics:
            yield

    @contextlib.contextmanager
    def progress(self, total: int, doing: str) -> Iterator[Report]:
        """Yield what is to be called with each outcome: it updates the progress shown and the metrics."""
        if self._metrics is not None:
            self._metrics.begin(doing)
        with Progress(total, doing=doing, quiet=self.quiet) as progress:

            def report(outcome: VideoOutcome) -> None:
                progress(outcome)
                if self._metrics is not None:
                    self._metrics.count(doing, outcome)

            yield report
