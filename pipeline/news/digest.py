"""What happened, in figures: events a camera and day, which of them are new, and when there was no footage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

from vad_pipeline.extract.errors import ConfigError

from ..outcomes.history import read_story
from ..results.clock import camera_of, day_of
from ..results.event_rows import HeldEvent, read_events
from ..results.event_rule import EventRule
from ..results.folder import Results
from ..results.run_settings import RunSettings, settings_of
from ..results.verdicts import FALSE_ALARM
from .coverage import Span, by_day, day_span, joined, missing

NO_CAMERA = "no camera"
NS = 1_000_000_000


@dataclass(slots=True)
class Tally:
    """The figures of one camera on one day."""

    camera: str
    day: date | None
    """None where the ids say no day."""
    n_events: int = 0
    n_new: int = 0
    n_false: int = 0
    """Events marked as false alarms; counted among `n_events` only where these are shown."""
    footage_seconds: float = 0.0
    missing_seconds: float = 0.0
    strongest: HeldEvent | None = None

    def add(self, held: HeldEvent, *, is_new: bool, hide_false: bool) -> None:
        """Count one event."""
        is_false = held.mark == FALSE_ALARM
        self.n_false += is_false
        if is_false and hide_false:
            return
        self.n_events += 1
        self.n_new += is_new
        if self.strongest is None or held.event.peak_score > self.strongest.event.peak_score:
            self.strongest = held


@dataclass(frozen=True, slots=True)
class Miss:
    """A stretch of time in which a camera has no footage here."""

    camera: str
    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end.timestamp() - self.start.timestamp()


@dataclass(slots=True)
class Digest:
    """What a results folder has to tell of a day, or of all days."""

    tallies: list[Tally]
    """By day, then camera."""
    events: list[HeldEvent]
    """The strongest first."""
    new: set[str]
    """Ids of the events in videos that the last run of `detect` scored."""
    last_run: str
    """When that run began: ISO 8601 in UTC; empty where that is not known."""
    misses: list[Miss]
    n_videos: int
    has_clock: bool
    n_ignored: int
    """Events that are left out of all days, as they lie in hours in which their cameras' do not count."""
    settings: RunSettings
    day: date | None = None

    @property
    def n_new(self) -> int:
        """How many of the events are new."""
        return sum(tally.n_new for tally in self.tallies)

    @property
    def n_false(self) -> int:
        """How many events are marked as false alarms."""
        return sum(tally.n_false for tally in self.tallies)

    @property
    def footage_seconds(self) -> float:
        """Seconds of footage."""
        return sum(tally.footage_seconds for tally in self.tallies)

    @property
    def cameras(self) -> list[str]:
        """Names of the cameras, sorted."""
        return sorted({tally.camera for tally in self.tallies})

    @property
    def days(self) -> list[date | None]:
        """The days, in order; None last."""
        days = {tally.day for tally in self.tallies}
        return sorted(days - {None}) + [None] * (None in days)


def make_digest(results: Results, *, day: date | None = None, hide_false: bool = True) -> Digest:
    """Count what a results folder holds.

    Args:
        results: the folder; its curves are not read, only what their attributes say.
        day: count this day only; None: all.
        hide_false: whether events marked as false alarms are left out.

    Raises:
        ConfigError: a day is asked for, and no id says one; or there are no events.
        StoreError: the folder cannot be read.
    """
    found = _Found(results, settings_of(results))
    tallies: dict[tuple[str, date | None], Tally] = {}

    def tally(camera: str, of: date | None) -> Tally:
        return tallies.setdefault((camera, of), Tally(camera, of))

    for (camera, of), seconds in found.footage.items():
        tally(camera, of).footage_seconds = seconds
    misses = found.misses()
    for camera in {miss.camera for miss in misses}:
        spans = [(miss.start.timestamp(), miss.end.timestamp()) for miss in misses if miss.camera == camera]
        for of, seconds in by_day(spans, found.zone).items():
            tally(camera, of).missing_seconds = seconds
    events = list(read_events(results.path))
    for held in events:
        camera, of = found.place_of(held)
        tally(camera, of).add(held, is_new=held.video in found.scored_last, hide_false=hide_false)
    if day:
        if not any(of for _, of in tallies):
            advice = "give `vad-pipeline events` --clock and --timezone"
            raise ConfigError(f"{results.path}: --day {day}: no id says a day; {advice}")
        events = [held for held in events if found.place_of(held)[1] == day]
        misses = _within(misses, day_span(day, found.zone))
    shown = [held for held in events if not (hide_false and held.mark == FALSE_ALARM)]
    kept = [each for each in tallies.values() if day is None or each.day == day]
    return Digest(
        tallies=sorted(kept, key=lambda each: (each.day or date.max, each.camera)),
        events=sorted(shown, key=lambda held: (-held.event.peak_score, held.event_id)),
        new={held.event_id for held in shown if held.video in found.scored_last},
        last_run=found.last_run,
        misses=sorted(misses, key=lambda miss: (miss.start, miss.camera)),
        n_videos=found.n_videos(day),
        has_clock=found.rule.clock is not None,
        n_ignored=found.settings.n_ignored,
        settings=found.settings,
        day=day,
    )


@dataclass(slots=True)
class _Place:
    """Camera, day and time of one video."""

    camera: str
    day: date | None
    span: Span | None
    seconds: float


class _Found:
    """What the attributes of the curves and the ids of their videos say."""

    def __init__(self, results: Results, settings: RunSettings):
        self.settings, self.rule = settings, settings.rule
        self.zone: tzinfo = ZoneInfo(self.rule.clock.timezone) if self.rule.clock else UTC
        self.places = {held.video: _place(held.video, held.seconds, self.rule) for held in results.all_held()}
        self.last_run, since_ns = _last_run(results)
        self.scored_last = {
            held.video for held in results.all_held() if since_ns and held.version.written_ns >= since_ns
        }

    @property
    def spans(self) -> Mapping[str, list[Span]]:
        """Camera -> when it recorded; only of videos whose ids say a time."""
        found: dict[str, list[Span]] = {}
        for place in self.places.values():
            if place.span:
                found.setdefault(place.camera, []).append(place.span)
        return {camera: joined(spans) for camera, spans in found.items()}

    @property
    def footage(self) -> Counter[tuple[str, date | None]]:
        """Camera and day -> seconds of footage."""
        found: Counter[tuple[str, date | None]] = Counter()
        for place in self.places.values():
            shares = by_day([place.span], self.zone) if place.span else {place.day: place.seconds}
            for day, seconds in shares.items():
                found[place.camera, day] += seconds
        return found

    def misses(self) -> list[Miss]:
        """Where cameras have no footage, between the first and the last moment of which any camera has some."""
        spans = self.spans
        if not spans:
            return []
        period = min(each[0][0] for each in spans.values()), max(each[-1][1] for each in spans.values())
        return [
            Miss(camera, *(datetime.fromtimestamp(moment, self.zone) for moment in span))
            for camera, recorded in spans.items()
            for span in missing(recorded, period)
        ]

    def place_of(self, held: HeldEvent) -> tuple[str, date | None]:
        """Camera and day of an event."""
        place = self.places.get(held.video) or _place(held.video, 0.0, self.rule)
        return place.camera, held.start_time.date() if held.start_time else place.day

    def n_videos(self, day: date | None) -> int:
        """How many videos there are, or how many of them begin on a day."""
        return sum(day is None or place.day == day for place in self.places.values())


def _place(video_id: str, seconds: float, rule: EventRule) -> _Place:
    reading = rule.clock.of(video_id) if rule.clock else None
    start = reading and reading.start.timestamp()
    return _Place(
        camera=camera_of(video_id, reading) or NO_CAMERA,
        day=day_of(video_id, reading),
        span=(start, start + seconds) if reading and seconds else None,
        seconds=seconds,
    )


def _within(misses: Iterable[Miss], span: Span) -> list[Miss]:
    """The parts of stretches that lie in a span."""
    found = []
    for miss in misses:
        start, end = max(miss.start.timestamp(), span[0]), min(miss.end.timestamp(), span[1])
        if start < end:
            zone = miss.start.tzinfo
            found.append(Miss(miss.camera, datetime.fromtimestamp(start, zone), datetime.fromtimestamp(end, zone)))
    return found


def _last_run(results: Results) -> tuple[str, int]:
    """When the last run that scored anything began, as text and in ns since 1970; empty and 0 where nothing tells."""
    if not any(results.outcomes.glob("*.jsonl")):
        return "", 0
    runs = [run for run in read_story(results.path).runs if run.counts["ok"] and run.started]
    if not runs:
        return "", 0
    return runs[-1].started, int(datetime.fromisoformat(runs[-1].started).timestamp() * NS)
