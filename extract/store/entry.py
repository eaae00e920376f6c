"""What the attributes of one video's group say: the record that the catalogue keeps and everything is chosen by."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields

import h5py

from ..errors import ConfigError, StoreError
from ..names import is_plain_id
from ..recipe import Recipe


@dataclass(frozen=True, slots=True)
class Entry:
    """One video's features under one recipe: what its group's attributes say."""

    name: str
    """Group name."""
    shard: str
    """File name below STORE/shards."""
    video: str
    """Video id."""
    recipe_id: str
    recipe: str
    """JSON."""
    crops: str
    """JSON list."""
    n_frames: int
    n_snippets: int
    size: int
    """Bytes of the source file, -1 where imported."""
    mtime_ns: int
    fingerprint: str
    precision: str
    runtime: str
    source: str
    """Path the features came from."""
    label: str
    """The category that imported features were listed under; else empty."""
    written_ns: int
    """When this group was made: of two under one name the later one counts."""
    checksum: str

    @property
    def crop_numbers(self) -> tuple[int, ...]:
        """The crops held, in the order of the features' first axis."""
        return tuple(json.loads(self.crops))

    def has_crops(self, wanted: Iterable[int]) -> bool:
        """Whether all the crops of these numbers are there."""
        return set(wanted) <= set(self.crop_numbers)


COLUMNS = tuple(f.name for f in fields(Entry))
NUMBERS = ("n_frames", "size", "mtime_ns", "written_ns")
# what reading a damaged or foreign group can raise
DAMAGE = (OSError, RuntimeError, KeyError, IndexError, ValueError, TypeError, AttributeError, ArithmeticError)


def entry_of(name: str, shard: str, node: h5py.Group) -> Entry:
    """What a group says of itself.

    Raises:
        StoreError: an attribute is missing.
    """
    try:
        values = {column: node.attrs[column] for column in COLUMNS if column in node.attrs}
        crops = [int(crop) for crop in node.attrs["crops"]]
        n_crops, n_snippets, _ = node["features"].shape
        for column in NUMBERS:
            values[column] = int(values[column])
            if abs(values[column]) >= 2**63:
                raise ValueError(f"{column} is out of range")
        values |= {"name": name, "shard": shard, "n_snippets": int(n_snippets), "crops": json.dumps(crops)}
        wrong = [column for column in COLUMNS if column not in NUMBERS and not isinstance(values[column], str | int)]
        if wrong or n_crops != len(crops) or not is_plain_id(values["video"]):
            raise ValueError(f"{', '.join(wrong) or 'crops or id'} cannot be used")
        Recipe.from_json(values["recipe"])
        return Entry(**values)
    except (*DAMAGE, ConfigError) as error:
        raise StoreError(f"{shard}: group {name} is damaged ({error}); run `vad-pipeline store verify`") from error
