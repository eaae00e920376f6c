"""extract, events, convert, demo; and what extract shares with detect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.extractor import ExtractConfig, Extractor
from vad_pipeline.extract.files import readable
from vad_pipeline.model.curve import MERGE_GAP_SECONDS

from ..archive.detect_job import DetectConfig
from ..archive.loop import RunSummary
from ..archive.selection import Selection, SelectionConfig, Source, find_sources
from .options import (
    Place,
    archive_options,
    clock_of,
    clock_options,
    quiet_option,
    recipe_options,
    selection_config,
    still_bound_of,
    still_options,
    store_option,
    tail_option,
)
from .run_options import RunOptions

if TYPE_CHECKING:
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore

SHOWN_NAMES = 5

pretrained_help = "open_clip tag, weights file, or random:SEED."
threshold_help = "Score from which a frame belongs to an event"
merge_gap_option = click.option(
    "--merge-gap",
    "merge_gap_seconds",
    type=float,
    default=MERGE_GAP_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="Events closer than this are one.",
)


@click.command()
@click.argument("src", nargs=-1, metavar="SRC...")
@store_option
@recipe_options
@tail_option
@still_options
@click.option("--pretrained", default="openai", show_default=True, help=pretrained_help)
@archive_options
def extract(src: tuple[str, ...], id_root: str | None, settle: float | None, **values) -> int:
    """Decode, sample and embed videos (files, or folders with all below) into the feature store.

    What is held already is not decoded again; run the same command to go on after any interruption.
    """
    selecting, running = selection_config(values), RunOptions.taken_from(values)
    selection = find_sources(_footage(src, selecting), selecting, id_root=id_root, settle_seconds=settle)
    values["still_bound"] = still_bound_of(values.pop("skip_still"), values["still_bound"])
    extractor = Extractor(ExtractConfig(**values, fail_fast=running.fail_fast), store=running.store_path)
    with running.measured():
        summary = run_extraction(selection, extractor, running)
    return summary.exit_code if summary else 0


@click.command()
@click.argument("results", type=Place())
@click.option("--threshold", type=float, required=True, help=f"{threshold_help}.")
@merge_gap_option
@clock_options
def events(results: Path, threshold: float, merge_gap_seconds: float, clock: str | None, timezone: str | None) -> int:
    """Write RESULTS/events.jsonl anew with another threshold, or with wall-clock times.

    --clock and --timezone are kept in run.json: later runs of detect and events need not name them again.
    """
    from ..results.folder import Results

    DetectConfig(threshold=threshold, merge_gap_seconds=merge_gap_seconds)  # checks ranges
    read_by = clock_of(clock, timezone)
    opened = Results.open(results)
    n_events = opened.write_events(threshold=threshold, merge_gap_seconds=merge_gap_seconds, clock=read_by)
    click.echo(f"{n_events} events at threshold {threshold:g} in {results / 'events.jsonl'}")
    return 0


@click.command()
@click.argument("published", type=Place())
@click.argument("out", type=Place())
@click.option("--clip", "clip_out", type=Place(), help="Also write the CLIP weights inside it.")
def convert(published: Path, out: Path, clip_out: Path | None) -> int:
    """Convert PUBLISHED.pth into OUT.safetensors: smaller, and scoring with it needs no text tower.

    The CLIP weights written by --clip serve `extract --pretrained FILE` on machines without internet.
    """
    from vad_pipeline.model.checkpoint import convert as convert_checkpoint

    for path in (out, clip_out):
        if path and path.suffix != ".safetensors":
            raise ConfigError(f"{path}: must end in .safetensors")
    convert_checkpoint(published, out, clip_out=clip_out)
    click.echo(f"wrote {out}" + (f" and {clip_out}" if clip_out else ""))
    return 0


@click.command()
@click.option("--out", default="demo", show_default=True, type=Place(), help="Folder for all of it.")
@click.option("--videos", "n_videos", default=24, show_default=True, help="How many to render.")
@click.option("--seed", default=0, show_default=True, help="Of the videos and the training.")
@quiet_option
def demo(out: Path, n_videos: int, seed: int, quiet: bool) -> int:
    """Render a small archive of camera-like videos, extract, train, detect and evaluate: no download, no GPU, no data.

    Training sees the labels of one split, the figures are those of the other. CLIP's weights are random: the figures
    say that the way from pixels to a trained curve works, and nothing about real footage.
    """
    from ..demo.run import DemoConfig, run_demo
    from ..demo.scenes import ArchiveConfig

    return run_demo(out, DemoConfig(archive=ArchiveConfig(n_videos=n_videos, seed=seed)), quiet=quiet)


def _footage(src: Sequence[str], selecting: SelectionConfig) -> Sequence[str]:
    if not src and not selecting.list_file:
        raise click.UsageError("give SRC (files or folders), or --list FILE")
    return src


def run_extraction(selection: Selection, extractor: Extractor, running: RunOptions) -> RunSummary | None:
    """Extract with progress; None after a dry run."""
    from ..archive.extract_job import extract_archive, missing_sources

    for line in (*selection.notes, *extractor.warnings):
        click.echo(f"note: {line}", err=True)
    if running.dry_run and not (running.store_path / "store.json").exists():
        return _dry_run(selection, selection.sources, extractor)
    with running.store(create=not running.dry_run) as opened:
        warn_of(opened.problems)
        if running.dry_run:
            return _dry_run(selection, missing_sources(selection, extractor, opened), extractor)
        if running.executor.in_process:  # workers may be faster, and files are opened here
            _warn_of_hours(selection, extractor, opened)
        with running.progress(len(selection.sources) + len(selection.failures), "extract") as report:
            summary = extract_archive(
                selection, extractor, opened, executor=running.executor, limit=running.limit, report=report
            )
        summary.counts["failed"] += report_missing(selection.missing)
    if not running.quiet:
        click.echo(f"{summary}; recipe {extractor.recipe.recipe_id} in {running.store_path}")
    return summary


def _dry_run(selection: Selection, missing: list[Source], extractor: Extractor) -> None:
    from ..archive.estimate import measure, workload
    from ..progress import in_words

    work = workload(missing, extractor.recipe, len(extractor.crops))
    n_cached = len(selection.sources) - len(missing)
    for source in missing:
        click.echo(f"{source.video_id}\t{readable(source.path)}")
    for video_id, error in selection.failures:
        click.echo(f"failed [{error.code}] {video_id}: {error}", err=True)
    click.echo(
        f"{work.n_videos} videos ({work.hours:.2f} h, {work.n_frames} frames, {work.n_images} images) to extract, "
        f"{n_cached} held or known to fail, {len(selection.failures)} cannot be tried; "
        f"recipe {extractor.recipe.recipe_id}"
    )
    report_missing(selection.missing)
    if missing:
        rates = measure(extractor, missing)
        click.echo(
            f"estimate: {in_words(rates.seconds(work))} on this machine (measured just now: "
            f"{rates.images_per_second:.1f} images/s, {rates.frames_per_second:.0f} frames/s decoded)"
            f"{_less_if_still(extractor)}"
        )


def _warn_of_hours(selection: Selection, extractor: Extractor, store: EmbeddingStore) -> None:
    """On a CPU, say at once where a run will take hours."""
    from ..archive.estimate import PROBED_AT_MOST, SLOW_SECONDS, WORTH_MEASURING_IMAGES, workload
    from ..archive.extract_job import missing_sources
    from ..progress import in_words

    if extractor.config.like == "quick":
        return
    every = max(1, len(selection.sources) // PROBED_AT_MOST)
    some = replace(selection, sources=selection.sources[::every])
    work = workload(missing_sources(some, extractor, store), extractor.recipe, len(extractor.crops), scale=every)
    if work.n_images < WORTH_MEASURING_IMAGES:
        return
    from vad_pipeline.extract.embed.encoder import resolve_device  # only now: it loads torch

    if resolve_device(extractor.config.device).type != "cpu":
        return
    seconds = work.n_images / extractor.encoder.measure_rate()
    if seconds >= SLOW_SECONDS:
        click.echo(
            f"note: {work.n_images} images to embed will take about {in_words(seconds)} on this CPU"
            f"{_less_if_still(extractor)}; `--like quick` embeds a sixteenth of the frames (for models trained on it), "
            "a GPU all of them sooner",
            err=True,
        )


def _less_if_still(extractor: Extractor) -> str:
    """Nobody knows how much of an archive is still before it is decoded."""
    return "" if extractor.recipe.still_bound is None else ", less where scenes are still"


def report_missing(names: list[str]) -> int:
    """Name what lists ask for and nobody has; returns how many."""
    if names:
        shown = ", ".join(names[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")
        click.echo(f"missing: {len(names)} listed names match no video: {shown}", err=True)
    return len(names)


def warn_of(problems: list) -> None:
    """Name shards that could not be read."""
    for problem in problems:
        click.echo(f"warning: {problem}; its videos count as not held", err=True)
