"""Runs `extract` over an archive and shows it: notes before, progress, one line after; or a dry run's estimate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from vad_pipeline.extract.embed.download import download_note, refuse_unreachable
from vad_pipeline.extract.embed.encoder_config import INT8
from vad_pipeline.extract.errors import readable
from vad_pipeline.extract.extractor import Extractor
from vad_pipeline.extract.files import Source
from vad_pipeline.extract.names import first_folder, plural, some
from vad_pipeline.extract.recipe import ALL_CAMERAS

from ..progress import report_missing, warn_of
from .loop import RunSummary
from .running import Running
from .selection import Selection

WORTH_SAYING = 1.2  # times as fast
SHOWN_SOURCES = 20  # of a dry run
FLOAT16_BYTES = 2  # as features are stored

if TYPE_CHECKING:
    from vad_pipeline.extract.recipe import Recipe
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore

    from .estimate import Workload


def run_extraction(selection: Selection, extractor: Extractor, running: Running) -> RunSummary | None:
    """Extract what the store lacks, showing progress.

    Args:
        selection: the videos.
        extractor: how they are extracted.
        running: the store, the workers and what is shown; with `dry_run` nothing is extracted.

    Returns:
        The counts of the run; None after a dry run.
    """
    from .extract_job import missing_sources
    from .extract_run import extract_archive

    for line in (*selection.notes, *extractor.warnings, *_hidden(selection, extractor.recipe)):
        click.echo(f"note: {line}", err=True)
    if running.dry_run and not (running.store_path / "store.json").exists():
        return _dry_run(selection, selection.sources, extractor)
    if not running.dry_run:
        _try_weights(selection, extractor, running)
    with running.store(create=not running.dry_run) as opened:
        warn_of(opened.problems)
        if running.dry_run:
            return _dry_run(selection, missing_sources(selection, extractor, opened), extractor)
        if extractor.config.precision == INT8:
            _prepare_int8(selection, extractor, opened)
        if running.executor.in_process:  # else workers may be faster than this machine, which the estimate measures
            _warn_of_hours(selection, extractor, opened)
        with running.progress(len(selection.sources) + len(selection.failures), "extract") as report:
            summary = extract_archive(
                selection, extractor, opened, executor=running.executor, limit=running.limit, report=report
            )
        summary.counts["failed"] += report_missing(selection.missing)
    if not running.quiet:
        click.echo(f"{summary}; recipe {extractor.recipe.recipe_id} in {running.store_path}")
    return summary


def _hidden(selection: Selection, recipe: Recipe) -> list[str]:
    """What must be said of the zones that are hidden: in which videos, and of which cameras there are none here."""
    if not recipe.zones or not selection.sources:
        return []
    named = {camera for camera, _ in recipe.zones} - {ALL_CAMERAS}
    unknown = sorted(named - {first_folder(source.video_id) for source in selection.sources})
    n_hidden = sum(bool(recipe.zones_of(source.video_id)) for source in selection.sources)
    told = [f"zones are hidden in {n_hidden} of {plural(len(selection.sources), 'video')}: nothing in them counts"]
    if unknown:
        told.append(f"no video is of {some(unknown)}, whose zones --ignore names: a camera is an id's first folder")
    return told


def _try_weights(selection: Selection, extractor: Extractor, running: Running) -> None:
    """Before a store is made: see that there are weights for what is to be embedded.

    Raises:
        ConfigError: there are none, or they are of another model.
    """
    if not selection.sources or (running.store_path / "store.json").exists():
        return
    if running.executor.in_process and extractor.config.precision != INT8:
        _ = extractor.encoder
    else:  # it is workers that load it, or it is calibrated first
        refuse_unreachable(extractor.encoder_config.model, extractor.encoder_config.pretrained)


def _prepare_int8(selection: Selection, extractor: Extractor, store: EmbeddingStore) -> None:
    """Have the int8 tower ready before workers ask for it, where anything is to be extracted."""
    from vad_pipeline.extract.int8 import prepare_int8

    from .extract_job import missing_sources

    missing = missing_sources(selection, extractor, store)
    if missing:
        click.echo(f"note: {prepare_int8(extractor, missing).words()}", err=True)


def _dry_run(selection: Selection, missing: list[Source], extractor: Extractor) -> None:
    from ..progress import in_words
    from .estimate import measure, workload

    work = workload(missing, extractor.recipe, len(extractor.crops))
    n_cached = len(selection.sources) - len(missing)
    for source in missing[:SHOWN_SOURCES]:
        click.echo(f"{source.video_id}\t{readable(source.path)}")
    if len(missing) > SHOWN_SOURCES:
        click.echo(f"and {len(missing) - SHOWN_SOURCES} more")
    for video_id, error in selection.failures:
        click.echo(f"failed [{error.code}] {video_id}: {error}", err=True)
    click.echo(
        f"{plural(work.n_videos, 'video')} ({_length(work)}) to extract, "
        f"{n_cached} held or known to fail, {len(selection.failures)} cannot be tried; "
        f"recipe {extractor.recipe.recipe_id}"
    )
    report_missing(selection.missing)
    for note in download_note(extractor.encoder_config.model, extractor.encoder_config.pretrained) if missing else ():
        click.echo(f"note: {note}", err=True)
    if work.n_videos and work.n_unknown == work.n_videos:
        click.echo("estimate: unknown, no header says how long its video is; `check --deep` counts")
    elif missing:
        rates = measure(extractor, missing)
        click.echo(
            f"estimate: {in_words(rates.seconds(work))} on this machine (measured just now: "
            f"{rates.images_per_second:.1f} images/s, {rates.frames_per_second:.0f} frames/s decoded)"
            f"{_less_if_still(extractor)}{_less_by_int8(extractor)}; {_room(work, extractor.recipe)} in the store"
        )


def _room(work: Workload, recipe: Recipe) -> str:
    """How much the features will take; frame times take next to nothing beside them."""
    size = work.n_images // recipe.frames_per_snippet * recipe.width * FLOAT16_BYTES
    return f"{max(1, round(size / 1e6)):,} MB"


def _length(work: Workload) -> str:
    """How much there is; what no header tells is not taken for nothing."""
    if work.n_videos and work.n_unknown == work.n_videos:
        return "of unknown length"
    unknown = f" without {plural(work.n_unknown, 'video')} of unknown length" if work.n_unknown else ""
    return f"{work.hours:.2f} h by header, {plural(work.n_frames, 'frame')}, {plural(work.n_images, 'image')}{unknown}"


def _warn_of_hours(selection: Selection, extractor: Extractor, store: EmbeddingStore) -> None:
    """Print a note if extraction will take an hour or more on this CPU."""
    from ..progress import in_words
    from .estimate import PROBED_AT_MOST, SLOW_SECONDS, WORTH_MEASURING_IMAGES, workload
    from .extract_job import missing_sources

    if extractor.recipe.frames_per_snippet == 1:
        return
    every = max(1, len(selection.sources) // PROBED_AT_MOST)
    some = replace(selection, sources=selection.sources[::every])
    work = workload(missing_sources(some, extractor, store), extractor.recipe, len(extractor.crops), scale=every)
    if work.n_images < WORTH_MEASURING_IMAGES:
        return
    from vad_pipeline.extract.device import resolve_device  # imported only here, as it loads torch

    if resolve_device(extractor.config.device).type != "cpu":
        return
    seconds = work.n_images / extractor.encoder.measure_rate()
    if seconds >= SLOW_SECONDS:
        click.echo(
            f"note: {plural(work.n_images, 'image')} to embed will take about {in_words(seconds)} on this CPU"
            f"{_less_if_still(extractor)}{_less_by_int8(extractor)}; "
            "`--like quick` embeds a sixteenth of the frames (for models trained on it), "
            "a GPU all of them sooner",
            err=True,
        )


def _less_if_still(extractor: Extractor) -> str:
    """What to add to an estimate with --skip-still: how much is still is not known before decoding."""
    return "" if extractor.recipe.still_bound is None else ", less where scenes are still"


def _less_by_int8(extractor: Extractor) -> str:
    """What to add to an estimate where int8 would save time on this machine."""
    from vad_pipeline.extract.device import resolve_device
    from vad_pipeline.extract.embed.int8_tower import speed_up

    if extractor.config.precision != "auto" or resolve_device(extractor.config.device).type != "cpu":
        return ""
    times = speed_up()
    if times is None or times < WORTH_SAYING:
        return ""
    return f"; --precision int8 embeds {times:.1f} times as fast here, a little less exactly"
