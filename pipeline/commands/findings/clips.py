"""`clips`: writes each event as a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vad_pipeline.extract.errors import VideoError
from vad_pipeline.extract.names import plural

from ...archive.ignore_file import read_zones
from ...archive.selection import select_held
from ...progress import counting, report_missing
from ..sections import SectionedCommand
from ..shared_options import Place, option, quiet_option, selection_config, selection_options

if TYPE_CHECKING:
    from ...clips.make import ClipsConfig
    from ...results.event_rows import HeldEvent
    from ...results.folder import Results

DEFAULT_FOLDER = "clips"
FACES = "faces"  # in place of a file


@click.command(cls=SectionedCommand)
@click.argument("results", type=Place())
@option("--out", help="Folder of the clips (default: RESULTS/clips).")
@click.option("--pre", "pre_seconds", default=2.0, metavar="SECONDS", help="Seconds to show before each event.")
@click.option("--post", "post_seconds", default=2.0, metavar="SECONDS", help="Seconds to show after it.")
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.0, help="Only events with a peak of this or more.")
@option("--top", metavar="N", help="Only the N events with the highest peaks.")
@click.option("--category", metavar="NAME", help="Only events of this category.")
@option("--marked")
@option("--media-root")
@click.option("--reencode", is_flag=True, help="Encode every clip, so that it begins and ends exactly as asked.")
@click.option("--sheet", is_flag=True, help="Also write a contact sheet (PNG) beside each clip.")
@click.option(
    "--recap", type=Place(), metavar="FILE.mp4", help="Also write one video of all events, with time and score."
)
@click.option(
    "--blur",
    "blurred",
    multiple=True,
    metavar="faces|FILE",
    callback=lambda ctx, parameter, given: _blurred(given),
    help="Faces, or zones of cameras' pictures, in YAML, not to be made out; repeatable.",
)
@option("--force", help="Make clips again that exist.")
@selection_options
@quiet_option
def clips(
    results: Path,
    out: Path | None,
    recap: Path | None,
    media_root: tuple[str, ...],
    hide_false: bool,
    quiet: bool,
    **values,
) -> int:
    """Write each event of RESULTS as an mp4 with pre- and post-roll, and MANIFEST.csv beside them.

    A clip is copied as it is where a key frame lies at or before the event, within twice the pre-roll, and the copy
    decodes to the very frames; else it is encoded as H.264. Either way it holds the event's first and last frame. Run
    again, it makes what is missing or asked for differently.
    """
    from ...clips.make import ClipsConfig, choose_events, make_clips
    from ...media.roots import MediaRoots
    from ...results.event_rows import shown_events
    from ...results.folder import Results
    from ...results.run_settings import settings_of

    selecting = selection_config(values)
    values |= values.pop("blurred")
    config = ClipsConfig(roots=MediaRoots.parse(media_root), **values)
    if recap and recap.suffix.lower() != ".mp4":
        raise click.UsageError(f"--recap {recap}: must end in .mp4")
    opened = Results.open(results)
    held = list(shown_events(results, hide_false=hide_false))
    found, missing = select_held(held, selecting, lambda each: each.video)
    chosen = choose_events(found, config, settings_of(opened).categories)
    folder = out or results / DEFAULT_FOLDER
    if not chosen:
        click.echo(f"none of the {plural(len(held), 'event')} in {results} is chosen: no clips", err=True)
        return int(bool(report_missing(missing)))
    with counting("clips", quiet=quiet, total=len({each.video for each in chosen})) as on_video:
        made = make_clips(opened, chosen, config, folder, on_video=on_video)
    for note in made.notes:
        click.echo(f"note: {note}", err=True)
    for failure in made.failures:
        click.echo(f"failed: {failure}", err=True)
    counts = ", ".join(f"{made.counts[kind]} {kind}" for kind in ("copied", "re-encoded", "kept", "failed"))
    if not quiet:
        click.echo(f"{plural(len(chosen), 'event')}: {counts}; clips and MANIFEST.csv in {folder}")
    shown = [each for each in chosen if each.event_id not in made.failed]
    failed = _write_recap(recap, opened, shown, config, quiet) if recap and shown else 0
    return int(bool(made.failures or report_missing(missing) or failed))


def _blurred(given: tuple[str, ...]) -> dict:
    """What --blur says, as the fields of `ClipsConfig`.

    Raises:
        ConfigError: a file cannot be read, or nothing here finds faces.
    """
    from ...media.faces import opencv_faces

    zones = tuple(zone for path in given if path != FACES for zone in read_zones(Path(path)))
    return {"blurred": zones, "find_faces": opencv_faces() if FACES in given else None}


def _write_recap(recap: Path, results: Results, events: list[HeldEvent], config: ClipsConfig, quiet: bool) -> int:
    """Write the recap; return how many events it could not show."""
    from ...clips.recap import write_recap

    try:
        n_shown, failures = write_recap(recap, results, events, config)
    except VideoError as error:
        click.echo(f"failed: {error}", err=True)
        return len(events)
    for failure in failures:
        click.echo(f"failed in the recap: {failure}", err=True)
    if not quiet:
        click.echo(f"{plural(n_shown, 'event')} in {recap}")
    return len(failures)
