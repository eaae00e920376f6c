"""`import-scores`: anybody's scores become a results folder."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vad_pipeline.extract.names import plural, some

from ...archive.loop import RunSummary
from ...progress import counting, report_missing, warn_of
from ..sections import SectionedCommand
from ..shared_options import Place, option, quiet_option

if TYPE_CHECKING:
    from ...outcomes.video_outcome import VideoOutcome
    from ...scores.footage_list import ScoredFootage
    from ...scores.import_run import ScoresConfig

UNITS = ("frame", "snippet")


@click.command(cls=SectionedCommand)
@click.argument("scores", type=Place(), metavar="FILE|DIR")
@option("--store", help="Feature store that knows the videos' frames, times and files.")
@option("--catalogue")
@click.option(
    "--frames", type=Place(), metavar="LIST", help="Instead of --store: rows `video,frames` or `video,frames,fps`."
)
@option("--fps", help="Frame rate of videos for which --frames says none.")
@click.option(
    "--names",
    type=Place(),
    metavar="LIST",
    help="FILE holds the scores of these videos, one after the other: names, or rows `video,number of scores`.",
)
@click.option("--per", type=click.Choice(UNITS), help="What each score is of (default: their number tells it).")
@option(
    "--categories", help="File of the categories whose probabilities are given (YAML or CSV), the normal one first."
)
@option("--out", required=True, help="Results folder.")
@quiet_option
def import_scores(
    scores: Path,
    store: Path | None,
    catalogue: Path | None,
    frames: Path | None,
    fps: Fraction,
    categories: Path | None,
    **values,
) -> int:
    """Make a results folder of scores that something else has made, for evaluate, report, plot, events and clips.

    DIR holds a file a video (.npy, .csv or .mat), named after its id. FILE is one of these, a CSV table of
    `video,frame,score` (or `snippet`) rows, or the array of all videos, see --names. Scores lie in 0 to 1; with
    --categories there are as many columns instead, or the score and these. Less than a snippet of 16 frames too many
    or few is cut off or filled up, and told.
    """
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore
    from vad_pipeline.model.category_file import read_categories

    from ...scores.footage_list import footage_of_list, footage_of_store
    from ...scores.import_run import ScoresConfig

    out, quiet = values.pop("out"), values.pop("quiet")
    if (store is None) == (frames is None):
        raise click.UsageError("give --store STORE or --frames LIST: either says how many frames the videos have")
    if catalogue and store is None:
        raise click.UsageError("--catalogue is the index of --store STORE: give both")
    named = read_categories(categories) if categories else ()
    config = ScoresConfig(scores, tuple(category.name for category in named), **values)
    if store is None:
        return _import(config, footage_of_list(frames, fps), None, out, quiet=quiet)
    with EmbeddingStore(store, catalogue=catalogue) as opened:
        warn_of(opened.problems)
        return _import(config, footage_of_store(opened), opened.shards, out, quiet=quiet)


def _import(config: ScoresConfig, footage: list[ScoredFootage], shards: Path | None, out: Path, *, quiet: bool) -> int:
    """Import with progress shown, and say what came of it; return the exit code.

    Args:
        config: the scores.
        footage: the videos; those of a list in its order.
        shards: the folder of the store's shards; None without a store.
        out: the results folder.
        quiet: show failures only.
    """
    from ...results.folder import Results
    from ...results.run_record import RECORD_NAME, read_record, rule_of
    from ...scores.import_run import import_scores, match_scores

    matched = match_scores(config, footage, in_order=shards is None)
    summary, fitted = RunSummary(), []
    results = Results(out)
    with counting("import", quiet=quiet, total=len(matched.pairs)) as on_video:

        def report(outcome: VideoOutcome) -> None:
            on_video(outcome.video)
            if outcome.status == "failed":
                click.echo(f"failed [{outcome.code}] {outcome.video}: {outcome.path}: {outcome.error}", err=True)
            fitted.extend(f"{outcome.video}: {warning}" for warning in outcome.warnings)

        n_events = import_scores(config, matched, shards, results, report, summary)
    summary.counts["failed"] += report_missing(matched.missing)
    if fitted:
        click.echo(
            f"note: scores of {plural(len(fitted), 'video')} were fitted to the footage, as of {fitted[0]}", err=True
        )
    others = set(results.video_ids()) - {footage.video for _, footage in matched.pairs}
    if others:
        click.echo(f"note: {out} also holds {plural(len(others), 'curve')} of before: {some(sorted(others))}", err=True)
    if not (out / RECORD_NAME).exists():
        click.echo(f"{summary}; no scores can be used, so that no results are written", err=True)
    elif not quiet:
        without = f", {matched.n_without} without scores" if matched.n_without else ""
        click.echo(
            f"{summary}{without}; one score a {matched.per}; {plural(n_events, 'event')} in {out / 'events.jsonl'} at "
            f"{rule_of(out, read_record(out))}, curves in {results.curves}"
        )
    return summary.exit_code
