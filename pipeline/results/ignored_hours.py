"""Hours of the week in which a camera's events do not count: what `--ignore FILE` says as `hours`.

An event is left out where all of it lies in such hours. One that begins before them, or goes on after, counts: nothing
of what happens outside of them may be lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo

import numpy as np

from vad_pipeline.extract.errors import ConfigError, shown
from vad_pipeline.extract.names import composed
from vad_pipeline.extract.recipe import ALL_CAMERAS

from .clock import ClockReading

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
TOLERANCE_SECONDS = 1e-6  # moments since 1970 are no more exact as floats
DAY = rf"(?:{'|'.join(WEEKDAYS)})"
FORM = re.compile(
    rf"(?P<days>{DAY}(?:-{DAY})?(?:,{DAY}(?:-{DAY})?)*)?"
    r"(?:(?:^|\s+)(?P<h0>\d{1,2}):(?P<m0>\d\d)\s*-\s*(?P<h1>\d{1,2}):(?P<m1>\d\d))?"
)
EXPECTED = "expected days, hours or both, such as `mon-fri 22:00-06:00`, `sat,sun` or `12:00-13:30`"


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """A stretch of time that comes back each week, on one day or several."""

    text: str
    """As it is written: `mon-fri 22:00-06:00`."""
    days: frozenset[int] = field(compare=False)
    """The days on which it begins, 0 for Monday."""
    start_minute: int = field(compare=False)
    end_minute: int = field(compare=False)
    """In minutes of the day that it begins on; more than those of a day where it ends on the next one."""

    @classmethod
    def parse(cls, text: str) -> WeeklyHours:
        """Read `[DAYS] [HH:MM-HH:MM]`; without days: every day, without hours: all day.

        Days are `mon` to `sun`, ranges of them and lists: `fri-sun,wed`. Hours that end at or before their start end
        on the next day, and belong to the day on which they begin. `24:00` is the end of a day.

        Raises:
            ConfigError: the text says something else.
        """
        found = FORM.fullmatch(" ".join(str(text).lower().split()))
        if not found or not found[0]:
            raise ConfigError(f"hours {shown(str(text))!r}: {EXPECTED}")
        days = _days(found["days"]) if found["days"] else frozenset(range(7))
        if found["h0"] is None:
            return cls(found[0], days, 0, DAY_MINUTES)
        start, end = (60 * int(found[f"h{n}"]) + int(found[f"m{n}"]) for n in (0, 1))
        minutes_fit = int(found["m0"]) < 60 and int(found["m1"]) < 60
        if not minutes_fit or start >= DAY_MINUTES or end > DAY_MINUTES or start == end:
            raise ConfigError(f"hours {found[0]!r}: no such time of day, or no time between; {EXPECTED}")
        return cls(found[0], days, start, end if end > start else end + DAY_MINUTES)

    def on(self, day: date, zone: tzinfo) -> tuple[float, float]:
        """When the hours that begin on a day begin and end, as clocks in a zone show it, in seconds since 1970."""
        found = []
        for minute in (self.start_minute, self.end_minute):
            days, left = divmod(minute, DAY_MINUTES)
            moment = datetime.combine(day + timedelta(days=days), time(*divmod(left, 60)), zone)
            found.append(moment.astimezone(UTC).timestamp())
        return found[0], found[1]


IgnoredHours = Mapping[str, tuple[WeeklyHours, ...]]  # camera, `*` for every one -> its hours


def parse_hours(given: Mapping[str, object]) -> IgnoredHours:
    """Read what is written of each camera; cameras without hours are left out.

    Args:
        given: camera -> list of texts, see `WeeklyHours.parse`.

    Raises:
        ConfigError: what is given for a camera is no such list.
    """
    found = {}
    for camera, texts in given.items():
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"hours of {shown(str(camera))}: must be a list of texts; {EXPECTED}")
        if texts:
            found[composed(str(camera))] = tuple(map(WeeklyHours.parse, texts))
    return found


def hours_as_json(hours: IgnoredHours) -> dict[str, list[str]]:
    """What `parse_hours` reads again, as run.json keeps it."""
    return {camera: [each.text for each in found] for camera, found in hours.items()}


def hours_in_words(hours: IgnoredHours) -> str:
    """All hours in a line: `gate mon-fri 22:00-06:00; every camera sun`."""
    names = {ALL_CAMERAS: "every camera"}
    return "; ".join(f"{names.get(camera, camera)} {', '.join(text)}" for camera, text in hours_as_json(hours).items())


def hours_of(hours: IgnoredHours, camera: str | None) -> tuple[WeeklyHours, ...]:
    """The hours of one camera, and those of every one."""
    return tuple(each for name, found in hours.items() if name in (camera, ALL_CAMERAS) for each in found)


def frames_in(hours: Sequence[WeeklyHours], reading: ClockReading, frame_seconds: np.ndarray) -> list[tuple[int, int]]:
    """The half-open stretches of a video's frames that lie in weekly hours.

    Args:
        hours: the hours.
        reading: when the video begins.
        frame_seconds: (F,) when each frame is shown, seconds from there on.
    """
    last = reading.at(float(frame_seconds[-1]))
    if not hours or last is None:
        return []
    began, is_in = reading.start.timestamp(), np.zeros(len(frame_seconds), bool)
    day = reading.start.date() - timedelta(days=1)  # hours of the evening before may go on
    while day <= last.date():
        for span in (each for each in hours if day.weekday() in each.days):
            start, end = span.on(day, reading.start.tzinfo)
            first, after = np.searchsorted(frame_seconds, (start - began - TOLERANCE_SECONDS, end - began))
            is_in[first:after] = True
        day += timedelta(days=1)
    steps = np.diff(is_in.astype(np.int8), prepend=0, append=0)
    return list(zip(*(np.flatnonzero(steps == step).tolist() for step in (1, -1)), strict=True))


def lies_in(start: int, end: int, ignored: Sequence[tuple[int, int]]) -> bool:
    """Whether all of the half-open frames `start` to `end` lie in one of the stretches of `frames_in`."""
    return any(first <= start and end <= after for first, after in ignored)


def _days(text: str) -> frozenset[int]:
    found = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        start, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
        found |= {(start + n) % 7 for n in range((end - start) % 7 + 1)}
    return frozenset(found)
