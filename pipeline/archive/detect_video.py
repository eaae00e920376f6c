"""One video of `detect`, wherever a worker does it: features -> scores -> curve, written to a shard."""

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

from ..results.curve_group import CurveOrigin, write_curve
from ..results.curve_table import remove_csv, write_csv
from ..workers.base import Work
from .outcomes import VideoOutcome

if TYPE_CHECKING:
    from vad_pipeline.model.checkpoint import Checkpoint
    from vad_pipeline.model.scoring import Scorer, SnippetScores
    from vad_pipeline.model.zero_shot import ZeroShot


@dataclass(frozen=True, slots=True)
class Detected:
    """What a worker sends back."""

    outcome: VideoOutcome
    shard: Path
    """The curve's."""


@dataclass(frozen=True, slots=True)
class DetectTask:
    """A video to score."""

    entry: Entry
    later_than: int = 0
    """`written_ns` of the curve that is held of it."""


@dataclass(frozen=True, slots=True)
class DetectWork:
    """The work of one run, to be sent to workers."""

    checkpoint: Path
    checkpoint_sha256: str
    zero_shot: ZeroShot | None
    """What scores in the checkpoint's place: text alone."""
    crop: int
    threshold: float
    """The checkpoint's; once the results are begun, that of all their videos."""
    csv: bool
    device: str
    precision: str
    """Of the scores: `fp32` or `bf16`."""
    shards: Path
    """Of the feature store."""
    curves: Path
    """Where curves are written: the same folder for every worker."""

    def begin(self) -> Scorer | ZeroShot:
        """Make this process ready; the same scorer however often it is asked for.

        Raises:
            ConfigError: the checkpoint is another one here.
        """
        return self.zero_shot or _scorer(self.checkpoint, self.checkpoint_sha256, self.device, self.precision)

    def do(self, task: DetectTask) -> Detected:
        """See `detect_video`."""
        return detect_video(task, self, self.begin())

    def here(self, checkpoint: Checkpoint | ZeroShot) -> Work:
        """The same in this process, with the checkpoint that is loaded."""
        from vad_pipeline.extract.device import stopping_where_the_device_fails
        from vad_pipeline.model.scoring import Scorer

        with stopping_where_the_device_fails():
            scorer = self.zero_shot or Scorer(checkpoint, device=self.device, precision=self.precision)
        return Work(lambda: None, partial(detect_video, work=self, scorer=scorer))

    def made_from(self, entry: Entry) -> str:
        """What a curve is made from: the same means the same curve."""
        exact = f"{entry.checksum}/{self.crop}/{self.checkpoint_sha256}"
        return exact if self.precision == "fp32" else f"{exact}/{self.precision}"

    def origin(self, entry: Entry) -> CurveOrigin:
        """What its curve is kept with."""
        return CurveOrigin(
            recipe_id=entry.recipe_id,
            made_from=self.made_from(entry),
            threshold=self.threshold,
            calibrated=self.zero_shot is None,
            source_sha256=entry.fingerprint,
        )

    def outcome(self, entry: Entry, status: str = "ok") -> VideoOutcome:
        """An outcome to be filled in."""
        return VideoOutcome(entry.video, entry.source, status, n_frames=entry.n_frames, recipe_id=entry.recipe_id)


@lru_cache(maxsize=1)
def _scorer(path: Path, sha256: str, device: str, precision: str) -> Scorer:
    from vad_pipeline.extract.device import stopping_where_the_device_fails
    from vad_pipeline.model.checkpoint import load_checkpoint
    from vad_pipeline.model.scoring import Scorer

    checkpoint = load_checkpoint(path)
    if checkpoint.sha256 != sha256:
        raise ConfigError(f"{path}: on {socket.gethostname()} it is another checkpoint; give all hosts the same file")
    with stopping_where_the_device_fails():
        return Scorer(checkpoint, device=device, precision=precision)


def detect_video(task: DetectTask, work: DetectWork, scorer: Scorer | ZeroShot) -> Detected:
    """One video; its table is written before its curve, whose presence says that it is done.

    Raises:
        VideoError: its features lack the crop, or are not to be scored.
        StoreError: the store cannot be read, or results not be written.
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
    """The curve of a video's scores."""
    return curve_from_scores(
        scores,
        video_id=entry.video,
        frame_seconds=video.frame_seconds,
        fps=video.fps,
        source=entry.source,
    )


def _read(entry: Entry, work: DetectWork) -> StoredVideo:
    """The crop that is scored, float16 as it is held: a day of footage is 138 MB. Damage is that video's failure."""
    try:
        return read_entry(work.shards, entry, partial(stored_video, entry, crop=work.crop))
    except (DamagedShard, GoneFromStore) as error:
        raise VideoError(entry.source, "unreadable", f"its features: {error}") from error


def _write_csv(entry: Entry, work: DetectWork, curve: AnomalyCurve) -> None:
    try:
        write_csv(work.curves, curve, calibrated=work.zero_shot is None)
    except ConfigError as error:
        raise VideoError(entry.source, "unreadable", f"its table: {error}") from error


def _score(entry: Entry, embeddings: np.ndarray, scorer: Scorer | ZeroShot) -> SnippetScores:
    from vad_pipeline.extract.device import stopping_where_the_device_fails
    from vad_pipeline.model.scoring import EmbeddingsError

    try:
        with stopping_where_the_device_fails():
            return scorer.score(embeddings)
    except EmbeddingsError as error:
        raise VideoError(entry.source, "unreadable", f"its features cannot be scored: {error}") from error
