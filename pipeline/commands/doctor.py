"""`doctor`: one page on what this machine has, how fast it is and what is in the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vad_pipeline.extract.names import plural

from .sections import SectionedCommand
from .shared_options import DEFAULT_STORE, option

if TYPE_CHECKING:
    from ..doctor.examine import Examination
    from ..doctor.rates import Stage


@click.command(cls=SectionedCommand)
@option("--store", default=DEFAULT_STORE, help="The feature store whose disk is looked at.")
@option("--device")
@click.option("--again", is_flag=True, help="Time anew what was timed on this machine before.")
@option("--json", help="Print everything as one JSON object.")
def doctor(store: Path, device: str, again: bool, as_json: bool) -> int:
    """Look this machine over, problems first: versions, processor, GPUs, disk, and by what each stage computes.

    What could serve is timed the first time, some seconds a stage, and remembered: extract, detect and train go by it.
    """
    from ..doctor.examine import examine

    found = examine(store, device=device, again=again)
    click.echo(json.dumps(found.to_json(), indent=2) if as_json else _page(found))
    return 0


def _page(found: Examination) -> str:
    """The examination as text that a bug report can quote."""
    lines = [plural(len(found.problems), "problem") if found.problems else "no problems"]
    lines += [f"  {problem.what}: {problem.do}" for problem in found.problems]
    lines += ["", "machine", f"  {found.system}, {found.processor}, {plural(found.cores, 'core')}"]
    lines += ["  {:g} GB of memory, {:g} GB free".format(*found.memory_gb)]
    lines += ["  GPU {name}, {memory_gb:g} GB, compute capability {capability}".format(**gpu) for gpu in found.gpus]
    lines += [] if found.gpus else ["  no GPU that torch can use"]
    if found.nvdec:
        lines += ["  NVDEC: " + ", ".join(f"{codec} {'yes' if can else 'no'}" for codec, can in found.nvdec.items())]
    lines += [f"  decodes {found.decoded_frames_per_second:g} frames/s of H.264, 640x360, in software", ""]
    lines += ["by what each stage computes (--runtime and --precision overrule)"]
    lines += [f"  {stage:8}{_why(chosen)}" for stage, chosen in found.stages.items()]
    lines += [
        f"  timed on {', '.join(sorted({each.machine for each in found.stages.values()}))}; {found.timings_in}",
        "",
    ]
    disk = found.disk
    rate = "cannot be written" if disk.written_mb_per_second is None else f"{disk.written_mb_per_second:g} MB/s written"
    lines += [
        "where things lie",
        f"  store {disk.folder}: {disk.file_system or 'unknown'}, {disk.free_gb:g} GB free, {rate}",
    ]
    lines += [f"  weights openai: {found.weights or 'not here'}", "", "versions"]
    lines += [f"  {name} {number or 'not installed'}" for name, number in found.versions.items()]
    lines += [f"  extras: {', '.join(name for name, there in found.extras.items() if there) or 'none'}"]
    return "\n".join(lines)


def _why(stage: Stage) -> str:
    """The way that was chosen, and how long the others take beside it."""
    others = [
        f"{way} takes {seconds / stage.seconds[stage.way]:.2f} times as long"
        for way, seconds in stage.seconds.items()
        if way != stage.way
    ]
    return f"{stage.way} ({', '.join([*others, f'timed {stage.measured}'])})"
