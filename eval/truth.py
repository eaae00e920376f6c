"""Lays annotations over curves: which annotation belongs to which curve, and which frames are anomalous."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.names import NameIndex, plural, some, strip_suffix
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
"""(frames, anomalous frames) of a whole test set -> what it is. None: the frames alone tell which it is."""


def known_truth(n_frames: int, n_anomalous_frames: int) -> str | None:
    """Say in words which published test set has this many frames; None where none has."""
    for (length, n_anomalous), what in KNOWN_TRUTHS.items():
        if length == n_frames:
            same = n_anomalous in (None, n_anomalous_frames)
            return what if same else f"{what}, but with {n_anomalous:,} anomalous frames"
    return None


@dataclass(frozen=True, slots=True)
class Matched:
    """Which annotation belongs to which video of the results."""

    pairs: tuple[tuple[VideoAnnotation, str], ...]
    """Each matched annotation with the id of its video, in the annotations' order."""
    without_result: tuple[str, ...]
    """Annotated names that match no video id."""
    without_annotation: tuple[str, ...]
    """Video ids that no annotated name matches."""

    @property
    def video_ids(self) -> list[str]:
        """The ids of all videos of the results: those with an annotation first."""
        return [*(video_id for _, video_id in self.pairs), *self.without_annotation]


def match_annotations(annotations: Iterable[VideoAnnotation], video_ids: Sequence[str]) -> Matched:
    """Find the video that each annotation is about.

    A name means the id that equals it or ends with `/` and the name; `NameIndex` has the whole rule.

    Args:
        annotations: one for each annotated video.
        video_ids: ids of the videos of the results.

    Raises:
        ConfigError: a name matches two ids, two names match one id, or an id is there twice.
    """
    twice = [video_id for video_id, n_times in Counter(video_ids).items() if n_times > 1]
    if twice:
        raise ConfigError(f"the results hold {plural(len(twice), 'video')} twice (two recipes?): {some(twice)}")
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
    """How many of the missing names would match an id if their folder were dropped; the notes hint at it."""
    index = {video_id.rsplit("/", 1)[-1] for video_id in video_ids}
    return sum("/" in name and strip_suffix(name).rsplit("/", 1)[-1] in index for name in missing)


@dataclass(frozen=True, slots=True, eq=False)
class VideoTruth:
    """One video's curve and ground truth.

    The protocol decides which frames count: all F, or with `official` the first F' only (see `lay_over`).
    """

    curve: AnomalyCurve = field(repr=False)
    annotation: VideoAnnotation
    n_frames: int
    """How many frames count, F' <= F."""
    ranges: tuple[tuple[int, int, str | None], ...]
    """(start, end, category), half-open frames as annotated: they may overlap and end past the last frame."""

    def frames(self) -> np.ndarray:
        """Which of the frames that count are anomalous, (F',) bool."""
        truth = np.zeros(self.n_frames, bool)
        for start, end, _ in self.ranges:
            truth[start:end] = True
        return truth

    @property
    def n_snippets(self) -> int:
        """How many snippets count; the last one may stand for more or fewer frames than the others."""
        return min(len(self.curve.category), -(-self.n_frames // self.curve.snippet_len))

    @property
    def n_past_end(self) -> int:
        """How many ranges end past the last frame that counts."""
        return sum(end > self.n_frames for _, end, _ in self.ranges)


def lay_over(annotation: VideoAnnotation, curve: AnomalyCurve, protocol: str) -> VideoTruth:
    """Bring a video's annotation and curve together.

    Args:
        annotation: what the ground truth says about the video.
        curve: the video's result; its `frame_seconds` turn annotated seconds into frames.
        protocol: `official` counts the frames of whole snippets only, as the published features have them (all frames
            where a video is shorter than a snippet); `corrected` counts every frame.
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
    """Turn a range in seconds into half-open frames: those shown from `start` on and before `end`, at least one.

    A frame shown just at `end` is included where the annotation's ends are inclusive. A range between the starts of two
    frames gives the frame shown meanwhile. A range past the video's end gives F + 1 as its end, so that it is counted
    among the ranges that end too late.
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
