"""The curves of a results folder, kept in shards as the feature store keeps features.

A shard is complete as soon as it is there, so a run that was killed can be continued where it stopped. What all curves
were made with is in run.json (`run_record.py`); the events found in them are in events.jsonl (`event_rows.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vad_pipeline.extract.errors import ConfigError, DamagedShard, StoreError
from vad_pipeline.extract.files import remove_partial
from vad_pipeline.extract.store.merge_lock import merging
from vad_pipeline.extract.store.own_process import read_apart
from vad_pipeline.extract.store.shards import each_shard, group_name, merge_shards, video_of
from vad_pipeline.extract.store.versions import Version
from vad_pipeline.model.curve import AnomalyCurve

from .curve_group import HeldCurve, held_curves, read_curve
from .curve_table import csv_path
from .held_cache import HeldCache
from .run_record import RECORD_NAME, read_record

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unread:
    """Curves of a folder that cannot be read, and of which it holds no other version."""

    videos: frozenset[str]
    """Their ids, as far as they are known."""
    whole_shards: bool
    """Whether some shard cannot be read at all, so that nobody knows which videos' curves it held."""


class Results:
    """The curves of a results folder, found by video id and recipe id.

    Args:
        path: the results folder; it need not exist yet.

    Raises:
        StoreError: the folder cannot be read.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.curves = self.path / "curves"
        self.outcomes = self.path / "outcomes"
        self._index: dict[str, HeldCurve] = {}
        """Group name -> the curve that counts: the newest version."""
        self._names: dict[str, list[str]] = {}
        """File name of a shard -> names of its groups."""
        self._versions: dict[str, set[Version]] = {}
        """Group name -> all its versions in all shards."""
        self._damaged: dict[str, set[str]] = {}
        """File name of a shard -> names of its groups whose attributes cannot be read; none where the whole shard
        cannot."""
        self._failed_to_read: set[HeldCurve] = set()
        """Curves of the index that turned out to be damaged when they were read."""
        self._told: dict[str, None] = {}
        """Warnings that were given, in their order."""
        self._cache = HeldCache(self.curves)
        self._categories: tuple[str, ...] | None = None
        """Those of run.json, once they were needed."""
        self._scan()

    @classmethod
    def open(cls, path: str | Path) -> Results:
        """Open a results folder that must exist.

        Raises:
            ConfigError: the folder has no run.json.
        """
        if not (Path(path) / RECORD_NAME).exists():
            missing = f"no results (no {RECORD_NAME})"
            raise ConfigError(f"{path}: {missing}; make them with `vad-pipeline detect --out {path}`")
        return cls(path)

    def held(self, video_id: str, recipe_id: str) -> HeldCurve | None:
        """What the attributes of a curve say; None where the folder has no curve of this video and recipe."""
        return self._index.get(group_name(video_id, recipe_id))

    def holds(self, video_id: str, recipe_id: str, made_from: str) -> bool:
        """Whether the folder holds the curve made from exactly this (`CurveOrigin.made_from`)."""
        held = self.held(video_id, recipe_id)
        return held is not None and held.made_from == made_from and not self._is_damaged(held)

    def written_ns(self, video_id: str, recipe_id: str) -> int:
        """When the curve was written, in ns since 1970; 0 where the folder has none of this video and recipe."""
        held = self.held(video_id, recipe_id)
        return held.version.written_ns if held else 0

    def csv_path(self, video_id: str) -> Path:
        """The path of the CSV file of a video's curve, whether it exists or not."""
        return csv_path(self.curves, video_id)

    def get(self, video_id: str, recipe_id: str) -> AnomalyCurve:
        """Read one curve.

        Raises:
            KeyError: the folder has no curve of this video and recipe.
            StoreError: the curve's shard is damaged.
        """
        return self._read_again(group_name(video_id, recipe_id))

    def __iter__(self) -> Iterator[AnomalyCurve]:
        """All curves, by video id."""
        return self.reaching(lambda video_id: 0.0)

    def reaching(self, threshold_of: Callable[[str], float]) -> Iterator[AnomalyCurve]:
        """The curves with a score of their id's threshold or more, by video id; the others are not read, and those
        that are damaged are passed over with a warning (`unread`)."""
        names = [
            name
            for name, held in self._index.items()
            if held.peak_score >= np.float32(threshold_of(held.video))  # as find_events
        ]
        for name in sorted(names, key=lambda name: self._index[name].video):
            if name not in self._index:  # it was looked for again meanwhile, see `_read_again`
                raise self._gone(name)
            try:
                yield self._read_again(name)
            except DamagedShard as error:
                held = self._index[name]
                self._failed_to_read.add(held)
                self._warn(f"{held.video}: its curve is passed over ({error})")

    def unread(self) -> Unread:
        """What is damaged so far as it is known: the attributes of all curves have been read, and the scores of those
        that were asked for."""
        lost = {name for names in self._damaged.values() for name in names} - set(self._index)
        videos = {video_of(name) for name in lost}
        videos |= {held.video for held in self._index.values() if self._is_damaged(held)}
        return Unread(frozenset(videos), whole_shards=not all(self._damaged.values()))

    @property
    def first_problem(self) -> str:
        """What the first curve that cannot be read lacks, or what is wrong with it; empty where all could be read."""
        return next(iter(self._told), "")

    def video_ids(self) -> list[str]:
        """The video ids of all curves, sorted."""
        return sorted(held.video for held in self._index.values())

    def all_held(self) -> list[HeldCurve]:
        """What the attributes of all curves say, by video id."""
        return sorted(self._index.values(), key=lambda held: held.video)

    def __len__(self) -> int:
        return len(self._index)

    def take_in(self, shard: Path) -> None:
        """Add a newly written curve to the index, whether this process or a worker wrote its shard."""
        self._take_in(self.curves / shard.name, held_curves)  # of this run

    def refresh(self) -> None:
        """Read the index from disk again: another run may have added curves."""
        self._scan()

    def merge(self) -> int:
        """Join small shards and drop superseded curves, unless another run is doing so.

        Returns:
            How many shards were joined.
        """
        remove_partial(self.curves)
        if not self.curves.is_dir():
            return 0
        with merging(self.curves) as alone:
            return self._merge() if alone else 0

    def _merge(self) -> int:
        self._scan()
        # a damaged curve goes with its shard only once there is a new one of its video
        names = [name for name in self._names if self._damaged.get(name, set()) <= set(self._index)]
        paths = map(self.curves.joinpath, names)
        merged = merge_shards(
            self.curves,
            sizes={path.name: path.stat().st_size for path in paths if path.exists()},
            versions_in=lambda shard: {name: self._versions[name] for name in self._names[shard]},
        )
        if merged:
            self._scan()
        return merged

    def _scan(self) -> None:
        for known in (self._index, self._names, self._versions, self._damaged):
            known.clear()
        for shard in each_shard(self.curves):
            self._take_in(shard, self._held_in)
        self._cache.keep(set(self._names))

    def _held_in(self, shard: Path) -> tuple[dict[str, HeldCurve], dict[str, str]]:
        """What `held_curves` says of a shard, from the cache where that knows it."""
        known = self._cache.get(shard)
        if known is not None:
            return known, {}
        found, damaged = read_apart([shard], held_curves, shard)
        if not damaged:
            self._cache.put(shard, found)
        return found, damaged

    def _take_in(self, shard: Path, read: Callable[[Path], tuple[dict[str, HeldCurve], dict[str, str]]]) -> None:
        try:
            found, damaged = read(shard)
        except FileNotFoundError:  # merged away by another run
            return
        except DamagedShard as error:
            self._damaged[shard.name] = set()
            self._warn(f"passed over: {error}; `detect` scores its videos again")
            return
        if damaged:
            self._damaged[shard.name] = set(damaged)
            for name, problem in damaged.items():
                self._warn(f"{shard}: the curve of {video_of(name)} is passed over ({problem}); make it anew")
        self._names[shard.name] = list(found)
        for name, held in found.items():
            self._versions.setdefault(name, set()).add(held.version)
            if held.version == max(self._versions[name]):
                self._index[name] = held

    def _is_damaged(self, held: HeldCurve) -> bool:
        return held in self._failed_to_read

    def _warn(self, told: str) -> None:
        """Once: the folder is looked through several times in a run."""
        if told not in self._told:
            self._told[told] = None
            logger.warning("%s", told)

    def _read_again(self, name: str) -> AnomalyCurve:
        """Read a curve; where another run has just merged its shard into another one, look it up again and retry."""
        try:
            return self._read(name)
        except FileNotFoundError as error:
            self._scan()
            if name not in self._index:
                raise self._gone(name) from error
            return self._read(name)

    def _gone(self, name: str) -> StoreError:
        why = f"the curve of {video_of(name)} went while it was in use"
        return StoreError(f"{self.curves}: {why}; run the same command again")

    def _read(self, name: str) -> AnomalyCurve:
        shard = self.curves / self._index[name].version.shard
        return read_apart([shard], read_curve, shard, name, self._named_categories())

    def _named_categories(self) -> tuple[str, ...]:
        """The categories that run.json names; none where there is no such file or it names none."""
        if self._categories is None:
            named = read_record(self.path).get("categories") if (self.path / RECORD_NAME).exists() else ()
            self._categories = tuple(map(str, named)) if isinstance(named, list) else ()
        return self._categories
