"""Measures a network during training: on held-out videos with labels, or, for comparison, on the test set's frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vad_pipeline.eval.annotation import VideoAnnotation
from vad_pipeline.eval.evaluation import evaluate
from vad_pipeline.eval.metrics import roc_auc
from vad_pipeline.eval.thresholds import SECONDS_PER_HOUR, calibrate_threshold, rate_bound
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.model.calibration import Calibration
from vad_pipeline.model.curve import MERGE_GAP_SECONDS, AnomalyCurve

from ..archive.detect_video import curve_of
from .data import TrainingVideo

if TYPE_CHECKING:
    from vad_pipeline.model.checkpoint import Checkpoint

SMALLEST_PROBABILITY = 1e-7  # keeps the logarithm of a sure and wrong score finite


@dataclass(frozen=True, slots=True)
class Measured:
    """How well a network did at one step."""

    values: tuple[float, ...]
    """What networks are compared by: larger is better; a later value counts only where all earlier ones are equal."""
    named: dict[str, float]
    """Name -> measure, as shown and logged; the one that selects comes first."""
    threshold: float | None = None
    """Threshold chosen on held-out normal videos; None where there are none. Its false alarms are in `named`."""
    calibration: Calibration | None = None
    """What these videos can say of that threshold."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """`--select val`: measures a network on held-out videos, of which only labels are known.

    A video's score is the mean of its highest snippet scores, as in training. The measure is the AUC of these scores
    against whether the videos are anomalous. With few videos AUCs are often equal; the later step then counts as
    better, as choosing by cross-entropy would favour early weights that are unsure of everything.
    """

    store: EmbeddingStore = field(repr=False)
    videos: Sequence[TrainingVideo] = field(repr=False)
    crop: int
    device: str
    false_alarms_per_hour: float

    names = ("val_video_auc", "val_loss", "val_false_alarms_per_hour")

    def measure(self, checkpoint: Checkpoint, step: int) -> Measured:
        """Score the held-out videos."""
        curves = _curves([video.entry for video in self.videos], self.store, checkpoint, self.crop, self.device)
        scores = np.array([_video_score(curve) for curve in curves])
        anomalous = np.array([not video.normal for video in self.videos])
        auc = roc_auc(scores, anomalous)
        sure = np.clip(np.where(anomalous, scores, 1 - scores), SMALLEST_PROBABILITY, 1)
        loss = float(-np.log(sure).mean())
        normal = [curve for curve, video in zip(curves, self.videos, strict=True) if video.normal]
        threshold, rate = calibrate_threshold(
            normal, false_alarms_per_hour=self.false_alarms_per_hour, merge_gap_seconds=MERGE_GAP_SECONDS
        )
        hours = sum(curve.footage_seconds for curve in normal) / SECONDS_PER_HOUR
        calibration = Calibration(
            hours, self.false_alarms_per_hour, rate, rate_bound(round(rate * hours), hours), rate_bound(0, hours)
        )
        named = dict(zip(self.names, (auc, loss, rate), strict=True))
        return Measured((auc, float(step)), named, threshold, calibration)


@dataclass(frozen=True, slots=True, eq=False)
class OnTestSet:
    """`--select test`: measures a network on the test set, as the paper does, which reports figures on it too."""

    store: EmbeddingStore = field(repr=False)
    entries: Sequence[Entry] = field(repr=False)
    annotations: Sequence[VideoAnnotation] = field(repr=False)
    crop: int
    device: str
    figure: str
    """The measure over frames: `auc` or `ap`."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the measures that are logged."""
        return (f"test_{self.figure}",)

    def measure(self, checkpoint: Checkpoint, step: int) -> Measured:
        """Score the test videos."""
        curves = _curves(self.entries, self.store, checkpoint, self.crop, self.device)
        value = getattr(evaluate(curves, self.annotations, protocol="official"), self.figure)
        if value is None:
            raise ConfigError(f"the test set's truth holds frames of one kind only: {self.figure} is undefined")
        return Measured((value,), {self.names[0]: value})


@dataclass(frozen=True, slots=True)
class LastStep:
    """Used where no video could be held out: the latest weights count as the best."""

    names = ()

    def measure(self, checkpoint: Checkpoint, step: int) -> Measured:
        """Return the step itself as the measure, so that later weights are better."""
        return Measured((float(step),), {})


Judge = HeldOut | OnTestSet | LastStep


def _curves(
    entries: Sequence[Entry], store: EmbeddingStore, checkpoint: Checkpoint, crop: int, device: str
) -> list[AnomalyCurve]:
    from vad_pipeline.model.scoring import Scorer

    scorer = Scorer(checkpoint, device=device)
    curves = []
    for entry in entries:
        video = store.get(entry)
        curves.append(curve_of(entry, video, scorer.score(video.crop(crop))))
    return curves


def _video_score(curve: AnomalyCurve) -> float:
    """A video's score: the mean of its `int(n / 16 + 1)` highest snippet scores, of n snippets."""
    from vad_pipeline.model.learning.losses import TOP_K_SHARE

    snippets = curve.scores[:: curve.snippet_len][: len(curve.category)]
    return float(np.sort(snippets)[-(len(snippets) // TOP_K_SHARE + 1) :].mean())
