"""Fine-tunes a results folder's checkpoint on what reviewers said, and judges it on videos kept from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vad_pipeline.eval.metrics import roc_auc
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.model.curve import AnomalyCurve, event_ranges

from ..archive.detect_video import curve_of
from ..train.data import TrainingVideo
from .folds import folds_of
from .given import VideoMarks
from .judging import Judgement, Reviewed, judge
from .windows_of import judged_frames, windows_of

if TYPE_CHECKING:
    from vad_pipeline.model.checkpoint import Checkpoint

    from .finetune import LabelledRow, TuneRecipe


@dataclass(frozen=True, slots=True, eq=False)
class MarkedVideo:
    """A reviewed video with all that adapting needs of it."""

    marks: VideoMarks
    entry: Entry
    before: AnomalyCurve
    """What the results have."""
    threshold: float
    """That of its events."""


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What adapting works on; nothing of it is changed."""

    load: Callable[[], Checkpoint]
    """Reads the checkpoint anew, so that each fold begins with its weights."""
    store: EmbeddingStore = field(repr=False)
    crop: int
    videos: Sequence[MarkedVideo] = field(repr=False)
    labelled: Sequence[TrainingVideo] = field(repr=False)
    merge_gap_seconds: float
    recipe: TuneRecipe
    seed: int


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What cross-validation says: of the marks, and of the labels where there are any."""

    judgement: Judgement
    n_folds: int
    label_auc: tuple[float, float] | None
    """How well whole videos are told apart by their labels, before and after; None without labels of both kinds."""
    against: float | None
    """How well the old model's scores tell real marks from false alarms, an AUC; None where one kind is lacking."""


LABEL_AUC_MARGIN = 0.05  # that much less is no worse: before, these videos had been trained on, now they are kept out


def fit(ground: Ground, videos: Sequence[MarkedVideo], labelled: Sequence[TrainingVideo], say: Callable) -> Checkpoint:
    """Fine-tune the checkpoint on the marks of some videos and the labels of others."""
    from .finetune import finetune

    checkpoint = ground.load()
    windows = [
        window
        for video in videos
        for window in windows_of(
            video.marks, _features(ground, video.entry), video.before, video.threshold, checkpoint.config
        )
    ]
    rows = [_row(ground, video, checkpoint.config.window_len) for video in labelled]
    finetune(checkpoint, windows, rows, recipe=ground.recipe, seed=ground.seed, on_step=say)
    return checkpoint


def cross_validate(ground: Ground, on_step: Callable[[], None]) -> Verdicts:
    """Judge adapting: each video is scored by a network that has not learned from its marks, nor from its label."""
    folds = folds_of([bool(video.marks.real) for video in ground.videos], seed=ground.seed)
    label_folds = folds_of([video.normal for video in ground.labelled], seed=ground.seed) if ground.labelled else []
    after: dict[int, AnomalyCurve] = {}
    by_label: dict[int, AnomalyCurve] = {}
    for number, fold in enumerate(folds):
        kept = {i for each in label_folds[number :: len(folds)] for i in each}
        theirs = {ground.videos[i].entry.video for i in fold}
        kept |= {i for i, video in enumerate(ground.labelled) if video.entry.video in theirs}
        learned = [video for i, video in enumerate(ground.videos) if i not in fold]
        labelled = [video for i, video in enumerate(ground.labelled) if i not in kept]
        checkpoint = fit(ground, learned, labelled, on_step)
        after |= {i: _curve(ground, ground.videos[i].entry, checkpoint) for i in fold}
        by_label |= {i: _curve(ground, ground.labelled[i].entry, checkpoint) for i in sorted(kept)}
    old, marked = ground.load(), {video.entry.video for video in ground.videos}
    before = [_curve(ground, video.entry, old) for video in ground.labelled]
    alone = [i for i, video in enumerate(ground.labelled) if video.entry.video not in marked]
    judgement = judge(
        [_reviewed(ground, video, video.before) for video in ground.videos]
        + [_by_label(ground.labelled[i], before[i]) for i in alone],
        [_reviewed(ground, video, after[i]) for i, video in enumerate(ground.videos)]
        + [_by_label(ground.labelled[i], by_label[i]) for i in alone],
        threshold=min(video.threshold for video in ground.videos),
        merge_gap_seconds=ground.merge_gap_seconds,
    )
    label_auc = _label_auc(ground.labelled, before, [by_label[i] for i in range(len(before))])
    return Verdicts(judgement, len(folds), label_auc, _against(ground.videos))


def _reviewed(ground: Ground, video: MarkedVideo, curve: AnomalyCurve) -> Reviewed:
    marks = video.marks
    said = [*marks.false_alarms, *marks.unsure, *((start, end) for start, end, _ in marks.real)]
    events = event_ranges(video.before, threshold=video.threshold, merge_gap_seconds=ground.merge_gap_seconds)
    unmarked = [
        (start, end)
        for start, end in events
        if not any(start < after and first < end for first, after in said) and not marks.rest_normal
    ]
    real = tuple((start, end) for start, end, _ in marks.real)
    return Reviewed(curve, judged_frames(marks, curve, unmarked), real)


def _by_label(video: TrainingVideo, curve: AnomalyCurve) -> Reviewed:
    """A labelled video as it is judged: a normal one may raise nothing, an anomalous one must be found somewhere."""
    known = 0 if video.normal else -1
    return Reviewed(curve, np.full(curve.n_frames, known, np.int8), () if video.normal else ((0, curve.n_frames),))


def _label_auc(
    labelled: Sequence[TrainingVideo], before: Sequence[AnomalyCurve], after: Sequence[AnomalyCurve]
) -> tuple[float, float] | None:
    """How well the peaks of labelled videos tell anomalous from normal ones, before and after."""
    anomalous = np.array([not video.normal for video in labelled])
    if len(set(anomalous.tolist())) < 2:
        return None
    return tuple(roc_auc(np.array([curve.scores.max() for curve in curves]), anomalous) for curves in (before, after))


def _against(videos: Sequence[MarkedVideo]) -> float | None:
    """AUC of the old scores' peaks, real marks against false alarms."""
    peaks, real = [], []
    for video in videos:
        for kind, ranges in ((True, [mark[:2] for mark in video.marks.real]), (False, video.marks.false_alarms)):
            peaks += [float(video.before.scores[start:end].max()) for start, end in ranges]
            real += [kind] * len(ranges)
    return roc_auc(np.array(peaks), np.array(real, bool)) if peaks else None


def _features(ground: Ground, entry: Entry) -> np.ndarray:
    return ground.store.crop(entry, ground.crop)


def _row(ground: Ground, video: TrainingVideo, window_len: int) -> LabelledRow:
    from vad_pipeline.model.windows import pool

    from .finetune import LabelledRow

    return LabelledRow(pool(_features(ground, video.entry), window_len=window_len), video.columns)


def _curve(ground: Ground, entry: Entry, checkpoint: Checkpoint) -> AnomalyCurve:
    from vad_pipeline.model.scoring import Scorer

    return curve_of(entry, ground.store.get(entry), Scorer(checkpoint).score(_features(ground, entry)))


def save(checkpoint: Checkpoint, out: Path, *, base: Path, threshold: float, made_of: dict) -> None:
    """Write an adapted checkpoint, complete or not at all; what only training reads is taken over from its base.

    Raises:
        StoreError: it cannot be written.
    """
    from vad_pipeline.model.initial import training_tensors

    adapted = replace(checkpoint, threshold=threshold, calibration=None)
    adapted.save(out, training=training_tensors(base), made_of=made_of)
