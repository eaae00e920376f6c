"""When each frame of a camera is shown: by the wall clock at which frames arrive, as even as the stream's own clock.

The stream's timestamps say how far apart frames are; where they jump, stand still or are missing, frames are as far
apart as they usually are. The wall clock says where they are: times are drawn towards it, a little with each frame, and
where a live camera is seconds late, nothing was received meanwhile, so its time is the wall clock's and a gap is before
it. What is no live camera (a file, a pipe) may be read faster than it was recorded, so only the stream's clock counts.
"""

from __future__ import annotations

USUAL_STEP = 1 / 25  # seconds, before any are known
LONGEST_STEP = 2.0  # seconds; a longer one between timestamps is a jump of the stream's clock
LATE_SECONDS = 2.0  # behind the wall clock, from which on nothing was received meanwhile
DRAWN = 0.02  # share of how late a frame is that it is drawn towards the wall clock
MOST_DRAWN = 0.5  # of a step
MEMORY = 0.05  # share of the newest step in the usual one


class ArrivalTimes:
    """Gives the frames of one camera their times.

    Args:
        is_live: whether frames arrive as they are taken.
    """

    def __init__(self, *, is_live: bool):
        self._is_live = is_live
        self._last: float | None = None  # time of the frame before
        self._stamp: float | None = None  # its timestamp
        self._usual = USUAL_STEP

    def time_of(self, stamp: float | None, now: float) -> float:
        """The time of the next frame, seconds since 1970, later than that of the one before.

        Args:
            stamp: its timestamp in the stream, in seconds; None where it has none.
            now: the wall clock, seconds since 1970.
        """
        step = None if stamp is None or self._stamp is None else stamp - self._stamp
        self._stamp = stamp
        if self._last is None:
            self._last = now
            return now
        if step is not None and 0 < step <= LONGEST_STEP:
            self._usual += MEMORY * (step - self._usual)
        else:
            step = self._usual
        late = now - (self._last + step)
        if self._is_live and late > LATE_SECONDS:
            self._last = now
        elif self._is_live:
            most = MOST_DRAWN * step
            self._last += step + min(most, max(-most, DRAWN * late))
        else:
            self._last += step
        return self._last

    def begin_anew(self) -> None:
        """The stream was opened again: its timestamps have begun anew."""
        self._stamp = None
