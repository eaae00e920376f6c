"""`verdicts`: the subcommands import, list and export: what reviewers said of the events of a results folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vad_pipeline.extract.errors import readable
from vad_pipeline.extract.names import plural

from ..sections import SectionedCommand, SuggestingGroup
from ..shared_options import Place, option

if TYPE_CHECKING:
    from ...results.folder import Results
    from ...results.verdict_log import Imported

SUFFIXES = (".csv", ".json")


@click.group(cls=SuggestingGroup)
def verdicts() -> None:
    """What reviewers said of events: kept in RESULTS/verdicts.jsonl, and as `mark` in events.jsonl."""


@verdicts.command("import", short_help="Add verdicts that the page exported.", cls=SectionedCommand)
@click.argument("results", type=Place())
@click.argument("files", nargs=-1, required=True, type=Place(), metavar="FILE...")
def import_files(results: Path, files: tuple[Path, ...]) -> int:
    """Add the verdicts of FILEs, as the review page exports them (JSON or CSV), to those of RESULTS.

    What RESULTS holds already is not added again. What is of other videos, or of frames past a video's end, is counted
    and left out.
    """
    from ...results.folder import Results

    imported = take_in(Results.open(results), files)
    click.echo(f"{imported}, in {results / 'verdicts.jsonl'}")
    return 0


@verdicts.command("list", short_help="What was said, one verdict a line.", cls=SectionedCommand)
@click.argument("results", type=Place())
def list_verdicts(results: Path) -> int:
    """Print what counts, a verdict a line: video, frames, verdict, category, reviewer, time and note, with tabs."""
    from ...results.folder import Results
    from ...results.verdict_log import latest_verdicts
    from ...results.verdicts import disagreements

    Results.open(results)
    found = latest_verdicts(results)
    for each in found:
        frames = f"{each.start_frame}-{each.end_frame}"
        cells = (each.video, frames, each.verdict, each.category, each.reviewer, each.time, each.note)
        click.echo("\t".join(map(readable, cells)))
    counts = Counter(each.verdict for each in found)
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    differ = plural(len(disagreements(found)), "disagreement")
    click.echo(f"{plural(len(found), 'verdict')}{f' ({said})' if said else ''}, {differ}", err=True)
    return 0


@verdicts.command("export", short_help="As a file for `train`, or for the page.", cls=SectionedCommand)
@click.argument("results", type=Place())
@option("--out", required=True, metavar="FILE", help="File to write: .csv or .json, as the page exports them.")
def export(results: Path, out: Path) -> int:
    """Write what counts, and which events are still open in videos where something was marked.

    FILE.csv is a LABELS file for `train`; FILE.json can be imported, here or in the page.
    """
    from vad_pipeline.extract.files import write_bytes

    from ...results.folder import Results
    from ...results.verdict_rows import as_csv, as_json, rows_of

    if out.suffix.lower() not in SUFFIXES:
        raise click.UsageError(f"--out {out}: must end in {' or '.join(SUFFIXES)}")
    Results.open(results)
    rows = rows_of(results)
    write_bytes(out, (as_csv if out.suffix.lower() == ".csv" else as_json)(rows).encode())
    n_open = sum(not row.is_said for row in rows)
    click.echo(f"{plural(len(rows) - n_open, 'verdict')}, {plural(n_open, 'open event')} in {out}")
    return 0


def take_in(results: Results, files: Sequence[Path]) -> Imported:
    """Add the verdicts of files to those of a results folder, mark its events, and print what is left out.

    Raises:
        ConfigError: a file is no export of verdicts; nothing is added then.
        StoreError: the folder cannot be read or written.
    """
    from ...results.event_rows import mark_events
    from ...results.verdict_log import import_verdicts
    from ...results.verdicts import read_verdicts

    given = [verdict for path in files for verdict in read_verdicts(path)]
    imported = import_verdicts(results, given)
    mark_events(results.path)
    for sentence in imported.refused:
        click.echo(f"note: left out: {sentence}", err=True)
    return imported
