"""`convert`: writes a published checkpoint in this project's format."""

from __future__ import annotations

from pathlib import Path

import click

from vad_pipeline.extract.errors import ConfigError

from ..sections import SectionedCommand
from ..shared_options import Place


@click.command(cls=SectionedCommand)
@click.argument("published", type=Place())
@click.argument("out", type=Place())
@click.option("--clip", "clip_out", type=Place(), help="Also write the CLIP weights in PUBLISHED.pth to this file.")
def convert(published: Path, out: Path, clip_out: Path | None) -> int:
    """Convert PUBLISHED.pth into OUT.safetensors: smaller, and scoring with it needs no text tower.

    The CLIP weights written by --clip serve `extract --pretrained FILE` on machines without internet.
    """
    from vad_pipeline.model.checkpoint import convert as convert_checkpoint

    for path in (out, clip_out):
        if path and path.suffix != ".safetensors":
            raise ConfigError(f"{path}: must end in .safetensors")
    convert_checkpoint(published, out, clip_out=clip_out)
    click.echo(f"wrote {out}" + (f" and {clip_out}" if clip_out else ""))
    return 0
