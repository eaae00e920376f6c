"""One video of a camera, an hour at most, as it grows: features in, scores at a delay out, its curve so far."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from vad_pipeline.extract.recipe import SNIPPET_LEN
from vad_pipeline.model.curve import AnomalyCurve, curve_from_scores
from vad_pipeline.model.live import LiveScores
from vad_pipeline.model.scoring import Scorer, SnippetScores

from ..results.curve_group import CurveOrigin, write_curve
from .journal import Journal, head_of

NO_FOOTAGE = ""  # as the source of a curve: a file that has grown has other times than its frames had as they arrived


@dataclass(frozen=True, slots=True)
class Scoring:
    """What all videos of a run are scored with, and where their curves go."""

    scorer: Scorer
    delay: int
    """In snippets."""
    origin: CurveOrigin
    curves: Path
    """The folder of curves."""
    journals: Path
    """The folder of what survives a kill."""


class Part:
    """One video of a camera as it grows.

    Args:
        scoring: what it is scored with.
        video_id: its id.
        began: seconds since 1970 that are second 0 of it.
        fps: frame rate that the camera states.
    """

    def __init__(self, scoring: Scoring, video_id: str, began: float, fps: Fraction):
        self.video_id, self._scoring, self._began, self._fps = video_id, scoring, began, fps
        self._live = LiveScores(scoring.scorer, [scoring.delay])
        self._times: list[np.ndarray] = []  # of each snippet's frames
        self._scores: list[np.ndarray] = []
        self._category: list[np.ndarray] = []
        self._n_journalled, self._is_over = 0, False
        self._shard: Path | None = None
        of = {"video": video_id, "source": NO_FOOTAGE, "fps": fps, "categories": list(scoring.scorer.categories)}
        self._journal = Journal(scoring.journals, head_of(of, scoring.origin))

    def add(self, features: np.ndarray, times: tuple[float, ...]) -> None:
        """Take in the next snippet.

        Args:
            features: (D,) float: the mean embedding of its frames.
            times: when its frames are shown, seconds since 1970.
        """
        self._times.append(np.array(times) - self._began)
        self._take(self._live.add(np.asarray(features, np.float16)[None])[0])

    def end(self, times: tuple[float, ...]) -> None:
        """The video has ended: nothing more can be waited for.

        Args:
            times: of the frames after its last snippet.
        """
        self._is_over = True
        if self._times and times:
            self._times.append(np.array(times) - self._began)
        self._take(self._live.add(np.empty((0, self._scoring.scorer.config.width), np.float16), last=True)[0])

    def _take(self, told: SnippetScores) -> None:
        self._scores.append(told.anomaly)
        self._category.append(told.category)

    def sync(self) -> None:
        """Let what is scored so far survive a kill; a snippet of fewer frames, at a video's end, goes into no journal.

        Raises:
            StoreError: the disk cannot be written.
        """
        scores, category = np.concatenate(self._scores or [[]]), self._category
        new = slice(self._n_journalled, len(scores))
        whole = [times for times in self._times[new] if len(times) == SNIPPET_LEN]
        if whole:
            ends = slice(new.start, new.start + len(whole))
            self._journal.append(np.stack(whole), scores[ends], np.concatenate(category)[ends])
            self._n_journalled = ends.stop
        self._journal.sync()

    def curve(self) -> AnomalyCurve | None:
        """The curve so far: of the snippets that are scored; None before the first one is."""
        scores = np.concatenate(self._scores or [np.empty(0, np.float32)])
        if not len(scores):
            return None
        times = np.concatenate(self._times if self._is_over else self._times[: len(scores)])
        made = SnippetScores(scores, np.concatenate(self._category), self._scoring.scorer.categories, SNIPPET_LEN)
        return curve_from_scores(made, video_id=self.video_id, frame_seconds=times, fps=self._fps, source=NO_FOOTAGE)

    def write(self, curve: AnomalyCurve) -> None:
        """Write the curve so far in place of the one before.

        Raises:
            StoreError: the disk cannot be written.
        """
        before = self._shard
        self._shard = write_curve(self._scoring.curves, curve, self._scoring.origin)
        if before is not None:
            before.unlink(missing_ok=True)

    def close(self) -> None:
        """The curve is written for good: the journal has done its part."""
        self._journal.delete()
