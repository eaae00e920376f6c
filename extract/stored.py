"""One video's group read back from a shard, and held to what `EmbeddingStore.put` writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import h5py
import numpy as np

from .catalogue import DAMAGE, Entry, entry_of
from .errors import ConfigError, VadError
from .recipe import Recipe
from .shards import checksum, group_name


@dataclass(frozen=True, slots=True, eq=False)
class StoredVideo:
    """One video's features as they lie in the store."""

    entry: Entry
    features: np.ndarray = field(repr=False)
    """(crops, n, 512) float16."""
    snippet_seconds: np.ndarray = field(repr=False)
    """(n, 2) float64."""
    frame_seconds: np.ndarray = field(repr=False)
    """(F,) float64."""
    fps: Fraction
    snippet_len: int

    def __post_init__(self):
        crops, n = len(self.entry.crop_numbers), len(self.snippet_seconds)
        if self.features.shape[:2] != (crops, n) or not n or self.features.dtype.kind != "f":
            raise ValueError(f"expected features of {crops} crops and {n} snippets, got {self.features.shape}")
        seconds = self.frame_seconds
        if seconds.shape != (self.entry.n_frames,) or not np.isfinite(seconds).all() or (np.diff(seconds) <= 0).any():
            raise ValueError(f"expected {self.entry.n_frames} increasing frame times, got {seconds.shape}")
        if self.fps <= 0 or self.snippet_len < 1:
            raise ValueError(f"expected fps and snippet_len above 0, got {self.fps} and {self.snippet_len}")

    def crop(self, number: int) -> np.ndarray:
        """(n, 512) float32 of one crop.

        Raises:
            ConfigError: it is not held.
        """
        held = self.entry.crop_numbers
        if number not in held:
            raise ConfigError(
                f"{self.entry.video}: crop {number} is not in the store (held: {', '.join(map(str, held))}); "
                f"extract with --crops {number}"
            )
        return self.features[held.index(number)].astype(np.float32)


def stored_video(entry: Entry, node: h5py.Group) -> StoredVideo:
    """Read a group.

    Raises:
        One of DAMAGE: it is not what `put` writes.
    """
    return StoredVideo(
        entry,
        node["features"][()],
        node["snippet_seconds"][()],
        node["frame_seconds"][()],
        Fraction(*(int(part) for part in node.attrs["fps"])),
        int(node.attrs["snippet_len"]),
    )


def group_problem(name: str, shard: str, node: h5py.Group) -> str | None:
    """What is wrong with a group of a shard, everything read and compared; None where nothing is."""
    try:
        return _disagreement(name, shard, node)
    except (VadError, *DAMAGE) as error:
        return f"{name}: cannot be read ({error})"


def _disagreement(name: str, shard: str, node: h5py.Group) -> str | None:
    entry = entry_of(name, shard, node)
    datasets = {key: node[key][()] for key in node}
    if checksum(datasets) != entry.checksum:
        return f"{entry.video}: checksum differs: the data are not what was written"
    if group_name(entry.video, entry.recipe_id) != name or Recipe.from_json(entry.recipe).recipe_id != entry.recipe_id:
        return f"{entry.video}: name and recipe disagree with its attributes"
    stored_video(entry, node)  # raises where shapes, times or rate cannot be
    return None
