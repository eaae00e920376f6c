"""events: found anew, without scoring."""

from __future__ import annotations

from pathlib import Path

import click

from ..archive.scoring_plan import DetectConfig
from .sections import SectionedCommand
from .shared_options import THRESHOLD_HELP, Place, clock_of, clock_options, merge_gap_option, option


@click.command(cls=SectionedCommand)
@click.argument("results", type=Place())
@option("--threshold", type=float, required=True, help=f"{THRESHOLD_HELP}.")
@merge_gap_option
@clock_options
def events(results: Path, threshold: float, merge_gap_seconds: float, clock: str | None, timezone: str | None) -> int:
    """Write RESULTS/events.jsonl anew with another threshold, or with wall-clock times.

    --clock and --timezone are kept in run.json: later runs of detect and events need not name them again.
    """
    from ..results.event_rows import write_events
    from ..results.folder import Results

    DetectConfig(threshold=threshold, merge_gap_seconds=merge_gap_seconds)  # checks ranges
    read_by = clock_of(clock, timezone)
    opened = Results.open(results)
    n_events = write_events(opened, threshold=threshold, merge_gap_seconds=merge_gap_seconds, clock=read_by)
    click.echo(f"{n_events} events at threshold {threshold:g} in {results / 'events.jsonl'}")
    return 0
