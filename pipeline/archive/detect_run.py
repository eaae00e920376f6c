"""Runs `detect`: scores features of a store; curves, events and outcomes go into a results folder."""

from __future__ import annotations

from dataclasses import replace

from vad_pipeline.extract.command_line import command_for
from vad_pipeline.extract.embed.encoder_config import INT8
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.extract.store.one_recipe import of_one_recipe

from ..outcomes.outcome_log import OutcomeLog
from ..results.event_rows import EventsWritten, tell_unread, write_events
from ..results.folder import Results
from ..results.run_record import begin_run
from ..workers.base import ExecutorConfig, Work
from .detect_job import DetectJob
from .loop import Recorder, Report, RunSummary, process_archive
from .scoring_plan import ScoringPlan

SHOWN = 3  # how many recipes an error message compares


def choose_entries(store: EmbeddingStore, plan: ScoringPlan) -> list[Entry]:
    """The store's features that a plan may score, all of one recipe.

    Raises:
        ConfigError: the store has none; the message holds the command that makes them.
    """
    config, own = plan.config, plan.judge.recipe
    entries = store.entries()
    recipes = {entry.recipe_id: Recipe.from_json(entry.recipe) for entry in entries}
    fitting = {recipe_id for recipe_id, recipe in recipes.items() if plan.judge.accepts(recipe)}
    if not (recipes and (fitting or config.recipe_id or config.any_recipe)):
        raise ConfigError(_lacks(store, plan, recipes))
    unasked = {own.recipe_id} if own.recipe_id in fitting else fitting or recipes
    recipe, entries = of_one_recipe(entries, config.recipe_id, store=store.path, among=unasked)
    plan.refuse_other(recipe, f"{store.path}: recipe {recipe.recipe_id} is not the checkpoint's")
    if not any(plan.crop in entry.crop_numbers for entry in entries):
        there = sorted({number for entry in entries for number in entry.crop_numbers})
        raise ConfigError(
            f"{store.path}: crop {plan.crop}, which this checkpoint scores, is not held (crops {there} are); make it "
            f"with `{command_for(store.path, own, plan.crop)}`, or score another with --crop"
        )
    return entries


def _lacks(store: EmbeddingStore, plan: ScoringPlan, recipes: dict[str, Recipe]) -> str:
    own = plan.judge.recipe
    command = command_for(store.path, own, plan.crop)
    if not recipes:
        return f"{store.path}: holds no videos; run `{command}` first"
    differences = "; ".join(f"{key}: {own.differences(recipe)}" for key, recipe in list(recipes.items())[:SHOWN])
    return (
        f"{store.path}: holds no features of the checkpoint's recipe ({differences}); run `{command}`, "
        "or --any-recipe to score what is there"
    )


def detect_archive(
    entries: list[Entry],
    plan: ScoringPlan,
    store: EmbeddingStore,
    results: Results,
    *,
    executor: ExecutorConfig | None = None,
    report: Report,
    summary: RunSummary,
) -> EventsWritten:
    """Score the videos that have no curve yet, then find the events of all curves.

    Args:
        entries: features to score, all of one recipe.
        plan: what scores them, and how.
        store: where the features are.
        results: where curves and events go; its run.json is written here.
        executor: where workers are; None: in this process.
        report: called with each outcome.
        summary: the counts of the run, which are added to.

    Returns:
        What events there are now.

    Raises:
        ConfigError: the results are of another checkpoint, recipe or crop.
        RunStopped: the run cannot go on; what is finished is kept.
    """
    plan = plan.settled(results.path)
    record = plan.record(Recipe.from_json(entries[0].recipe) if entries else plan.judge.recipe)
    n_int8 = sum(entry.precision == INT8 for entry in entries)
    record = replace(record, int8_share=n_int8 / max(1, len(entries)))
    rule = begin_run(results.path, record, plan.config.chosen)
    executor = executor or ExecutorConfig()
    scoring = replace(plan.work(store, results), threshold=rule.threshold)
    work = scoring.here(plan.judge) if executor.in_process else Work(scoring.begin, scoring.do)
    with OutcomeLog(results.outcomes) as log:
        recorder = Recorder(log, report, summary, plan.config.fail_fast)
        job = DetectJob(scoring, work, results)
        process_archive(job, entries, executor=executor, recorder=recorder)
        written = write_events(results)
        damaged = [entry for entry in entries if entry.video in written.unread]
        if damaged and not summary.stopped_early:  # known only now: of curves that are there, attributes alone are read
            process_archive(job, damaged, executor=executor, recorder=recorder)
            written = write_events(results)
    results.merge()
    tell_unread(written)
    summary.counts["failed"] += len(written.unread)
    return written
