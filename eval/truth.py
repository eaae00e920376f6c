"""Annotations laid over curves: which belongs to which, and which frames of a curve are anomalous."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.names import NameIndex, some, strip_suffix
from vad_pipeline.model.curve import TIME_TOLERANCE_SECONDS, AnomalyCurve

from .annotation import VideoAnnotation

PROTOCOLS = ("corrected", "official")

KNOWN_TRUTHS = {
    (1_109_680, 84_128): "UCF-Crime's published truth: 16 * floor(decoded frames / 16) frames a video",
    (1_111_742, None): "UCF-Crime with every decoded frame: the published counts less one frame a video",
    (1_112_032, None): "UCF-Crime with the published frame counts as they are",
    (1_114_320, None): "UCF-Crime with the published frame counts rounded up to whole snippets",
    (2_330_384, 537_805): "XD-Violence's published truth",
}
"""(frames, anomalous frames where the tail leaves them alone) -> what has this length."""


def known_truth(n_frames: int, n_anomalous_frames: int) -> str | None:
    """Which known test truth has this length, in words; None where none has."""
    for (length, n_anomalous), what in KNOWN_TRUTHS.items():
        if length == n_frames:
            same = n_anomalous in (None, n_anomalous_frames)
            return what if same else f"{what}, but with {n_anomalous:,} anomalous frames"
    return None


@dataclass(frozen=True, slots=True)
class Matched:
    """Annotations and the results they belong to."""

    pairs: tuple[tuple[VideoAnnotation, str], ...]
    """With the video id, in the annotations' order."""
    without_result: tuple[str, ...]
    """Annotated names that match no id."""
    without_annotation: tuple[str, ...]
    """Ids that no name matches."""

    @property
    def video_ids(self) -> list[str]:
        """Of all results."""
        return [*(video_id for _, video_id in self.pairs), *self.without_annotation]


def match_annotations(annotations: Iterable[VideoAnnotation], video_ids: Sequence[str]) -> Matched:
    """Find each annotation's result by the one rule for names.

    Raises:
        ConfigError: a name matches two ids, two names match one id, or an id is there twice.
    """
    twice = [video_id for video_id, n_times in Counter(video_ids).items() if n_times > 1]
    if twice:
        raise ConfigError(f"the results hold {len(twice)} videos twice (two recipes?): {some(twice)}")
    annotations = list(annotations)
    found = NameIndex(video_ids).find_all(annotation.name for annotation in annotations)
    pairs, missing, taken = [], [], {}
    for annotation in annotations:
        video_id = found[annotation.name]
        if video_id is None:
            missing.append(annotation.name)
            continue
        if video_id in taken:
            names = f"{taken[video_id]} and {annotation.name}"
            raise ConfigError(f"two annotated names mean the video {video_id}: {names}")
        taken[video_id] = annotation.name
        pairs.append((annotation, video_id))
    return Matched(tuple(pairs), tuple(missing), tuple(each for each in video_ids if each not in taken))


def names_without_folder(missing: Iterable[str], video_ids: Iterable[str]) -> int:
    """How many missing names would match once their folder is dropped: worth a hint."""
    index = {video_id.rsplit("/", 1)[-1] for video_id in video_ids}
    return sum("/" in name and strip_suffix(name).rsplit("/", 1)[-1] in index for name in missing)


@dataclass(frozen=True, slots=True, eq=False)
class VideoTruth:
    """One video's curve and truth, on the frames that count."""

    curve: AnomalyCurve = field(repr=False)
    annotation: VideoAnnotation
    n_frames: int
    """Frames that count, F' <= F."""
    ranges: tuple[tuple[int, int, str | None], ...]
    """(start, end, category), half-open frames as annotated: they may overlap and end past the last frame."""

    def frames(self) -> np.ndarray:
        """(F',) bool: which frames are anomalous."""
        truth = np.zeros(self.n_frames, bool)
        for start, end, _ in self.ranges:
            truth[start:end] = True
        return truth

    @property
    def n_snippets(self) -> int:
        """Snippets that count; the last one may stand for more or fewer frames than the others."""
        return min(len(self.curve.category), -(-self.n_frames // self.curve.snippet_len))

    @property
    def n_past_end(self) -> int:
        """Ranges that end past the last frame that counts."""
        return sum(end > self.n_frames for _, end, _ in self.ranges)


def lay_over(annotation: VideoAnnotation, curve: AnomalyCurve, protocol: str) -> VideoTruth:
    """Bring a video's annotation and curve together.

    Args:
        annotation: of the video.
        curve: its result; its frame_seconds turn annotated seconds into frames.
        protocol: `official` counts the frames of whole snippets only, as the published features have them (all, where
            a video is shorter than a snippet), `corrected` every frame.
    """
    n_frames = curve.n_frames
    if protocol == "official":
        n_frames = n_frames // curve.snippet_len * curve.snippet_len or n_frames
    ranges = []
    for each in annotation.ranges:
        start, end = each.start, each.end
        if annotation.in_seconds:
            start, end = _frames_at(curve, start, end, annotation)
        ranges.append((start, end, each.category))
    return VideoTruth(curve, annotation, n_frames, tuple(ranges))


def _frames_at(curve: AnomalyCurve, start: float, end: float, annotation: VideoAnnotation) -> tuple[int, int]:
    """The frames shown from `start` on and before `end` (or at it): one more than there are where it ends later.

    A range between two frames is the frame shown meanwhile.
    """
    seconds, side = curve.frame_seconds, "right" if annotation.ends_inclusive else "left"
    shift = TIME_TOLERANCE_SECONDS if annotation.ends_inclusive else -TIME_TOLERANCE_SECONDS
    first = int(np.searchsorted(seconds, start - TIME_TOLERANCE_SECONDS))
    after = int(np.searchsorted(seconds, end + shift, side=side))
    if end > seconds[-1] + float(1 / curve.fps) + TIME_TOLERANCE_SECONDS:
        return first, curve.n_frames + 1
    if after <= first:
        first = max(first - 1, 0)
    return first, max(after, first + 1)
