"""Writes one curve as an HDF5 group in a shard, and reads it back. Needs no `Results`, so that workers can write.

Others write such groups too, by docs/reference.md: of what `write_curve` writes, little is needed to read a curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np

from vad_pipeline.extract.decode.timeline import median_rate
from vad_pipeline.extract.errors import DamagedShard
from vad_pipeline.extract.files import write_bytes
from vad_pipeline.extract.names import flat
from vad_pipeline.extract.recipe import SNIPPET_LEN
from vad_pipeline.extract.store.attributes import number, plain_id, rate, stream_of, text, texts, whole, written_ns
from vad_pipeline.extract.store.entry import DAMAGE
from vad_pipeline.extract.store.shards import (
    Group,
    build,
    checksum,
    group_in,
    group_name,
    names_below,
    new_path,
    opened,
    refuse_unreadable,
    video_of,
)
from vad_pipeline.extract.store.versions import Version, time_after
from vad_pipeline.model.categories import ANOMALY_ALONE
from vad_pipeline.model.curve import AnomalyCurve, category_of_scores


@dataclass(frozen=True, slots=True)
class CurveOrigin:
    """What a curve was made with."""

    recipe_id: str
    """The recipe of the features that were scored."""
    made_from: str
    """Names the features (by checksum), the crop and the checkpoint: curves with the same text are the same."""
    threshold: float
    """The threshold of its events when the curve was written."""
    calibrated: bool = True
    """Whether the scores mean what those of a trained checkpoint mean; False with --zero-shot."""
    source_sha256: str = ""
    """SHA-256 of the video file when its features were extracted; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class HeldCurve:
    """What the attributes of a stored curve say; its scores are not read for this."""

    version: Version
    video: str
    made_from: str
    """Names what the curve was made from, as in `CurveOrigin`."""
    peak_score: float
    """The highest score of any frame: a curve whose peak is below a threshold has no events and need not be read."""
    source_sha256: str
    """SHA-256 of the video file, as in `CurveOrigin`; empty where it is not known."""
    n_frames: int = 0
    """0 where the attributes do not say it."""
    fps: Fraction | None = None
    """Average frame rate, frames/s; None where the attributes do not say it."""

    @property
    def seconds(self) -> float:
        """How long the video is, gaps left out; 0 where the attributes do not say it."""
        return float(self.n_frames / self.fps) if self.fps else 0.0


def write_curve(curves: Path, curve: AnomalyCurve, origin: CurveOrigin, *, later_than: int = 0) -> Path:
    """Write a curve as a shard of its own, which is complete on disk once this returns.

    Args:
        curves: the folder of shards.
        curve: the curve of one video.
        origin: what it was made with.
        later_than: `written_ns` of the curve that this one replaces; the new one gets a later stamp even where the
            machine's clock is behind.

    Returns:
        The path of the shard.

    Raises:
        StoreError: the folder cannot be written.
    """
    attributes = {
        "video": curve.video_id,
        "n_frames": curve.n_frames,
        "fps": np.array([curve.fps.numerator, curve.fps.denominator], np.int64),
        "snippet_len": curve.snippet_len,
        "categories": list(curve.categories),
        "threshold": origin.threshold,
        "calibrated": origin.calibrated,
        "source": curve.source,
        "source_sha256": origin.source_sha256,
        "recipe_id": origin.recipe_id,
        "made_from": origin.made_from,
        "peak_score": float(curve.scores.max()),
        "written_ns": time_after(later_than),
    }
    if curve.stream > 1:
        attributes["stream"] = curve.stream
    datasets = {"score": curve.scores, "category": curve.category, "frame_seconds": curve.frame_seconds}
    path = new_path(curves)
    write_bytes(path, build([Group(group_name(curve.video_id, origin.recipe_id), attributes, datasets)]))
    return path


def held_curves(shard: Path) -> tuple[dict[str, HeldCurve], dict[str, str]]:
    """Read the attributes of all curves in a shard.

    Returns:
        The curves whose attributes can be used, by group name; for the others, what is wrong.

    Raises:
        FileNotFoundError: the shard is gone, merged into another by another run.
        DamagedShard: it cannot be read at all.
        StoreError: the disk cannot be read.
    """
    found, damaged = {}, {}
    try:
        with opened(shard) as root:
            for name in names_below(root):
                try:
                    found[name] = _held_curve(name, shard.name, group_in(root, name))
                except (DamagedShard, *DAMAGE) as error:
                    refuse_unreadable(shard, error)
                    damaged[name] = str(error)
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        refuse_unreadable(shard, error)
        raise DamagedShard(f"{shard}: cannot be read ({error})") from error
    return found, damaged


def _held_curve(name: str, shard: str, node: h5py.Group) -> HeldCurve:
    video_id, given = plain_id(node), node.attrs
    if name.rpartition("@")[0] != flat(video_id):
        raise ValueError(f"its group is not named `{flat(video_id)}@`, as its attribute `video` says")
    return HeldCurve(
        Version(written_ns(node) if "written_ns" in given else 0, shard),
        video_id,
        text(node, "made_from") if "made_from" in given else "",
        peak_score=number(node, "peak_score") if "peak_score" in given else 1.0,
        source_sha256=text(node, "source_sha256") if "source_sha256" in given else "",
        n_frames=whole(node, "n_frames", least=1) if "n_frames" in given else 0,
        fps=rate(node) if "fps" in given else None,
    )


def read_curve(shard: Path, name: str, categories: tuple[str, ...] = ()) -> AnomalyCurve:
    """The curve in the group `name` of a shard.

    Args:
        shard: the shard.
        name: the group's name.
        categories: those of run.json, for a group that does not name its own.

    Raises:
        FileNotFoundError: the shard is gone, merged into another by another run.
        DamagedShard: the shard or the group is damaged, or lacks what a curve needs.
        StoreError: the disk cannot be read.
    """
    try:
        with opened(shard) as root:
            node = group_in(root, name)
            curve = _curve(node, categories)
            if "checksum" in node.attrs and checksum({key: node[key][()] for key in node}) != text(node, "checksum"):
                raise ValueError("checksum differs: the scores are not what was written")
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        refuse_unreadable(shard, error)
        raise DamagedShard(f"{shard}: {video_of(name)} cannot be read ({error}); make it anew") from error
    return curve


def _curve(node: h5py.Group, categories: tuple[str, ...]) -> AnomalyCurve:
    """The curve in a group; only the scores, their times and the id must be there."""
    there = set(node)
    lacking = next((key for key in ("score", "frame_seconds") if key not in there), None)
    if lacking:
        raise ValueError(f"lacks the data set `{lacking}`")
    scores, seconds = node["score"][()].astype(np.float32), node["frame_seconds"][()].astype(np.float64)
    if scores.ndim != 1:
        raise ValueError(f"`score` has the shape {scores.shape}; expected one value a frame")
    snippet_len = whole(node, "snippet_len", least=1) if "snippet_len" in node.attrs else SNIPPET_LEN
    if "category" in there:
        category = node["category"][()]
        categories = texts(node, "categories") if "categories" in node.attrs else categories
    else:
        category, categories = category_of_scores(scores, snippet_len=snippet_len), ANOMALY_ALONE
    return AnomalyCurve(
        video_id=plain_id(node),
        scores=scores,
        frame_seconds=seconds,
        category=category,
        categories=categories,
        snippet_len=snippet_len,
        fps=rate(node) if "fps" in node.attrs else median_rate(seconds),
        source=text(node, "source") if "source" in node.attrs else "",
        stream=stream_of(node),
    )
