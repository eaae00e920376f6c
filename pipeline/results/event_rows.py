"""events.jsonl: one event a line. `write_events` makes it from the curves; report, clips and plot read it."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, StoreError, shown
from vad_pipeline.extract.files import refuse_failed_read, write_bytes
from vad_pipeline.extract.names import is_plain_id, plural, some
from vad_pipeline.extract.only_process import in_turn
from vad_pipeline.extract.recipe import ALL_CAMERAS
from vad_pipeline.model.curve import AnomalyCurve, Event

from .clock import ClockReading
from .event_rule import AS_KEPT, Chosen, EventRule
from .folder import Results
from .marks import MARKS, Marks
from .run_record import read_record, rule_of, write_record
from .verdict_log import latest_verdicts
from .verdicts import FALSE_ALARM, OPEN

logger = logging.getLogger(__name__)

EVENTS_NAME = "events.jsonl"
N_IGNORED = "events_in_ignored_hours"  # how many were left out, in run.json
MOST_FRAMES = 1 << 53  # of a video
BROKEN_LINE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)


def event_row(video_id: str, event: Event, reading: ClockReading | None) -> dict:
    """Make a line of events.jsonl of an event, with its names in the order that readers rely on.

    Args:
        video_id: the video that the event is in.
        event: the event.
        reading: camera and start time from the id; None where the wall clock is not known.
    """
    values = asdict(event)
    row = {"event_id": values.pop("event_id"), "video": video_id}
    row |= {name: values.pop(name) for name in ("start_frame", "end_frame", "start_seconds", "end_seconds")}
    row |= {
        "start_time": reading and reading.text_at(event.start_seconds),
        "end_time": reading and reading.text_at(event.end_seconds),
    }
    return row | values


@dataclass(frozen=True, slots=True, eq=False)
class HeldEvent:
    """One event of a results folder: a line of events.jsonl, read back."""

    video: str
    event: Event
    start_time: datetime | None
    """Wall-clock time of the event's start, time-zone aware; None where it is not known."""
    end_time: datetime | None
    mark: str = OPEN
    """What reviewers' verdicts make of it (see `Marks`); empty where nobody has marked it."""

    @property
    def event_id(self) -> str:
        """The event's id, such as `north/a@320-480`."""
        return self.event.event_id


@dataclass(frozen=True, slots=True)
class EventsWritten:
    """What writing events.jsonl came to."""

    n_events: int
    """Lines, those kept included."""
    n_false: int
    """How many of these are marked as false alarms."""
    n_ignored: int
    """Events that are no lines, as all of each lies in hours in which its camera's do not count."""
    unread: tuple[str, ...]
    """Ids of videos whose curves cannot be read: their old lines, if any, were kept."""

    def __str__(self) -> str:
        told = f" ({self.n_false} more marked as false alarms)" if self.n_false else ""
        left_out = f" ({told_ignored(self.n_ignored)})" if self.n_ignored else ""
        return f"{plural(self.n_events - self.n_false, 'event')}{told}{left_out}"


def rows_of(curve: AnomalyCurve, rule: EventRule) -> tuple[list[dict], int]:
    """The events of a curve as rows of events.jsonl, and how many are left out for the hours that they lie in."""
    reading = rule.clock.of(curve.video_id) if rule.clock else None
    events, n_left_out = rule.events_of(curve)
    return [event_row(curve.video_id, event, reading) for event in events], n_left_out


def told_ignored(n: int) -> str:
    """A sentence on events that are left out for the hours that they lie in."""
    return f"{plural(n, 'event')} in ignored hours {'is' if n == 1 else 'are'} left out"


def write_events(results: Results, chosen: Chosen = AS_KEPT) -> EventsWritten:
    """Find the events of all curves of a results folder; write events.jsonl, and what was chosen into run.json.

    A curve that cannot be read costs no events: the lines that its video has are kept.

    Args:
        results: the folder's curves.
        chosen: thresholds, merge gap, clock and ignored hours, kept from now on; what it leaves out stays as run.json
            has it.

    Raises:
        StoreError: the folder cannot be read or written.
    """
    results.refresh()
    record = chosen.put_into(read_record(results.path))
    rule = rule_of(results.path, record)
    if rule.clock:
        rule.clock.tell_unread(results.video_ids())
    _tell_unknown(rule, results.video_ids())
    calibrated = {} if record.get("calibrated", True) else {"calibrated": False}
    rows: list[dict] = []
    n_ignored = 0
    for curve in results.reaching(rule.threshold_of):
        found, n_left_out = rows_of(curve, rule)
        n_ignored += n_left_out
        rows += [row | calibrated for row in found]
    with in_turn(results.path):
        kept = _kept_rows(results)
        rows = sorted(rows + kept, key=lambda row: row["video"])
        n_false = _write_marked(results.path, rows)
        record.pop(N_IGNORED, None)
        write_record(results.path, record | ({N_IGNORED: n_ignored} if rule.hours else {}))
    unread = results.unread().videos | {row["video"] for row in kept}
    return EventsWritten(len(rows), n_false, n_ignored, tuple(sorted(unread)))


def mark_events(results: Path) -> None:
    """Lay the verdicts of a results folder over its events anew; nothing else of events.jsonl changes.

    Raises:
        StoreError: events or verdicts cannot be read, or not written.
    """
    with in_turn(results):
        path = results / EVENTS_NAME
        if path.exists():
            _write_marked(results, [row for row, _ in _each_row(path)])


def put_events(results: Path, video_id: str, rows: list[dict]) -> None:
    """Put the events of one video in place of those that events.jsonl has of it; those of others stay.

    Args:
        results: the results folder.
        video_id: the video.
        rows: its events, as `event_row` makes them.

    Raises:
        StoreError: events or verdicts cannot be read, or not written.
    """
    with in_turn(results):
        path = results / EVENTS_NAME
        others = [row for row, _ in _each_row(path) if row["video"] != video_id] if path.exists() else []
        _write_marked(results, sorted([*others, *rows], key=lambda row: row["video"]))


def _write_marked(results: Path, rows: list[dict]) -> int:
    """Write events.jsonl with each row's `mark`; return how many are marked as false alarms."""
    marks = Marks.of(latest_verdicts(results))
    for row in rows:
        row["mark"] = marks.of_event(row["video"], _held(row).event) or None
    write_bytes(results / EVENTS_NAME, "".join(f"{json.dumps(row)}\n" for row in rows).encode())
    return sum(row["mark"] == FALSE_ALARM for row in rows)


def _kept_rows(results: Results) -> list[dict]:
    """The rows of events.jsonl of videos whose curves cannot be read."""
    unread, known = results.unread(), set(results.video_ids())
    path = results.path / EVENTS_NAME
    if not (unread.videos or unread.whole_shards) or not path.exists():
        return []
    kept = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        refuse_failed_read(path, error)
        raise
    for line in lines:
        try:
            row = json.loads(line)
            video_id = _held(row).video
        except BROKEN_LINE:
            continue
        if video_id in unread.videos or (unread.whole_shards and video_id not in known):
            kept.append(row)
    return kept


def tell_unread(written: EventsWritten) -> None:
    """Warn of the videos whose curves cannot be read."""
    if written.unread:
        logger.warning(
            "events are kept as they were where a curve cannot be read (videos: %d): %s; `vad-pipeline detect` makes "
            "such curves anew",
            len(written.unread),
            some(written.unread),
        )


def _tell_unknown(rule: EventRule, video_ids: Sequence[str]) -> None:
    """Name, in one warning, the cameras that have a threshold or hours and no video: a name may be mistyped."""
    if not (rule.by_camera or rule.hours):
        return
    cameras = {rule.camera_of(video_id) for video_id in video_ids} - {None}
    there = f"cameras are {some(sorted(cameras))}" if cameras else "no id names a camera"
    for option, named in (("--threshold", {*rule.by_camera}), ("--ignore", {*rule.hours} - {ALL_CAMERAS})):
        if unknown := sorted(named - cameras):
            logger.warning("%s: no video is of %s; %s", option, some(unknown), there)


def read_events(results: Path) -> Iterator[HeldEvent]:
    """Read the events of a results folder, in the order of events.jsonl.

    Raises:
        ConfigError: the folder has no events.jsonl.
        StoreError: events.jsonl cannot be read.
    """
    path = results / EVENTS_NAME
    if not path.exists():
        raise ConfigError(f"{path}: is not there; {_anew(results)}")
    for _, held in _each_row(path):
        yield held


def shown_events(results: Path, *, hide_false: bool) -> Iterator[HeldEvent]:
    """`read_events`, without those that are marked as false alarms where these are hidden.

    Raises:
        ConfigError, StoreError: see `read_events`.
    """
    return (held for held in read_events(results) if not (hide_false and held.mark == FALSE_ALARM))


def _each_row(path: Path) -> Iterator[tuple[dict, HeldEvent]]:
    """Each line of events.jsonl as it is, and as an event."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    row = json.loads(line)
                    held = _held(row)
                except BROKEN_LINE as error:
                    told = f"line {number} cannot be read ({shown(error)})"
                    raise StoreError(f"{path}: {told}; {_anew(path.parent)}") from error
                yield row, held
    except (OSError, UnicodeDecodeError) as error:
        refuse_failed_read(path, error)
        raise StoreError(f"{path}: cannot be read ({error}); {_anew(path.parent)}") from error


def _anew(results: Path) -> str:
    return f"write it anew with `vad-pipeline events {results} --threshold T`"


def _held(row: dict) -> HeldEvent:
    event = Event(**{each.name: row[each.name] for each in fields(Event)})
    if not all(type(frame) is int for frame in (event.start_frame, event.end_frame, event.peak_frame)) or (
        event.end_frame > MOST_FRAMES
    ):
        raise ValueError("its frames are not whole numbers")
    values = (event.start_seconds, event.end_seconds, event.category_probability, event.peak_score)
    if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        raise ValueError("its seconds, probability or score are not numbers")
    if not (isinstance(event.event_id, str) and isinstance(event.category, str)):
        raise ValueError("its id or category is no text")
    if not is_plain_id(row["video"]):
        raise ValueError("its video id cannot be used")
    f"{row['video']}{event.event_id}{event.category}".encode()  # text that can be printed: no lone surrogates
    start, end = (row.get(name) and datetime.fromisoformat(row[name]) for name in ("start_time", "end_time"))
    if any(time and not time.tzinfo for time in (start, end)):
        raise ValueError("its times have no offset")
    mark = row.get("mark") or OPEN
    if mark not in (*MARKS, OPEN):
        raise ValueError("its mark is none of " + ", ".join(MARKS))
    return HeldEvent(row["video"], event, start, end, mark)
