"""`status`: tells what past runs did in a feature store or results folder."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vad_pipeline.extract.errors import readable
from vad_pipeline.extract.names import plural

from ..outcomes.history import read_story
from ..outcomes.run_story import RunStory
from ..progress import in_words
from .sections import SectionedCommand
from .shared_options import Place, option

SHOWN_FAILURES = 20


@click.command(cls=SectionedCommand)
@click.argument("folder", metavar="STORE|RESULTS", type=Place())
@click.option("--runs", is_flag=True, help="Show every run, not only the last.")
@click.option("--failed", is_flag=True, help="List every video that still fails, not only the first 20.")
@option("--json", help="Print everything as one JSON object.")
def status(folder: Path, runs: bool, failed: bool, as_json: bool) -> int:
    """Read the outcomes of a feature store or results folder: counts, causes, seconds a stage, throughput."""
    story = read_story(folder)
    if as_json:
        told = ("video", "path", "code", "error", "time")
        failing = [{name: getattr(failed, name) for name in told} for failed in story.failing]
        runs = [_as_json(run) for run in story.runs]
        click.echo(json.dumps({"runs": runs, "failing": failing, "damaged_lines": story.n_damaged}))
        return 0
    old = f", of {len(story.folded)} of them, long past, only figures and failures are kept" if story.folded else ""
    click.echo(f"{folder}: {plural(len(story.runs), 'run')}{old}")
    if story.n_damaged:
        click.echo(
            f"{plural(story.n_damaged, 'damaged line')} of outcomes passed over; their videos may be missing below"
        )
    for run in story.runs if runs else story.runs[-1:]:
        _tell(run)
    click.echo(f"{plural(len(story.failing), 'video fails as of its last run', 'videos fail as of their last run')}")
    shown = story.failing if failed else story.failing[:SHOWN_FAILURES]
    for each in shown:
        click.echo(f"  [{readable(each.code)}] {each.footage_in_words}: {readable(each.error or 'failed')}")
    if len(shown) < len(story.failing):
        click.echo(f"  and {len(story.failing) - len(shown)} more (--failed)")
    return 0


def _tell(run: RunStory) -> None:
    counts = ", ".join(f"{run.counts[status]} {status}" for status in ("ok", "cached", "failed"))
    click.echo(f"run {run.run_id} on {', '.join(sorted(run.hosts))}: {counts}")
    rate = f", {run.n_frames / run.wall_seconds:.1f} frames/s" if run.n_frames and run.wall_seconds > 0 else ""
    click.echo(f"  from {run.started[:19]} to {run.last[:19]} UTC: {in_words(run.wall_seconds)}{rate}")
    if run.stage_seconds:
        stages = ", ".join(f"{stage} {in_words(seconds)}" for stage, seconds in run.stage_seconds.items())
        click.echo(f"  stages, summed over videos: {stages}")
    if run.still_share is not None:
        click.echo(f"  still: {run.still_share:.0%} of sampled frames took the embedding of one before")
    if run.codes:
        click.echo("  failures: " + ", ".join(f"{count} {code}" for code, count in run.codes.most_common()))


def _as_json(run: RunStory) -> dict:
    return {
        "run_id": run.run_id,
        "started": run.started,
        "last": run.last,
        "wall_seconds": run.wall_seconds,
        "hosts": sorted(run.hosts),
        "counts": run.counts,
        "codes": run.codes,
        "n_frames": run.n_frames,
        "stage_seconds": run.stage_seconds,
        "still_share": run.still_share,
    }
