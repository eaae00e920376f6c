"""One video of `extract` as a worker does it: the extract room's verb, and the outcome line that is sent back."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.extraction import Extracted, extract_task
from vad_pipeline.extract.extractor import ExtractConfig, Extractor
from vad_pipeline.extract.task import ExtractTask

from .outcomes import VideoOutcome


@dataclass(frozen=True, slots=True)
class WorkedOn:
    """What a worker sends back."""

    outcome: VideoOutcome
    extracted: Extracted


@dataclass(frozen=True, slots=True)
class ExtractWork:
    """The work of one run, to be sent to workers."""

    config: ExtractConfig
    recipe_id: str
    shards: Path
    """Where shards are written: the same folder for every worker."""

    def begin(self) -> Extractor:
        """Make this process ready; the same extractor however often it is asked for.

        Raises:
            ConfigError: an option is wrong here, or the weights are not those of the coordinator.
        """
        extractor = _extractor(self.config, self.recipe_id, self.shards.parent)
        if extractor.recipe.recipe_id != self.recipe_id:
            raise ConfigError(
                f"--pretrained {self.config.pretrained}: on {socket.gethostname()} these are other weights or another "
                f"model (recipe {extractor.recipe.recipe_id} instead of {self.recipe_id}); give all hosts the same file"
            )
        return extractor

    def do(self, task: ExtractTask) -> WorkedOn:
        """See `work_on`."""
        return work_on(task, self.begin(), self.shards)


@lru_cache(maxsize=1)
def _extractor(config: ExtractConfig, recipe_id: str, store: Path) -> Extractor:
    """Kept by recipe too: a worker that lives long may find other weights in the same place."""
    extractor = Extractor(config, store=store)
    _ = extractor.encoder  # what cannot be loaded is told before any video's time runs
    return extractor


def work_on(task: ExtractTask, extractor: Extractor, shards: Path) -> WorkedOn:
    """Extract one video, and say what became of it.

    Raises:
        VideoError: it cannot be used.
        StoreError: the store cannot be written.
    """
    done = extract_task(task, extractor, shards)
    outcome = VideoOutcome(
        task.source.video_id,
        task.source.path,
        "ok" if done.entry else "cached",
        warnings=list(done.warnings),
        n_frames=done.n_frames,
        recipe_id=extractor.recipe.recipe_id,
        route=done.route,
        seconds=done.seconds,
        still_share=done.still_share,
        gaps=list(done.gaps),
        host=socket.gethostname(),
    )
    return WorkedOn(outcome, done)
