"""`Entry`: what the catalogue knows of a video's features, read from the attributes of their group in a shard."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import h5py

from ..decode.timeline import TIMELINE
from ..errors import ConfigError, DamagedShard, StoreError, readable
from ..recipe import Recipe
from .attributes import copied, plain_id, stream_of, text, whole, wholes, written_ns
from .shards import group_in, group_name, names_below, opened, refuse_unreadable

TEXTS = ("recipe", "recipe_id", "fingerprint", "precision", "runtime", "source", "label", "checksum")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one video's features of one recipe without reading them."""

    name: str
    """Name of their group."""
    shard: str
    """File name below STORE/shards."""
    video: str
    """Video id."""
    recipe_id: str
    recipe: str
    """The recipe as JSON."""
    crops: str
    """The crops' numbers as a JSON list."""
    n_frames: int
    n_snippets: int
    size: int
    """Bytes of the source file; -1 for imported features."""
    mtime_ns: int
    fingerprint: str
    precision: str
    runtime: str
    source: str
    """Path of the file that the features were made from."""
    label: str
    """The category that imported features were listed with; else empty."""
    written_ns: int
    """When this group was made, ns; of two groups of one name the later one counts."""
    checksum: str
    timeline: int = 1
    """Which rules its frame times follow: see retiming.py."""
    stream: int = 1
    """Which of the file's video streams they were made from, from 1."""

    @property
    def is_timed(self) -> bool:
        """Whether its frame times follow the rules of today; those of imported features are assumed."""
        return self.timeline == TIMELINE or self.size < 0

    @property
    def crop_numbers(self) -> tuple[int, ...]:
        """The numbers of the stored crops, in the order of the features' first axis."""
        return tuple(json.loads(self.crops))

    def has_crops(self, wanted: Iterable[int]) -> bool:
        """Whether all crops of these numbers are stored."""
        return set(wanted) <= set(self.crop_numbers)


COLUMNS = tuple(f.name for f in fields(Entry))
# what reading a damaged or foreign group can raise
DAMAGE = (OSError, RuntimeError, KeyError, IndexError, ValueError, TypeError, AttributeError, ArithmeticError)


def entry_of(name: str, shard: str, node: h5py.Group) -> Entry:
    """What a group says of itself.

    Raises:
        DamagedShard: an attribute is missing, cannot be used, or contradicts another.
        StoreError: the disk cannot be read.
    """
    try:
        return _entry(name, shard, node)
    except (*DAMAGE, ConfigError) as error:
        refuse_unreadable(Path(node.file.filename), error)
        raise DamagedShard(
            f"{shard}: group {readable(name)} is damaged ({error}); run `vad-pipeline store verify`"
        ) from error


def entries_in(path: Path) -> tuple[list[Entry], list[StoreError]]:
    """The entries of a shard's undamaged groups, and an error for each damaged one. All attributes are read, so that
    none is read for the first time by a process with more to lose.

    Raises:
        DamagedShard: the shard cannot be read at all.
        FileNotFoundError: it is gone.
        StoreError: the disk cannot be read.
    """
    entries, problems = [], []
    try:
        with opened(path) as root:
            for name in names_below(root):
                try:
                    node = group_in(root, name)
                    entries.append(entry_of(name, path.name, node))
                    copied(node)
                except DamagedShard as error:
                    problems.append(error)
                except DAMAGE as error:
                    refuse_unreadable(path, error)
                    problems.append(_damaged(path, error))
    except DAMAGE as error:
        refuse_unreadable(path, error)
        raise _damaged(path, error) from error
    return entries, problems


def _damaged(path: Path, error: Exception) -> DamagedShard:
    return DamagedShard(f"{path}: damaged ({error}); run `vad-pipeline store verify`")


def _entry(name: str, shard: str, node: h5py.Group) -> Entry:
    crops = wholes(node, "crops")
    n_crops, n_snippets, width = node["features"].shape
    entry = Entry(
        name=name,
        shard=shard,
        video=plain_id(node),
        crops=json.dumps(crops),
        n_frames=whole(node, "n_frames", least=1),
        n_snippets=int(n_snippets),
        size=whole(node, "size", least=-1),
        mtime_ns=whole(node, "mtime_ns"),
        written_ns=written_ns(node),
        timeline=whole(node, "timeline", least=1) if "timeline" in node.attrs else 1,  # there were no others at first
        stream=stream_of(node),
        **{column: text(node, column) for column in TEXTS},
    )
    if n_crops != len(crops):
        raise ValueError(f"features of {n_crops} crops, {len(crops)} are named")
    recipe_id, recipe_width = _id_and_width(entry.recipe)
    if width != recipe_width:
        raise ValueError(f"features {width} wide, the recipe says {recipe_width}")
    if recipe_id != entry.recipe_id or group_name(entry.video, entry.recipe_id) != name:
        raise ValueError("its name, id and recipe disagree")
    return entry


@lru_cache(maxsize=64)  # a store holds many videos of few recipes
def _id_and_width(text: str) -> tuple[str, int]:
    recipe = Recipe.from_json(text)
    return recipe.recipe_id, recipe.width
