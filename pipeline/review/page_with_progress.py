"""Writes the review page for a user: shows progress, says what the page lacks, and where it is."""

from __future__ import annotations

import click

from vad_pipeline.extract.names import plural, some

from ..progress import counting
from ..results.folder import Results
from .page import ReportConfig, write_report


def write_page(results: Results, config: ReportConfig, *, quiet: bool) -> None:
    """Write the review page with progress shown, and print what it lacks.

    Raises:
        ConfigError: the results hold no curves.
        StoreError: a folder cannot be read or written.
    """
    with counting("report", quiet=quiet, total=len(results)) as on_video:
        written = write_report(
            results,
            config,
            on_video=on_video,
            counting=lambda n_events: counting("pictures", quiet=quiet, total=n_events, unit="event"),
        )
    if written.problems:
        shown = some([f"{video}: {why}" for video, why in written.problems.items()], between="; ")
        click.echo(
            f"note: the footage of {plural(len(written.problems), 'video')} is not shown in full: {shown}", err=True
        )
    if written.without_pictures and not quiet:
        click.echo(
            f"note: {plural(written.without_pictures, 'event')} without pictures yet: they get theirs when the page is "
            "written again, or at once with a higher --event-pictures",
            err=True,
        )
    if not quiet:
        failed = f", {written.failed} failed" if config.store else ""
        click.echo(f"{plural(written.n_videos, 'video')}{failed}; open {written.page}")
