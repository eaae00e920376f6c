"""Curves + annotations -> `EvalResult`: every figure of evaluation.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.model.categories import ANOMALY, NORMAL
from vad_pipeline.model.curve import MERGE_GAP_SECONDS, AnomalyCurve

from .annotation import VideoAnnotation, category_key
from .bootstrap import interval, video_draws
from .detection import IOU_THRESHOLDS, TOP_SHARE, Localisation, Segments, localise, merge_segments
from .metrics import Ranking, area_under_roc, precision_sum, recall_within
from .notes import evaluation_notes, some
from .thresholds import false_alarms_per_hour
from .truth import PROTOCOLS, Matched, VideoTruth, lay_over, match_annotations

EVALUATION_SCHEMA = 1


@dataclass(frozen=True, slots=True, eq=False)
class EvalResult:
    """The figures of one set of curves. Shares and areas are fractions 0 to 1; None where a figure is undefined."""

    protocol: str
    n_videos: int
    n_frames: int
    n_anomalous_frames: int
    auc: float | None
    """Area under the ROC curve over the frames of all videos together."""
    ap: float | None
    """Average precision over the frames of all videos together."""
    auc_anomalous: float | None
    """Area under the ROC curve over the frames of anomalous videos only."""
    recall_at_2_percent_fpr: float | None
    """Share of anomalous frames found where at most 2% of the normal frames are taken for anomalous."""
    threshold: float
    """Score from which a frame belongs to an event, for the false alarms."""
    false_alarms_per_hour: float | None
    """Events at `threshold` without an anomalous frame, per hour of normal footage."""
    category_accuracy: float | None
    """Share of anomalous videos whose likeliest anomaly category is one of the true ones; None, as `map` is, of results
    that tell no categories apart."""
    map: dict[str, float] | None
    """mAP at each IoU threshold, as text (`0.1`), and their mean, `average`."""
    per_category: dict[str, dict]
    """Category -> n_videos, n_anomalous_frames, auc (over that category's videos only), map (its AP, mean over IoU)."""
    ci: dict[str, tuple[float, float] | None]
    """95% bootstrap intervals of auc, ap, auc_anomalous and map; empty where no resamples were asked for."""
    missing: dict[str, list[str]]
    """`without_result`: annotated names without a result; `without_annotation`: ids of videos without annotation."""
    notes: tuple[str, ...]
    """What a reader of the figures must know, one sentence each."""
    video_ids: tuple[str, ...] = field(repr=False)
    """Ids of the videos that were compared."""
    resamples: dict[str, np.ndarray] = field(repr=False)
    """Figure -> its value in each resample (NaN where undefined). Resample i draws alike for all results of as many
    videos, so that two results of the same videos can be compared resample by resample."""
    roc: tuple[np.ndarray, np.ndarray] = field(repr=False)
    """True and false positive frames at or over each distinct score, from the highest score down: (K,), (K,)."""

    def __post_init__(self):
        if not 0 <= self.n_anomalous_frames <= self.n_frames:
            raise ValueError(f"expected anomalous frames within {self.n_frames}, got {self.n_anomalous_frames}")

    def to_json(self) -> dict:
        """The fields of evaluation.json that come from the figures; arrays and video ids are left out."""
        kept = ("video_ids", "resamples", "roc")
        values = {name: getattr(self, name) for name in self.__slots__ if name not in kept}
        return {"schema": EVALUATION_SCHEMA, **values, "notes": list(self.notes)}


def evaluate(
    curves: Sequence[AnomalyCurve],
    annotations: Sequence[VideoAnnotation],
    *,
    protocol: str = "corrected",
    threshold: float = 0.5,
    merge_gap_seconds: float = MERGE_GAP_SECONDS,
    normal_is_segment: bool = False,
    n_resamples: int = 0,
) -> EvalResult:
    """Compare curves with the ground truth.

    Args:
        curves: one for each video, all with the same categories, the normal one first.
        annotations: one for each video; videos that only one side has are reported in `missing`.
        protocol: `corrected`, or `official`: frames of whole snippets only, mAP with the published quirks.
        threshold: score from which a frame belongs to an event, for the false alarms.
        merge_gap_seconds: events closer than this are one, for the false alarms.
        normal_is_segment: read by `official` only: whether a whole normal video is a true segment of the normal
            category, as in XD-Violence's published truth; UCF-Crime's has no such segments.
        n_resamples: how many resamples of the videos the intervals are taken from; 0: no intervals.

    Raises:
        ConfigError: no annotation matches a curve, a name matches two videos, or categories differ between curves.
        ValueError: an unknown protocol.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"expected protocol of {PROTOCOLS}, got {protocol!r}")
    matched, videos = _compared(curves, annotations, protocol)
    truths = [video.frames() for video in videos]
    runs = _Runs.of(videos, truths)
    localisation, lacking = _localise(videos, protocol, normal_is_segment=normal_is_segment)
    told_apart = not (lacking and _knows_only_anomaly(videos[0].curve.categories))
    localisation = localisation if told_apart else None
    of_anomalous = _Runs.of(videos, truths, np.array([not video.annotation.is_normal for video in videos]))
    figures = _figures(runs, of_anomalous, localisation)
    draws = video_draws(len(videos), n_resamples=n_resamples)
    drawn = [_figures(runs, of_anomalous, localisation, draw) for draw in draws]
    resamples = {name: np.array([each[name] for each in drawn], np.float64) for name in figures}  # None becomes nan
    maps = localisation and localisation.mean_average_precision()
    return EvalResult(
        protocol=protocol,
        n_videos=len(videos),
        n_frames=sum(video.n_frames for video in videos),
        n_anomalous_frames=int(sum(truth.sum() for truth in truths)),
        auc=figures["auc"],
        ap=figures["ap"],
        auc_anomalous=figures["auc_anomalous"],
        recall_at_2_percent_fpr=recall_within(*runs.counts()),
        threshold=threshold,
        false_alarms_per_hour=false_alarms_per_hour(
            [video.curve for video in videos], truths, threshold=threshold, merge_gap_seconds=merge_gap_seconds
        ),
        category_accuracy=_category_accuracy(videos) if told_apart else None,
        map=None if maps is None else {"average": float(maps.mean()), **_by_iou(maps)},
        per_category=_per_category(videos, truths, localisation),
        ci={name: interval(values) for name, values in resamples.items()} if n_resamples else {},
        missing={
            "without_result": list(matched.without_result),
            "without_annotation": list(matched.without_annotation),
        },
        notes=tuple(evaluation_notes(videos, protocol, figures, lacking if told_apart else None, matched)),
        video_ids=tuple(video.curve.video_id for video in videos),
        resamples=resamples,
        roc=runs.counts(),
    )


def _compared(
    curves: Sequence[AnomalyCurve], annotations: Sequence[VideoAnnotation], protocol: str
) -> tuple[Matched, list[VideoTruth]]:
    """Match annotations with curves, and lay each matched annotation over its curve, in the annotations' order."""
    by_id = {curve.video_id: curve for curve in curves}
    matched = match_annotations(annotations, [curve.video_id for curve in curves])
    if not matched.pairs:
        raise ConfigError(
            f"no annotated name matches a result; annotated: {some([each.name for each in annotations])}; "
            f"results: {some(list(by_id))}"
        )
    videos = [lay_over(annotation, by_id[video_id], protocol) for annotation, video_id in matched.pairs]
    if any(video.curve.categories != videos[0].curve.categories for video in videos):
        raise ConfigError("the results hold curves of different categories: evaluate them one by one")
    return matched, videos


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """Runs of consecutive frames of equal score and truth, sorted by falling score.

    Scores change only once a snippet, so there are far fewer runs than frames.
    """

    ranking: Ranking
    lengths: np.ndarray
    """(N,) int64: frames of each run, in the ranking's order."""
    video: np.ndarray
    """(N,) int64: index of each run's video, in the ranking's order."""

    @classmethod
    def of(cls, videos: Sequence[VideoTruth], truths: Sequence[np.ndarray], chosen: np.ndarray | None = None) -> _Runs:
        """Find the runs of all videos, or of the `chosen` (V,) bool; a video's index is the same in both cases."""
        scores, positive, lengths, indices = [[np.empty(0)] for _ in range(4)]
        for index in range(len(videos)) if chosen is None else np.flatnonzero(chosen):
            truth, values = truths[index], videos[index].curve.scores[: videos[index].n_frames]
            starts = np.flatnonzero(np.append(True, (values[1:] != values[:-1]) | (truth[1:] != truth[:-1])))
            scores.append(values[starts])
            positive.append(truth[starts])
            lengths.append(np.diff(np.append(starts, len(values))))
            indices.append(np.full(len(starts), index))
        ranking = Ranking.of(np.concatenate(scores), np.concatenate(positive))
        lengths, indices = (np.concatenate(each).astype(np.int64)[ranking.order] for each in (lengths, indices))
        return cls(ranking, lengths, indices)

    def counts(self, draw: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """True and false positive frames at or over each distinct score; `draw` (V,) says how often a video counts."""
        return self.ranking.counts(self.lengths if draw is None else self.lengths * draw[self.video])


def _figures(
    runs: _Runs, of_anomalous: _Runs, localisation: Localisation | None, draw: np.ndarray | None = None
) -> dict[str, float | None]:
    counts = runs.counts(draw)
    maps = localisation and localisation.mean_average_precision(draw)
    return {
        "auc": area_under_roc(*counts),
        "ap": precision_sum(*counts),
        "auc_anomalous": area_under_roc(*of_anomalous.counts(draw)),
        "map": None if maps is None else float(maps.mean()),
    }


def _localise(
    videos: Sequence[VideoTruth], protocol: str, *, normal_is_segment: bool
) -> tuple[Localisation, list[str]]:
    """Match proposed with true segments; also give the true categories that the results do not know."""
    categories = videos[0].curve.categories
    columns = {category_key(name): column for column, name in enumerate(categories)}
    columns.setdefault(category_key("Normal"), NORMAL)
    lacking: dict[str, str] = {}
    rows = []
    for index, video in enumerate(videos):
        for start, end, name in video.ranges:
            if name is None:
                continue
            key = category_key(name)
            if key not in columns:
                columns[key] = max(len(categories), *(column + 1 for column in columns.values()))
                lacking[key] = name
            rows.append((columns[key], index, start, end))
        if video.annotation.is_normal and normal_is_segment and protocol == "official":
            rows.append((NORMAL, index, 0, video.n_frames))
    truth = Segments(*np.array(rows, np.int64).reshape(-1, 4).T)
    n_frames = [video.n_frames for video in videos]
    if protocol == "corrected":
        truth = merge_segments(truth, n_frames)
    localisation = localise(
        [video.curve.category[: video.n_snippets] for video in videos],
        n_frames,
        truth,
        snippet_len=[video.curve.snippet_len for video in videos],
        protocol=protocol,
    )
    return localisation, list(lacking.values())


def _knows_only_anomaly(categories: Sequence[str]) -> bool:
    """Whether results tell no categories apart, as those of scores alone."""
    return [category_key(name) for name in categories[NORMAL + 1 :]] == [category_key(ANOMALY)]


def _category_accuracy(videos: Sequence[VideoTruth]) -> float | None:
    """Share of anomalous videos whose likeliest anomaly category is a true one; None where no video is anomalous.

    Likeliest is the category whose top `int(n / 16 + 1)` snippet probabilities have the highest mean.
    """
    right = []
    for video in videos:
        if video.annotation.is_normal:
            continue
        probabilities = video.curve.category[: video.n_snippets, NORMAL + 1 :].astype(np.float64)
        n_top = min(len(probabilities), int(len(probabilities) / TOP_SHARE + 1))
        means = np.sort(probabilities, axis=0)[-n_top:].mean(axis=0)
        likeliest = video.curve.categories[NORMAL + 1 + int(means.argmax())]
        right.append(category_key(likeliest) in {category_key(name) for name in video.annotation.categories})
    return float(np.mean(right)) if right else None


def _per_category(
    videos: Sequence[VideoTruth], truths: Sequence[np.ndarray], localisation: Localisation | None
) -> dict[str, dict]:
    names = {category_key(name): name for name in videos[0].curve.categories[NORMAL + 1 :]}
    for video in videos:
        names |= {category_key(name): name for name in video.annotation.categories if category_key(name) not in names}
    columns = {category_key(name): column for column, name in enumerate(videos[0].curve.categories)}
    precisions = localisation and localisation.average_precisions().mean(axis=0)
    found = {}
    for key, name in names.items():
        of_it = np.array([key in {category_key(each) for each in video.annotation.categories} for video in videos])
        if not of_it.any():
            continue
        precision = np.nan if precisions is None else precisions[columns[key]] if key in columns else 0.0
        found[name] = {
            "n_videos": int(of_it.sum()),
            "n_anomalous_frames": int(sum(truth.sum() for truth, has in zip(truths, of_it, strict=True) if has)),
            "auc": area_under_roc(*_Runs.of(videos, truths, of_it).counts()),
            "map": None if np.isnan(precision) else float(precision),
        }
    return found


def _by_iou(maps: np.ndarray) -> dict[str, float]:
    return {f"{threshold:g}": float(value) for threshold, value in zip(IOU_THRESHOLDS, maps, strict=True)}
