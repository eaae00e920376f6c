"""The review page as a user sees it made: progress, what it lacks, where it lies."""

from __future__ import annotations

import click

from vad_pipeline.extract.names import some

from ..progress import counting
from ..results.folder import Results
from .page import ReportConfig, write_report


def write_page(results: Results, config: ReportConfig, *, quiet: bool) -> None:
    """Write it with progress, and say what it lacks."""
    with counting("report", quiet=quiet, total=len(results)) as on_video:
        written = write_report(results, config, on_video=on_video)
    if written.problems:
        shown = some([f"{video}: {why}" for video, why in written.problems.items()], between="; ")
        click.echo(f"note: the footage of {len(written.problems)} videos is not shown in full: {shown}", err=True)
    if not quiet:
        click.echo(f"{written.n_videos} videos, {written.failed} failed; open {written.page}")
