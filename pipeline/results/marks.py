"""What reviewers' verdicts make of an event: its mark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vad_pipeline.model.curve import Event

from .verdicts import FALSE_ALARM, OPEN, REAL, REST_NORMAL, UNSURE, Verdict

MARKS = (REAL, FALSE_ALARM, UNSURE)


@dataclass(frozen=True, slots=True)
class Marks:
    """The verdicts that count, ready to be asked for the mark of any event.

    Of several reviewers' verdicts on one event the latest is its mark. An event without a verdict of its own, because
    another threshold gave it other ends, takes the mark of what was said of its frames:

    - `real` if it shares any frame with a range that was marked real: nothing real may be lost;
    - else `unsure`, or else `false_alarm`, if ranges marked so hold at least half of its frames. Where the rest of the
      video was called normal, that is a false alarm.
    """

    _by_event: Mapping[str, Verdict]
    _by_video: Mapping[str, Sequence[Verdict]]
    _bounds: Mapping[str, np.ndarray]
    """Video -> start and end frames of its verdicts, (2, n) int64: of thousands, few are about one event."""

    @classmethod
    def of(cls, verdicts: Iterable[Verdict]) -> Marks:
        """Order verdicts for being asked.

        Args:
            verdicts: as `brought_together` returns them.
        """
        by_event: dict[str, Verdict] = {}
        for verdict in verdicts:
            if verdict.event_id not in by_event or by_event[verdict.event_id].time <= verdict.time:
                by_event[verdict.event_id] = verdict
        by_video: dict[str, list[Verdict]] = {}
        for verdict in by_event.values():
            by_video.setdefault(verdict.video, []).append(verdict)
        bounds = {
            video: np.array([(each.start_frame, each.end_frame) for each in said]).T for video, said in by_video.items()
        }
        return cls(by_event, by_video, bounds)

    def of_event(self, video_id: str, event: Event) -> str:
        """The mark of an event: `real`, `false_alarm`, `unsure`, or empty where it has none."""
        return self._mark(video_id, event.event_id, (event.start_frame, event.end_frame))

    def of_range(self, video_id: str, start: int, end: int) -> str:
        """The mark that an event of these half-open frames would have; see `of_event`."""
        return self._mark(video_id, f"{video_id}@{start}-{end}", (start, end))

    def _mark(self, video_id: str, event_id: str, frames: tuple[int, int]) -> str:
        own = self._by_event.get(event_id)
        if own:
            return own.verdict
        if video_id not in self._bounds:
            return OPEN
        (start, end), (starts, ends) = frames, self._bounds[video_id]
        about = [self._by_video[video_id][n] for n in np.flatnonzero((starts < end) & (start < ends))]
        if any(each.verdict == REAL for each in about):
            return REAL
        if _mostly(frames, [each for each in about if each.verdict == UNSURE]):
            return UNSURE
        if _mostly(frames, [each for each in about if each.verdict in (FALSE_ALARM, REST_NORMAL)]):
            return FALSE_ALARM
        return OPEN

    def of_video(self, video_id: str) -> Sequence[Verdict]:
        """What counts of all that was said of one video: a verdict for each event, the latest of all reviewers."""
        return self._by_video.get(video_id, ())


def _mostly(frames: tuple[int, int], ranges: Sequence[Verdict]) -> bool:
    """Whether at least half of an event's frames lie in ranges, which may overlap."""
    first, last = frames
    covered, reached = 0, first
    for each in sorted(ranges, key=lambda each: each.start_frame):
        end = min(each.end_frame, last)
        covered += max(0, end - max(each.start_frame, reached))
        reached = max(reached, end)
    return covered > 0 and 2 * covered >= last - first
