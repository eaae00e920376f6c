"""`watch`: scores cameras as they go into a results folder."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import click

from vad_pipeline.extract.embed.encoder_config import PRECISIONS
from vad_pipeline.extract.names import plural

from ..archive.scoring_plan import DetectConfig, ScoringPlan
from ..results.event_rule import Chosen
from .sections import SectionedCommand
from .shared_options import (
    PRETRAINED_HELP,
    Place,
    clock_of,
    merge_gap_option,
    option,
    quiet_option,
    runtime_option,
    threshold_option,
    timezone_option,
)
from .telling_options import metrics_option, on_event_option

DEFAULT_DELAY = 4  # snippets: 2.1 s at 30 frames/s


@click.command(cls=SectionedCommand)
@click.argument("source", nargs=-1, metavar="[SOURCE...]")
@click.option("--cameras", type=Place(), metavar="FILE", help="More cameras, a NAME=SOURCE a line.")
@option("--checkpoint", required=True, help="What scores: a published .pth or our .safetensors.")
@option("--head", metavar="FILE.py:NAME", help="Of a checkpoint of your own head: its code.")
@option("--out", required=True, help="Results folder.")
@option(
    "--delay",
    type=click.IntRange(min=0),
    default=DEFAULT_DELAY,
    metavar="D",
    help="Score each snippet once D later ones are there.",
)
@threshold_option
@merge_gap_option
@timezone_option
@on_event_option
@option("--pretrained", help=f"Default: the checkpoint's; {PRETRAINED_HELP}")
@option("--model", help="open_clip model (default: the recipe's).")
@option("--device")
@option(
    "--precision", type=click.Choice(("auto", *PRECISIONS)), default="auto", help="auto: the one timed to be fastest."
)
@runtime_option
@metrics_option
@quiet_option
def watch(source: tuple[str, ...], cameras: Path | None, out: Path, delay: int, quiet: bool, **values) -> int:
    """Score cameras as they go: curves and events, hour by hour, into a results folder that is read meanwhile.

    SOURCE is an rtsp(s):// or http(s):// address, a capture device, a file that may still grow, or - for a pipe;
    NAME=SOURCE names its camera. A camera that is gone is tried again; what was not received is a gap. Addresses may
    hold a password, which nothing repeats: in --cameras FILE it is in no list of processes either. The first Ctrl-C
    ends it in order; after a kill the same command goes on, at most some seconds short.
    """
    from ..live.source import sources_of
    from ..live.watch_run import WatchConfig, watch_cameras
    from ..live.watcher import CLOCK_PATTERN

    zone = values.pop("timezone") or "UTC"
    chosen = Chosen.of(values.pop("threshold"), values.pop("merge_gap_seconds"), clock_of(CLOCK_PATTERN, zone))
    sources = sources_of(source, cameras)
    scoring = DetectConfig(
        on_event=values["on_event"], chosen=chosen, head=values["head"], delay=delay, device=values["device"]
    )
    plan = ScoringPlan.by_checkpoint(values["checkpoint"], scoring)
    encoding = {name: values[name] for name in ("pretrained", "model", "runtime", "precision")}
    config = WatchConfig(sources, out, ZoneInfo(zone), metrics=values["metrics"], quiet=quiet, **encoding)
    summary = watch_cameras(plan, config, lambda line: click.echo(line, err=True))
    click.echo(
        f"{plural(summary.n_snippets, 'snippet')} of {plural(len(sources), 'camera')} in "
        f"{plural(summary.n_videos, 'video')}; tried again {plural(summary.n_lost, 'time')}; results in {out}"
    )
    return 0 if summary.n_snippets else 1
