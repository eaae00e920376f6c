"""The curves of a results folder, kept in shards as the feature store keeps features.

A shard is complete as soon as it is there, so a run that was killed can be continued where it stopped. What all curves
were made with is in run.json (`run_record.py`); the events found in them are in events.jsonl (`event_rows.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from vad_pipeline.extract.errors import ConfigError, DamagedShard
from vad_pipeline.extract.files import remove_partial
from vad_pipeline.extract.store.entry import DAMAGE
from vad_pipeline.extract.store.merge_lock import merging
from vad_pipeline.extract.store.shards import each_shard, group_in, group_name, merge_shards, opened
from vad_pipeline.extract.store.versions import Version
from vad_pipeline.model.curve import AnomalyCurve

from .curve_group import HeldCurve, held_curve, read_curve
from .curve_table import csv_path
from .run_record import RECORD_NAME

logger = logging.getLogger(__name__)


class Results:
    """The curves in a folder, by video id and recipe.

    Args:
        path: OUT.

    Raises:
        StoreError: it cannot be read.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.curves = self.path / "curves"
        self.outcomes = self.path / "outcomes"
        self._index: dict[str, HeldCurve] = {}
        """The curve that counts, by group name."""
        self._names: dict[str, list[str]] = {}
        """The groups of each shard, by its file name."""
        self._versions: dict[str, set[Version]] = {}
        """All versions of each group, by its name."""
        self._scan()

    @classmethod
    def open(cls, path: str | Path) -> Results:
        """Results that are there.

        Raises:
            ConfigError: there are none.
        """
        if not (Path(path) / RECORD_NAME).exists():
            missing = f"no results (no {RECORD_NAME})"
            raise ConfigError(f"{path}: {missing}; make them with `vad-pipeline detect --out {path}`")
        return cls(path)

    def held(self, video_id: str, recipe_id: str) -> HeldCurve | None:
        """What is known of a curve without reading it; None where there is none."""
        return self._index.get(group_name(video_id, recipe_id))

    def holds(self, video_id: str, recipe_id: str, made_from: str) -> bool:
        """Whether the curve of exactly these features is there."""
        held = self.held(video_id, recipe_id)
        return held is not None and held.made_from == made_from

    def written_ns(self, video_id: str, recipe_id: str) -> int:
        """When the curve held was written; 0 where none is."""
        held = self.held(video_id, recipe_id)
        return held.version.written_ns if held else 0

    def csv_path(self, video_id: str) -> Path:
        """Where a curve's table lies."""
        return csv_path(self.curves, video_id)

    def get(self, video_id: str, recipe_id: str) -> AnomalyCurve:
        """One curve.

        Raises:
            KeyError: not held.
            StoreError: damaged.
        """
        return self._read_again(group_name(video_id, recipe_id))

    def __iter__(self) -> Iterator[AnomalyCurve]:
        """All curves, by video id."""
        return self.reaching(lambda video_id: 0.0)

    def reaching(self, threshold_of: Callable[[str], float]) -> Iterator[AnomalyCurve]:
        """The curves with a score of their id's threshold or more, by video id; the others are not read."""
        names = [
            name
            for name, held in self._index.items()
            if held.peak_score >= np.float32(threshold_of(held.video))  # as find_events
        ]
        for name in sorted(names, key=lambda name: self._index[name].video):
            yield self._read_again(name)

    def video_ids(self) -> list[str]:
        """Of all curves, in order."""
        return sorted(held.video for held in self._index.values())

    def __len__(self) -> int:
        return len(self._index)

    def take_in(self, shard: Path) -> None:
        """Index a curve that was written, by this process or by a worker."""
        self._take_in(self.curves / shard.name)

    def refresh(self) -> None:
        """Look for curves anew: another run may have added some."""
        self._scan()

    def merge(self) -> int:
        """Join small curve shards and drop superseded curves, unless another run is at it."""
        remove_partial(self.curves)
        if not self.curves.is_dir():
            return 0
        with merging(self.curves) as alone:
            return self._merge() if alone else 0

    def _merge(self) -> int:
        self._scan()
        paths = map(self.curves.joinpath, self._names)
        merged = merge_shards(
            self.curves,
            sizes={path.name: path.stat().st_size for path in paths if path.exists()},
            versions_in=lambda shard: {name: self._versions[name] for name in self._names[shard]},
        )
        if merged:
            self._scan()
        return merged

    def _scan(self) -> None:
        for known in (self._index, self._names, self._versions):
            known.clear()
        for shard in each_shard(self.curves):
            self._take_in(shard)

    def _take_in(self, shard: Path) -> None:
        try:
            with opened(shard) as root:
                found = {name: held_curve(shard.name, group_in(root, name)) for name in root}
        except FileNotFoundError:  # merged away by another run
            return
        except (DamagedShard, *DAMAGE) as error:
            logger.warning("%s: passed over, cannot be read (%s); its videos are scored again", shard, error)
            return
        self._names[shard.name] = list(found)
        for name, held in found.items():
            self._versions.setdefault(name, set()).add(held.version)
            if held.version == max(self._versions[name]):
                self._index[name] = held

    def _read_again(self, name: str) -> AnomalyCurve:
        """Read; once more where another run has merged the shard away meanwhile."""
        try:
            return self._read(name)
        except FileNotFoundError:
            self._scan()
            return self._read(name)

    def _read(self, name: str) -> AnomalyCurve:
        return read_curve(self.curves / self._index[name].version.shard, name)
