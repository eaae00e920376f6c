"""RESULTS/on_event.jsonl: the events that `detect --on-event` need not tell of, one a line, only ever added to."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from vad_pipeline.extract.files import write_if_absent

from ..outcomes.run_story import time_now
from ..results.event_rows import EVENTS_NAME, HeldEvent, read_events
from ..results.line_log import append_lines, read_lines

LOG_NAME = "on_event.jsonl"
TOLD, KNOWN = "told", "known"  # the command has run for it; it was there before, or a person set a threshold


class Told:
    """The events of a results folder that are no news.

    An event is news where neither it nor another event with frames of it is in here: with another threshold, or once
    its video has grown, an event has other ends and another id, and is the same event for whoever is told.

    Args:
        results: the results folder.
    """

    def __init__(self, results: Path):
        self._path = results / LOG_NAME
        self._ranges: dict[str, list[tuple[int, int]]] = {}
        for _, row in read_lines(self._path):
            with contextlib.suppress(TypeError, KeyError, ValueError):  # half a line: its event is told once more
                self._ranges.setdefault(row["video"], []).append((int(row["start_frame"]), int(row["end_frame"])))

    @property
    def has_begun(self) -> bool:
        """Whether `detect` has run with --on-event before."""
        return self._path.exists()

    def begin(self, there: Iterable[HeldEvent]) -> None:
        """Make the file, with the events that are there already: these are no news."""
        rows = self._rows(there, KNOWN)
        write_if_absent(self._path, "".join(f"{json.dumps(row)}\n" for row in rows).encode())

    def is_news(self, held: HeldEvent) -> bool:
        """Whether nobody has been told of an event."""
        start, end = held.event.start_frame, held.event.end_frame
        return not any(first < end and start < last for first, last in self._ranges.get(held.video, ()))

    def add(self, events: Iterable[HeldEvent], said: str) -> None:
        """Note down that events are no news any more; this is on the disk once it returns.

        Raises:
            StoreError: the file cannot be written.
        """
        rows = self._rows(events, said)
        if rows:
            append_lines(self._path, rows)

    def _rows(self, events: Iterable[HeldEvent], said: str) -> list[dict]:
        """A row for each event, whose frames are no news from now on."""
        rows = []
        for held in events:
            start, end = held.event.start_frame, held.event.end_frame
            self._ranges.setdefault(held.video, []).append((start, end))
            row = {"event_id": held.event_id, "video": held.video, "start_frame": start, "end_frame": end}
            rows.append(row | {"said": said, "time": time_now()})
        return rows


def events_there(results: Path) -> list[HeldEvent]:
    """The events of a results folder; none where it has no events.jsonl yet."""
    return list(read_events(results)) if (results / EVENTS_NAME).exists() else []


@contextlib.contextmanager
def by_another_rule(results: Path) -> Iterator[None]:
    """Inside this block a person has the events found by another threshold: what so comes to light is no news.

    What nobody had been told of before stays news.
    """
    told = Told(results)
    before: dict[str, list[HeldEvent]] = {}
    for held in events_there(results) if told.has_begun else ():
        before.setdefault(held.video, []).append(held)
    yield
    if told.has_begun:
        found = (held for held in events_there(results) if told.is_news(held))
        told.add([held for held in found if not any(_share(held, old) for old in before.get(held.video, ()))], KNOWN)


def _share(one: HeldEvent, other: HeldEvent) -> bool:
    return one.event.start_frame < other.event.end_frame and other.event.start_frame < one.event.end_frame
