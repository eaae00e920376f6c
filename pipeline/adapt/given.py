"""Which of reviewers' verdicts can be learned from: each is matched to its video, and what contradicts is left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vad_pipeline.extract.errors import readable
from vad_pipeline.extract.names import plural, some
from vad_pipeline.extract.store.entry import Entry

from ..results.curve_group import HeldCurve
from ..results.verdicts import FALSE_ALARM, REAL, REST_NORMAL, UNSURE, Verdict, disagreements


@dataclass(frozen=True, slots=True)
class VideoMarks:
    """What counts of all that was said of one video. Ranges are half-open frames."""

    video: str
    real: tuple[tuple[int, int, str], ...] = ()
    """Start, end and category of what is real."""
    false_alarms: tuple[tuple[int, int], ...] = ()
    unsure: tuple[tuple[int, int], ...] = ()
    """Also where reviewers contradict each other."""
    rest_normal: bool = False
    """Whether somebody said that all frames outside of `real` and `unsure` are normal."""

    @property
    def n_marks(self) -> int:
        """How many marks can be learned from."""
        return len(self.real) + len(self.false_alarms) + self.rest_normal


@dataclass(slots=True)
class GivenMarks:
    """The marks to learn from, and what became of all others."""

    videos: list[VideoMarks] = field(default_factory=list)
    """Those with a mark to learn from, by id."""
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Why -> ids of the events or videos."""
    n_refused: int = 0
    """How many verdicts cannot be of these results' footage and features."""
    n_contradicting: int = 0

    def refuse(self, why: str, verdict: Verdict) -> None:
        """Leave a verdict out that is not of this footage."""
        self.left_out.setdefault(why, []).append(verdict.event_id)
        self.n_refused += 1

    @property
    def counts(self) -> dict[str, int]:
        """How many marks of each kind there are."""
        return {
            "real": sum(len(video.real) for video in self.videos),
            "false_alarm": sum(len(video.false_alarms) for video in self.videos),
            "normal": sum(video.rest_normal for video in self.videos),
        }

    def told(self) -> list[str]:
        """A sentence for each reason why verdicts are not learned from."""
        return [
            f"left out: {plural(len(ids), 'verdict')} {why}: {some(list(map(readable, ids)))}"
            for why, ids in self.left_out.items()
        ]


def usable_marks(verdicts: Sequence[Verdict], curves: Iterable[HeldCurve], entries: Iterable[Entry]) -> GivenMarks:
    """Match verdicts to the curves that they were given on and to the features behind these.

    Args:
        verdicts: as `brought_together` returns them.
        curves: what the results hold.
        entries: what the store holds, of the results' recipe.
    """
    given, by_video = GivenMarks(), {}
    held, stored = {curve.video: curve for curve in curves}, {entry.video: entry for entry in entries}
    for verdict in verdicts:
        why = _not_of_these(verdict, held.get(verdict.video), stored.get(verdict.video))
        if why:
            given.refuse(why, verdict)
        else:
            by_video.setdefault(verdict.video, []).append(verdict)
    for video, said in sorted(by_video.items()):
        marks = _of_video(video, said, given)
        if marks.n_marks:
            given.videos.append(marks)
    return given


def _not_of_these(verdict: Verdict, curve: HeldCurve | None, entry: Entry | None) -> str:
    """Why a verdict cannot be learned from: it is of other footage, or its features are gone; empty where it can."""
    if curve is None:
        return "on videos that these results do not hold"
    if verdict.end_frame > curve.n_frames > 0:
        return "on frames past the end of the video: they are of other footage"
    if entry is None:
        return "on videos whose features the store does not hold"
    if entry.n_frames != curve.n_frames or not curve.made_from.startswith(f"{entry.checksum}/"):
        return "on curves of other features than the store holds now (run detect again)"
    return ""


def _of_video(video: str, said: Sequence[Verdict], given: GivenMarks) -> VideoMarks:
    contradicting = _contradicting(said)
    if contradicting:
        ids = [verdict.event_id for verdict in contradicting]
        given.left_out.setdefault("that contradict each other", []).extend(ids)
        given.n_contradicting += len(ids)
    counted = [verdict for verdict in said if verdict not in contradicting]
    of_kind = {
        kind: [verdict for verdict in counted if verdict.verdict == kind]
        for kind in (REAL, FALSE_ALARM, UNSURE, REST_NORMAL)
    }
    unsure = [*of_kind[UNSURE], *(verdict for verdict in contradicting if verdict.verdict != REST_NORMAL)]
    return VideoMarks(
        video,
        real=tuple(dict.fromkeys((v.start_frame, v.end_frame, v.category) for v in of_kind[REAL])),
        false_alarms=tuple(dict.fromkeys((v.start_frame, v.end_frame) for v in of_kind[FALSE_ALARM])),
        unsure=tuple(dict.fromkeys((v.start_frame, v.end_frame) for v in unsure)),
        rest_normal=bool(of_kind[REST_NORMAL]),
    )


def _contradicting(said: Sequence[Verdict]) -> list[Verdict]:
    """Verdicts on the same frames of which one says real and another not, be they of one reviewer or of several."""
    found = {verdict for each in disagreements(said) for verdict in each.said}
    for one in said:
        for other in said:
            if {one.verdict, other.verdict} == {REAL, FALSE_ALARM} and one.overlaps(other):
                found |= {one, other}
    return [verdict for verdict in said if verdict in found]
