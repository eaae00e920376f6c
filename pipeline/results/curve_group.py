"""One curve's group in a shard: written, and read back. Needs no `Results`, so that workers can write."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.extract.files import write_bytes
from vad_pipeline.extract.names import is_plain_id
from vad_pipeline.extract.store.entry import DAMAGE
from vad_pipeline.extract.store.shards import Group, build, group_in, group_name, new_path, opened
from vad_pipeline.extract.store.versions import Version, time_after
from vad_pipeline.model.curve import AnomalyCurve


@dataclass(frozen=True, slots=True)
class CurveOrigin:
    """What a curve was made with."""

    recipe_id: str
    """Of its features."""
    made_from: str
    """Checksum of the features, crop and checkpoint: the same means the same curve."""
    threshold: float
    """Of its events, at first."""
    calibrated: bool = True
    """Whether scores mean what a trained checkpoint's do; not so with --zero-shot."""
    source_sha256: str = ""
    """Of the file that it comes from, as it was when it was extracted; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class HeldCurve:
    """What is known of a curve without reading its scores."""

    version: Version
    video: str
    made_from: str
    """See `CurveOrigin`."""
    peak_score: float
    """What no frame's score exceeds: a curve below a threshold need not be read for its events."""
    source_sha256: str
    """See `CurveOrigin`."""


def write_curve(curves: Path, curve: AnomalyCurve, origin: CurveOrigin, *, later_than: int = 0) -> Path:
    """Write a curve as a shard of its own; once this returns, it is in place.

    Args:
        curves: the folder of shards.
        curve: of one video.
        origin: what it was made with.
        later_than: `written_ns` of the curve that this one is to supersede, whatever the clock says.

    Returns:
        The shard.

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
    datasets = {"score": curve.scores, "category": curve.category, "frame_seconds": curve.frame_seconds}
    path = new_path(curves)
    write_bytes(path, build([Group(group_name(curve.video_id, origin.recipe_id), attributes, datasets)]))
    return path


def held_curve(shard: str, node: h5py.Group) -> HeldCurve:
    """What a group of the file `shard` says of its curve.

    Raises:
        One of DAMAGE: an attribute is missing or cannot be used.
    """
    attributes = node.attrs
    if not is_plain_id(attributes["video"]):
        raise ValueError("its video id cannot be used")
    return HeldCurve(
        Version(int(attributes["written_ns"]), shard),
        attributes["video"],
        attributes["made_from"],
        peak_score=float(attributes.get("peak_score", 1.0)),
        source_sha256=str(attributes.get("source_sha256", "")),
    )


def read_curve(shard: Path, name: str) -> AnomalyCurve:
    """The curve in the group `name` of a shard.

    Raises:
        FileNotFoundError: the shard is gone.
        StoreError: damaged.
    """
    try:
        with opened(shard) as root:
            node = group_in(root, name)
            return AnomalyCurve(
                video_id=node.attrs["video"],
                scores=node["score"][()],
                frame_seconds=node["frame_seconds"][()],
                category=node["category"][()],
                categories=tuple(node.attrs["categories"]),
                snippet_len=int(node.attrs["snippet_len"]),
                fps=Fraction(*(int(part) for part in node.attrs["fps"])),
                source=node.attrs["source"],
            )
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        raise StoreError(f"{shard}: cannot be read ({error}); delete it and detect again") from error
