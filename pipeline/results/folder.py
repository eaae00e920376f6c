"""A results folder: run.json, curves in shards as the store's, events, CSV; everything complete as soon as it is
there, so that a run that was killed goes on where it was."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np

from vad_pipeline.extract.errors import ConfigError, DamagedShard, StoreError
from vad_pipeline.extract.files import remove_partial, write_bytes
from vad_pipeline.extract.names import is_plain_id
from vad_pipeline.extract.store.entry import DAMAGE
from vad_pipeline.extract.store.merge_lock import merging
from vad_pipeline.extract.store.shards import (
    SMALL_BYTES,
    Group,
    build,
    each_shard,
    group_in,
    group_name,
    merge_shards,
    new_path,
    opened,
    time_after,
)
from vad_pipeline.model.curve import AnomalyCurve, find_events

from .clock import Clock
from .curve_table import csv_path
from .event_rows import EVENTS_NAME, event_row
from .head import RESULTS_SCHEMA, RunHead

logger = logging.getLogger(__name__)

HEAD_NAME = "run.json"


@dataclass(frozen=True, slots=True)
class _Held:
    shard: str
    video: str
    made_from: str
    """Checksum of the features, crop and checkpoint: the same means the same curve."""
    peak_score: float
    """What no frame's score exceeds: a curve below a threshold need not be read for its events."""
    source_sha256: str
    written_ns: int


class Results:
    """Curves and events in a folder.

    Args:
        path: OUT.

    Raises:
        StoreError: it cannot be read.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.curves = self.path / "curves"
        self.outcomes = self.path / "outcomes"
        self._index: dict[str, _Held] = {}
        """Where the newest curve of each group name lies."""
        self._names: dict[str, dict[str, int]] = {}
        """Group names of each shard, and when each was written (ns)."""
        self._scan()

    @classmethod
    def open(cls, path: str | Path) -> Results:
        """Results that are there.

        Raises:
            ConfigError: there are none.
        """
        if not (Path(path) / HEAD_NAME).exists():
            raise ConfigError(f"{path}: no results (no {HEAD_NAME}); make them with `vad-pipeline detect --out {path}`")
        return cls(path)

    def head(self) -> dict:
        """run.json.

        Raises:
            StoreError: damaged.
        """
        try:
            head = json.loads((self.path / HEAD_NAME).read_text())
            schema = int(head["schema"])
        except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
            raise StoreError(
                f"{self.path / HEAD_NAME}: cannot be read ({error}); delete it and detect again"
            ) from error
        if schema > RESULTS_SCHEMA:
            raise StoreError(f"{self.path}: results of schema {schema}, this version knows {RESULTS_SCHEMA}; upgrade")
        return head

    def check(self, head: RunHead) -> None:
        """See that the folder is free, or of this checkpoint, recipe and crop.

        Raises:
            ConfigError: it holds curves of others, or a feature store.
        """
        if (self.path / "store.json").exists():
            raise ConfigError(f"{self.path}: is a feature store; give --out another folder")
        if (self.path / HEAD_NAME).exists():
            clash = head.clashes(self.head())
            if clash:
                raise ConfigError(f"{self.path}: holds results of {clash}; give another --out or delete it")

    def begin(self, head: RunHead) -> None:
        """Claim the folder for one checkpoint, recipe and crop; a clock that it records is kept unless `head` has one.

        Raises:
            ConfigError: see `check`.
        """
        self.check(head)
        if head.clock is None and (self.path / HEAD_NAME).exists():
            head = replace(head, clock=self.head().get("clock"))
        write_bytes(self.path / HEAD_NAME, json.dumps(asdict(head), indent=2).encode())

    def holds(self, video_id: str, recipe_id: str, made_from: str) -> bool:
        """Whether the curve of exactly these features is there."""
        held = self._index.get(group_name(video_id, recipe_id))
        return held is not None and held.made_from == made_from

    def written_ns(self, video_id: str, recipe_id: str) -> int:
        """When the curve held was written; 0 where none is."""
        held = self._index.get(group_name(video_id, recipe_id))
        return held.written_ns if held else 0

    def take_in(self, shard: Path) -> None:
        """Index a curve that was written, by this process or by a worker."""
        self._take_in(self.curves / shard.name)

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

    def source_sha256(self, video_id: str, recipe_id: str) -> str:
        """Of the file that a curve comes from, as it was when it was extracted; empty where that is not known."""
        held = self._index.get(group_name(video_id, recipe_id))
        return held.source_sha256 if held else ""

    def __iter__(self) -> Iterator[AnomalyCurve]:
        """All curves, by video id."""
        return self._reaching(0.0)

    def _reaching(self, threshold: float) -> Iterator[AnomalyCurve]:
        """The curves with a score of `threshold` or more, by video id."""
        names = [
            name for name, held in self._index.items() if held.peak_score >= np.float32(threshold)
        ]  # as find_events
        for name in sorted(names, key=lambda name: self._index[name].video):
            yield self._read_again(name)

    def video_ids(self) -> list[str]:
        """Of all curves, in order."""
        return sorted(held.video for held in self._index.values())

    def __len__(self) -> int:
        return len(self._index)

    def write_events(self, *, threshold: float, merge_gap_seconds: float, clock: Clock | None = None) -> int:
        """Write events.jsonl anew from all curves.

        Args:
            threshold: score from which a frame belongs to an event.
            merge_gap_seconds: see `find_events`.
            clock: how ids are read for the wall clock, recorded from now on; None: as recorded.

        Returns:
            How many events there are.
        """
        self._scan()  # another run may have added curves
        head = self.head()
        clock = clock or Clock.of_head(head)
        if clock:
            clock.tell_unread(self.video_ids())
        mark = {} if head.get("calibrated", True) else {"calibrated": False}
        lines = []
        for curve in self._reaching(threshold):
            reading = clock.of(curve.video_id) if clock else None
            for event in find_events(curve, threshold=threshold, merge_gap_seconds=merge_gap_seconds):
                lines.append(json.dumps(event_row(curve.video_id, event, reading) | mark))
        write_bytes(self.path / EVENTS_NAME, "".join(f"{line}\n" for line in lines).encode())
        head |= {
            "clock": clock.to_json() if clock else None,
            "events": {"threshold": threshold, "merge_gap_seconds": merge_gap_seconds},
        }
        write_bytes(self.path / HEAD_NAME, json.dumps(head, indent=2).encode())
        return len(lines)

    def merge(self) -> int:
        """Join small curve shards and drop superseded curves, unless another run is at it."""
        remove_partial(self.curves)
        if not self.curves.is_dir():
            return 0
        with merging(self.curves) as alone:
            return self._merge() if alone else 0

    def _merge(self) -> int:
        self._scan()
        sizes = {path.name: path.stat().st_size for path in map(self.curves.joinpath, self._names) if path.exists()}
        settled = {shard for shard, size in sizes.items() if size >= SMALL_BYTES}
        candidates = {shard: size for shard, size in sizes.items() if shard not in settled}
        in_settled = {(name, ns) for shard in settled for name, ns in self._names[shard].items()}
        keep = {  # the rule of Catalogue.kept_of
            shard: [
                name
                for name, written_ns in self._names[shard].items()
                if written_ns == self._index[name].written_ns and (name, written_ns) not in in_settled
            ]
            for shard in candidates
        }
        held = {shard: len(self._names[shard]) for shard in candidates}
        merged = merge_shards(self.curves, sizes=candidates, held=held, keep=keep)
        if merged:
            self._scan()
        return merged

    def _scan(self) -> None:
        self._index.clear()
        self._names.clear()
        for shard in each_shard(self.curves):
            self._take_in(shard)

    def _take_in(self, shard: Path) -> None:
        try:
            with opened(shard) as root:
                found = {name: _held(shard.name, group_in(root, name)) for name in root}
        except FileNotFoundError:  # merged away by another run
            return
        except (DamagedShard, *DAMAGE) as error:
            logger.warning("%s: passed over, cannot be read (%s); its videos are scored again", shard, error)
            return
        self._names[shard.name] = {name: held.written_ns for name, held in found.items()}
        for name, held in found.items():
            if name not in self._index or self._index[name].written_ns <= held.written_ns:
                self._index[name] = held

    def _read_again(self, name: str) -> AnomalyCurve:
        """Read; once more where another run has merged the shard away meanwhile."""
        try:
            return self._read(name)
        except FileNotFoundError:
            self._scan()
            return self._read(name)

    def _read(self, name: str) -> AnomalyCurve:
        shard = self.curves / self._index[name].shard
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


def write_curve(
    curves: Path,
    curve: AnomalyCurve,
    *,
    recipe_id: str,
    made_from: str,
    threshold: float,
    calibrated: bool = True,
    source_sha256: str = "",
    later_than: int = 0,
) -> Path:
    """Write a curve as a shard of its own, which supersedes one of `later_than` (its `written_ns`); once this returns,
    it is in place.

    Raises:
        StoreError: the folder cannot be written.
    """
    attributes = {
        "video": curve.video_id,
        "n_frames": curve.n_frames,
        "fps": np.array([curve.fps.numerator, curve.fps.denominator], np.int64),
        "snippet_len": curve.snippet_len,
        "categories": list(curve.categories),
        "threshold": threshold,
        "calibrated": calibrated,
        "source": curve.source,
        "source_sha256": source_sha256,
        "recipe_id": recipe_id,
        "made_from": made_from,
        "peak_score": float(curve.scores.max()),
        "written_ns": time_after(later_than),
    }
    datasets = {"score": curve.scores, "category": curve.category, "frame_seconds": curve.frame_seconds}
    path = new_path(curves)
    write_bytes(path, build([Group(group_name(curve.video_id, recipe_id), attributes, datasets)]))
    return path


def _held(shard: str, node: h5py.Group) -> _Held:
    attributes = node.attrs
    if not is_plain_id(attributes["video"]):
        raise ValueError("its video id cannot be used")
    return _Held(
        shard,
        attributes["video"],
        attributes["made_from"],
        peak_score=float(attributes.get("peak_score", 1.0)),
        source_sha256=str(attributes.get("source_sha256", "")),
        written_ns=int(attributes["written_ns"]),
    )
