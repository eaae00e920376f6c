"""A digest as lines for the terminal and for mail, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import date

from vad_pipeline.extract.errors import readable
from vad_pipeline.extract.lists import guarded
from vad_pipeline.extract.names import plural

from ..media.lettering import clock_text
from ..progress import in_words
from ..results.event_rows import HeldEvent, told_ignored
from .digest import Digest, Miss, Tally

SHOWN_EVENTS, SHOWN_MISSES = 5, 10
COLUMNS = (
    "day,camera,events,new,false_alarms,footage_hours,missing_hours,strongest_event,strongest_score,strongest_category"
).split(",")


def event_line(held: HeldEvent, *, is_new: bool = False) -> str:
    """One event in a line: score, category, when, how long, its id, and whether it is new or marked."""
    event = held.event
    lasts = in_words(event.end_seconds - event.start_seconds)
    told = [
        readable(held.event_id),
        *(["new"] if is_new else []),
        *([held.mark.replace("_", " ")] if held.mark else []),
    ]
    return f"  {event.peak_score:.3f}  {event.category}, {when(held)}, {lasts}  {'  '.join(told)}"


def when(held: HeldEvent) -> str:
    """When an event begins: by the wall clock where it is known, else in the video."""
    return clock_text(held.start_time, held.event.start_seconds)


def strongest_lines(events: Iterable[HeldEvent], new: set[str]) -> list[str]:
    """The strongest few events, a line each; the new ones before the others.

    Args:
        events: in any order.
        new: ids of the new ones.
    """
    shown = sorted(events, key=lambda held: (held.event_id not in new, -held.event.peak_score, held.event_id))
    return [event_line(held, is_new=held.event_id in new) for held in shown[:SHOWN_EVENTS]]


def headline(digest: Digest) -> str:
    """The digest in one line."""
    days = [day for day in digest.days if day]
    span = "" if not days else f"{days[0]}: " if len(days) == 1 else f"{days[0]} to {days[-1]}: "
    new = (
        f", {digest.n_new} new since the last run ({digest.last_run[:16].replace('T', ' ')} UTC)"
        if digest.last_run
        else ""
    )
    false = f", {digest.n_false} marked as false alarms" if digest.n_false else ""
    ignored = f", {told_ignored(digest.n_ignored)}" if digest.n_ignored and digest.day is None else ""
    return (
        f"{span}{plural(len(digest.events), 'event')}{new}{false}{ignored}; {plural(digest.n_videos, 'video')} of "
        f"{plural(len(digest.cameras), 'camera')}, {in_words(digest.footage_seconds)} of footage"
    )


def lines_of(digest: Digest) -> list[str]:
    """The digest as lines: the headline, a table of days and cameras, stretches without footage, strongest events."""
    found = [headline(digest), *_table(digest)]
    if digest.misses:
        longest = sorted(digest.misses, key=lambda miss: -miss.seconds)[:SHOWN_MISSES]
        found += ["no footage:", *(f"  {miss_line(miss)}" for miss in longest)]
        if len(longest) < len(digest.misses):
            found.append(f"  and {len(digest.misses) - len(longest)} shorter ones")
    elif not digest.has_clock:
        found.append("whether footage is missing is not known: `vad-pipeline events` --clock reads times off the ids")
    if digest.events:
        found += ["strongest events:", *(event_line(held, is_new=held.event_id in digest.new) for held in
                                         digest.events[:SHOWN_EVENTS])]  # fmt: skip
    return found


def miss_line(miss: Miss) -> str:
    """A stretch without footage, in words."""
    start, end = miss.start, miss.end
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{miss.camera}, {start:%Y-%m-%d %H:%M} to {until} ({in_words(miss.seconds)})"


def day_text(day: date | None) -> str:
    """A day as it is written in tables."""
    return day.isoformat() if day else "no day known"


def _table(digest: Digest) -> list[str]:
    """A line for each day and camera, in columns."""
    rows = [("day", "camera", "events", "new", "footage", "missing", "strongest")]
    rows += [_cells(tally, digest) for tally in digest.tallies]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cells(tally: Tally, digest: Digest) -> tuple[str, ...]:
    strongest = tally.strongest
    return (
        day_text(tally.day),
        readable(tally.camera),
        str(tally.n_events),
        str(tally.n_new) if digest.last_run else "",
        in_words(tally.footage_seconds) if tally.footage_seconds else "",
        in_words(tally.missing_seconds) if tally.missing_seconds else "",
        f"{strongest.event.peak_score:.3f} {strongest.event.category}, {when(strongest)}" if strongest else "",
    )


def as_csv(digest: Digest) -> str:
    """The digest's table as CSV, a row for each day and camera."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for tally in digest.tallies:
        strongest = tally.strongest
        row = [tally.day.isoformat() if tally.day else "", tally.camera, tally.n_events, tally.n_new, tally.n_false]
        row += [f"{seconds / 3600:.3f}" for seconds in (tally.footage_seconds, tally.missing_seconds)]
        event = strongest and strongest.event
        row += [event.event_id, f"{event.peak_score:.6f}", event.category] if event else ["", "", ""]
        writer.writerow([guarded(str(cell)) for cell in row])
    return text.getvalue()
