"""`evaluate`: compares results with annotations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...progress import counting
from ..sections import SectionedCommand
from ..shared_options import Place, option, truth_of, truth_options

if TYPE_CHECKING:
    from ...results.figures import Evaluated


@click.command(cls=SectionedCommand)
@click.argument("results", nargs=-1, required=True, type=Place(), metavar="RESULTS...")
@truth_options("Ground truth.", required=True)
@option("--protocol")
@option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Threshold at which false alarms are counted (default: that of the results' events).",
)
@option("--bootstrap")
@click.option(
    "--table",
    type=click.Choice(("md", "latex", "csv")),
    help="Print only a table, in this format, on stdout (keep it with `> FILE`); all else on stderr.",
)
@click.option("--spread", is_flag=True, help="Add mean and standard deviation over RESULTS, as of seeds of one method.")
@option("--allow-missing", help="Exit with 0 even if names lack a result, or results a name.")
def evaluate(results: tuple[Path, ...], table: str | None, spread: bool, allow_missing: bool, **values) -> int:
    """Compare RESULTS with ground truth; writes evaluation.json and evaluation.png into each.

    Frame AUC and AP, AUC over anomalous videos, recall at 2% false positives, mAP@IoU, category accuracy, false
    alarms an hour, and AUC per category, over that category's videos only. Two RESULTS of the same videos are also
    compared pairwise: the second less the first.

    corrected counts every frame; mAP is the mean over anomaly categories that have truth, ranges that overlap or
    touch are merged and clipped to the video. official counts whole snippets, takes ranges as they are and gives the
    published figures.
    """
    from vad_pipeline.eval.tables import DIFFERENCE, SPREAD, TABLES, rows_of

    from ...results.figures import EvaluateConfig, evaluate_results, write_evaluation
    from ...train.trained_videos import with_training_notes

    if len({path.resolve() for path in results}) < len(results):
        raise click.UsageError("one RESULTS is given twice")
    config = EvaluateConfig(truth_of(values), **values)
    annotations = config.truth.read()
    with counting("read", quiet=False) as on_video:
        compared = [evaluate_results(path, annotations, config, on_video=on_video) for path in results]
    compared = [with_training_notes(each) for each in compared]
    pair = len(compared) == 2 and not spread
    alike = len({evaluated.result.video_ids for evaluated in compared}) == 1
    if not alike and (pair or spread):
        told = "no mean and deviation are told" if spread else "no difference is told"
        click.echo(f"note: the RESULTS cover different videos: {told}", err=True)
    paired, spread = pair and alike, spread and alike
    for evaluated in compared:  # first: what is printed may have no reader
        write_evaluation(evaluated, config)
    n_missing = 0
    for evaluated in compared:
        click.echo(evaluated.compared(), err=table is not None)
        for note in evaluated.result.notes:
            click.echo(f"note: {evaluated.path}: {note}", err=True)
        n_missing += _report_missing(evaluated)
    rows = rows_of([evaluated.result for evaluated in compared], with_difference=paired, with_spread=spread)
    names = [*map(str, results), *([DIFFERENCE] * paired), *(SPREAD if spread else ())]
    click.echo(TABLES[table or "text"](rows, names))
    return 1 if n_missing and not allow_missing else 0


def _report_missing(evaluated: Evaluated) -> int:
    """Print which annotated names have no result, and which results no annotation; return how many these are."""
    from vad_pipeline.extract.names import plural, some

    told = {
        "without_result": ("annotated name matches no result", "annotated names match no result"),
        "without_annotation": ("result matches no annotated name", "results match no annotated name"),
    }
    n_missing = 0
    for kind, what in told.items():
        names = evaluated.result.missing[kind]
        if names:
            advice = "; --allow-missing goes on without" if kind == "without_annotation" else ""
            click.echo(f"missing: {evaluated.path}: {plural(len(names), *what)}: {some(names)}{advice}", err=True)
        n_missing += len(names)
    return n_missing
