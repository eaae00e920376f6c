"""Wall clock: reads the camera and the start time of a video from its id, by a pattern that the user gives."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vad_pipeline.extract.errors import ConfigError, StoreError
from vad_pipeline.extract.names import composed, first_folder, some, split_stream, strip_suffix

logger = logging.getLogger(__name__)

SHOWN_IDS = 3
EXAMPLE = "{camera}/%Y-%m-%d/%H-%M-%S"
CAMERA = "{camera}"
BETWEEN = " "  # joins the parts of an id, and the directives, for strptime
FIRST_YEAR, LAST_YEAR = 1900, 2999  # no footage is older or newer, and arithmetic at the calendar's ends overflows

DIRECTIVES = {
    "Y": ("year", r"\d{4}"),
    "y": ("year", r"\d{2}"),
    "m": ("month", r"\d{1,2}"),
    "b": ("month", r"[A-Za-z]{3}"),
    "B": ("month", r"[A-Za-z]{3,9}"),
    "d": ("day", r"\d{1,2}"),
    "j": ("day of the year", r"\d{3}"),
    "H": ("hour", r"\d{1,2}"),
    "I": ("hour", r"\d{1,2}"),
    "p": ("half of the day", r"[AaPp][Mm]"),
    "M": ("minute", r"\d{1,2}"),
    "S": ("second", r"\d{1,2}"),
    "f": ("fraction", r"\d{1,6}"),
    "z": ("offset", r"Z|[+-]\d{2}:?\d{2}"),
}
"""The strptime directives that a pattern may hold: what each one stands for, and the regular expression of its text."""

TOKEN = re.compile(
    r"%(?P<directive>.?)|(?P<braces>\{[^{}]*\})|(?P<star>\*+)|(?P<brace>[{}])|(?P<text>[^%{}*]+)", re.DOTALL
)


DAY = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<between>[-_./]?)(?P<month>[01]\d)(?P=between)(?P<day>[0-3]\d)"
    r"(?=(?:\d{4}|\d{6})?(?!\d))"  # hours and minutes may follow at once
)


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The camera and the start time that a video id states."""

    camera: str | None
    """None where the pattern has no `{camera}`."""
    start: datetime
    """The moment of second 0 of the video, time-zone aware, in the cameras' zone."""

    def at(self, seconds: float) -> datetime | None:
        """The wall-clock time at a second of the video, to the millisecond, with the UTC offset that holds then.

        None where that lies beyond the years that datetime can hold.
        """
        # in UTC: between two aware times of one zone Python reckons by the clock's face, wrong across a change of it
        try:
            moment = self.start.astimezone(UTC) + timedelta(milliseconds=round(seconds * 1000))
            return moment.astimezone(self.start.tzinfo)
        except OverflowError:
            return None

    def text_at(self, seconds: float) -> str | None:
        """`at(seconds)` as ISO 8601 text, such as `2026-11-02T08:14:30.250+01:00`; None where that is None."""
        time = self.at(seconds)
        return time and time.isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class Clock:
    """Reads camera and start time from video ids by a pattern; made by `Clock.parse`."""

    pattern: str
    timezone: str
    """IANA name of the zone that the cameras' clocks show."""
    _form: re.Pattern = field(repr=False, compare=False)
    _directives: tuple[str, ...] = field(repr=False, compare=False)
    _zone: ZoneInfo = field(repr=False, compare=False)

    @classmethod
    def parse(cls, pattern: str, timezone: str | None) -> Clock:
        """A clock for a pattern such as `{camera}/%Y-%m-%d/%H-%M-%S`.

        Args:
            pattern: text to be matched against an id. strptime's directives stand for parts of the time; `{camera}`
                for one character or more, `/` included, as few as fit; `*` for any characters, `/` included, or none;
                everything else for itself. The pattern may match the whole id, or its end after a `/`. A known video
                suffix at the pattern's end is dropped, as it is from ids.
            timezone: the zone that the cameras' clocks show. There is no default: footage is seldom worked on where it
                was taken, and servers run in UTC.

        Raises:
            ConfigError: the pattern cannot be understood, does not state a day, or the zone does not exist.
        """
        if timezone is None:
            raise ConfigError(
                "--clock needs --timezone, the zone that the cameras' clocks show, such as Europe/Berlin or UTC"
            )
        form, directives = _compile(composed(strip_suffix(pattern)), pattern)
        return cls(pattern, timezone, form, directives, _zone(timezone))

    @classmethod
    def of_record(cls, record: dict) -> Clock | None:
        """The clock that a results folder's run.json records; None where it records none.

        Raises:
            StoreError: the recorded pattern or zone cannot be used.
        """
        recorded = record.get("clock")
        if recorded is None:
            return None
        try:
            return cls.parse(str(recorded["pattern"]), str(recorded["timezone"]))
        except (ConfigError, KeyError, TypeError) as error:
            raise StoreError(
                f"run.json: its clock cannot be read ({error}); give --clock and --timezone to `vad-pipeline events`"
            ) from error

    def to_json(self) -> dict[str, str]:
        """Pattern and zone as run.json keeps them."""
        return {"pattern": self.pattern, "timezone": self.timezone}

    def of(self, video_id: str) -> ClockReading | None:
        """Read camera and start time from a video id.

        A time that occurs twice, as clocks are put back, is taken as the first of the two. A time that is skipped, as
        clocks are put forward, counts as if they had not been (02:30 becomes 03:30). An offset in the id (`%z`) leaves
        neither case. What the id of a file's second video stream has at its end, `#2`, may stand after the pattern: it
        makes another camera of that stream.

        Returns:
            None where the id does not match the pattern, or names a day or time that does not exist.
        """
        stem, stream = composed(video_id), ""
        found = self._form.fullmatch(stem)
        if found is None:
            stem, stream = split_stream(stem)
            found = self._form.fullmatch(stem) if stream else None
        if found is None:
            return None
        values = [found[f"d{index}"] for index in range(len(self._directives))]
        try:
            stated = datetime.strptime(BETWEEN.join(values), BETWEEN.join(f"%{each}" for each in self._directives))
        except ValueError:  # the 31st of February
            return None
        if not FIRST_YEAR <= stated.year <= LAST_YEAR:
            return None
        start = stated if stated.tzinfo else stated.replace(tzinfo=self._zone)
        camera = found["camera"] + stream if CAMERA in self.pattern else None
        return ClockReading(camera, _settled(start, self._zone))

    def tell_unread(self, video_ids: Sequence[str]) -> None:
        """Log one warning that counts and names the ids that do not match the pattern."""
        unread = [video_id for video_id in video_ids if self.of(video_id) is None]
        if unread:
            logger.warning(
                "%d of %d ids say no time as --clock %s has it, their wall clock stays empty: %s",
                len(unread),
                len(video_ids),
                self.pattern,
                some(unread, SHOWN_IDS),
            )


def camera_of(video_id: str, reading: ClockReading | None) -> str | None:
    """The camera that a video id names: the clock pattern's `{camera}`, else the id's first folder, else None.

    Args:
        video_id: the id.
        reading: what a clock reads off it; None without a clock, or where the id does not match.
    """
    return (reading and reading.camera) or first_folder(video_id)


def day_of(video_id: str, reading: ClockReading | None) -> date | None:
    """The day that a video id names: the clock's, else the first in it, as `2026-11-02`, `2026/11/02` or `20261102`.

    Args:
        video_id: the id.
        reading: what a clock reads off it; None without a clock, or where the id does not match.
    """
    if reading:
        return reading.start.date()
    for found in DAY.finditer(video_id):
        with contextlib.suppress(ValueError):  # the 31st of February is none
            return date(int(found["year"]), int(found["month"]), int(found["day"]))
    return None


def _settled(time: datetime, zone: ZoneInfo) -> datetime:
    """The same moment as clocks in `zone` show it; a time that they skip is moved forward."""
    return time.astimezone(UTC).astimezone(zone)


def _compile(pattern: str, shown: str) -> tuple[re.Pattern, tuple[str, ...]]:
    """Turn a pattern into a regular expression over ids, with a group `dN` for its N-th directive.

    Args:
        pattern: without its video suffix, in composed Unicode.
        shown: the pattern as the user wrote it, for error messages.

    Returns:
        The expression, and the directives' letters in order.

    Raises:
        ConfigError: the pattern cannot be understood.
    """
    form, directives, said = [], [], []
    for token in TOKEN.finditer(pattern):
        if token["braces"]:
            if token["braces"] != CAMERA or r"(?P<camera>.+?)" in form:
                raise _refusal(shown, f"{token['braces']} is not known here or is given twice; only {CAMERA} is, once")
            form.append(r"(?P<camera>.+?)")
        elif token["brace"]:
            raise _refusal(shown, f"a {token['brace']} stands alone; only {CAMERA} is known")
        elif token["star"]:
            form.append(r".*?")
        elif token["text"]:
            form.append(re.escape(token["text"]))
        elif token["directive"] == "%":
            form.append("%")
        elif token["directive"] not in DIRECTIVES:
            known = " ".join(f"%{each}" for each in DIRECTIVES)
            raise _refusal(shown, f"%{token['directive']} is not understood, of strptime's these are: {known}")
        else:
            what, looks = DIRECTIVES[token["directive"]]
            form.append(f"(?P<d{len(directives)}>{looks})")
            directives.append(token["directive"])
            said.append(what)
    problem = _contradiction(said, directives)
    if problem:
        raise _refusal(shown, problem)
    return re.compile(rf"(?:.*?/)??{''.join(form)}", re.DOTALL), tuple(directives)


def _contradiction(said: list[str], directives: list[str]) -> str | None:
    """Why the directives do not state exactly one moment, in words; None where they do.

    Args:
        said: what each directive stands for, such as `year`.
        directives: their letters.
    """
    twice = next((what for what in said if said.count(what) > 1), None)
    if twice:
        return f"it says the {twice} twice"
    if "year" not in said or not ({"month", "day"} <= set(said) or "day of the year" in said):
        return f"it says no day: it needs a year and a month and a day, as {EXAMPLE} has"
    if "day of the year" in said and {"month", "day"} & set(said):
        return "it says the day twice"
    if ("I" in directives) != ("p" in directives):
        return "%I, hours up to 12, and %p, which half of the day, need each other"
    return None


def _refusal(pattern: str, problem: str) -> ConfigError:
    return ConfigError(f"--clock {pattern!r}: {problem}")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # also paths out of the database, and its folders
        raise ConfigError(f"--timezone {name!r}: no such zone; give an IANA name such as Europe/Berlin") from error
