"""`extract`: embeds videos into the feature store."""

from __future__ import annotations

from collections.abc import Sequence

import click

from vad_pipeline.extract.extractor import ExtractConfig, Extractor
from vad_pipeline.extract.recipe import Zones

from ..archive.extract_with_progress import run_extraction
from ..archive.ignore_file import Ignored
from ..archive.running import Running
from ..archive.selection import SelectionConfig, find_sources
from .sections import SectionedCommand
from .shared_options import (
    PRETRAINED_HELP,
    archive_options,
    executor_config,
    option,
    recipe_options,
    selection_config,
    still_bound_of,
    still_options,
    store_option,
    tail_option,
)


@click.command(cls=SectionedCommand)
@click.argument("src", nargs=-1, metavar="SRC...")
@store_option
@recipe_options
@tail_option
@still_options
@option("--pretrained", default="openai", help=PRETRAINED_HELP)
@archive_options
def extract(src: tuple[str, ...], settle: float | None, **values) -> int:
    """Decode, sample and embed videos (files, or folders with all below) into the feature store.

    What is held already is not decoded again; run the same command to go on after any interruption.
    """
    selecting, running = selection_config(values), Running.taken_from(values, executor_config(values))
    named = {name: values.pop(name) for name in ("id_root", "any_suffix", "streams")}
    selection = find_sources(_footage(src, selecting), selecting, settle_seconds=settle, **named)
    values["still_bound"] = still_bound_of(values.pop("skip_still"), values["still_bound"])
    values["zones"] = _zones(values.pop("ignore"))
    extractor = Extractor(ExtractConfig(**values, fail_fast=running.fail_fast), store=running.store_path)
    with running.measured():
        summary = run_extraction(selection, extractor, running)
    return summary.exit_code if summary else 0


def _zones(ignored: Ignored | None) -> Zones | None:
    """The zones to hide; hours, which features know nothing of, are told."""
    if ignored and ignored.hours:
        click.echo("note: hours leave events out, no footage: give this --ignore to `detect` or `events` too", err=True)
    return ignored and ignored.zones


def _footage(src: Sequence[str], selecting: SelectionConfig) -> Sequence[str]:
    if not src and not selecting.list_file:
        raise click.UsageError("give SRC (files or folders), or --list FILE")
    return src
