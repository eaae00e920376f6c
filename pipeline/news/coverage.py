"""When cameras recorded: hours of footage a day, and stretches without any. Works on seconds since 1970 only.

Half-open stretches of time, as (start, end) in seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta, tzinfo

Span = tuple[float, float]

LEAST_SECONDS = 300.0  # a shorter stretch without footage is no miss: recorders begin a new file now and then


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that neither overlap nor touch, in order."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def missing(spans: Sequence[Span], period: Span) -> list[Span]:
    """The stretches of a period, at least `LEAST_SECONDS` long, that no span covers.

    Args:
        spans: as `joined` returns them.
        period: the time in which there ought to be footage.
    """
    reached, found = period[0], []
    for start, end in [*spans, (period[1], period[1])]:
        if min(start, period[1]) - reached >= LEAST_SECONDS:
            found.append((reached, min(start, period[1])))
        reached = max(reached, end)
    return found


def by_day(spans: Iterable[Span], zone: tzinfo) -> Counter[date]:
    """How many seconds of the spans lie in each day, as clocks in a zone show it."""
    seconds: Counter[date] = Counter()
    for span in spans:
        for day, (start, end) in _cut_at_midnight(span, zone):
            seconds[day] += end - start
    return seconds


def _cut_at_midnight(span: Span, zone: tzinfo) -> Iterator[tuple[date, Span]]:
    start, end = span
    while start < end:
        day = datetime.fromtimestamp(start, zone).date()
        until = min(end, day_span(day, zone)[1])
        yield day, (start, until)
        start = until


def day_span(day: date, zone: tzinfo) -> Span:
    """A whole day, of 23 to 25 hours, as clocks in a zone show it."""
    start, end = (datetime(each.year, each.month, each.day, tzinfo=zone) for each in (day, day + timedelta(days=1)))
    return start.timestamp(), end.timestamp()
