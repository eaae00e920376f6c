"""Scores per snippet -> a curve per frame -> events. numpy only: looking at results loads no torch.

An example with snippets of 4 frames at 4 frames/s, so of 1 s each, a threshold of .5 and a merge gap of 1.5 s:

    snippet       0     1     2     3     4     5     6       26 frames: 6 whole snippets, a dropped tail of 2
    seconds       0     1     2     3     4     5     6
    score        .1    .9    .2    .7    .1    .1   (.1)      the tail has the score of the last snippet
    run                [--]        [--]                       frames 4 to 8 and 12 to 16
    event              [--------------]                       1 s apart, less than 1.5 s: one event, frames 4 to 16

With a merge gap of 1 s there are two events: runs just as far apart as the merge gap stay apart.

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
TIME_TOLERANCE_SECONDS = 1e-6  # rounding of timestamps; whether runs are a merge gap apart must not depend on it


@dataclass(frozen=True, slots=True, eq=False)
class AnomalyCurve:
    """The anomaly score of every frame of a video."""

    video_id: str
    scores: np.ndarray = field(repr=False)
    """(F,) float32 in 0 to 1."""
    frame_seconds: np.ndarray = field(repr=False)
    """(F,) float64: when each frame is shown, not decreasing."""
    category: np.ndarray = field(repr=False)
    """(n, C) float32: probability of each category in each snippet."""
    categories: tuple[str, ...]
    """Names of the columns, the normal one first."""
    snippet_len: int
    """Frames a snippet stands for; the last one also stands for a dropped tail."""
    fps: Fraction
    """Average frame rate, frames/s."""
    source: str
    """Path of the video file, as people are shown it."""
    stream: int = 1
    """Which of the file's video streams, from 1."""
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
        """How many frames the video has, F."""
        return len(self.scores)

    def frame_ends(self) -> np.ndarray:
        """When each frame ends, (F,) float64 seconds: where the next frame or a gap begins."""
        return frame_ends(self.frame_seconds, self.gaps, last_seconds=float(1 / self.fps))

    def end_of(self, frame: int) -> float:
        """When one frame ends, in seconds: the value that `frame_ends` has for it."""
        for gap in self.gaps:
            if gap.frame == frame + 1:
                return gap.start_seconds
        last = frame == self.n_frames - 1
        return float(self.frame_seconds[-1] + float(1 / self.fps) if last else self.frame_seconds[frame + 1])

    @property
    def footage_seconds(self) -> float:
        """How many seconds of footage there are, without gaps."""
        return float((self.frame_ends() - self.frame_seconds).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """A stretch of a video that is likely anomalous."""

    event_id: str
    """`VIDEO@START-END`, in frames: two events have the same id only if they are the same stretch of the same video."""
    start_frame: int
    end_frame: int
    """The frame after the event's last one."""
    start_seconds: float
    end_seconds: float
    """When the event's last frame ends: where `end_frame` begins, unless a gap or the video's end comes before."""
    category: str
    """The likeliest anomaly category."""
    category_probability: float
    """The mean probability of that category over the event's frames."""
    peak_score: float
    """The highest score."""
    peak_frame: int
    """The first frame that has the highest score."""

    def __post_init__(self):
        if not 0 <= self.start_frame <= self.peak_frame < self.end_frame:
            raise ValueError(
                f"expected 0 <= start <= peak < end, got {self.start_frame}, {self.peak_frame}, {self.end_frame}"
            )
        if not self.start_seconds <= self.end_seconds:
            raise ValueError(f"expected start before end, got {self.start_seconds} to {self.end_seconds} seconds")


def snippet_of_frame(n_frames: int, *, n_snippets: int, snippet_len: int) -> np.ndarray:
    """Which snippet's score each frame has, (F,) int64; frames of a dropped tail have the last snippet's."""
    return np.minimum(np.arange(n_frames) // snippet_len, n_snippets - 1)


def category_of_scores(scores: np.ndarray, *, snippet_len: int) -> np.ndarray:
    """The probabilities of `ANOMALY_ALONE` where only scores are known: the mean score of each snippet, and 1 less it.

    Args:
        scores: (F,) in 0 to 1, one a frame.
        snippet_len: frames of a snippet; the last one may be shorter.

    Returns:
        (ceil(F / snippet_len), 2) float32.
    """
    anomaly = means_of_snippets(scores, snippet_len=snippet_len)
    return np.stack([1 - anomaly, anomaly], axis=1)


def means_of_snippets(values: np.ndarray, *, snippet_len: int) -> np.ndarray:
    """The mean of each snippet's frames, of (F,) or (F, C) values: (n,) or (n, C) float32."""
    starts = np.arange(0, len(values), snippet_len)
    sums = np.add.reduceat(np.asarray(values, np.float64), starts, axis=0)
    counts = np.diff(np.append(starts, len(values)))
    return (sums.T / counts).T.astype(np.float32)


def curve_from_scores(
    scores: SnippetScores, *, video_id: str, frame_seconds: np.ndarray, fps: Fraction, source: str, stream: int = 1
) -> AnomalyCurve:
    """Give each frame the score of its snippet.

    Args:
        scores: scores of the video's n snippets.
        video_id: the video's id.
        frame_seconds: (F,), when each frame is shown.
        fps: average frame rate, frames/s.
        source: path of the video file.
        stream: which of the file's video streams, from 1.

    Returns:
        A curve of F scores.

    Raises:
        ValueError: F frames do not have n snippets.
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
        stream=stream,
    )


def find_events(curve: AnomalyCurve, *, threshold: float, merge_gap_seconds: float = MERGE_GAP_SECONDS) -> list[Event]:
    """Find events: runs of frames at or over the threshold, joined where they are closer together than the merge gap.

    A gap in the footage ends a run too; the runs around it are joined if the gap is shorter than the merge gap.

    Args:
        curve: scores of one video.
        threshold: score from which a frame belongs to an event, 0 to 1.
        merge_gap_seconds: time between the end of a run and the start of the next from which on they stay apart.

    Returns:
        Events in the order of time; none overlap.

    Raises:
        ValueError: the threshold is not finite, or the merge gap is negative or not a number.
    """
    ranges = event_ranges(curve, threshold=threshold, merge_gap_seconds=merge_gap_seconds)
    return [event_between(curve, start, end) for start, end in ranges]


def event_ranges(curve: AnomalyCurve, *, threshold: float, merge_gap_seconds: float) -> list[tuple[int, int]]:
    """The half-open frames of the events that `find_events` finds; see there."""
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
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def event_between(curve: AnomalyCurve, start: int, end: int) -> Event:
    """Make the event of the half-open frames `start` to `end`: find its times, category and peak."""
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
