"""What a worker does for `extract` with one video: extract it, and send its outcome back."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.extraction import Extracted, extract_task
from vad_pipeline.extract.extractor import ExtractConfig, Extractor
from vad_pipeline.extract.task import ExtractTask

from ..outcomes.video_outcome import VideoOutcome


@dataclass(frozen=True, slots=True)
class WorkedOn:
    """What a worker sends back of one video: its outcome, and where its features were written."""

    outcome: VideoOutcome
    extracted: Extracted


@dataclass(frozen=True, slots=True)
class ExtractWork:
    """The work of one `extract` run, as it is sent to workers."""

    config: ExtractConfig
    recipe_id: str
    shards: Path
    """The folder that shards are written to, the same for every worker."""

    def begin(self) -> Extractor:
        """Load the encoder in this process; every further call returns the same extractor.

        Raises:
            ConfigError: an option cannot be used on this machine, or its weights are not those of the coordinator.
        """
        extractor = _extractor(self.config, self.recipe_id, self.shards.parent)
        if extractor.recipe.recipe_id != self.recipe_id:
            raise ConfigError(
                f"--pretrained {self.config.pretrained}: on {socket.gethostname()} these are other weights or another "
                f"model (recipe {extractor.recipe.recipe_id} instead of {self.recipe_id}); give all hosts the same file"
            )
        return extractor

    def do(self, task: ExtractTask) -> WorkedOn:
        """Extract one video in a worker, as `work_on` does."""
        return work_on(task, self.begin(), self.shards)


@lru_cache(maxsize=1)
def _extractor(config: ExtractConfig, recipe_id: str, store: Path) -> Extractor:
    """Make an extractor with its encoder loaded, and keep it.

    The recipe id is a key too: while a worker lives, the weights in a file may be replaced by others.
    """
    extractor = Extractor(config, store=store)
    _ = extractor.encoder  # loaded now, so that it counts towards no video's time limit
    return extractor


def work_on(task: ExtractTask, extractor: Extractor, shards: Path) -> WorkedOn:
    """Extract one video and make its outcome.

    Raises:
        VideoError: the video cannot be read or decoded.
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
        stream=task.source.stream or 1,
        host=socket.gethostname(),
    )
    return WorkedOn(outcome, done)
