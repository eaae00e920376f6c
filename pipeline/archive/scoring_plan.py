"""Combines `detect`'s options with a checkpoint into a plan in which no default is left open."""

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
from vad_pipeline.model.heads.head_names import HEAD_NAMES

from ..results.event_rule import Chosen
from ..results.folder import Results
from ..results.run_record import RECORD_NAME, RunRecord, precision_of, read_record
from .detect_video import DetectWork

if TYPE_CHECKING:
    from vad_pipeline.model.checkpoint import Checkpoint
    from vad_pipeline.model.zero_shot import ZeroShot

IMPORT_FIRST = "import them with `vad-pipeline store import`, then leave SRC out"


@dataclass(frozen=True, slots=True)
class DetectConfig:
    """The options of `detect` that concern scoring."""

    chosen: Chosen = Chosen()
    """Thresholds, merge gap and clock to set for the results; what it leaves out stays as the folder has it."""
    crop: int | None = None
    """Number of the crop to score; None: the checkpoint's."""
    score: str | None = None
    """Which of the network's scores the curve is, `anomaly` or `category`; None: the checkpoint's."""
    head: str | None = None
    """`FILE.py:NAME`: the code of the checkpoint's head, where it is one of the user's own."""
    delay: int | None = None
    """How many later snippets each score may have seen, as live; None: whole videos are scored."""
    recipe_id: str | None = None
    any_recipe: bool = False
    csv: bool = False
    report: bool = False
    """Whether to write the review page after scoring."""
    on_event: tuple[str, ...] | None = None
    """Program and arguments to run for each new event; None: none."""
    device: str = "auto"
    precision: str = "fp32"
    """Precision of the computation: `fp32`, `bf16`, or `auto`."""
    fail_fast: bool = False

    def __post_init__(self):
        if self.crop is not None and self.crop not in CROPS:
            raise ConfigError(f"--crop: crops are numbered 0 to {CROPS[-1]}, got {self.crop}")


@dataclass(frozen=True, slots=True)
class ScoringPlan:
    """What scores the features, and how.

    The device is kept as the word given, such as `auto`: each worker resolves it, as its machine may have a GPU that
    this one lacks.
    """

    judge: Checkpoint | ZeroShot
    """What scores: a trained network, or with --zero-shot only texts."""
    config: DetectConfig
    """The options as given."""
    crop: int
    """Number of the crop that is scored."""
    timed: str = ""
    """What `auto` was resolved by: the timings of this machine, in words."""

    @classmethod
    def of(cls, judge: Checkpoint | ZeroShot, config: DetectConfig) -> ScoringPlan:
        """Make the plan; what the options leave open is taken from the checkpoint.

        Raises:
            ConfigError: the checkpoint has no such score as asked for, or its windows are too short for the delay.
        """
        from vad_pipeline.model.live import check_delays

        if config.delay is not None:
            check_delays([config.delay], window_len=judge.config.window_len)
        crop = judge.crop if config.crop is None else config.crop
        return cls(judge.with_curve(config.score), config, crop)

    @classmethod
    def by_checkpoint(cls, path: Path, config: DetectConfig) -> ScoringPlan:
        """Make the plan of a checkpoint file, whose head's code the options give where it is one of the user's own.

        Raises:
            ConfigError: the file is no checkpoint, the code is none, or see `of`.
        """
        from vad_pipeline.model.checkpoint import load_checkpoint
        from vad_pipeline.model.heads.own import OwnHead

        if config.head in HEAD_NAMES:
            raise ConfigError(
                f"--head {config.head}: a checkpoint says itself which head it is of; leave --head away, which is for "
                "the code of a head of your own"
            )
        own = OwnHead.of(config.head) if config.head else None
        return cls.of(load_checkpoint(path, own=own), config)

    def settled(self, results: Path) -> ScoringPlan:
        """This plan with `auto` resolved to a precision: that of the folder's curves, else the fastest one here.

        What was chosen once stays, since curves of another precision are other curves.
        """
        from vad_pipeline.extract.device import resolve_device
        from vad_pipeline.model.fastest import scoring_way

        if self.config.precision != "auto":
            return self
        if (results / RECORD_NAME).exists():
            record = read_record(results)
            precision, timed = precision_of(record), str(record.get("timed", ""))
        elif not self.judge.calibrated:  # texts are compared, no network is run
            precision, timed = "fp32", ""
        else:
            way = scoring_way("auto", resolve_device(self.config.device))
            precision, timed = way.precision, way.timings.words() if way.timings else ""
        return replace(self, config=replace(self.config, precision=precision), timed=timed)

    def record(self, recipe: Recipe) -> RunRecord:
        """The content of run.json for curves of features of this recipe."""
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
            calibration=judge.calibration.to_json() if judge.calibration else None,
            precision=self.config.precision,
            timed=self.timed,
            score=judge.curve,
            delay=self.config.delay,
        )

    def work(self, store: EmbeddingStore, results: Results) -> DetectWork:
        """The work that is sent to workers, for features of this store and curves into these results."""
        judge, config = self.judge, self.config
        return DetectWork(
            checkpoint=Path(absolute(judge.path)),
            checkpoint_sha256=judge.sha256,
            own=judge.own,
            score=config.score,
            zero_shot=None if judge.calibrated else judge,
            crop=self.crop,
            delay=config.delay,
            threshold=judge.threshold,
            csv=config.csv,
            device=config.device,
            precision=config.precision,
            shards=store.shards.absolute(),
            curves=results.curves.absolute(),
        )

    def extraction(self, options: ExtractConfig, pretrained: str | None) -> ExtractConfig:
        """How footage has to be extracted so that it can be scored: by the checkpoint's recipe, with the scored crop.

        Args:
            options: extract's options as given; those that the checkpoint decides are replaced.
            pretrained: CLIP weights as given; None: those of the checkpoint's recipe.

        Raises:
            ConfigError: the recipe names its weights only by SHA-256, and no file is given.
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
            pretrained=weights_of(
                recipe, pretrained, why=f"{self.judge.path} was trained on them", otherwise=IMPORT_FIRST
            ),
            decoder="decord" if (options.decoder, recipe.decoder) == ("auto", "decord") else options.decoder,
        )

    def refuse_other(self, recipe: Recipe, what: str) -> None:
        """Check that the checkpoint was trained on features of this recipe; with --any-recipe, only on as wide ones.

        Args:
            recipe: that of the features.
            what: how the error's sentence begins.

        Raises:
            ConfigError: the checkpoint was trained on another recipe.
        """
        width = self.judge.recipe.width
        if self.config.any_recipe and recipe.width != width:
            raise ConfigError(
                f"{what}: its features are {recipe.width} wide ({recipe.model}), the checkpoint takes {width}; train "
                "one on them"
            )
        if not (self.config.any_recipe or self.judge.accepts(recipe)):
            differences = self.judge.recipe.differences(recipe)
            raise ConfigError(f"{what} ({differences}); --any-recipe scores it all the same")
