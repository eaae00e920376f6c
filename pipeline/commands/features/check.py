"""`check`: looks at an archive before anything is done with it."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

import click

from vad_pipeline.extract.errors import VadError, VideoError
from vad_pipeline.extract.files import Source, absolute
from vad_pipeline.extract.names import plural

from ...archive.loop import as_video_error
from ...archive.selection import find_sources
from ...progress import counting, in_words
from ...workers.base import Work
from ...workers.dispatch import run
from ..sections import SectionedCommand
from ..shared_options import (
    executor_config,
    executor_options,
    option,
    quiet_option,
    selection_config,
    selection_options,
)

if TYPE_CHECKING:
    from vad_pipeline.extract.decode.preflight import Preflight

HEADINGS = ("video", "codec", "size", "fps", "rate", "length", "frames", "verdict")


@click.command(cls=SectionedCommand)
@click.argument("src", nargs=-1, required=True, metavar="SRC...")
@option("--id-root")
@option("--any-suffix")
@option("--streams")
@click.option("--deep", is_flag=True, help="Decode every frame, and compare their number with the header's.")
@option("--json", help="One JSON object a line.")
@executor_options
@selection_options
@quiet_option
def check(src: tuple[str, ...], deep: bool, as_json: bool, quiet: bool, **values) -> int:
    """Open every video and decode its first frame, embedding nothing: codec, size, rate, length, and what will fail.

    With --workers a file that crashes or hangs a decoder costs only itself.
    """
    named = {name: values.pop(name) for name in ("id_root", "any_suffix", "streams")}
    selection = find_sources(src, selection_config(values), **named)
    found = [_failure(video_id, error.path, error) for video_id, error in selection.failures]
    for note in selection.notes:
        click.echo(f"note: {note}", err=True)
    sources = [replace(source, path=absolute(source.path)) for source in selection.sources]
    work = Work(lambda: None, partial(_look, deep=deep))
    results = contextlib.closing(run(executor_config(values), work, sources))
    with counting("check", quiet=quiet, total=len(sources)) as on_video, results as looked_at:
        for source, done in looked_at:
            on_video(source.video_id)
            found.append(done.value if done.error is None else _lost(source, done.error))
    found.sort(key=lambda row: row.video)
    for row in found if as_json else ():
        click.echo(json.dumps(asdict(row)))
    if not as_json:
        _table(found, by_header=not deep)
    for name in selection.missing:
        click.echo(f"missing: {name}", err=True)
    return int(bool(selection.missing) or any(row.code for row in found))


def _look(source: Source, *, deep: bool) -> Preflight:
    from vad_pipeline.extract.decode.preflight import preflight

    return preflight(source, deep=deep)


def _lost(source: Source, error: BaseException) -> Preflight:
    known = as_video_error(source.path, error)
    if known is None and isinstance(error, VadError):
        raise error
    return _failure(source.video_id, source.path, known or VideoError(source.path, "unexpected", str(error)))


def _failure(video_id: str, path: str, error: VideoError) -> Preflight:
    from vad_pipeline.extract.decode.preflight import Preflight

    return Preflight(video_id, path, code=error.code, error=error.reason)


def _table(found: list[Preflight], *, by_header: bool) -> None:
    rows = [HEADINGS, *(_cells(row) for row in found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS) - 1)]
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        click.echo("  ".join((*padded, row[-1])).rstrip())
    codes = Counter(row.code for row in found if row.code)
    hours = _length([row.seconds for row in found if not row.code], by_header=by_header)
    failing = ", ".join(f"{count} {code}" for code, count in sorted(codes.items()))
    n_failing = codes.total()
    why = f": {failing}" if n_failing else ""
    click.echo(f"{plural(len(found), 'video')}: {len(found) - n_failing} will do ({hours}), {n_failing} will fail{why}")


def _length(seconds: list[float | None], *, by_header: bool) -> str:
    """How long the videos are together; None where no header tells, which is not taken for nothing."""
    known = [each for each in seconds if each is not None]
    if seconds and not known:
        return "of unknown length"
    n_unknown = len(seconds) - len(known)
    unknown = f" without {plural(n_unknown, 'video')} of unknown length" if n_unknown else ""
    return in_words(sum(known)) + " by header" * by_header + unknown


def _cells(row: Preflight) -> tuple[str, ...]:
    rate = {None: "", True: "variable", False: "constant"}[row.variable_rate]
    frames = str(row.n_frames_header or "")
    if row.n_frames is not None:
        frames = (
            f"{row.n_frames}" if row.n_frames == row.n_frames_header else f"{row.n_frames} (header {frames or '?'})"
        )
    return (
        row.video,
        row.codec or "",
        f"{row.width}x{row.height}" if row.width else "",
        f"{row.fps:.6g}" if row.fps else "",
        rate,
        "" if row.seconds is None else in_words(row.seconds),
        frames,
        f"[{row.code}] {row.error}" if row.code else "; ".join(("ok", *row.warnings)),
    )
