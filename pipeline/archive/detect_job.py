"""`detect`: features in a store -> curves, events and outcomes in a results folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.extract.errors import ConfigError, readable
from vad_pipeline.extract.extractor import ExtractConfig
from vad_pipeline.extract.files import absolute
from vad_pipeline.extract.recipe import CROPS, DEFAULT_STILL_BOUND, NAMED_RECIPES, Recipe
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.model.curve import MERGE_GAP_SECONDS

from ..results.clock import Clock
from ..results.event_rows import write_events
from ..results.folder import Results
from ..results.head import RunHead
from ..workers.base import ExecutorConfig, Work
from .detect_video import Detected, DetectTask, DetectWork
from .loop import Recorder, Report, RunSummary, process_archive
from .outcomes import OutcomeLog, VideoOutcome

if TYPE_CHECKING:
    from vad_pipeline.model.checkpoint import Checkpoint
    from vad_pipeline.model.zero_shot import ZeroShot


@dataclass(frozen=True, slots=True)
class DetectConfig:
    """detect's own options."""

    threshold: float | None = None
    """None: the checkpoint's own."""
    crop: int | None = None
    """None: the checkpoint's own."""
    recipe_id: str | None = None
    any_recipe: bool = False
    csv: bool = False
    report: bool = False
    """Write the review page once all is scored."""
    merge_gap_seconds: float = MERGE_GAP_SECONDS
    clock: Clock | None = None
    """How ids are read for the wall clock; None: as the results record."""
    device: str = "auto"
    precision: str = "fp32"
    """Of the scores: `fp32` or `bf16`."""
    fail_fast: bool = False

    def __post_init__(self):
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(f"--threshold must lie in 0 to 1, got {self.threshold}")
        if self.crop is not None and self.crop not in CROPS:
            raise ConfigError(f"--crop: crops are numbered 0 to {CROPS[-1]}, got {self.crop}")
        if not self.merge_gap_seconds >= 0:  # nan is not
            raise ConfigError(f"--merge-gap must not be negative, got {self.merge_gap_seconds}")


def extraction_for(checkpoint: Checkpoint, crop: int, options: ExtractConfig, pretrained: str | None) -> ExtractConfig:
    """How footage has to be extracted for a checkpoint.

    Raises:
        ConfigError: its weights are known by their sha256 only and no file is given.
    """
    recipe = checkpoint.recipe
    if recipe.weights.startswith("sha256:") and pretrained is None:
        raise ConfigError(
            f"{checkpoint.path}: was trained on features of the weights {recipe.weights[:19]}...; give that file "
            "with --pretrained FILE"
        )
    return replace(
        options,
        geometry=recipe.geometry,
        frames_per_snippet=recipe.frames_per_snippet,
        tail=recipe.tail,
        still_bound=recipe.still_bound,
        crops=(crop,),
        model=recipe.model if options.model is None else options.model,
        pretrained=recipe.weights if pretrained is None else pretrained,
        decoder="decord" if (options.decoder, recipe.decoder) == ("auto", "decord") else options.decoder,
    )


def choose_entries(store: EmbeddingStore, checkpoint: Checkpoint, crop: int, config: DetectConfig) -> list[Entry]:
    """The features a checkpoint may score, all of one recipe.

    Raises:
        ConfigError: the store lacks them; the message holds the command that makes them.
    """
    entries = store.entries()
    recipes = {entry.recipe_id: Recipe.from_json(entry.recipe) for entry in entries}
    fitting = [recipe_id for recipe_id, recipe in recipes.items() if checkpoint.accepts(recipe)]
    if config.recipe_id:
        chosen = [recipe_id for recipe_id in recipes if recipe_id.startswith(config.recipe_id)]
        if len(chosen) != 1:
            raise ConfigError(
                f"{store.path}: --recipe {config.recipe_id} names {len(chosen)} of its recipes ({', '.join(recipes)})"
            )
        if chosen[0] not in fitting and not config.any_recipe:
            raise ConfigError(
                f"{store.path}: recipe {chosen[0]} is not the checkpoint's "
                f"({checkpoint.recipe.differences(recipes[chosen[0]])}); --any-recipe scores it all the same"
            )
    else:
        own = checkpoint.recipe.recipe_id
        chosen = [own] if own in fitting else fitting or (list(recipes) if config.any_recipe else [])
        if len(chosen) > 1:
            raise ConfigError(f"{store.path}: holds recipes {', '.join(chosen)}; choose one with --recipe ID")
        if not chosen:
            raise ConfigError(_lacks(store, checkpoint, crop, recipes))
    of_recipe = [entry for entry in entries if entry.recipe_id == chosen[0]]
    if not any(crop in entry.crop_numbers for entry in of_recipe):
        held = sorted({number for entry in of_recipe for number in entry.crop_numbers})
        raise ConfigError(
            f"{store.path}: crop {crop}, which this checkpoint scores, is not held (crops {held} are); make it with "
            f"`{extract_command(store, checkpoint.recipe, crop)}`, or score another with --crop"
        )
    return of_recipe


def _lacks(store: EmbeddingStore, checkpoint: Checkpoint, crop: int, recipes: dict[str, Recipe]) -> str:
    command = extract_command(store, checkpoint.recipe, crop)
    if not recipes:
        return f"{store.path}: holds no videos; run `{command}` first"
    differences = "; ".join(f"{key}: {checkpoint.recipe.differences(r)}" for key, r in list(recipes.items())[:3])
    return (
        f"{store.path}: holds no features of the checkpoint's recipe ({differences}); run `{command}`, "
        "or --any-recipe to score what is there"
    )


def extract_command(store: EmbeddingStore, recipe: Recipe, crop: int) -> str:
    """The command that makes features of a recipe and crop."""
    like = min(NAMED_RECIPES, key=lambda name: len(NAMED_RECIPES[name].recipe.differences(recipe)))
    named = NAMED_RECIPES[like].recipe
    options = [f"--like {like}"] if like != "vadclip" else []
    for name, option in (("geometry", "geometry"), ("frames_per_snippet", "frames-per-snippet"), ("tail", "tail")):
        if getattr(named, name) != getattr(recipe, name):
            options.append(f"--{option} {getattr(recipe, name)}")
    if recipe.model != named.model:
        options.append(f"--model {recipe.model}")
    if recipe.weights != named.weights:
        options.append(f"--pretrained {'FILE' if recipe.weights.startswith('sha256:') else recipe.weights}")
    if recipe.still_bound is not None:
        options.append("--skip-still")
        if recipe.still_bound != DEFAULT_STILL_BOUND:
            options.append(f"--still-bound {recipe.still_bound}")
    if recipe.decoder == "decord":
        options.append("--decoder decord")
    return " ".join(["vad-pipeline extract SRC --store", str(store.path), *options, f"--crops {crop}"])


def run_head(checkpoint: Checkpoint | ZeroShot, recipe: Recipe, config: DetectConfig) -> RunHead:
    """What run.json says of curves of these features."""
    return RunHead(
        checkpoint=readable(checkpoint.path),
        checkpoint_sha256=checkpoint.sha256,
        preset=checkpoint.preset,
        categories=checkpoint.categories,
        recipe=json.loads(recipe.to_json()),
        recipe_id=recipe.recipe_id,
        crop=checkpoint.crop if config.crop is None else config.crop,
        threshold=checkpoint.threshold if config.threshold is None else config.threshold,
        calibrated=checkpoint.calibrated,
        clock=config.clock.to_json() if config.clock else None,
    )


def work_of(
    checkpoint: Checkpoint | ZeroShot, store: EmbeddingStore, results: Results, config: DetectConfig
) -> DetectWork:
    """The work of a run, as workers get it."""
    return DetectWork(
        checkpoint=Path(absolute(checkpoint.path)),
        checkpoint_sha256=checkpoint.sha256,
        zero_shot=None if checkpoint.calibrated else checkpoint,
        crop=checkpoint.crop if config.crop is None else config.crop,
        threshold=checkpoint.threshold if config.threshold is None else config.threshold,
        csv=config.csv,
        device=config.device,
        precision=config.precision,
        shards=store.shards.absolute(),
        curves=results.curves.absolute(),
    )


def is_scored(entry: Entry, work: DetectWork, results: Results) -> bool:
    """Whether the curve of exactly these features is there, and its table where one is asked for."""
    held = results.holds(entry.video, entry.recipe_id, work.made_from(entry))
    return held and (not work.csv or results.csv_path(entry.video).exists())


@dataclass(frozen=True, slots=True)
class DetectJob:
    """What `detect` does to each video. Items are entries of the store."""

    scoring: DetectWork
    work: Work
    results: Results
    recipe_id: None = None
    """A failure to score says nothing of a recipe."""

    def decide(self, entry: Entry) -> VideoOutcome | DetectTask:
        """See `Job`."""
        if is_scored(entry, self.scoring, self.results):
            return self.scoring.outcome(entry, "cached")
        return DetectTask(entry, self.results.written_ns(entry.video, entry.recipe_id))

    def settle(self, detected: Detected) -> VideoOutcome:
        """See `Job`."""
        self.results.take_in(detected.shard)
        return detected.outcome

    def identify(self, item: Entry | DetectTask) -> tuple[str, str]:
        """See `Job`."""
        entry = item.entry if isinstance(item, DetectTask) else item
        return entry.video, entry.source


def detect_archive(
    entries: list[Entry],
    checkpoint: Checkpoint | ZeroShot,
    store: EmbeddingStore,
    results: Results,
    config: DetectConfig,
    *,
    executor: ExecutorConfig | None = None,
    report: Report,
    summary: RunSummary,
) -> int:
    """Score what has no curve yet, then write events from all curves.

    Args:
        entries: features, all of one recipe.
        results: begun with this checkpoint, recipe and crop.
        executor: where workers are; None: this process.
        summary: counted up.

    Returns:
        How many events there are.

    Raises:
        RunStopped: the run cannot go on; what is finished is kept.
    """
    executor = executor or ExecutorConfig()
    scoring = work_of(checkpoint, store, results, config)
    work = scoring.here(checkpoint) if executor.in_process else Work(scoring.begin, scoring.do)
    with OutcomeLog(results.outcomes) as log:
        recorder = Recorder(log, report, summary, config.fail_fast)
        process_archive(DetectJob(scoring, work, results), entries, executor=executor, recorder=recorder)
    results.merge()
    return write_events(results, threshold=scoring.threshold, merge_gap_seconds=config.merge_gap_seconds)
