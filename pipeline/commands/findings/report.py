"""`report`: writes the review page of a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.names import plural

from ..sections import SectionedCommand
from ..shared_options import Place, clock_of, clock_options, option, quiet_option, truth_of, truth_options
from .verdicts import take_in

if TYPE_CHECKING:
    from vad_pipeline.eval.annotation import VideoAnnotation
    from vad_pipeline.eval.annotations import TruthFile

    from ...results.folder import Results

PROXIES = ("never", "auto")


@click.command(cls=SectionedCommand)
@click.argument("results", type=Place())
@option("--store", help="Also list videos that failed to be extracted into this feature store.")
@truth_options("Ground truth, shown as a band.")
@clock_options
@option("--media-root")
@option("--verdicts", help="Verdicts that the page exported, kept in RESULTS; more FILEs may follow.")
@click.argument("more_verdicts", nargs=-1, type=Place(), metavar="")
@click.option(
    "--proxy",
    type=click.Choice(PROXIES),
    default=PROXIES[0],
    help="auto: write previews of footage that browsers do not play.",
)
@click.option(
    "--event-pictures",
    type=click.IntRange(min=0),
    metavar="N",
    help="Make pictures of at most N events that have none, strongest first; the rest the next time [default: 1000].",
)
@click.option("--no-pictures", is_flag=True, help="Decode no pictures for the page, which is quicker.")
@quiet_option
def report(results: Path, store: Path | None, verdicts: tuple[Path, ...], more_verdicts: tuple[Path, ...], **values):
    """Write RESULTS/report/index.html: opened from disk, without a server, it shows curve, events and video together.

    What has not changed since the page was last written is kept. Verdicts, as the page exports them, are added to
    those that RESULTS holds (RESULTS/verdicts.jsonl): where reviewers disagree is told here and in the page.
    """
    from ...media.roots import MediaRoots
    from ...results.folder import Results
    from ...results.verdict_log import latest_verdicts
    from ...results.verdicts import disagreements
    from ...review.page import ReportConfig
    from ...review.page_with_progress import write_page

    if more_verdicts and not verdicts:
        raise click.UsageError(f"one RESULTS at a time; {more_verdicts[0]} is one too many")
    truth = truth_of(values)
    quiet, proxy, no_pictures = (values.pop(name) for name in ("quiet", "proxy", "no_pictures"))
    roots = MediaRoots.parse(values.pop("media_root"))
    clock = clock_of(values.pop("clock"), values.pop("timezone"))
    opened = Results.open(results)
    if store and not (store / "store.json").exists():
        raise ConfigError(f"--store {store}: no feature store there")
    if verdicts:
        take_in(opened, (*verdicts, *more_verdicts))
    together = latest_verdicts(results)
    config = ReportConfig(
        store=store,
        truth=_matched(truth, opened) if truth else {},
        media_roots=roots,
        verdicts=together,
        pictures=not no_pictures,
        previews=proxy == "auto",
        clock=clock,
        most_pictures=values.pop("event_pictures"),
    )
    write_page(opened, config, quiet=quiet)
    found = disagreements(together)
    for each in found:
        click.echo(f"disagreement\t{each}")
    if together and not quiet:
        reviewers = len({verdict.reviewer for verdict in together})
        click.echo(
            f"{plural(len(together), 'verdict')} of {plural(reviewers, 'reviewer')}, "
            f"{plural(len(found), 'disagreement')}"
        )
    return int(bool(opened.unread().videos))  # which a warning has named


def _matched(truth: TruthFile, results: Results) -> dict[str, VideoAnnotation]:
    """Video id -> its annotation.

    Raises:
        ConfigError: no annotated name matches a video of the results.
    """
    from vad_pipeline.eval.truth import match_annotations

    matched = match_annotations(truth.read(), results.video_ids())
    if not matched.pairs:
        raise ConfigError(f"{truth.path}: none of its names is that of a video in {results.path}")
    return {video: annotation for annotation, video in matched.pairs}
