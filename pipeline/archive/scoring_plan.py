"""`detect`'s options and a checkpoint -> how it scores: every default resolved, once."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.extract.errors import ConfigError, readable
from vad_pipeline.extract.extractor import ExtractConfig
from vad_pipeline.extract.files import absolute
from vad_pipeline.extract.recipe import CROPS, Recipe, weights_of
from vad_pipeline.extract.store.embedding_store import EmbeddingStore

from ..results.event_rule import Chosen
from ..results.folder import Results
from ..results.run_record import RunRecord
from .detect_video import DetectWork

if TYPE_CHECKING:
    from vad_pipeline.model.checkpoint import Checkpoint
    from vad_pipeline.model.zero_shot import ZeroShot


@dataclass(frozen=True, slots=True)
class DetectConfig:
    """detect's own options."""

    chosen: Chosen = Chosen()
    """Thresholds, gap and clock that are set for the results; what it leaves out is as kept there."""
    crop: int | None = None
    """None: the checkpoint's own."""
    recipe_id: str | None = None
    any_recipe: bool = False
    csv: bool = False
    report: bool = False
    """Write the review page once all is scored."""
    device: str = "auto"
    precision: str = "fp32"
    """Of the scores: `fp32` or `bf16`."""
    fail_fast: bool = False

    def __post_init__(self):
        if self.crop is not None and self.crop not in CROPS:
            raise ConfigError(f"--crop: crops are numbered 0 to {CROPS[-1]}, got {self.crop}")


@dataclass(frozen=True, slots=True)
class ScoringPlan:
    """What scores, and how.

    The device stays a word such as `auto`: each worker resolves it where it works, its machine may have a GPU that
    this one lacks.
    """

    judge: Checkpoint | ZeroShot
    """What scores: a trained network, or text alone."""
    config: DetectConfig
    """As given."""
    crop: int
    """Which crop is scored."""

    @classmethod
    def of(cls, judge: Checkpoint | ZeroShot, config: DetectConfig) -> ScoringPlan:
        """The plan: what the options leave open is the checkpoint's."""
        crop = judge.crop if config.crop is None else config.crop
        return cls(judge, config, crop)

    def record(self, recipe: Recipe) -> RunRecord:
        """What run.json says of curves of features of this recipe."""
        judge = self.judge
        return RunRecord(
            checkpoint=readable(judge.path),
            checkpoint_sha256=judge.sha256,
            preset=judge.preset,
            categories=judge.categories,
            recipe=json.loads(recipe.to_json()),
            recipe_id=recipe.recipe_id,
            crop=self.crop,
            threshold=judge.threshold,
            calibrated=judge.calibrated,
        )

    def work(self, store: EmbeddingStore, results: Results) -> DetectWork:
        """The work of a run, as workers get it."""
        judge, config = self.judge, self.config
        return DetectWork(
            checkpoint=Path(absolute(judge.path)),
            checkpoint_sha256=judge.sha256,
            zero_shot=None if judge.calibrated else judge,
            crop=self.crop,
            threshold=judge.threshold,
            csv=config.csv,
            device=config.device,
            precision=config.precision,
            shards=store.shards.absolute(),
            curves=results.curves.absolute(),
        )

    def extraction(self, options: ExtractConfig, pretrained: str | None) -> ExtractConfig:
        """How footage has to be extracted to be scored: the checkpoint's recipe, and the crop alone.

        Raises:
            ConfigError: its weights are known by their sha256 only and no file is given.
        """
        recipe = self.judge.recipe
        return replace(
            options,
            geometry=recipe.geometry,
            frames_per_snippet=recipe.frames_per_snippet,
            tail=recipe.tail,
            still_bound=recipe.still_bound,
            crops=(self.crop,),
            model=recipe.model if options.model is None else options.model,
            pretrained=weights_of(recipe, pretrained, why=f"{self.judge.path} was trained on them"),
            decoder="decord" if (options.decoder, recipe.decoder) == ("auto", "decord") else options.decoder,
        )

    def refuse_other(self, recipe: Recipe, what: str) -> None:
        """See that features of a recipe are what the checkpoint was trained on, unless --any-recipe says they need not.

        Raises:
            ConfigError: they are not; `what` opens the sentence.
        """
        if not (self.config.any_recipe or self.judge.accepts(recipe)):
            differences = self.judge.recipe.differences(recipe)
            raise ConfigError(f"{what} ({differences}); --any-recipe scores it all the same")
