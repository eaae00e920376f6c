"""`demo`: runs the whole pipeline on a small archive that it renders itself."""

from __future__ import annotations

from pathlib import Path

import click

from .sections import SectionedCommand
from .shared_options import option, quiet_option


@click.command(cls=SectionedCommand)
@option("--out", default="demo", help="Folder for everything that the demo writes.")
@click.option("--videos", "n_videos", default=24, help="How many videos to render.")
@option("--seed", help="Random seed of the videos and of the training.")
@quiet_option
def demo(out: Path, n_videos: int, seed: int, quiet: bool) -> int:
    """Render a small archive of camera-like videos, extract, train, detect and evaluate: no download, no GPU, no data.

    Training sees the labels of one split, the figures are those of the other. CLIP's weights are random: the figures
    say that the way from pixels to a trained curve works, and nothing about real footage.
    """
    from ..demo.archive_plan import ArchiveConfig
    from ..demo.run import DemoConfig, run_demo

    return run_demo(out, DemoConfig(archive=ArchiveConfig(n_videos=n_videos, seed=seed)), quiet=quiet)
