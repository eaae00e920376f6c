"""What reviewers' verdicts make of an event: its mark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

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
        return cls(by_event, by_video)

    def of_event(self, video_id: str, event: Event) -> str:
        """The mark of an event: `real`, `false_alarm`, `unsure`, or empty where it has none."""
        own = self._by_event.get(event.event_id)
        if own:
            return own.verdict
        about = [
            each
            for each in self.of_video(video_id)
            if each.start_frame < event.end_frame and event.start_frame < each.end_frame
        ]
        if any(each.verdict == REAL for each in about):
            return REAL
        if _mostly(event, [each for each in about if each.verdict == UNSURE]):
            return UNSURE
        if _mostly(event, [each for each in about if each.verdict in (FALSE_ALARM, REST_NORMAL)]):
            return FALSE_ALARM
        return OPEN

    def of_video(self, video_id: str) -> Sequence[Verdict]:
        """What counts of all that was said of one video: a verdict for each event, the latest of all reviewers."""
        return self._by_video.get(video_id, ())


def _mostly(event: Event, ranges: Sequence[Verdict]) -> bool:
    """Whether at least half of an event's frames lie in ranges, which may overlap."""
    covered, reached = 0, event.start_frame
    for each in sorted(ranges, key=lambda each: each.start_frame):
        end = min(each.end_frame, event.end_frame)
        covered += max(0, end - max(each.start_frame, reached))
        reached = max(reached, end)
    return covered > 0 and 2 * covered >= event.end_frame - event.start_frame
