"""`summary`: what happened in a day, or in all days, without opening anything."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.files import write_bytes

from ...progress import counting
from ..sections import SectionedCommand
from ..shared_options import Place, option, quiet_option

if TYPE_CHECKING:
    from ...results.clock import Clock

BY_WORD = {"today": 0, "yesterday": 1}


@click.command(cls=SectionedCommand)
@click.argument("results", type=Place())
@click.option("--day", metavar="DAY", help="Only this day: 2026-11-02, today or yesterday, by the cameras' clock.")
@option("--marked")
@option("--csv", type=Place(), metavar="FILE", help="Also write the table of days and cameras.")
@option("--html", help="Also write a page, with pictures of the strongest events.")
@option("--top", default=24, metavar="N", help="With --html: how many events to show.")
@option("--media-root")
@quiet_option
def summary(
    results: Path, day: str | None, hide_false: bool, csv: Path | None, html: Path | None, quiet: bool, **values
) -> int:
    """Tell of RESULTS: events a camera and day, those that are new since the last run of `detect`, stretches without
    footage, the strongest events.

    Stretches without footage are known where a --clock (of `detect` or `events`) reads times off the ids.
    """
    from ...media.roots import MediaRoots
    from ...news.digest import make_digest
    from ...news.digest_page import write_digest_page
    from ...news.digest_text import as_csv, lines_of
    from ...results.folder import Results
    from ...results.run_settings import settings_of

    roots = MediaRoots.parse(values["media_root"])
    opened = Results.open(results)
    wanted = _day(day, settings_of(opened).rule.clock) if day is not None else None
    digest = make_digest(opened, day=wanted, hide_false=hide_false)
    click.echo("\n".join(lines_of(digest)))
    if csv:
        write_bytes(csv, as_csv(digest).encode())
    if html:
        with counting("pictures", quiet=quiet) as on_video:
            shown = {"n_pictures": values["top"], "media_roots": roots, "on_video": on_video}
            problems = write_digest_page(html, digest, opened, **shown)
        for problem in problems:
            click.echo(f"note: {problem}", err=True)
    return 0


def _day(text: str, clock: Clock | None) -> date:
    """The day that --day names.

    Raises:
        ConfigError: it names none.
    """
    if text in BY_WORD:
        now = datetime.now(ZoneInfo(clock.timezone) if clock else UTC)
        return (now - timedelta(days=BY_WORD[text])).date()
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--day {text!r}: expected a day such as 2026-11-02, today or yesterday") from error
