"""How a run over many videos is to go, apart from what it computes: what `extract` and `detect` have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..workers.base import ExecutorConfig
from .limits import FailureLimit
from .loop import Report
from .metrics_file import MetricsFile
from .outcomes import VideoOutcome
from .run_progress import Progress

if TYPE_CHECKING:
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore


@dataclass(slots=True)
class Running:
    """Where the store is, where workers are, what is shown, how much may fail."""

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
        """Take what it needs out of a command's values.

        Raises:
            ConfigError: one of them is wrong.
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
        """The feature store, opened."""
        from vad_pipeline.extract.store.embedding_store import EmbeddingStore

        return EmbeddingStore(self.store_path, create=create, catalogue=self.catalogue)

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Keep --metrics up to date inside."""
        if self.metrics_path is None or self.dry_run:
            yield
            return
        with MetricsFile(self.metrics_path) as self._metrics:
            yield

    @contextlib.contextmanager
    def progress(self, total: int, doing: str) -> Iterator[Report]:
        """What is told of each outcome: the bar or the lines, and the metrics."""
        if self._metrics is not None:
            self._metrics.begin(doing)
        with Progress(total, doing=doing, quiet=self.quiet) as progress:

            def report(outcome: VideoOutcome) -> None:
                progress(outcome)
                if self._metrics is not None:
                    self._metrics.count(doing, outcome)

            yield report
