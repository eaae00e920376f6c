"""`plot`: draws curves as a figure for print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vad_pipeline.extract.errors import ConfigError, readable
from vad_pipeline.extract.names import NameIndex

from ...results.curve_plot import AXES, COLUMN_INCHES, SUFFIXES, PlotRow, write_plot
from ...results.file_names import safe_stem
from ...results.run_settings import curve_behind, held_against, settings_of
from ..sections import SectionedCommand
from ..shared_options import Place, option, truth_of, truth_options

if TYPE_CHECKING:
    from vad_pipeline.eval.annotations import TruthFile
    from vad_pipeline.model.curve import AnomalyCurve

    from ...results.folder import Results

DEFAULT_FOLDER = "plots"
MAX_ROWS = 20  # the most videos that fit a page


@click.command(cls=SectionedCommand)
@click.argument("results", type=Place())
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO...")
@truth_options("Ground truth, shaded.")
@option("--marked")
@option(
    "--out",
    metavar="FILE|DIR",
    help="Figure to write, .png, .svg or .pdf, or a folder for VIDEO.png (default: RESULTS/plots).",
)
@click.option("--axis", type=click.Choice(AXES), default=AXES[0], help="Unit of the horizontal axis.")
@click.option(
    "--width",
    "width_inches",
    type=click.FloatRange(1, 40),
    default=COLUMN_INCHES,
    metavar="INCHES",
    help="Width of the figure; the default fits a column.",
)
def plot(
    results: Path,
    videos: tuple[str, ...],
    out: Path | None,
    axis: str,
    width_inches: float,
    hide_false: bool,
    **values,
) -> int:
    """Draw the curves of VIDEOs, one under the other: score, threshold and events, and the truth where it is given.

    VIDEO is an id, or its end from a `/` on. The same results give the same file, byte for byte.
    """
    from ...results.event_rows import shown_events
    from ...results.folder import Results

    given = truth_of(values)
    if out and not out.is_dir() and out.suffix.lower() not in SUFFIXES:
        raise click.UsageError(f"--out {out}: must end in {', '.join(SUFFIXES)}")
    opened = Results.open(results)
    settings = settings_of(opened)
    ids = _named(opened, videos)
    curves = [curve_behind(opened, video_id, settings.recipe_id) for video_id in ids]
    truth = _ranges(given, curves) if given else {}
    held = [each for each in shown_events(results, hide_false=hide_false) if each.video in set(ids)]
    rows = []
    for curve in curves:
        events = [each for each in held if each.video == curve.video_id]
        for each in events:
            held_against(curve, each)
        rows.append(PlotRow(curve, tuple(each.event for each in events), truth.get(curve.video_id)))
    target = out if out and not out.is_dir() else _named_after(ids, out or results / DEFAULT_FOLDER)
    for row in rows:
        if not row.events:
            video_id = row.curve.video_id
            threshold = settings.rule.threshold_of(video_id)
            click.echo(f"note: {readable(video_id)}: no events at threshold {threshold:g}", err=True)
    write_plot(target, rows, settings=settings, axis=axis, width_inches=width_inches)
    click.echo(f"wrote {target}")
    return 0


def _named(results: Results, names: Sequence[str]) -> list[str]:
    """Find the ids that names mean; each id once, in the order of the names.

    Raises:
        ConfigError: a name matches no curve, or these are too many for one figure.
    """
    found = NameIndex(results.video_ids()).find_all(names)
    unknown = [name for name, video_id in found.items() if video_id is None]
    if unknown:
        raise ConfigError(
            f"{results.path}: no curve of {', '.join(map(readable, unknown))} among its {len(results)}; "
            "`vad-pipeline detect` makes them, events.jsonl and curves/ show their ids"
        )
    ids = list(dict.fromkeys(found.values()))
    if len(ids) > MAX_ROWS:
        raise ConfigError(f"{len(ids)} videos do not fit one figure; give {MAX_ROWS} at most")
    return ids


def _ranges(truth: TruthFile, curves: Sequence[AnomalyCurve]) -> dict[str, tuple[tuple[int, int], ...]]:
    """Video id -> its annotated ranges in frames; videos without annotation are printed and left out."""
    from vad_pipeline.eval.truth import PROTOCOLS, lay_over, match_annotations

    by_id = {curve.video_id: curve for curve in curves}
    matched = match_annotations(truth.read(), list(by_id))
    for video_id in matched.without_annotation:
        click.echo(f"note: {readable(video_id)}: no annotation in {truth.path}", err=True)
    laid = {video_id: lay_over(annotation, by_id[video_id], PROTOCOLS[0]) for annotation, video_id in matched.pairs}
    return {video_id: tuple((start, end) for start, end, _ in each.ranges) for video_id, each in laid.items()}


def _named_after(ids: Sequence[str], folder: Path) -> Path:
    more = f"+{len(ids) - 1}" if len(ids) > 1 else ""
    return folder / f"{safe_stem(ids[0])}{more}.png"
