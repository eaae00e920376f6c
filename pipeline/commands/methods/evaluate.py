"""`evaluate`: compares results with annotations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...option_values import IntList
from ...progress import counting, report_missing
from ..sections import SectionedCommand
from ..shared_options import DEFAULT_STORE, Place, option, truth_of, truth_options

if TYPE_CHECKING:
    from ...results.figures import Evaluated

REPLAY_NAMES = ("delay", "store", "checkpoint", "head", "out")  # options of --delay


@click.command(cls=SectionedCommand)
@click.argument("results", nargs=-1, type=Place(), metavar="RESULTS...")
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
@option(
    "--delay",
    type=IntList(),
    metavar="0,1,4",
    help="In place of RESULTS: replay --store live, at these delays, in snippets.",
)
@option("--store", help=f"With --delay: feature store (default: {DEFAULT_STORE}).")
@option("--checkpoint", help="With --delay: what scores.")
@option("--head", metavar="FILE.py:NAME", help="With --delay, of a checkpoint of your own head: its code.")
@option(
    "--out", metavar="DIR", help="With --delay: folder for delay.json and delay.png (default: they are not written)."
)
@option("--allow-missing", help="Exit with 0 even if names lack a result, or results a name.")
def evaluate(results: tuple[Path, ...], table: str | None, spread: bool, allow_missing: bool, **values) -> int:
    """Compare RESULTS with ground truth; writes evaluation.json and evaluation.png into each.

    Frame AUC and AP, AUC over anomalous videos, recall at 2% false positives, mAP@IoU, category accuracy, false
    alarms an hour, and AUC per category, over that category's videos only. Two RESULTS of the same videos are also
    compared pairwise: the second less the first.

    corrected counts every frame; mAP is the mean over anomaly categories that have truth, ranges that overlap or
    touch are merged and clipped to the video. official counts whole snippets, takes ranges as they are and gives the
    published figures.

    --delay replays a store's features as live, each snippet scored once so many later ones are there: AUC, AP, and the
    median time from an event's start to its alarm at 1 false alarm an hour.
    """
    from vad_pipeline.eval.tables import DIFFERENCE, SPREAD, TABLES, in_short, rows_of

    from ...results.figures import EvaluateConfig, evaluate_results, write_evaluation
    from ...train.trained_videos import with_training_notes

    replayed = {name: values.pop(name) for name in REPLAY_NAMES}
    if _is_replay(replayed, results, table, spread, values["threshold"]):
        return _tell_delays(replayed, values, allow_missing=allow_missing)
    if len({path.resolve() for path in results}) < len(results):
        raise click.UsageError("one RESULTS is given twice")
    config = EvaluateConfig(truth_of(values), **values)
    annotations = config.truth.read()
    with counting("read", quiet=False) as on_video:
        compared = [evaluate_results(path, annotations, config, on_video=on_video) for path in results]
    compared = [with_training_notes(each) for each in compared]
    paired, spread = _told_together(compared, spread=spread)
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
    click.echo(TABLES[table or "text"](rows if table == "csv" else in_short(rows), names))
    return 1 if n_missing and not allow_missing else 0


def _told_together(compared: list[Evaluated], *, spread: bool) -> tuple[bool, bool]:
    """Whether a difference, and whether mean and deviation are told: only of the same videos."""
    pair = len(compared) == 2 and not spread
    alike = len({evaluated.result.video_ids for evaluated in compared}) == 1
    if not alike and (pair or spread):
        told = "no mean and deviation are told" if spread else "no difference is told"
        click.echo(f"note: the RESULTS cover different videos: {told}", err=True)
    return pair and alike, spread and alike


def _is_replay(
    replayed: dict, results: tuple[Path, ...], table: str | None, spread: bool, threshold: float | None
) -> bool:
    """Whether --delay is given; refuse what does not go with it, or without it."""
    if replayed["delay"] is None:
        if not results:
            raise click.UsageError("Missing argument 'RESULTS...'.")
        unused = [name for name, value in replayed.items() if value is not None]
        if unused:
            raise click.UsageError(f"--{unused[0]} is for --delay: leave it out")
        return False
    given = {"RESULTS": results, "--table": table, "--spread": spread, "--threshold": threshold is not None}
    for name, value in given.items():
        if value:
            raise click.UsageError(f"--delay replays the features of --store: leave {name} out")
    if replayed["checkpoint"] is None:
        raise click.UsageError("--delay replays a store: give --checkpoint FILE")
    return True


def _tell_delays(replayed: dict, values: dict, *, allow_missing: bool) -> int:
    """Replay a store at each delay and print what that costs; return the exit code.

    Args:
        replayed: values of the options that belong to --delay.
        values: those of the truth and of how figures are computed.
        allow_missing: whether annotated names without features are all right.
    """
    from vad_pipeline.eval.delay_cost import delay_table
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore

    from ...archive.scoring_plan import DetectConfig, ScoringPlan
    from ...live.replay import ReplayConfig, replay, write_replayed

    config = ReplayConfig(replayed["delay"], truth_of(values), values["protocol"])
    plan = ScoringPlan.by_checkpoint(replayed["checkpoint"], DetectConfig(head=replayed["head"]))
    with (
        EmbeddingStore(replayed["store"] or Path(DEFAULT_STORE), create=False) as store,
        counting("replay", quiet=False) as on_video,
    ):
        found = replay(store, plan, config, on_video=on_video)
    if replayed["out"]:
        write_replayed(found, plan, config, replayed["out"])
    for note in found.notes():
        click.echo(f"note: {note}", err=True)
    click.echo(delay_table(found.costs))
    n_missing = report_missing(list(found.matched.without_result))
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
