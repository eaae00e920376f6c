"""What a worker does for `detect` with one video: read its features, score them, write the curve into a shard."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vad_pipeline.extract.errors import ConfigError, DamagedShard, GoneFromStore, VideoError
from vad_pipeline.extract.stopwatch import Stopwatch
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.extract.store.stored import StoredVideo, read_entry, stored_video
from vad_pipeline.model.curve import AnomalyCurve, curve_from_scores

from ..outcomes.video_outcome import VideoOutcome
from ..results.curve_group import CurveOrigin, write_curve
from ..results.curve_table import remove_csv, write_csv
from ..workers.base import Work

if TYPE_CHECKING:
    from vad_pipeline.model.checkpoint import Checkpoint
    from vad_pipeline.model.heads.own import OwnHead
    from vad_pipeline.model.live import DelayedScorer
    from vad_pipeline.model.scoring import Scorer, SnippetScores
    from vad_pipeline.model.zero_shot import ZeroShot


@dataclass(frozen=True, slots=True)
class Detected:
    """What a worker sends back of one video."""

    outcome: VideoOutcome
    shard: Path
    """The shard that the curve was written to."""


@dataclass(frozen=True, slots=True)
class DetectTask:
    """A video to score."""

    entry: Entry
    later_than: int = 0
    """`written_ns` of the curve that the results hold of the video; 0: none."""


@dataclass(frozen=True, slots=True)
class DetectWork:
    """The work of one `detect` run, as it is sent to workers."""

    checkpoint: Path
    checkpoint_sha256: str
    own: OwnHead | None
    """Where the code of a head of the user's own is."""
    score: str | None
    """Which of the network's scores the curve is; None: the checkpoint's."""
    zero_shot: ZeroShot | None
    """With --zero-shot what scores, by texts, in place of the checkpoint; else None."""
    crop: int
    delay: int | None
    """How many later snippets each score may have seen, as live; None: whole videos are scored."""
    threshold: float
    """The checkpoint's threshold; once the results folder is begun, the threshold that holds there."""
    csv: bool
    device: str
    precision: str
    """Precision of the computation: `fp32` or `bf16`."""
    shards: Path
    """The folder of the feature store's shards."""
    curves: Path
    """The folder that curves are written to, the same for every worker."""

    def begin(self) -> Scorer | DelayedScorer | ZeroShot:
        """Load the checkpoint in this process; every further call returns the same scorer.

        Raises:
            ConfigError: the checkpoint file on this machine has another content.
        """
        return self.zero_shot or self._delayed(_scorer(self))

    def do(self, task: DetectTask) -> Detected:
        """Score one video in a worker, as `detect_video` does."""
        return detect_video(task, self, self.begin())

    def here(self, checkpoint: Checkpoint | ZeroShot) -> Work:
        """The same work for this process, using a checkpoint that is loaded already."""
        from vad_pipeline.extract.device import stopping_where_the_device_fails
        from vad_pipeline.model.scoring import Scorer

        with stopping_where_the_device_fails():
            scorer = self.zero_shot or self._delayed(Scorer(checkpoint, device=self.device, precision=self.precision))
        return Work(lambda: None, partial(detect_video, work=self, scorer=scorer))

    def _delayed(self, scorer: Scorer) -> Scorer | DelayedScorer:
        """What scores as a stream would have been scored, where a delay is given; else the scorer itself."""
        from vad_pipeline.model.live import DelayedScorer

        return scorer if self.delay is None else DelayedScorer(scorer, self.delay)

    def made_from(self, entry: Entry) -> str:
        """A text that names all that a curve is made from: curves with the same text are the same."""
        exact = f"{entry.checksum}/{self.crop}/{self.checkpoint_sha256}"
        changes = [self.score and f"score {self.score}", self.precision if self.precision != "fp32" else None]
        changes.append(None if self.delay is None else f"delay {self.delay}")
        return "/".join([exact, *filter(None, changes)])

    def origin(self, entry: Entry) -> CurveOrigin:
        """What is stored beside the curve of these features."""
        return CurveOrigin(
            recipe_id=entry.recipe_id,
            made_from=self.made_from(entry),
            threshold=self.threshold,
            calibrated=self.zero_shot is None,
            source_sha256=entry.fingerprint,
        )

    def outcome(self, entry: Entry, status: str = "ok") -> VideoOutcome:
        """Begin the outcome of a video; `detect_video` fills in the rest."""
        known = {"n_frames": entry.n_frames, "recipe_id": entry.recipe_id, "stream": entry.stream}
        return VideoOutcome(entry.video, entry.source, status, **known)


@lru_cache(maxsize=1)
def _scorer(work: DetectWork) -> Scorer:
    from vad_pipeline.extract.device import stopping_where_the_device_fails
    from vad_pipeline.model.checkpoint import load_checkpoint
    from vad_pipeline.model.scoring import Scorer

    checkpoint = load_checkpoint(work.checkpoint, own=work.own)
    if checkpoint.sha256 != work.checkpoint_sha256:
        where = f"{work.checkpoint}: on {socket.gethostname()}"
        raise ConfigError(f"{where} it is another checkpoint; give all hosts the same file")
    with stopping_where_the_device_fails():
        return Scorer(checkpoint.with_curve(work.score), device=work.device, precision=work.precision)


def detect_video(task: DetectTask, work: DetectWork, scorer: Scorer | DelayedScorer | ZeroShot) -> Detected:
    """Score one video and write its curve.

    The CSV file is written before the curve: once a curve is there, all that belongs to it is.

    Raises:
        VideoError: the video's features lack the crop, are damaged, or cannot be scored.
        StoreError: the store cannot be read, or the results cannot be written.
        DeviceFailed: the GPU is out of memory or gone.
    """
    entry = task.entry
    outcome = work.outcome(entry)
    outcome.host = socket.gethostname()
    if work.crop not in entry.crop_numbers:
        reason = f"crop {work.crop} of it is not in the store; extract it with --crops {work.crop}"
        raise VideoError(entry.source, "unreadable", reason)
    with Stopwatch() as reading:
        video = _read(entry, work)
    with Stopwatch() as scoring:
        scores = _score(entry, video.features[0], scorer)
    curve = curve_of(entry, video, scores)
    with Stopwatch() as writing:
        if work.csv:
            _write_csv(entry, work, curve)
        else:
            remove_csv(work.curves, entry.video)
        shard = write_curve(work.curves, curve, work.origin(entry), later_than=task.later_than)
    outcome.seconds = {"read": reading.seconds, "score": scoring.seconds, "write": writing.seconds}
    return Detected(outcome, shard)


def curve_of(entry: Entry, video: StoredVideo, scores: SnippetScores) -> AnomalyCurve:
    """Make the per-frame curve of a video from the scores of its snippets."""
    return curve_from_scores(
        scores,
        video_id=entry.video,
        frame_seconds=video.frame_seconds,
        fps=video.fps,
        source=entry.source,
        stream=entry.stream,
    )


def _read(entry: Entry, work: DetectWork) -> StoredVideo:
    """Read the features of the scored crop, as float16 (138 MB for a day of footage).

    Raises:
        VideoError: the features are damaged or gone; other videos may still be scored.
    """
    try:
        return read_entry(work.shards, entry, partial(stored_video, entry, crop=work.crop))
    except (DamagedShard, GoneFromStore) as error:
        raise VideoError(entry.source, "unreadable", f"its features: {error}") from error


def _write_csv(entry: Entry, work: DetectWork, curve: AnomalyCurve) -> None:
    try:
        write_csv(work.curves, curve, calibrated=work.zero_shot is None)
    except ConfigError as error:
        raise VideoError(entry.source, "unreadable", f"its table: {error}") from error


def _score(entry: Entry, embeddings: np.ndarray, scorer: Scorer | DelayedScorer | ZeroShot) -> SnippetScores:
    from vad_pipeline.extract.device import stopping_where_the_device_fails
    from vad_pipeline.model.scoring import EmbeddingsError

    try:
        with stopping_where_the_device_fails():
            return scorer.score(embeddings)
    except EmbeddingsError as error:
        raise VideoError(entry.source, "unreadable", f"its features cannot be scored: {error}") from error
