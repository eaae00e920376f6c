"""What a command shows while it works: a bar on a terminal, plain lines elsewhere; with --quiet only failures."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import click
from tqdm import tqdm

from vad_pipeline.extract.embed.encoder_config import random_warning
from vad_pipeline.extract.names import plural, some
from vad_pipeline.extract.recipe import Recipe

PLAIN_EVERY_SECONDS = 10


@contextlib.contextmanager
def counting(
    doing: str, *, quiet: bool, total: int | None = None, unit: str = "video"
) -> Iterator[Callable[..., None]]:
    """Show how many units are done: a bar on a terminal, a plain line every few seconds elsewhere.

    Args:
        doing: the verb that is shown, for example `extract`.
        quiet: show nothing.
        total: how many units there are; None where that is not known.
        unit: what is counted.

    Yields:
        A callable to be told of progress: each video id as its turn comes, or a number of units done.
    """
    count, last_line = 0, time.monotonic()

    def on_unit(done: str | int) -> None:
        nonlocal count, last_line
        n = done if isinstance(done, int) else 1
        count += n
        if bar is not None:
            bar.update(n)
        elif not quiet and time.monotonic() - last_line >= PLAIN_EVERY_SECONDS:
            last_line = time.monotonic()
            click.echo(f"{doing}: {f'{count} of {plural(total, unit)}' if total else plural(count, unit)}", err=True)

    bar = None
    if not quiet and sys.stderr.isatty():
        bar = tqdm(total=total, desc=doing, unit=unit, file=sys.stderr, leave=False, dynamic_ncols=True)
    try:
        yield on_unit
    finally:
        if bar is not None:
            bar.close()


def in_words(seconds: float) -> str:
    """A duration in words, such as `40 s`, `12 min`, `3.5 h` or `4.2 days`."""
    seconds = max(0.0, seconds)  # a clock that was set back is no reason to write -0 s
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def report_missing(names: list[str]) -> int:
    """Print which names of lists match no video; return how many these are."""
    if names:
        click.echo(
            f"missing: {plural(len(names), 'listed name matches', 'listed names match')} no video: {some(names)}",
            err=True,
        )
    return len(names)


def report_left_out(n_videos: int, crop: int) -> None:
    """Print how many videos of a store are left out because they have another recipe or lack the crop."""
    if n_videos:
        click.echo(f"note: left out: {plural(n_videos, 'video')} of other recipes or without crop {crop}", err=True)


def warn_of_random(recipe: Recipe) -> None:
    """Print a note where the features of a recipe are of random weights."""
    for line in random_warning(recipe.weights):
        click.echo(f"note: {line}", err=True)


def warn_of(problems: list) -> None:
    """Print a warning for each shard that could not be read.

    Args:
        problems: one for each shard; printed as it is.
    """
    for problem in problems:
        click.echo(f"warning: {problem}; its videos count as not held", err=True)
