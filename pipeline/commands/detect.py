"""`detect`: scores features of the store, or footage, into a results folder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from vad_pipeline.extract.embed.encoder_config import INT8, WIDE_PRECISIONS
from vad_pipeline.extract.extractor import ExtractConfig, Extractor
from vad_pipeline.extract.files import absolute
from vad_pipeline.extract.names import plural

from ..archive.by_text import ByText, with_crop
from ..archive.detect_job import is_scored
from ..archive.detect_run import choose_entries, detect_archive
from ..archive.extract_with_progress import run_extraction
from ..archive.loop import RunSummary
from ..archive.running import Running
from ..archive.scoring_plan import DetectConfig, ScoringPlan
from ..archive.selection import Selection, SelectionConfig, find_sources, select_some
from ..progress import report_left_out, report_missing, warn_of, warn_of_random
from .sections import SectionedCommand
from .shared_options import (
    PRETRAINED_HELP,
    archive_options,
    chosen_of,
    clock_options,
    executor_config,
    merge_gap_option,
    option,
    selection_config,
    store_option,
    threshold_option,
)
from .telling_options import on_event_option

if TYPE_CHECKING:
    from ..results.folder import Results

SCORES = ("anomaly", "category")  # a head's `curves`, which are loaded with torch only
UNCALIBRATED = "note: zero-shot scores are UNCALIBRATED: they compare texts, nothing was trained"
# options of extraction alone; those of both stages are not among them
FOOTAGE_OPTIONS = ("model", "decoder", "precision", "accept_deviation", "runtime", "force", "retry_failed")


@click.command(cls=SectionedCommand)
@click.argument("src", nargs=-1, metavar="[SRC...]")
@store_option
@option("--checkpoint", help="What scores: a published .pth or our .safetensors.")
@option("--head", metavar="FILE.py:NAME", help="Of a checkpoint of your own head: its code.")
@click.option(
    "--zero-shot", is_flag=True, help="Score by the texts of --categories, without a checkpoint; uncalibrated."
)
@option("--categories", help="With --zero-shot: file of categories (YAML or CSV), the normal one first.")
@option("--out", required=True, help="Results folder.")
@threshold_option
@merge_gap_option
@option("--crop", type=int, help="Crop to score (default: the checkpoint's).")
@click.option(
    "--score", type=click.Choice(SCORES), help="Which of a network's scores the curve is (default: the checkpoint's)."
)
@option(
    "--delay", type=int, metavar="D", help="Score as live: each snippet once D later ones are there (default: all)."
)
@option("--recipe", help="Score features of this recipe (default: the checkpoint's).")
@click.option(
    "--any-recipe", is_flag=True, help="Score features even of a recipe that the checkpoint was not made for."
)
@clock_options
@option("--csv", is_flag=True, help="Also write each curve as curves/ID.csv.")
@click.option("--report", is_flag=True, help="Also write the review page, as `report` does.")
@on_event_option
@option("--pretrained", help=f"With SRC or --zero-shot (default: the checkpoint's): {PRETRAINED_HELP}")
@archive_options
def detect(
    src: tuple[str, ...],
    checkpoint: Path | None,
    zero_shot: bool,
    categories: Path | None,
    out: Path,
    pretrained: str | None,
    **values,
) -> int:
    """Score the videos of the store; with SRC, extract first what it lacks, and score those only."""
    if zero_shot != (checkpoint is None) or zero_shot != (categories is not None):
        raise click.UsageError("give --checkpoint FILE, or --zero-shot with --categories FILE")
    if zero_shot and values["head"]:
        raise click.UsageError("--head is the code of a checkpoint's head: leave it out with --zero-shot")
    if zero_shot and values["delay"] is not None:
        raise click.UsageError("--zero-shot scores each snippet by itself, at once: leave --delay out")
    selecting, running = selection_config(values), Running.taken_from(values, executor_config(values))
    footage = {name: values.pop(name) for name in FOOTAGE_OPTIONS}
    sources = {name: values.pop(name) for name in ("id_root", "any_suffix", "streams", "settle")}
    ignored = values.pop("ignore")
    text_tower = {"pretrained": pretrained, "model": footage["model"]}
    if not src:
        wanted = {name: None for name in text_tower} if zero_shot else {"precision": _of_scores(footage["precision"])}
        zones_only = bool(ignored) and not ignored.hours
        _refuse_without_src(**{"pretrained": pretrained, "ignore": zones_only} | sources | footage | wanted)
    chosen = chosen_of(values, ignored)
    scored_in = footage["precision"] if footage["precision"] in ("auto", *WIDE_PRECISIONS) else "fp32"
    config = DetectConfig(**values, chosen=chosen, precision=scored_in, fail_fast=running.fail_fast)
    if src and config.recipe_id:
        raise click.UsageError("--recipe chooses among stored features: leave it out where SRC is given")
    by_text = ByText.read(categories, config.crop, **text_tower) if zero_shot else None
    if src:
        options = ExtractConfig(
            **footage, zones=ignored and ignored.zones, device=config.device, fail_fast=config.fail_fast
        )
        if by_text:
            plan, extractor = _both_by_text(by_text, config, options, running)
        else:
            plan = ScoringPlan.by_checkpoint(checkpoint, config)
            extractor = Extractor(plan.extraction(options, pretrained), store=running.store_path)
        _refuse_other(plan, extractor, out)
        selection = find_sources(src, selecting, settle_seconds=sources.pop("settle"), **sources)
        return _extract_and_score(selection, extractor, plan, out, running)
    plan = _by_text(by_text, config, running) if by_text else ScoringPlan.by_checkpoint(checkpoint, config)
    with running.measured():
        summary = _score(plan, out, selecting, running)
    if config.report and not running.dry_run:
        _write_page(out, running)
    return summary.exit_code


def _by_text(by_text: ByText, config: DetectConfig, running: Running) -> ScoringPlan:
    """Make the scoring plan of --zero-shot."""
    with running.store(create=False) as opened:
        recipe, usable = with_crop(opened, config.recipe_id, by_text.crop)
        warn_of_random(recipe)
        judge = by_text.judge(recipe)
        report_left_out(len(opened.entries()) - len(usable), by_text.crop)
    click.echo(UNCALIBRATED, err=True)
    return ScoringPlan.of(judge, replace(config, recipe_id=recipe.recipe_id))


def _both_by_text(
    by_text: ByText, config: DetectConfig, options: ExtractConfig, running: Running
) -> tuple[ScoringPlan, Extractor]:
    """Make the scoring plan of --zero-shot with SRC, and the extractor of the features that it scores."""
    options = replace(options, crops=(by_text.crop,), pretrained=by_text.pretrained or options.pretrained)
    extractor = Extractor(options, store=running.store_path)
    judge = by_text.judge(extractor.recipe)
    click.echo(UNCALIBRATED, err=True)
    return ScoringPlan.of(judge, config), extractor


def _refuse_other(plan: ScoringPlan, extractor: Extractor, out: Path) -> None:
    """Check that a plan scores what will be extracted.

    Raises:
        ConfigError: the checkpoint does not fit such features, `out` holds results of something else, or what is
            chosen for it cannot be.
    """
    from ..results.run_record import check_record

    plan.refuse_other(extractor.recipe, f"{plan.judge.path}: footage extracted like this does not fit it")
    check_record(out, plan.record(extractor.recipe), plan.config.chosen)


def _extract_and_score(
    selection: Selection, extractor: Extractor, plan: ScoringPlan, out: Path, running: Running
) -> int:
    """Extract the videos that the store lacks, then score all of the selection; return the exit code."""
    with running.measured():
        extracted = run_extraction(selection, extractor, running)
        if extracted is None:  # a dry run
            return 0
        if extracted.stopped_early or not extracted.done:  # what failed was reported
            return extracted.exit_code
        if extractor.config.precision == INT8:
            _tell_score_change(plan, extractor)
        plan = replace(plan, config=replace(plan.config, recipe_id=extractor.recipe.recipe_id))
        detected = _score(plan, out, extracted.done, running)
    if plan.config.report:
        paths = [*(source.path for source in selection.sources), *(error.path for _, error in selection.failures)]
        folders = frozenset(os.path.dirname(absolute(path)) for path in paths)
        _write_page(out, running, folders)
    both = extracted.failed_anew + detected.failed_anew
    return int(running.limit.exceeded(both, extracted.counts.total()) or detected.stopped_early)


def _tell_score_change(plan: ScoringPlan, extractor: Extractor) -> None:
    """Print how far int8 moves scores: on the pictures that its deviation was measured on, taken as one video."""
    from vad_pipeline.extract.embed.int8_tower import RECORD, checked_embeddings
    from vad_pipeline.model.scoring import Scorer

    if not plan.judge.calibrated or not (extractor.int8_folder / RECORD).exists():
        return  # scored by text, or all was held in full precision and no tower was needed
    scorer = Scorer(plan.judge)
    exact, rough = (scorer.score(each).anomaly for each in checked_embeddings(extractor.int8_folder))
    click.echo(f"note: int8 moves scores by up to {abs(exact - rough).max():.4f} on {len(exact)} pictures", err=True)


def _score(plan: ScoringPlan, out: Path, wanted: SelectionConfig | set[str], running: Running) -> RunSummary:
    """Score with progress shown.

    Args:
        plan: what scores, and how.
        out: the results folder.
        wanted: options that choose among the store's videos, or the ids to score.
        running: the store, the workers and what is shown.
    """
    from ..results.folder import Results
    from ..results.run_record import read_record, rule_of

    summary = RunSummary(limit=running.limit)
    with running.store(create=False) as opened:
        warn_of(opened.problems)
        entries = choose_entries(opened, plan)
        if isinstance(wanted, set):
            entries = [entry for entry in entries if entry.video in wanted]
        else:
            entries, missing = select_some(entries, wanted, lambda entry: entry.video)
            summary.counts["failed"] += report_missing(missing)
        n_int8 = sum(entry.precision == INT8 for entry in entries)
        if n_int8:
            click.echo(f"note: features of {n_int8} of {plural(len(entries), 'video')} were made in int8", err=True)
        results = Results(out)
        if running.dry_run:
            work = plan.settled(out).work(opened, results)
            to_score = sum(not is_scored(entry, work, results) for entry in entries)
            click.echo(
                f"{plural(to_score, 'video')} would be scored into {out}; {len(entries) - to_score} are there already"
            )
            return summary
        if plan.config.on_event:
            from ..news.on_event import begin_telling

            begin_telling(out, plan.config.chosen)
        with running.progress(len(entries), "detect") as report:
            written = detect_archive(
                entries, plan, opened, results, executor=running.executor, report=report, summary=summary
            )
    if not running.quiet:
        rule = rule_of(out, read_record(out))
        click.echo(f"{summary}; {written} in {out / 'events.jsonl'} at {rule}, curves in {results.curves}")
        _show_strongest(out, {entry.video for entry in entries}, summary)
    if plan.config.on_event:
        summary.counts["failed"] += _tell(results, plan.config.on_event, quiet=running.quiet)
    return summary


def _show_strongest(out: Path, videos: set[str], summary: RunSummary) -> None:
    """Print the strongest events of the videos that were asked for."""
    from ..news.digest_text import strongest_lines
    from ..results.event_rows import shown_events

    events = [held for held in shown_events(out, hide_false=True) if held.video in videos]
    for line in strongest_lines(events, {held.event_id for held in events if held.video in summary.fresh}):
        click.echo(line)


def _tell(results: Results, command: tuple[str, ...], *, quiet: bool) -> int:
    """Run --on-event for each new event; return for how many it failed."""
    from ..news.on_event import LOG_NAME, tell_new

    telling = tell_new(results, command)
    for failure in telling.failures:
        click.echo(f"failed: --on-event, {failure}; the next run tries again ({results.path / LOG_NAME})", err=True)
    if not quiet:
        click.echo(telling)
    return len(telling.failures)


def _write_page(out: Path, running: Running, folders: frozenset[str] | None = None) -> None:
    """Write the review page of all curves in the results folder; without curves write none.

    Args:
        out: the results folder.
        running: the store, and what is shown.
        folders: the folders of SRC, whose failures to extract the page lists; None: all those of the store.
    """
    from ..results.folder import Results
    from ..results.verdict_log import latest_verdicts
    from ..review.page import ReportConfig
    from ..review.page_with_progress import write_page

    results = Results.open(out)
    if len(results):
        config = ReportConfig(running.store_path, folders, verdicts=latest_verdicts(out))
        write_page(results, config, quiet=running.quiet)


def _of_scores(precision: str) -> str | None:
    """Return None for a precision that scoring has too, which so needs no SRC; else the precision."""
    return None if precision in WIDE_PRECISIONS else precision


def _refuse_without_src(**given: object) -> None:
    """Refuse options about footage where no SRC is given; defaults and values from environment variables are not."""
    source_of = click.get_current_context().get_parameter_source
    for name, value in given.items():
        if value not in (None, False, "auto") and source_of(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} says how SRC is extracted: give SRC, or leave it out")
