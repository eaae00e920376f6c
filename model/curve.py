"""Scores per snippet -> a curve per frame -> events. numpy only: looking at results loads no torch.

Shapes: F frames, n snippets, C categories (normal first). Frames count from 0, ranges are half-open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from vad_pipeline.extract.gaps import Gap, find_gaps, frame_ends

if TYPE_CHECKING:
    from .scoring import SnippetScores

MERGE_GAP_SECONDS = 1.0
TIME_TOLERANCE_SECONDS = 1e-6  # rounding of timestamps: a gap of just the merge gap must not depend on it


@dataclass(frozen=True, slots=True, eq=False)
class AnomalyCurve:
    """The anomaly score of every frame of a video."""

    video_id: str
    scores: np.ndarray = field(repr=False)
    """(F,) float32 in 0 to 1."""
    frame_seconds: np.ndarray = field(repr=False)
    """(F,) float64, not decreasing."""
    category: np.ndarray = field(repr=False)
    """(n, C) float32, probabilities per snippet."""
    categories: tuple[str, ...]
    """Names of the columns, the normal one first."""
    snippet_len: int
    """Frames a snippet stands for; the last one also stands for a dropped tail."""
    fps: Fraction
    """Average rate."""
    source: str
    """The file, for people."""
    gaps: tuple[Gap, ...] = field(init=False, repr=False)
    """Stretches of time without footage: no part of an event, nor of any count of hours."""

    def __post_init__(self):
        n_frames = len(self.scores)
        if self.scores.ndim != 1 or not n_frames:
            raise ValueError(f"expected scores of shape (F >= 1,), got {self.scores.shape}")
        if self.frame_seconds.shape != (n_frames,):
            raise ValueError(f"expected frame_seconds of shape ({n_frames},), got {self.frame_seconds.shape}")
        if len(self.categories) < 2 or self.category.shape != (len(self.category), len(self.categories)):
            raise ValueError(f"expected category of shape (n, {len(self.categories)}), got {self.category.shape}")
        if self.snippet_len < 1 or self.fps <= 0:
            raise ValueError(f"expected snippet_len and fps above 0, got {self.snippet_len} and {self.fps}")
        dropped, kept = max(1, n_frames // self.snippet_len), -(-n_frames // self.snippet_len)
        if len(self.category) not in (dropped, kept):
            raise ValueError(f"expected {dropped} or {kept} snippets for {n_frames} frames, got {len(self.category)}")
        if not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise ValueError("expected scores in 0 to 1, got values outside or not finite")
        if not np.isfinite(self.category).all():
            raise ValueError("expected category probabilities that are finite, got others")
        if not np.isfinite(self.frame_seconds).all() or (np.diff(self.frame_seconds) < 0).any():
            raise ValueError("expected frame_seconds that do not decrease, got others")
        object.__setattr__(self, "gaps", find_gaps(self.frame_seconds))

    def __repr__(self) -> str:
        return f"AnomalyCurve({self.video_id!r}, scores={self.scores.shape}, category={self.category.shape})"

    @property
    def n_frames(self) -> int:
        """Frames of the video, F."""
        return len(self.scores)

    def frame_ends(self) -> np.ndarray:
        """When each frame is over, (F,) float64: as the next one begins, or a gap."""
        return frame_ends(self.frame_seconds, self.gaps, last_seconds=float(1 / self.fps))

    def end_of(self, frame: int) -> float:
        """When one frame is over, as `frame_ends` has it."""
        for gap in self.gaps:
            if gap.frame == frame + 1:
                return gap.start_seconds
        last = frame == self.n_frames - 1
        return float(self.frame_seconds[-1] + float(1 / self.fps) if last else self.frame_seconds[frame + 1])

    @property
    def footage_seconds(self) -> float:
        """How much footage there is, gaps left out."""
        return float((self.frame_ends() - self.frame_seconds).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """A stretch of a video that is likely anomalous."""

    event_id: str
    """`VIDEO@START-END` in frames: the same stretch of the same video has the same id, no two events share one."""
    start_frame: int
    end_frame: int
    """Half-open."""
    start_seconds: float
    end_seconds: float
    """When its last frame is over: as `end_frame` begins, unless a gap or the video's end comes before."""
    category: str
    """The likeliest anomaly category."""
    category_probability: float
    """Its mean over the event's frames."""
    peak_score: float
    peak_frame: int
    """The first frame of the highest score."""

    def __post_init__(self):
        if not 0 <= self.start_frame <= self.peak_frame < self.end_frame:
            raise ValueError(
                f"expected 0 <= start <= peak < end, got {self.start_frame}, {self.peak_frame}, {self.end_frame}"
            )
        if not self.start_seconds <= self.end_seconds:
            raise ValueError(f"expected start before end, got {self.start_seconds} to {self.end_seconds} seconds")


def snippet_of_frame(n_frames: int, *, n_snippets: int, snippet_len: int) -> np.ndarray:
    """Which snippet stands for each frame, (F,) int64; the last one repeats over a dropped tail."""
    return np.minimum(np.arange(n_frames) // snippet_len, n_snippets - 1)


def curve_from_scores(
    scores: SnippetScores, *, video_id: str, frame_seconds: np.ndarray, fps: Fraction, source: str
) -> AnomalyCurve:
    """Spread snippet scores over frames.

    Args:
        scores: of the video's n snippets.
        video_id: its id.
        frame_seconds: (F,), one value a frame.
        fps: average rate.
        source: the file.

    Returns:
        A curve of exactly F values.

    Raises:
        ValueError: the snippets do not fit the frames.
    """
    frame_seconds = np.asarray(frame_seconds, np.float64)
    snippet = snippet_of_frame(len(frame_seconds), n_snippets=len(scores.anomaly), snippet_len=scores.snippet_len)
    return AnomalyCurve(
        video_id=video_id,
        scores=scores.anomaly[snippet].astype(np.float32, copy=False),
        frame_seconds=frame_seconds,
        category=scores.category,
        categories=scores.categories,
        snippet_len=scores.snippet_len,
        fps=fps,
        source=source,
    )


def find_events(curve: AnomalyCurve, *, threshold: float, merge_gap_seconds: float = MERGE_GAP_SECONDS) -> list[Event]:
    """Runs of frames at or over the threshold, those closer together than the merge gap joined.

    A gap in the footage ends a run, and is bridged like any other distance: where it is shorter than the merge gap.

    Args:
        curve: of one video.
        threshold: score, 0 to 1.
        merge_gap_seconds: from the end of a run to the start of the next; just as far apart stays apart.

    Returns:
        Events by time; none overlap.

    Raises:
        ValueError: threshold or gap is not a number, or the gap negative.
    """
    if not np.isfinite(threshold) or not merge_gap_seconds >= 0:
        raise ValueError(f"expected a threshold and a gap >= 0 s, got {threshold} and {merge_gap_seconds}")
    above = curve.scores >= np.float32(threshold)
    # int8 steps: +1 where a run starts, -1 just after its end
    steps = np.diff(above.astype(np.int8), prepend=0, append=0)
    cuts = [gap.frame for gap in curve.gaps if above[gap.frame - 1] and above[gap.frame]]
    starts, ends = (np.sort(np.append(np.flatnonzero(steps == step), cuts)).astype(np.int64) for step in (1, -1))
    if not len(starts):
        return []
    distances = curve.frame_seconds[starts[1:]] - curve.frame_ends()[ends[:-1] - 1]
    apart = distances >= merge_gap_seconds - TIME_TOLERANCE_SECONDS
    starts, ends = starts[np.r_[True, apart]], ends[np.r_[apart, True]]
    return [event_between(curve, int(start), int(end)) for start, end in zip(starts, ends, strict=True)]


def event_between(curve: AnomalyCurve, start: int, end: int) -> Event:
    """The event of the frames `start` to `end`, half-open: its times, category and peak."""
    n_snippets = len(curve.category)
    snippet = np.minimum(np.arange(start, end) // curve.snippet_len, n_snippets - 1)
    first = snippet[0]
    frames = np.bincount(snippet - first)  # how many of the event's frames each snippet stands for
    mean = frames @ curve.category[first : first + len(frames)].astype(np.float64) / (end - start)
    best = 1 + int(mean[1:].argmax())
    peak = start + int(curve.scores[start:end].argmax())
    return Event(
        event_id=f"{curve.video_id}@{start}-{end}",
        start_frame=start,
        end_frame=end,
        start_seconds=float(curve.frame_seconds[start]),
        end_seconds=curve.end_of(end - 1),
        category=curve.categories[best],
        category_probability=float(mean[best]),
        peak_score=float(curve.scores[peak]),
        peak_frame=peak,
    )
