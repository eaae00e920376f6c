"""report: the review page of a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vad_pipeline.eval.annotations import ENDS, FORMATS

from .options import Place, quiet_option
from .progress import counting

if TYPE_CHECKING:
    from .report.page import ReportConfig
    from .results import Results

SHOWN_NAMES = 5


@click.command(short_help="A page to go through footage with.")
@click.argument("results", type=Place())
@click.option("--store", type=Place(), help="Also list what failed to be extracted into this feature store.")
@click.option("--annotations", type=Place(), metavar="FILE", help="Ground truth, shown as a band.")
@click.option("--format", type=click.Choice(FORMATS), help="Of that file.")
@click.option("--normals", type=Place(), metavar="LIST", help="Normal videos that it leaves out.")
@click.option("--ends", type=click.Choice(ENDS), default=ENDS[0], show_default=True, help="Range ends.")
@click.option(
    "--first-frame", type=click.IntRange(0, 1), default=0, show_default=True, help="Number of a video's first frame."
)
@click.option("--media-root", multiple=True, metavar="OLD=NEW", help="Footage below OLD lies below NEW; repeatable.")
@click.option("--no-pictures", is_flag=True, help="Decode nothing: the page has no pictures of its own.")
@quiet_option
def report(results: Path, store: Path | None, media_root: tuple[str, ...], no_pictures: bool, quiet: bool, **values):
    """Write RESULTS/report/index.html: opened from disk, without a server, it shows curve, events and video together.

    What has not changed since the page was last written is kept.
    """
    from .report.media import MediaRoot
    from .report.page import ReportConfig
    from .results import Results

    roots = tuple(MediaRoot.parse(text) for text in media_root)
    opened = Results.open(results)
    truth = _truth(opened, **values) if values["annotations"] else {}
    config = ReportConfig(store=store, truth=truth, media_roots=roots, pictures=not no_pictures)
    return write_page(opened, config, quiet=quiet)


def write_page(results: Results, config: ReportConfig, *, quiet: bool) -> int:
    """Write it with progress, and say what it lacks."""
    from .report.page import write_report

    with counting("report", quiet=quiet, total=len(results)) as on_video:
        written = write_report(results, config, on_video=on_video)
    without = written.without_pictures
    if without and not quiet:
        shown = ", ".join(f"{video} ({why})" for video, why in list(without.items())[:SHOWN_NAMES])
        more = ", ..." if len(without) > SHOWN_NAMES else ""
        click.echo(f"note: {len(without)} videos have no pictures: {shown}{more}", err=True)
    if not quiet:
        click.echo(f"{written.n_videos} videos, {written.failed} failed; open {written.page}")
    return 0


def _truth(results: Results, **values) -> dict[str, list]:
    """Annotated ranges of each video, in its frames."""
    from vad_pipeline.eval.truth import lay_over, match_annotations

    from .evaluation import EvaluateConfig

    if values["format"] is None:
        raise click.UsageError("--annotations needs --format")
    annotations = EvaluateConfig(**values).read()
    curves = {curve.video_id: curve for curve in results}
    matched = match_annotations(annotations, list(curves))
    return {
        video: [
            (int(start), min(int(end), curves[video].n_frames), category)
            for start, end, category in lay_over(annotation, curves[video], "corrected").ranges
        ]
        for annotation, video in matched.pairs
    }
